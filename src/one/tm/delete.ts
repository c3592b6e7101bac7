/**
 * delete: a disk or the whole directory of a VM goes, on a host or, of a stopped VM, on the frontend. What is gone
 * already is success. If the host can't be reached, the error says what is left behind there.
 */
import { rm } from 'node:fs/promises';
import { CxmError } from '../../errors.ts';
import type { ActionContext } from '../action.ts';
import type { DeleteCall } from '../arguments/transfer.ts';
import { cloudName, isFrontend, localKind } from './shared.ts';

export async function deleteTarget(context: ActionContext, { target, vmId }: DeleteCall): Promise<undefined> {
  if (isFrontend(context, target.host)) {
    const kind = localKind(target.path);
    if (kind === 'file') await rm(`${target.path}.cxm-partial`, { force: true });
    if (kind !== 'link') {
      await rm(target.path, { recursive: target.kind === 'directory', force: true });
      return;
    }
  }
  const where = { host: target.host };
  const cloud = cloudName(context);
  try {
    if (target.kind === 'disk') {
      const parameters = { vmId, diskId: target.diskId, link: target.path, cloud };
      await context.helper(where, { operation: 'delete-disk', parameters });
    } else if (target.kind === 'directory') {
      const parameters = { vmId, directory: target.path, cloud };
      await context.helper(where, { operation: 'delete-directory', parameters });
    } else {
      const parameters = { vmId, path: target.path };
      await context.helper(where, { operation: 'delete-file', parameters });
    }
  } catch (error) {
    if (!(error instanceof CxmError) || error.code !== 'HOST_UNREACHABLE') throw error;
    throw new CxmError(
      'HOST_UNREACHABLE',
      `${error.message}; left behind there: ${leftBehind(context, target, vmId)}`,
      {
        cause: error,
        hint: `run the delete again when ${target.host} is back`,
        changed: 'nothing',
      },
    );
  }
}

function leftBehind({ config }: ActionContext, target: DeleteCall['target'], vmId: number): string {
  if (target.kind !== 'disk') return target.path;
  return `volume ${config.VG_NAME}/${config.LV_PREFIX}-${vmId}-${target.diskId} and ${target.path}`;
}

/**
 * delete: a disk or the whole directory of a VM goes, on a host or, of a stopped VM, on the frontend. What is gone
 * already is success; what a VM wrote to a persistent image goes back into the image first. If the host can't be reached, the error says what is left behind there.
 */
import { rm } from 'node:fs/promises';
import { CxmError } from '../../errors.ts';
import type { ActionContext } from '../action.ts';
import { imageSource, type DiskLocation } from '../arguments/locations.ts';
import type { DeleteCall } from '../arguments/transfer.ts';
import { IncomingFile } from './incoming-file.ts';
import { imageFile, moveFile } from './save.ts';
import { askDiskFacts, isPersistent, type DiskFacts } from './send-image.ts';
import { cloudName, diskParameters, isFrontend, localKind, partialOf } from './shared.ts';

export async function deleteTarget(context: ActionContext, { target, vmId }: DeleteCall): Promise<undefined> {
  if (isFrontend(context, target.host)) {
    const kind = localKind(target.path);
    if (kind === 'file') await rm(partialOf(target.path), { force: true });
    if (kind === 'file' && target.kind === 'disk') await saveStopped(context, target, vmId);
    if (kind !== 'link') {
      await rm(target.path, { recursive: target.kind === 'directory', force: true });
      return;
    }
  }
  const where = { host: target.host };
  try {
    if (target.kind === 'disk') {
      await deleteDisk(context, target, vmId);
    } else if (target.kind === 'directory') {
      const parameters = { vmId, directory: target.path, cloud: cloudName(context) };
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

/** A persistent disk comes back into its image first. */
async function deleteDisk(context: ActionContext, disk: DiskLocation, vmId: number): Promise<void> {
  const what = `disk ${disk.diskId} of VM ${vmId}`;
  const incoming = new IncomingFile(context, what, async () => {
    const facts = await askDiskFacts(context, vmId, disk.diskId);
    return fileOfImage(facts, what);
  });
  const parameters = diskParameters(context, disk, vmId);
  await incoming.during(async (conversation) => {
    await context.helper({ host: disk.host }, { operation: 'delete-disk', parameters, ...conversation });
  });
}

/** The disk of a stopped VM lies as a file on the frontend. */
async function saveStopped(context: ActionContext, { path, diskId }: DiskLocation, vmId: number): Promise<void> {
  const facts = await askDiskFacts(context, vmId, diskId);
  if (isPersistent(facts)) await moveFile(path, fileOfImage(facts, `disk ${diskId} of VM ${vmId}`));
}

function fileOfImage({ image }: DiskFacts, what: string): string {
  if (image?.source !== undefined) return imageFile(imageSource(image.source, `SOURCE of image ${image.id}`));
  throw new CxmError('NOT_FOUND', `${what} is persistent, but OpenNebula does not say which image it belongs to`, {
    hint: 'save the volume by hand, then remove it with lvremove',
  });
}

function leftBehind({ config }: ActionContext, target: DeleteCall['target'], vmId: number): string {
  if (target.kind !== 'disk') return target.path;
  return `volume ${config.VG_NAME}/${config.LV_PREFIX}-${vmId}-${target.diskId} and ${target.path}`;
}

/** resize, snap_create, snap_create_live, snap_revert and snap_delete: what happens to a disk on its host. */
import { CxmError } from '../../errors.ts';
import type { ActionContext } from '../action.ts';
import type { ResizeCall, SnapshotCall } from '../arguments/transfer.ts';
import { diskParameters, isFrontend } from './shared.ts';
import { requireAllowedSize } from './size.ts';

const mib = 1024 * 1024;

export async function resize(context: ActionContext, { disk, sizeMb, vmId }: ResizeCall): Promise<undefined> {
  const what = `disk ${disk.diskId} of VM ${vmId}`;
  requireHost(context, disk.host, what);
  const sizeBytes = sizeMb * mib;
  requireAllowedSize(sizeBytes, what, context.config);
  const parameters = { ...diskParameters(context, disk, vmId), sizeBytes };
  await context.helper({ host: disk.host }, { operation: 'resize-disk', parameters });
}

export type SnapshotOperation = 'create-snapshot' | 'revert-snapshot' | 'delete-snapshot';

export async function changeSnapshot(
  context: ActionContext,
  { disk, snapshotId, vmId }: SnapshotCall,
  operation: SnapshotOperation,
  live = false,
): Promise<undefined> {
  requireHost(context, disk.host, `disk ${disk.diskId} of VM ${vmId}`);
  const parameters = { ...diskParameters(context, disk, vmId), snapshotId, ...(live && { live }) };
  await context.helper({ host: disk.host }, { operation, parameters });
}

function requireHost(context: ActionContext, host: string, what: string): void {
  if (!isFrontend(context, host)) return;
  throw new CxmError('UNSUPPORTED', `${what} is stored on the frontend: it can't be changed there`, {
    hint: 'deploy or resume the VM first',
  });
}

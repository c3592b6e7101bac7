/** Copy-on-write snapshots of disks, such as a reader of a running VM has: they tie a disk to one host. */
import { CxmError } from '../../errors.ts';
import { diskVolumeName } from '../../lvm/names.ts';
import type { OperationContext } from '../operation.ts';

/**
 * LVM activates a volume together with its snapshots. What the guest writes is copied into them by the host it is on: on two
 * hosts they become garbage, and once one is removed, the other host writes into room that is somebody else's.
 * @throws CxmError IN_USE naming the snapshot
 */
export async function requireNoCopies(
  { volumes, settings }: Pick<OperationContext, 'volumes' | 'settings'>,
  vmId: number,
  diskIds: readonly number[],
): Promise<void> {
  const names = diskIds.map((diskId) => diskVolumeName(settings.LV_PREFIX, vmId, diskId));
  const copy = (await volumes.list()).find(({ origin }) => names.includes(origin));
  if (copy === undefined) return;
  const what = `${copy.name} is a snapshot of ${copy.origin}, and keeps VM ${vmId} on its host`;
  throw new CxmError('IN_USE', what, {
    hint: `wait for the action that reads it; what a killed one has left goes by \`lvremove ${settings.VG_NAME}/${copy.name}\``,
  });
}

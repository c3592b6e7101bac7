/** Removing volumes of VMs: once nobody holds them open, and with their data treated as DELETE_DATA says. */
import { CxmError } from '../../errors.ts';
import type { LogicalVolume } from '../../lvm/report.ts';
import type { OperationContext } from '../operation.ts';
import { removeLink } from '../owner.ts';
import { diskSnapshots, findDisk, removeWhenFree, whenFree, type DiskParameters } from './disk.ts';

/** Removes the disk's volume, its snapshots and its link. False if there was none. */
export async function removeDisk(context: OperationContext, disk: DiskParameters): Promise<boolean> {
  const volume = await findDisk(context, disk);
  for (const { volume: snapshot } of await diskSnapshots(context, disk)) await removeVolume(context, snapshot);
  if (volume === undefined) return false;
  await removeVolume(context, volume);
  removeLink(context.owner, disk.link, volume.path);
  return true;
}

export async function removeVolume(context: OperationContext, { name }: LogicalVolume): Promise<void> {
  await whenFree(context, async () => {
    const now = await context.volumes.find(name);
    if (now?.open) throw new CxmError('IN_USE', `${now.path} is still in use, so it was not deleted`);
  });
  const { DELETE_DATA: data } = context.settings;
  if (data !== 'keep') {
    const active = await context.volumes.activate(name, 'exclusive');
    if (data === 'zero') await context.volumes.zero(active, 0, active.sizeBytes);
    else await context.volumes.discard(active);
  }
  await context.withMetadataLock(() => removeWhenFree(context, name));
}

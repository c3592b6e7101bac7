/** Removing volumes of VMs: once nobody holds them open, and with their data treated as DELETE_DATA says. */
import { CxmError } from '../../errors.ts';
import { partialTag } from '../../lvm/names.ts';
import type { LogicalVolume } from '../../lvm/report.ts';
import type { OperationContext } from '../operation.ts';
import { removeLink } from '../owner.ts';
import { findDisk, removeWhenFree, volumesBeside, whenFree, type DiskParameters } from './disk.ts';

/** Removes the disk's volume, its snapshots, what was left beside it, and its link. False if there was none. */
export async function removeDisk(context: OperationContext, disk: DiskParameters): Promise<boolean> {
  const volume = await findDisk(context, disk);
  const { snapshots, leftovers } = await volumesBeside(context, disk);
  for (const other of [...leftovers, ...snapshots.map((snapshot) => snapshot.volume)]) {
    await removeVolume(context, other);
  }
  if (volume === undefined) return false;
  await removeVolume(context, volume);
  removeLink(context.owner, disk.link, volume.path);
  return true;
}

export async function removeVolume(context: OperationContext, { name, origin }: LogicalVolume): Promise<void> {
  await whenFree(context, async () => {
    const now = await context.volumes.find(name);
    if (now?.open) throw new CxmError('IN_USE', `${now.path} is still in use, so it was not deleted`);
  });
  const { DELETE_DATA: data } = context.settings;
  try {
    // What a copy-on-write snapshot keeps of its origin can't be reached, and writing all of it would overflow it.
    if (data !== 'keep' && origin === '') {
      // Refused while another node has it in use, where it is to stay a disk.
      const active = await context.volumes.activate(name, 'exclusive');
      // From here on it is no disk any more, whatever happens.
      await context.withMetadataLock(() => context.volumes.changeTags(name, { add: [partialTag] }));
      if (data === 'zero') await context.volumes.zero(active, 0, active.sizeBytes);
      else await context.volumes.discard(active);
    }
    await removeWhenFree(context, name);
  } catch (error) {
    await context.volumes.deactivate(name).catch(() => undefined);
    throw error;
  }
}

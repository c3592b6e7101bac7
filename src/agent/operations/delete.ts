/**
 * delete-disk and delete-directory: what is left of a VM goes. Only the VM's own volumes are touched, whatever a link
 * points to; what is gone already is success; a device that is still open is waited for, in bounds, since OpenNebula
 * 3.x deletes while it cancels.
 */
import { CxmError } from '../../errors.ts';
import { diskTags } from '../../lvm/names.ts';
import type { LogicalVolume } from '../../lvm/report.ts';
import type { Operation, OperationContext } from '../operation.ts';
import { removeDirectory, removeFile, removeLink } from '../owner.ts';
import { absolutePath, wholeNumber } from '../parameters.ts';
import {
  diskSnapshots,
  findDisk,
  parseCloud,
  parseDisk,
  removeWhenFree,
  whenFree,
  type DiskParameters,
} from './disk.ts';

export const deleteDisk: Operation<DiskParameters, { readonly removed: boolean }> = {
  name: 'delete-disk',
  parse: parseDisk,
  async run(context, disk) {
    const removed = await removeDisk(context, disk);
    removeFile(context.owner, disk.link);
    return { removed };
  },
};

/** Removes the disk's volume, its snapshots and its link. False if there was none. */
export async function removeDisk(context: OperationContext, disk: DiskParameters): Promise<boolean> {
  const volume = await findDisk(context, disk);
  for (const { volume: snapshot } of await diskSnapshots(context, disk)) await removeVolume(context, snapshot);
  if (volume === undefined) return false;
  await removeVolume(context, volume);
  removeLink(context.owner, disk.link, volume.path);
  return true;
}

async function removeVolume(context: OperationContext, { name }: LogicalVolume): Promise<void> {
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

interface DeleteDirectory {
  readonly vmId: number;
  readonly cloud: string;
  readonly directory: string;
}

export const deleteDirectory: Operation<DeleteDirectory, { readonly leftovers: readonly string[] }> = {
  name: 'delete-directory',
  parse(parameters) {
    const vmId = wholeNumber(parameters, 'vmId');
    const directory = absolutePath(parameters, 'directory');
    if (!directory.endsWith(`/${vmId}`)) {
      throw new CxmError('INVALID_INPUT', `parameter directory is ${directory}, but must end in /${vmId}`);
    }
    return { vmId, directory, cloud: parseCloud(parameters) };
  },
  async run(context, { vmId, cloud, directory }) {
    const leftovers = await vmVolumes(context, vmId, cloud);
    for (const volume of leftovers) {
      context.log('INFO', `removing ${volume.name}, which an action that failed has left`);
      await removeVolume(context, volume);
    }
    removeDirectory(context.owner, directory);
    return { leftovers: leftovers.map(({ name }) => name) };
  },
};

/**
 * Volumes of the VM that nobody told us to delete: of attachments that failed half-way (3.8 never rolls those back)
 * and of actions that were killed.
 */
async function vmVolumes(context: OperationContext, vmId: number, cloud: string): Promise<LogicalVolume[]> {
  const own = diskTags({ vmId, diskId: 0, cloud }).filter((tag) => !tag.startsWith('cxm_disk='));
  const prefix = `${context.settings.LV_PREFIX}-${vmId}-`;
  const all = await context.volumes.list();
  const found = all.filter(({ name, tags }) => name.startsWith(prefix) && own.every((tag) => tags.includes(tag)));
  // Snapshots first: LVM would take them with their origin.
  return found.sort((a, b) => Number(b.origin !== '') - Number(a.origin !== ''));
}

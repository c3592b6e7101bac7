/**
 * delete-disk and delete-directory: what is left of a VM goes. Only the VM's own volumes are touched, whatever a link
 * points to; what is gone already is success; a device that is still open is waited for, in bounds, since OpenNebula
 * 3.x deletes while it cancels.
 */
import { dirname } from 'node:path';
import { CxmError } from '../../errors.ts';
import { diskTags } from '../../lvm/names.ts';
import type { LogicalVolume } from '../../lvm/report.ts';
import type { Operation, OperationContext } from '../operation.ts';
import { removeDirectory, removeFile } from '../owner.ts';
import { absolutePath, wholeNumber } from '../parameters.ts';
import { findDisk, isPersistent, parseCloud, parseDisk, type DiskParameters } from './disk.ts';
import { removeDisk, removeVolume } from './remove.ts';
import { sendContent } from './send-disk.ts';

/**
 * A persistent disk is saved back before it goes: OpenNebula deletes it like any other when a VM is deleted or
 * recovered, but what a VM wrote to a persistent image is to stay.
 */
export const deleteDisk: Operation<DiskParameters, { readonly removed: boolean }> = {
  name: 'delete-disk',
  parse: parseDisk,
  async run(context, disk) {
    const volume = await findDisk(context, disk);
    if (volume !== undefined && isPersistent(volume)) await saveBack(context, disk, volume);
    const removed = await removeDisk(context, disk);
    removeFile(context.owner, disk.link);
    return { removed };
  },
};

async function saveBack(context: OperationContext, disk: DiskParameters, volume: LogicalVolume): Promise<void> {
  context.log('INFO', `disk ${disk.diskId} of VM ${disk.vmId} holds a persistent image: saving it first`);
  await sendContent(context, volume, { disk, vmDirectory: dirname(disk.link), live: false });
  if ((await context.ask('stored')) !== true) throw new CxmError('INTERRUPTED', 'the content was not stored');
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
    const found = await vmVolumes(context, vmId, cloud);
    for (const { name } of found.filter(isPersistent)) {
      context.log('WARN', `${name} holds a persistent image that was not saved, so it is kept`);
    }
    const leftovers = found.filter((volume) => !isPersistent(volume));
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

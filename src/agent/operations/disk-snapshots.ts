/**
 * Snapshots that OpenNebula manages: complete copies of the disk, as volumes of their own. They cost their full size,
 * but neither slow the disk down nor break when it changes much, and survive a revert, as OpenNebula expects.
 */
import { dirname } from 'node:path';
import { CxmError } from '../../errors.ts';
import { diskTags, partialTag, snapshotVolumeName } from '../../lvm/names.ts';
import type { LogicalVolume } from '../../lvm/report.ts';
import { openExtents } from '../../transfer/extents.ts';
import type { Operation, OperationContext } from '../operation.ts';
import { isFile } from '../owner.ts';
import { flag, wholeNumber, type Parameters } from '../parameters.ts';
import {
  diskSnapshots,
  parseDisk,
  removeWhenFree,
  requireDisk,
  takeBack,
  volumeName,
  whileActive,
  type DiskParameters,
} from './disk.ts';
import { writeExtents } from './fill.ts';
import { withSnapshot } from './send-disk.ts';

interface SnapshotParameters {
  readonly disk: DiskParameters;
  readonly snapshotId: number;
}

function parseSnapshot(parameters: Parameters): SnapshotParameters {
  return { disk: parseDisk(parameters), snapshotId: wholeNumber(parameters, 'snapshotId', 0, 999_999_999) };
}

export const createSnapshot: Operation<SnapshotParameters & { readonly live: boolean }, object> = {
  name: 'create-snapshot',
  parse: (parameters) => ({ ...parseSnapshot(parameters), live: flag(parameters, 'live') }),
  async run(context, { disk, snapshotId, live }) {
    const found = await requireDisk(context, disk);
    await whileActive(context, found, (volume) => copyToSnapshot(context, volume, { disk, snapshotId, live }));
    return {};
  },
};

async function copyToSnapshot(
  context: OperationContext,
  volume: LogicalVolume,
  { disk, snapshotId, live }: SnapshotParameters & { readonly live: boolean },
): Promise<void> {
  const name = snapshotVolumeName(volume.name, snapshotId);
  const tags = diskTags(disk, disk.imageId);
  await context.withMetadataLock(async () => {
    await context.volumes.remove(name);
    await context.volumes.create({ name, sizeBytes: volume.sizeBytes, tags: [...tags, partialTag] });
  });
  try {
    const copy = await context.volumes.require(name);
    if (live && volume.open) {
      await withSnapshot(context, { volume, vmId: disk.vmId }, (frozen) => copyVolume(context, frozen, copy));
    } else if (volume.open) throw inUse(volume);
    else await copyVolume(context, volume, copy);
    await context.withMetadataLock(() => context.volumes.changeTags(name, { remove: [partialTag] }));
    await context.volumes.deactivate(name);
  } catch (error) {
    await takeBack(context, name);
    throw error;
  }
}

/**
 * The disk gets the snapshot's content back; the snapshot stays. Refused while a saved memory of the VM lies there, which
 * knows the disk as it is: resumed on another one, the guest would destroy its file systems.
 */
export const revertSnapshot: Operation<SnapshotParameters, object> = {
  name: 'revert-snapshot',
  parse: parseSnapshot,
  async run(context, { disk, snapshotId }) {
    if (isFile(context.owner, `${dirname(disk.link)}/checkpoint`)) {
      const sentence = `VM ${disk.vmId} is suspended: its saved memory belongs to disk ${disk.diskId} as it is now`;
      throw new CxmError('IN_USE', sentence, { hint: 'resume the VM, power it off, and then revert' });
    }
    const found = await requireDisk(context, disk);
    const snapshot = (await diskSnapshots(context, disk)).find(({ id }) => id === snapshotId)?.volume;
    if (snapshot === undefined) {
      throw new CxmError('NOT_FOUND', `disk ${disk.diskId} of VM ${disk.vmId} has no snapshot ${snapshotId}`);
    }
    await whileActive(context, found, async (volume) => {
      if (volume.open) throw inUse(volume);
      await whileActive(context, snapshot, (source) => copyVolume(context, source, volume));
    });
    return {};
  },
};

export const deleteSnapshot: Operation<SnapshotParameters, object> = {
  name: 'delete-snapshot',
  parse: parseSnapshot,
  async run(context, { disk, snapshotId }) {
    await requireDisk(context, disk);
    const name = snapshotVolumeName(volumeName(context, disk), snapshotId);
    await removeWhenFree(context, name);
    return {};
  },
};

function inUse({ path }: LogicalVolume): CxmError {
  return new CxmError('IN_USE', `${path} is in use by a running VM`);
}

async function copyVolume(context: OperationContext, from: LogicalVolume, to: LogicalVolume): Promise<void> {
  const { extents } = await openExtents(from.path, { blockBytes: context.settings.BLOCK_SIZE, signal: context.signal });
  await writeExtents(context, to, extents);
}

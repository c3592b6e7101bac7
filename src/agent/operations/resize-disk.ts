/**
 * resize-disk: a disk grows; what is new reads as zero, so that nobody sees what lay there before. Disks never shrink.
 * capacity: how full the volume group is (monitor).
 */
import { CxmError } from '../../errors.ts';
import { formatSize } from '../../config/size.ts';
import { diskTags, partialTag } from '../../lvm/names.ts';
import type { LogicalVolume } from '../../lvm/report.ts';
import type { Operation, OperationContext } from '../operation.ts';
import { wholeNumber } from '../parameters.ts';
import { parseDisk, removeLeftovers, requireDisk, takeBack, whileActive, type DiskParameters } from './disk.ts';
import type { DiskResult } from './receive-disk.ts';

interface ResizeDisk {
  readonly disk: DiskParameters;
  readonly sizeBytes: number;
}

export const resizeDisk: Operation<ResizeDisk, DiskResult> = {
  name: 'resize-disk',
  parse: (parameters) => ({ disk: parseDisk(parameters), sizeBytes: wholeNumber(parameters, 'sizeBytes', 1) }),
  async run(context, { disk, sizeBytes }) {
    const before = await requireDisk(context, disk);
    const { extentBytes } = await context.volumes.info();
    const wanted = Math.ceil(sizeBytes / extentBytes) * extentBytes;
    if (wanted < before.sizeBytes) {
      const sizes = `${formatSize(before.sizeBytes)} to ${formatSize(sizeBytes)}`;
      throw new CxmError('TOO_SMALL', `disk ${disk.diskId} of VM ${disk.vmId} can't shrink from ${sizes}`, {
        hint: 'disks only grow',
      });
    }
    const added = wanted - before.sizeBytes;
    const { path, sizeBytes: now } = await whileActive(context, before, async (active) =>
      added > 0 ? grow(context, disk, active, added) : active,
    );
    return { path, sizeBytes: now };
  },
};

/**
 * A running guest may write to the new part as soon as it sees it. So the room is zeroed before, as a volume of its own
 * that the disk then takes over; whatever happens, the disk has its old size or a clean new one.
 */
async function grow(
  context: OperationContext,
  disk: DiskParameters,
  { name }: LogicalVolume,
  sizeBytes: number,
): Promise<LogicalVolume> {
  const room = `${name}_growing`;
  // LVM extends no volume whose snapshot is active.
  await removeLeftovers(context, disk);
  await context.withMetadataLock(async () => {
    await context.volumes.remove(room);
    await context.volumes.create({ name: room, sizeBytes, tags: [...diskTags(disk), partialTag] });
  });
  try {
    await context.volumes.zero(await context.volumes.require(room), 0, sizeBytes);
    return await context.withMetadataLock(() => context.volumes.absorb(name, room));
  } catch (error) {
    await takeBack(context, room);
    throw error;
  }
}

export interface Capacity {
  readonly volumeGroupUuid: string;
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** Bytes of disks of VMs of this prefix. */
  readonly disks: readonly { readonly vmId: number; readonly diskId: number; readonly sizeBytes: number }[];
}

export const capacity: Operation<object, Capacity> = {
  name: 'capacity',
  parse: () => ({}),
  async run(context) {
    const { uuid, sizeBytes, freeBytes } = await context.volumes.info();
    const prefix = `${context.settings.LV_PREFIX}-`;
    const disks = (await context.volumes.list()).flatMap(({ name, sizeBytes: bytes }) => {
      const ids = name.startsWith(prefix) ? /^(\d+)-(\d+)$/.exec(name.slice(prefix.length)) : null;
      return ids ? [{ vmId: Number(ids[1]), diskId: Number(ids[2]), sizeBytes: bytes }] : [];
    });
    return { volumeGroupUuid: uuid, totalBytes: sizeBytes, freeBytes, disks };
  },
};

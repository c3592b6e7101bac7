/**
 * resize-disk: a disk grows; what is new reads as zero, so that nobody sees what lay there before. Disks never shrink.
 * capacity: how full the volume group is (monitor).
 */
import { CxmError } from '../../errors.ts';
import { formatSize } from '../../config/size.ts';
import type { Operation } from '../operation.ts';
import { wholeNumber } from '../parameters.ts';
import { growDisk, parseDisk, requireDisk, wholeExtents, whileActive, type DiskParameters } from './disk.ts';
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
    if ((await wholeExtents(context, sizeBytes)) < before.sizeBytes) {
      const sizes = `${formatSize(before.sizeBytes)} to ${formatSize(sizeBytes)}`;
      throw new CxmError('TOO_SMALL', `disk ${disk.diskId} of VM ${disk.vmId} can't shrink from ${sizes}`, {
        hint: 'disks only grow',
      });
    }
    const { path, sizeBytes: now } = await whileActive(context, before, (active) =>
      growDisk(context, disk, active, sizeBytes),
    );
    return { path, sizeBytes: now };
  },
};

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

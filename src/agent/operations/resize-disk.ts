/**
 * resize-disk: a disk grows; what is new reads as zero, so that nobody sees what lay there before. Disks never shrink.
 * capacity: how full the volume group is (monitor).
 */
import { CxmError } from '../../errors.ts';
import { formatSize } from '../../config/size.ts';
import type { Operation } from '../operation.ts';
import { wholeNumber } from '../parameters.ts';
import { parseDisk, requireDisk, type DiskParameters } from './disk.ts';
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
    const dirtyFrom = Math.min(before.sizeBytes, ...before.tags.flatMap(unzeroedFrom));
    await context.volumes.activate(before.name, 'exclusive');
    const tag = `${unzeroedTag}${dirtyFrom}`;
    const after = await context.withMetadataLock(async () => {
      await context.volumes.changeTags(before.name, { add: [tag] });
      return context.volumes.extend(before.name, wanted);
    });
    await context.volumes.zero(after, dirtyFrom, after.sizeBytes - dirtyFrom);
    await context.withMetadataLock(() => context.volumes.changeTags(before.name, { remove: [tag] }));
    if (!before.active) await context.volumes.deactivate(before.name);
    return { path: after.path, sizeBytes: after.sizeBytes };
  },
};

/** Says from which byte on a volume may still show old data: a resize that was killed is finished by the next one. */
const unzeroedTag = 'cxm_unzeroed_from=';

function unzeroedFrom(tag: string): number[] {
  const bytes = tag.startsWith(unzeroedTag) ? Number(tag.slice(unzeroedTag.length)) : Number.NaN;
  return Number.isSafeInteger(bytes) ? [bytes] : [];
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

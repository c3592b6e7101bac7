/**
 * How large the volume of a disk becomes. Pure.
 *
 * What a person asked for counts first: the image's SIZE attribute, then a DISK/SIZE that differs from the image's own
 * size. If that is smaller than the content, it is refused. Then comes what OpenNebula knows, where that is the size
 * of a disk: of an archive it knows only how long the archive is. DEFAULT_LV_SIZE is the last resort.
 */
import type { Cxmrc } from '../../config/cxmrc.ts';
import { formatSize, parseSize } from '../../config/size.ts';
import { CxmError } from '../../errors.ts';
import type { ImageFormat } from '../../transfer/format.ts';

export interface SizeSources {
  /** Of the image, in LVM syntax. */
  readonly sizeAttribute: string | undefined;
  readonly diskSizeMb: number | undefined;
  readonly originalSizeMb: number | undefined;
  readonly imageSizeMb: number | undefined;
  readonly format: ImageFormat;
  readonly defaultBytes: number;
  /** What was saved in a persistent image may have grown beyond what its SIZE once asked for. */
  readonly persistent: boolean;
  /** `return`: the disk was a volume before and becomes one of the same size. */
  readonly purpose: 'new' | 'return';
}

const mib = 1024 * 1024;

/**
 * Bytes of the new volume.
 * @throws CxmError INVALID_INPUT (the attribute is no size) or TOO_SMALL (asked for less than the content needs)
 */
export function volumeBytes(sources: SizeSources): number {
  const { format } = sources;
  const before = format.container === 'tar' ? format.note?.sizeBytes : format.sizeBytes;
  if (sources.purpose === 'return' && before !== undefined) return before;
  const needed = Math.max(format.minimumSizeBytes, format.container === 'tar' ? 0 : (format.sizeBytes ?? 0));
  const asked = askedBytes(sources);
  if (asked !== undefined) {
    if (sources.persistent) return Math.max(asked.bytes, needed, before ?? 0);
    if (asked.bytes >= needed) return asked.bytes;
    const sizes = `${formatSize(asked.bytes)}, but its content needs at least ${formatSize(needed)}`;
    throw new CxmError('TOO_SMALL', `${asked.what} is ${sizes}`);
  }
  return Math.max(needed, knownBytes(sources) ?? (isCertain(format) ? needed : sources.defaultBytes));
}

/**
 * For disks that are new or grow; what comes back to a host had its size before.
 * @throws CxmError REFUSED
 */
export function requireAllowedSize(bytes: number, what: string, { MAX_LV_SIZE }: Pick<Cxmrc, 'MAX_LV_SIZE'>): void {
  if (bytes <= MAX_LV_SIZE) return;
  const sizes = `${formatSize(bytes)}, and MAX_LV_SIZE of cxmrc allows ${formatSize(MAX_LV_SIZE)}`;
  throw new CxmError('REFUSED', `${what} would need ${sizes}`, { hint: 'nothing was changed; ask for a smaller disk' });
}

function askedBytes(sources: SizeSources): { readonly bytes: number; readonly what: string } | undefined {
  const { sizeAttribute, diskSizeMb, originalSizeMb } = sources;
  const grown = diskSizeMb !== undefined && originalSizeMb !== undefined && diskSizeMb !== originalSizeMb;
  if (grown) return { bytes: diskSizeMb * mib, what: 'SIZE of the disk' };
  if (sizeAttribute === undefined) return undefined;
  return { bytes: parseSize(sizeAttribute, 'SIZE of the image'), what: 'SIZE of the image' };
}

/** What OpenNebula or the archive itself knows, where that is the size of a disk. */
function knownBytes({ format, diskSizeMb, imageSizeMb }: SizeSources): number | undefined {
  if (format.container === 'tar') return format.note?.sizeBytes;
  const knownMb = diskSizeMb ?? imageSizeMb;
  // Of a compressed image whose size can't be read from it, OpenNebula knows only the compressed size.
  return knownMb === undefined || !isCertain(format) ? undefined : knownMb * mib;
}

function isCertain(format: ImageFormat): boolean {
  return format.container !== 'tar' && format.sizeBytes !== undefined;
}

/**
 * How long the archive of a file system may become. Files can share blocks (reflinks of XFS), many names can stand for one
 * file, and a damaged or crafted file system can give the same blocks to all of its files: then an archive is larger than
 * the volume, without a limit. Where it can be told beforehand, an image of the blocks goes instead; what was not summed
 * up, or what the sums don't show, ends at a limit while tar writes.
 */
import type { Line } from './compress.ts';

const mib = 1024 * 1024;

/** A header, and what the times and attributes of a file need in front of it. */
const entryBytes = 1536;

/** Beyond that an image of the blocks goes instead. It is more than a full disk of small files needs. */
export function worthwhileArchiveBytes(volumeBytes: number): number {
  return Math.floor(volumeBytes * 1.25) + 16 * mib;
}

/** No archive of files with blocks of their own becomes longer, unless they are far more names than data. */
export function largestArchiveBytes(volumeBytes: number): number {
  return 2 * volumeBytes + 64 * mib;
}

/** Prints what `sumOfEntries` reads: blocks of 512 bytes, length, names and kind of everything in a file system. */
export function listEntries(directory: string): Line {
  return ['find', directory, '-xdev', '-printf', '%b %s %n %y\\n'];
}

/** About how long the archive of what was listed becomes; counting ends beyond the limit. */
export async function sumOfEntries(list: AsyncIterable<Uint8Array>, limitBytes: number): Promise<number> {
  let total = 0;
  let rest = '';
  for await (const bytes of list) {
    const lines = (rest + Buffer.from(bytes).toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) total += bytesOfEntry(line);
    if (total > limitBytes) break;
  }
  return total;
}

/** A file of several names travels once; of a sparse one only what is allocated. */
function bytesOfEntry(line: string): number {
  const [blocks = '0', length = '0', names = '1', kind = ''] = line.split(' ');
  if (kind !== 'f') return entryBytes;
  return entryBytes + Math.min(Number(length), Number(blocks) * 512) / Math.max(1, Number(names));
}

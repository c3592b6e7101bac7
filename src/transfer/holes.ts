/**
 * Where a sparse file has data. Node can't ask the kernel (SEEK_DATA), GNU tar can: packing a sparse file in pax
 * format puts the map in front of the data ("Sparse Formats, PAX 1.0" of its manual), so we read the map and hang up.
 * Without an answer that is sound in every detail the whole file counts as data: slower, never wrong.
 */
import type { Run } from './zeros.ts';
import { CxmError } from '../errors.ts';
import { throughProcess } from './process.ts';
import { blockLooksLikeTar, parseTarHeader, paxRecords, tarBlockBytes } from './tar-header.ts';

/** A larger map isn't worth it: the file is in very many pieces. */
const maxMapBytes = 16 * 1024 * 1024;

/** The parts of a sparse file that may hold data, in order, without overlap; the whole file when it can't be told. */
export async function dataRanges(path: string, sizeBytes: number): Promise<readonly Run[]> {
  const whole = [{ start: 0, end: sizeBytes }];
  const args = [
    '--create',
    '--file=-',
    '--format=posix',
    '--sparse',
    '--sparse-version=1.0',
    '--hole-detection=seek',
    '--no-unquote',
    '--',
    path,
  ];
  let head = Buffer.alloc(0);
  try {
    const bytes = throughProcess('tar', args, { explain: () => new CxmError('COMMAND', 'tar knows no holes here') });
    for await (const chunk of bytes) {
      head = Buffer.concat([head, chunk]);
      const map = sparseMap(head, sizeBytes);
      if (map !== 'more') return map ?? whole;
    }
  } catch (error) {
    if (!(error instanceof CxmError)) throw error;
  }
  return whole;
}

/** The map in the beginning of a pax archive of one sparse file; undefined when there is none, `more` to go on reading. */
export function sparseMap(head: Buffer, sizeBytes: number): readonly Run[] | undefined | 'more' {
  if (head.length < 4 * tarBlockBytes) return 'more';
  if (!blockLooksLikeTar(head)) return undefined;
  const extended = parseTarHeader(head);
  if (extended.type !== 'x' || extended.sizeBytes > maxMapBytes) return undefined;
  const fileAt = tarBlockBytes + Math.ceil(extended.sizeBytes / tarBlockBytes) * tarBlockBytes;
  const mapAt = fileAt + tarBlockBytes;
  if (head.length < mapAt + tarBlockBytes) return 'more';
  const records = paxRecords(head.subarray(tarBlockBytes, tarBlockBytes + extended.sizeBytes));
  if (records?.get('GNU.sparse.major') !== '1' || records.get('GNU.sparse.minor') !== '0') return undefined;
  if (records.get('GNU.sparse.realsize') !== String(sizeBytes)) return undefined;
  return parseMap(head.subarray(mapAt), sizeBytes);
}

function parseMap(text: Buffer, sizeBytes: number): readonly Run[] | undefined | 'more' {
  const numbers: number[] = [];
  let at = 0;
  for (;;) {
    const end = text.indexOf(0x0a, at);
    if (end < 0) return text.length > maxMapBytes ? undefined : 'more';
    const digits = text.toString('latin1', at, end);
    if (!/^[0-9]{1,16}$/.test(digits)) return undefined;
    numbers.push(Number(digits));
    at = end + 1;
    if (numbers.length === 1 + 2 * (numbers[0] ?? 0)) break;
  }
  const ranges: Run[] = [];
  let last = 0;
  for (let index = 1; index < numbers.length; index += 2) {
    const start = numbers[index] ?? 0;
    const end = start + (numbers[index + 1] ?? 0);
    if (start < last || end > sizeBytes) return undefined;
    if (end > start) ranges.push({ start, end });
    last = end;
  }
  return ranges;
}

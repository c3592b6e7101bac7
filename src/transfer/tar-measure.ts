/**
 * What the files of an archive need, summed up from its headers, or up to a limit. Bodies are skipped, not looked at; every
 * step goes forward, so it ends with the archive whatever the headers say.
 */
import { CxmError } from '../errors.ts';
import { blockLooksLikeTar, parseTarHeader, paxRecords, tarBlockBytes } from './tar-header.ts';
import type { TarHeader } from './tar-header.ts';

/** The bytes of an archive in order. */
export interface TarBytes {
  /** The next bytes; fewer only at the end. */
  read(lengthBytes: number): Promise<Buffer>;
  /** Passes over bytes; over the end is no error here. */
  skip(lengthBytes: number): Promise<void>;
}

/** tar itself has no limit, and memory has one. */
const maxPaxBytes = 1024 * 1024;

/** Types that carry data of a file: regular (also contiguous) ones and GNU's sparse ones. */
const fileTypes = ['0', '7', 'S'];

/** Bytes of files; some number beyond the limit when there are more. @throws CxmError INVALID_INPUT */
export async function measureTar(bytes: TarBytes, limitBytes = Infinity): Promise<number> {
  let total = 0;
  let paxSize: number | undefined;
  for (;;) {
    const block = await bytes.read(tarBlockBytes);
    if (block.length < tarBlockBytes) throw damagedArchive('it is cut off');
    if (block.every((byte) => byte === 0)) return total;
    if (!blockLooksLikeTar(block)) throw damagedArchive('a header in it is none');
    const header = parseTarHeader(block);
    if (header.type === 'x' || header.type === 'g') {
      const records = await paxHeader(bytes, header);
      if (header.type === 'x') paxSize = sizeRecord(records);
      continue;
    }
    await skipSparseMap(bytes, header);
    const sizeBytes = header.type === '1' ? 0 : (paxSize ?? header.sizeBytes);
    if (fileTypes.includes(header.type)) total += sizeBytes;
    if (total > limitBytes) return total;
    // Names in blocks of their own (GNU) belong to the next header, as a pax header does.
    if (header.type !== 'L' && header.type !== 'K') paxSize = undefined;
    await bytes.skip(padded(sizeBytes));
  }
}

async function paxHeader(bytes: TarBytes, { sizeBytes }: TarHeader): Promise<Map<string, string>> {
  if (sizeBytes > maxPaxBytes) throw damagedArchive('a pax header in it is too long');
  const body = await bytes.read(padded(sizeBytes));
  const records = body.length < padded(sizeBytes) ? undefined : paxRecords(body.subarray(0, sizeBytes));
  if (records === undefined) throw damagedArchive('a pax header in it is malformed');
  return records;
}

function sizeRecord(records: Map<string, string>): number | undefined {
  const text = records.get('size');
  if (text === undefined) return undefined;
  if (!/^[0-9]{1,16}$/.test(text) || !Number.isSafeInteger(Number(text))) throw damagedArchive('a size in it is none');
  return Number(text);
}

/** Old GNU sparse files: blocks of their map follow the header, outside the size. */
async function skipSparseMap(bytes: TarBytes, header: TarHeader): Promise<void> {
  for (let goesOn = header.sparseMapGoesOn; goesOn;) {
    const block = await bytes.read(tarBlockBytes);
    if (block.length < tarBlockBytes) throw damagedArchive('it is cut off');
    goesOn = block[504] === 1;
  }
}

function padded(sizeBytes: number): number {
  return Math.ceil(sizeBytes / tarBlockBytes) * tarBlockBytes;
}

function damagedArchive(what: string): CxmError {
  return new CxmError('INVALID_INPUT', `the archive is damaged: ${what}`, {
    hint: 'check the image with `tar -t`, and register it again',
  });
}

/**
 * Headers of tar archives: enough of the format to tell an archive from a disk image and to sum up what it holds
 * without unpacking it. Pure; every number of a header is checked before it is used.
 *
 * Formats: POSIX.1-1988 ustar, POSIX.1-2001 pax, old v7 and GNU headers ("Basic Tar Format" of GNU tar's manual).
 */

export const tarBlockBytes = 512;

export interface TarHeader {
  /** The type flag; '0' for regular files, also of v7 archives. */
  readonly type: string;
  /** Bytes that follow the header in the archive, before padding. */
  readonly sizeBytes: number;
  /** Of an old GNU sparse file: another block of its map follows. */
  readonly sparseMapGoesOn: boolean;
}

/** True when the block's checksum fits and its numbers are written as tar writes them. Zero blocks are not headers. */
export function blockLooksLikeTar(block: Uint8Array): boolean {
  if (block.length < tarBlockBytes || block[0] === 0) return false;
  const stored = octal(block, 148, 8);
  if (stored === undefined) return false;
  let unsigned = 0;
  let signed = 0;
  for (let index = 0; index < tarBlockBytes; index++) {
    const byte = index >= 148 && index < 156 ? 0x20 : (block[index] ?? 0);
    unsigned += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  if (stored !== unsigned && stored !== signed) return false;
  return number(block, 124, 12) !== undefined;
}

/** A block for which `blockLooksLikeTar` holds. */
export function parseTarHeader(block: Uint8Array): TarHeader {
  const flag = block[156] ?? 0;
  const type = flag === 0 ? '0' : String.fromCharCode(flag);
  const bodiless = '123456'.includes(type);
  return {
    type,
    sizeBytes: bodiless ? 0 : (number(block, 124, 12) ?? 0),
    sparseMapGoesOn: type === 'S' && block[482] === 1,
  };
}

/** Records `LENGTH KEY=VALUE\n` of a pax header; undefined when they are malformed. */
export function paxRecords(body: Uint8Array): Map<string, string> | undefined {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  const records = new Map<string, string>();
  let at = 0;
  while (at < bytes.length) {
    const space = bytes.indexOf(0x20, at);
    if (space < 0 || space - at > 10) return undefined;
    const digits = bytes.toString('latin1', at, space);
    const end = at + Number(digits);
    if (!/^[1-9][0-9]*$/.test(digits) || end > bytes.length || end <= space || bytes[end - 1] !== 0x0a) {
      return undefined;
    }
    const equals = bytes.indexOf(0x3d, space + 1);
    if (equals < 0 || equals >= end) return undefined;
    records.set(bytes.toString('utf8', space + 1, equals), bytes.toString('utf8', equals + 1, end - 1));
    at = end;
  }
  return records;
}

/** A numeric field: octal digits, or GNU's base 256 for what needs more. Undefined when it is neither. */
function number(block: Uint8Array, offset: number, length: number): number | undefined {
  const first = block[offset] ?? 0;
  if (first !== 0x80) return octal(block, offset, length);
  let value = 0;
  for (let index = offset + 1; index < offset + length; index++) value = value * 256 + (block[index] ?? 0);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Octal digits with spaces before and spaces or NULs behind; an empty field is 0. */
function octal(block: Uint8Array, offset: number, length: number): number | undefined {
  const text = Buffer.from(block.subarray(offset, offset + length)).toString('latin1');
  const match = /^ *([0-7]*)[ \0]*$/.exec(text);
  return match === null ? undefined : Number.parseInt(match[1] || '0', 8);
}

/**
 * The structures of an ISO 9660 image with one directory, as bytes. Pure.
 *
 * Formats: ECMA-119 (volume descriptors, path tables, directory records), Joliet specification 1995 (UCS-2 names in a
 * supplementary descriptor), IEEE P1281 and P1282 draft 1.09 (system use and Rock Ridge: real names and modes).
 */

export const sectorBytes = 2048;

export interface Place {
  readonly sector: number;
  readonly lengthBytes: number;
}

export interface DirectoryEntry extends Place {
  readonly identifier: Buffer;
  readonly isDirectory: boolean;
  readonly systemUse?: Buffer;
}

export interface VolumeOptions {
  readonly kind: 'primary' | 'joliet';
  readonly label: string;
  readonly sectors: number;
  readonly root: Place;
  readonly pathTableBytes: number;
  readonly pathTableSectors: { readonly little: number; readonly big: number };
  readonly time: Date;
}

/** One volume descriptor: a sector. */
export function volumeDescriptor(options: VolumeOptions): Buffer {
  const { kind, root, time } = options;
  const joliet = kind === 'joliet';
  const sector = Buffer.alloc(sectorBytes);
  sector.writeUInt8(joliet ? 2 : 1, 0);
  sector.write('CD001\x01', 1, 'latin1');
  const text = (value: string, at: number, length: number): void => {
    if (joliet) ucs2(value.padEnd(Math.floor(length / 2))).copy(sector, at, 0, length - (length % 2));
    else sector.write(value.padEnd(length).slice(0, length), at, 'latin1');
  };
  text('', 8, 32);
  text(joliet ? options.label.slice(0, 16) : options.label, 40, 32);
  both32(sector, 80, options.sectors);
  // Joliet level 3.
  if (joliet) sector.write('%/E', 88, 'latin1');
  both16(sector, 120, 1);
  both16(sector, 124, 1);
  both16(sector, 128, sectorBytes);
  both32(sector, 132, options.pathTableBytes);
  sector.writeUInt32LE(options.pathTableSectors.little, 140);
  sector.writeUInt32BE(options.pathTableSectors.big, 148);
  directoryRecord({ ...root, identifier: Buffer.from([0]), isDirectory: true }, time).copy(sector, 156);
  text('', 190, 128);
  text('', 318, 128);
  text('', 446, 128);
  text('CXM', 574, 128);
  for (const at of [702, 739, 776]) text('', at, 37);
  const date = longDate(time);
  for (const at of [813, 830]) date.copy(sector, at);
  for (const at of [847, 864]) sector.write('0'.repeat(16), at, 'latin1');
  sector.writeUInt8(1, 881);
  return sector;
}

/** The descriptor that ends the list. */
export function terminator(): Buffer {
  const sector = Buffer.alloc(sectorBytes);
  sector.writeUInt8(255, 0);
  sector.write('CD001\x01', 1, 'latin1');
  return sector;
}

/** A path table of the root directory alone. */
export function pathTable(rootSector: number, endian: 'little' | 'big'): Buffer {
  const table = Buffer.alloc(10);
  table.writeUInt8(1, 0);
  if (endian === 'little') table.writeUInt32LE(rootSector, 2);
  else table.writeUInt32BE(rootSector, 2);
  if (endian === 'little') table.writeUInt16LE(1, 6);
  else table.writeUInt16BE(1, 6);
  return table;
}

export function directoryRecord(entry: DirectoryEntry, time: Date): Buffer {
  const { identifier, systemUse = Buffer.alloc(0) } = entry;
  const nameEnd = 33 + identifier.length;
  const fixed = nameEnd + (nameEnd % 2);
  const length = fixed + systemUse.length + (systemUse.length % 2);
  const record = Buffer.alloc(length);
  record.writeUInt8(length, 0);
  both32(record, 2, entry.sector);
  both32(record, 10, entry.lengthBytes);
  shortDate(time).copy(record, 18);
  record.writeUInt8(entry.isDirectory ? 2 : 0, 25);
  both16(record, 28, 1);
  record.writeUInt8(identifier.length, 32);
  identifier.copy(record, 33);
  systemUse.copy(record, fixed);
  return record;
}

/** Records one after the other; none crosses the border of a sector. */
export function directoryExtent(records: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  let length = 0;
  for (const record of records) {
    const left = sectorBytes - (length % sectorBytes);
    if (record.length > left) {
      parts.push(Buffer.alloc(left));
      length += left;
    }
    parts.push(record);
    length += record.length;
  }
  parts.push(Buffer.alloc((sectorBytes - (length % sectorBytes)) % sectorBytes));
  return Buffer.concat(parts);
}

/** Rock Ridge fields of a file or directory: mode, times, name (not of `.` and `..`). */
export function rockRidge(mode: number, links: number, time: Date, name?: string): Buffer {
  const posix = Buffer.alloc(36);
  posix.write('PX', 0, 'latin1');
  posix.writeUInt8(36, 2);
  posix.writeUInt8(1, 3);
  both32(posix, 4, mode);
  both32(posix, 12, links);
  const stamps = Buffer.alloc(26);
  stamps.write('TF', 0, 'latin1');
  stamps.writeUInt8(26, 2);
  stamps.writeUInt8(1, 3);
  // Modification, access, attribute change.
  stamps.writeUInt8(0x0e, 4);
  for (const at of [5, 12, 19]) shortDate(time).copy(stamps, at);
  if (name === undefined) return Buffer.concat([posix, stamps]);
  const bytes = Buffer.from(name);
  const head = Buffer.from([0x4e, 0x4d, 5 + bytes.length, 1, 0]);
  return Buffer.concat([posix, stamps, head, bytes]);
}

/** What the root's own record says first: that system use fields follow, and where to find who defined them. */
export function systemUseStart(continuation: Place): Buffer {
  const start = Buffer.from([0x53, 0x50, 7, 1, 0xbe, 0xef, 0]);
  const pointer = Buffer.alloc(28);
  pointer.write('CE', 0, 'latin1');
  pointer.writeUInt8(28, 2);
  pointer.writeUInt8(1, 3);
  both32(pointer, 4, continuation.sector);
  both32(pointer, 20, continuation.lengthBytes);
  return Buffer.concat([start, pointer]);
}

/** The extension reference of Rock Ridge. */
export function extensionReference(): Buffer {
  const identifier = 'RRIP_1991A';
  return Buffer.concat([
    Buffer.from([0x45, 0x52, 8 + identifier.length, 1, identifier.length, 0, 0, 1]),
    Buffer.from(identifier, 'latin1'),
  ]);
}

/** Big-endian UTF-16, as Joliet wants it. */
export function ucs2(text: string): Buffer {
  return Buffer.from(text, 'utf16le').swap16();
}

function both32(buffer: Buffer, at: number, value: number): void {
  buffer.writeUInt32LE(value, at);
  buffer.writeUInt32BE(value, at + 4);
}

function both16(buffer: Buffer, at: number, value: number): void {
  buffer.writeUInt16LE(value, at);
  buffer.writeUInt16BE(value, at + 2);
}

function shortDate(time: Date): Buffer {
  return Buffer.from([
    Math.min(255, Math.max(0, time.getUTCFullYear() - 1900)),
    time.getUTCMonth() + 1,
    time.getUTCDate(),
    time.getUTCHours(),
    time.getUTCMinutes(),
    time.getUTCSeconds(),
    0,
  ]);
}

function longDate(time: Date): Buffer {
  const digits = time
    .toISOString()
    .replace(/[^0-9]/g, '')
    .slice(0, 14);
  return Buffer.concat([Buffer.from(`${digits}00`, 'latin1'), Buffer.from([0])]);
}

/**
 * ISO 9660 images for contextualisation, written by us, so that no host needs mkisofs: one directory, level 1 names
 * with Rock Ridge and Joliet beside them. The image is laid out first, then streamed; contents are read when it is
 * their turn and must then be as long as they were.
 */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { CxmError } from '../errors.ts';
import { ioError } from './io-error.ts';
import { isoNames } from './iso-names.ts';
import type { IsoNames } from './iso-names.ts';
import {
  directoryExtent,
  directoryRecord,
  extensionReference,
  pathTable,
  rockRidge,
  sectorBytes,
  systemUseStart,
  terminator,
  ucs2,
  volumeDescriptor,
} from './iso-records.ts';
import type { DirectoryEntry, Place } from './iso-records.ts';

export interface IsoFile {
  /** Name in the image. What no file system takes ('/', control characters) is replaced, clashes get a number. */
  readonly name: string;
  /** The bytes, or the path of a regular file that holds them. */
  readonly content: Uint8Array | { readonly path: string };
  /** Permission bits; 0o644 when left out. */
  readonly mode?: number;
}

export interface IsoImage {
  readonly sizeBytes: number;
  /** The image's bytes in order; to be iterated once. Throws CxmError IO when a file's length has changed. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

export interface IsoOptions {
  /** Volume label, at most 16 characters A-Z, 0-9 and _; `CONTEXT` is what guests look for. */
  readonly label: string;
  /** Seconds since 1970 for all dates in the image. */
  readonly timeSeconds: number;
}

const maxFiles = 1000;
/** The length of an extent is a 32-bit number. */
const maxFileBytes = 2 ** 32 - sectorBytes;

/** @throws CxmError INVALID_INPUT (label, too many or too large files), NOT_FOUND, IO */
export async function buildIso(files: readonly IsoFile[], options: IsoOptions): Promise<IsoImage> {
  if (!/^[A-Z0-9_]{1,16}$/.test(options.label)) {
    throw new CxmError('INVALID_INPUT', 'the label of an ISO image has 1 to 16 characters A-Z, 0-9 or _');
  }
  if (files.length > maxFiles) {
    throw new CxmError('INVALID_INPUT', `an ISO image for contextualisation holds at most ${maxFiles} files`);
  }
  const sizes = await Promise.all(files.map(sizeOf));
  const head = layOut(files, sizes, options);
  const dataSectors = sizes.reduce((sum, size) => sum + sectorsFor(size), 0);
  return { sizeBytes: head.length + dataSectors * sectorBytes, bytes: stream(head, files, sizes) };
}

async function sizeOf({ content }: IsoFile): Promise<number> {
  const size = content instanceof Uint8Array ? content.length : await fileSize(content.path);
  if (size <= maxFileBytes) return size;
  throw new CxmError('INVALID_INPUT', 'a file of 4 GiB or more can not be put into an ISO image');
}

async function fileSize(path: string): Promise<number> {
  const found = await stat(path).catch((error: unknown) => {
    throw ioError(error, `cannot read ${path}`);
  });
  if (found.isFile()) return found.size;
  throw new CxmError('INVALID_INPUT', `${path} is not a regular file`);
}

/**
 * Sectors in order: 16 free, three descriptors, four path tables, two directories, the extension reference (some
 * readers only look forward from the directory that points to it), files.
 */
const sectors = { descriptors: 16, pathTables: 19, directories: 23 } as const;

function layOut(files: readonly IsoFile[], sizes: readonly number[], options: IsoOptions): Buffer {
  const time = new Date(options.timeSeconds * 1000);
  const names = isoNames(files.map(({ name }) => name));
  // A directory's length doesn't depend on the places in it: laid out once to learn it, once for real.
  const nowhere: Place = { sector: 0, lengthBytes: 0 };
  const unplaced = sizes.map((lengthBytes) => ({ sector: 0, lengthBytes }));
  const plainBytes = plainDirectory(nowhere, 0, unplaced, files, names, time).length;
  const jolietBytes = jolietDirectory(nowhere, unplaced, names, time).length;
  const plainRoot = { sector: sectors.directories, lengthBytes: plainBytes };
  const jolietRoot = { sector: plainRoot.sector + plainBytes / sectorBytes, lengthBytes: jolietBytes };
  const reference = jolietRoot.sector + jolietBytes / sectorBytes;
  let next = reference + 1;
  const places = sizes.map((lengthBytes) => {
    const place = { sector: next, lengthBytes };
    next += sectorsFor(lengthBytes);
    return place;
  });
  const volume = (kind: 'primary' | 'joliet', root: Place, table: number): Buffer =>
    volumeDescriptor({
      kind,
      label: options.label,
      sectors: next,
      root,
      pathTableBytes: pathTable(0, 'little').length,
      pathTableSectors: { little: table, big: table + 1 },
      time,
    });
  return Buffer.concat([
    Buffer.alloc(sectors.descriptors * sectorBytes),
    volume('primary', plainRoot, sectors.pathTables),
    volume('joliet', jolietRoot, sectors.pathTables + 2),
    terminator(),
    padded(pathTable(plainRoot.sector, 'little')),
    padded(pathTable(plainRoot.sector, 'big')),
    padded(pathTable(jolietRoot.sector, 'little')),
    padded(pathTable(jolietRoot.sector, 'big')),
    plainDirectory(plainRoot, reference, places, files, names, time),
    jolietDirectory(jolietRoot, places, names, time),
    padded(extensionReference()),
  ]);
}

function plainDirectory(
  root: Place,
  referenceSector: number,
  places: readonly Place[],
  files: readonly IsoFile[],
  names: readonly IsoNames[],
  time: Date,
): Buffer {
  const reference = { sector: referenceSector, lengthBytes: extensionReference().length };
  const directory = rockRidge(0o040755, 2, time);
  const entries = places.map((place, index) => ({
    ...place,
    identifier: Buffer.from(names[index]?.plain ?? '', 'latin1'),
    isDirectory: false,
    systemUse: rockRidge(0o100000 | ((files[index]?.mode ?? 0o644) & 0o777), 1, time, names[index]?.posix),
  }));
  const own = Buffer.concat([systemUseStart(reference), directory]);
  return directoryWith(root, entries, time, own, directory);
}

function jolietDirectory(root: Place, places: readonly Place[], names: readonly IsoNames[], time: Date): Buffer {
  const entries = places.map((place, index) => ({
    ...place,
    identifier: ucs2(names[index]?.joliet ?? ''),
    isDirectory: false,
  }));
  return directoryWith(root, entries, time);
}

function directoryWith(
  root: Place,
  entries: readonly DirectoryEntry[],
  time: Date,
  ...systemUse: readonly Buffer[]
): Buffer {
  const [ofSelf, ofParent] = systemUse;
  const self = { ...root, isDirectory: true, identifier: Buffer.from([0]), ...(ofSelf && { systemUse: ofSelf }) };
  const parent = { ...root, isDirectory: true, identifier: Buffer.from([1]), ...(ofParent && { systemUse: ofParent }) };
  const sorted = [...entries].sort((a, b) => Buffer.compare(a.identifier, b.identifier));
  return directoryExtent([self, parent, ...sorted].map((entry) => directoryRecord(entry, time)));
}

async function* stream(head: Buffer, files: readonly IsoFile[], sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  yield head;
  for (const [index, { content }] of files.entries()) {
    const size = sizes[index] ?? 0;
    if (content instanceof Uint8Array) yield content;
    else yield* exactly(content.path, size);
    yield Buffer.alloc(sectorsFor(size) * sectorBytes - size);
  }
}

async function* exactly(path: string, sizeBytes: number): AsyncGenerator<Uint8Array> {
  let left = sizeBytes;
  if (sizeBytes === 0) return;
  try {
    for await (const chunk of createReadStream(path, { end: sizeBytes - 1 })) {
      left -= (chunk as Buffer).length;
      yield chunk as Buffer;
    }
  } catch (error) {
    throw ioError(error, `cannot read ${path}`);
  }
  if (left !== 0) throw new CxmError('IO', `${path} became shorter while it was read`);
}

function sectorsFor(lengthBytes: number): number {
  return Math.ceil(lengthBytes / sectorBytes);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(sectorsFor(bytes.length) * sectorBytes - bytes.length)]);
}

/**
 * What an image is, decided from its content: a raw disk, an archive of files or a qcow2 disk, plain or compressed.
 * Names and extensions are never asked. What we can't take is refused by its name. Inspecting reads the beginning and
 * the end of a file and a few headers between, never all of it.
 */
import { readGzipSizeNote } from './gzip-note.ts';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { constants, gunzipSync } from 'node:zlib';
import { CxmError } from '../errors.ts';
import { readNote } from './archive-note.ts';
import type { ArchiveNote } from './archive-note.ts';
import { decompress } from './compress.ts';
import { ioError } from './io-error.ts';
import { detectHeader, isVhdFooter } from './magic.ts';
import { parseQcow2Header } from './qcow2-header.ts';
import { measureTar } from './tar-measure.ts';
import type { TarBytes } from './tar-measure.ts';
import { zstdSize } from './zstd-frames.ts';

export type Container = 'raw' | 'tar' | 'qcow2';

export type Compression = 'none' | 'gzip' | 'zstd';

export interface ImageFormat {
  readonly container: Container;
  readonly compression: Compression;
  /** Bytes of the file as it lies there; undefined for a stream. */
  readonly storedBytes?: number;
  /** Bytes of the disk (raw, qcow2) when known for sure. An archive's need is told by `measureArchive`. */
  readonly sizeBytes?: number;
  /** A device smaller than this can't take the content; 0 when nothing is known. */
  readonly minimumSizeBytes: number;
  /** Most probably the content needs no more; for archives their uncompressed length. */
  readonly likelySizeBytes?: number;
  /** Of an archive that we made. */
  readonly note?: ArchiveNote;
}

/** How much of a stream `inspectHead` wants. */
export const headBytes = 256 * 1024;

/** Of a gzip head this is enough; more could become 1032 times as much. */
const gzipHeadBytes = 32 * 1024;
/** A note and the first header behind it. */
const contentHeadBytes = 8 * 1024;
const gzipSizeModulus = 2 ** 32;

/**
 * The format of an image file.
 * @throws CxmError UNSUPPORTED (a format that we can't take), NOT_FOUND, IO or INVALID_INPUT (damaged beginning)
 */
export async function inspectImage(path: string): Promise<ImageFormat> {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    throw ioError(error, `cannot open the image ${path}`);
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw new CxmError('UNSUPPORTED', `the image ${path} is not a regular file`);
    const storedBytes = stat.size;
    if (storedBytes === 0) throw new CxmError('INVALID_INPUT', `the image ${path} is empty`);
    const readAt = (offset: number, lengthBytes: number): Uint8Array => {
      const bytes = Buffer.alloc(lengthBytes);
      return bytes.subarray(0, readSync(file, bytes, 0, lengthBytes, offset));
    };
    const found = await inspectHead(readAt(0, Math.min(headBytes, storedBytes)));
    const tail = storedBytes < 512 ? new Uint8Array(0) : readAt(storedBytes - 512, 512);
    if (found.container === 'raw' && found.compression === 'none' && isVhdFooter(tail)) throw refused('VHD');
    return { ...found, storedBytes, ...sizes(found, storedBytes, tail, readAt) };
  } catch (error) {
    throw ioError(error, `cannot read the image ${path}`);
  } finally {
    closeSync(file);
  }
}

/**
 * The format of an image of which only the beginning is at hand (a download). Give at least `headBytes` of it, or all.
 * @throws CxmError UNSUPPORTED or INVALID_INPUT
 */
export async function inspectHead(head: Uint8Array): Promise<ImageFormat> {
  const outer = detectHeader(head);
  switch (outer.kind) {
    case 'refused':
      throw refused(outer.name);
    case 'raw':
      return { container: 'raw', compression: 'none', minimumSizeBytes: 0 };
    case 'tar':
      return archive(head, 'none');
    case 'qcow2': {
      const { virtualSizeBytes } = parseQcow2Header(head);
      return {
        container: 'qcow2',
        compression: 'none',
        sizeBytes: virtualSizeBytes,
        minimumSizeBytes: virtualSizeBytes,
      };
    }
    case 'gzip':
    case 'zstd':
      return inside(await decompressedHead(head, outer.kind), outer.kind);
  }
}

/**
 * Bytes that the files of an archive need, counted by reading it through (decompressing, not unpacking). What needs more than
 * the limit is read no further: a small file can hold an archive without end.
 * @throws CxmError INVALID_INPUT when it is no sound archive, NOT_FOUND, IO
 */
export async function measureArchive(path: string, compression: Compression, limitBytes = Infinity): Promise<number> {
  const handle = await open(path, 'r').catch((error: unknown) => {
    throw ioError(error, `cannot open the image ${path}`);
  });
  try {
    if (compression === 'none') {
      let at = 0;
      const bytes: TarBytes = {
        async read(lengthBytes) {
          const { buffer, bytesRead } = await handle.read(Buffer.alloc(lengthBytes), 0, lengthBytes, at);
          at += bytesRead;
          return buffer.subarray(0, bytesRead);
        },
        skip: (lengthBytes) => Promise.resolve(void (at += lengthBytes)),
      };
      return await measureTar(bytes, limitBytes);
    }
    const bytes = decompress(handle.createReadStream({ autoClose: false }), compression);
    try {
      return await measureTar(streamed(bytes), limitBytes);
    } finally {
      await bytes.return(undefined);
    }
  } finally {
    await handle.close();
  }
}

function archive(head: Uint8Array, compression: Compression): ImageFormat {
  const note = readNote(head);
  return { container: 'tar', compression, minimumSizeBytes: 0, ...(note === undefined ? {} : { note }) };
}

/** What is in a compressed image. */
function inside(head: Uint8Array, compression: 'gzip' | 'zstd'): ImageFormat {
  const inner = detectHeader(head);
  switch (inner.kind) {
    case 'raw':
      return { container: 'raw', compression, minimumSizeBytes: 0 };
    case 'tar':
      return archive(head, compression);
    case 'refused':
      throw refused(`${inner.name} in ${compression}`);
    case 'gzip':
    case 'zstd':
    case 'qcow2':
      throw refused(`${inner.kind} in ${compression}`);
  }
}

function sizes(
  format: ImageFormat,
  storedBytes: number,
  tail: Uint8Array,
  readAt: (offset: number, lengthBytes: number) => Uint8Array,
): Partial<ImageFormat> {
  const { container, compression } = format;
  if (container === 'qcow2') return {};
  const length = lengthOf(compression, storedBytes, tail, readAt);
  const likely = length.likely === undefined ? {} : { likelySizeBytes: length.likely };
  if (container === 'tar') return likely;
  const exact = length.exact === undefined ? {} : { sizeBytes: length.exact };
  return { ...likely, ...exact, minimumSizeBytes: length.exact ?? length.least };
}

interface Length {
  readonly exact?: number | undefined;
  readonly likely?: number | undefined;
  readonly least: number;
}

/** Uncompressed length. */
function lengthOf(
  compression: Compression,
  storedBytes: number,
  tail: Uint8Array,
  readAt: (offset: number, lengthBytes: number) => Uint8Array,
): Length {
  switch (compression) {
    case 'none':
      return { exact: storedBytes, likely: storedBytes, least: storedBytes };
    case 'zstd': {
      const size = zstdSize(readAt);
      return { exact: size?.sizeBytes, likely: size?.sizeBytes ?? size?.limitBytes, least: size?.sizeBytes ?? 0 };
    }
    case 'gzip': {
      const noted = readGzipSizeNote(readAt(0, 64));
      if (noted !== undefined) return { exact: noted, likely: noted, least: noted };
      // RFC 1952: the last four bytes are the length modulo 2^32, of the last member if there are several.
      const said =
        tail.length < 4 ? 0 : new DataView(tail.buffer, tail.byteOffset + tail.length - 4, 4).getUint32(0, true);
      const turns = Math.max(0, Math.ceil((storedBytes * 0.99 - said) / gzipSizeModulus));
      return { likely: said + turns * gzipSizeModulus, least: said };
    }
  }
}

/** The beginning of the content; what follows the head may be missing. */
async function decompressedHead(head: Uint8Array, compression: 'gzip' | 'zstd'): Promise<Uint8Array> {
  const content = compression === 'gzip' ? gunzipHead(head) : await zstdHead(head);
  if (content.length > 0) return content;
  throw new CxmError('INVALID_INPUT', `the image begins like ${compression} but can't be decompressed`, {
    hint: 'check the image, for example by its checksum, and register it again',
  });
}

function gunzipHead(head: Uint8Array): Uint8Array {
  try {
    return gunzipSync(head.subarray(0, gzipHeadBytes), { finishFlush: constants.Z_SYNC_FLUSH });
  } catch {
    return new Uint8Array(0);
  }
}

async function zstdHead(head: Uint8Array): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of decompress(only(head), 'zstd')) {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= contentHeadBytes) break;
    }
  } catch (error) {
    // A head is cut off, and zstd says so after it has written what it could read.
    if (!(error instanceof CxmError && error.code === 'INVALID_INPUT')) throw error;
  }
  return Buffer.concat(chunks);
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

function streamed(bytes: AsyncIterator<Uint8Array>): TarBytes {
  let left = Buffer.alloc(0);
  const more = async (): Promise<boolean> => {
    const { value, done } = await bytes.next();
    if (done) return false;
    left = Buffer.concat([left, value as Uint8Array]);
    return true;
  };
  return {
    async read(lengthBytes) {
      while (left.length < lengthBytes && (await more()));
      const taken = left.subarray(0, lengthBytes);
      left = left.subarray(taken.length);
      return taken;
    },
    async skip(lengthBytes) {
      let toSkip = lengthBytes;
      while (toSkip > left.length) {
        toSkip -= left.length;
        left = Buffer.alloc(0);
        if (!(await more())) return;
      }
      left = left.subarray(toSkip);
    },
  };
}

function refused(name: string): CxmError {
  return new CxmError('UNSUPPORTED', `the image is of the format ${name}, which can't be written to a logical volume`, {
    hint: 'register it as a raw disk, as qcow2 or as a tar archive; raw and tar may be compressed with gzip or zstd',
  });
}

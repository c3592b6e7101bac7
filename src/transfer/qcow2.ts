/**
 * qcow2 images, versions 2 and 3, read as the extents of the disk in them: the current state, snapshots inside are
 * ignored. Nothing of a table is trusted: every offset is checked before it is read, memory is bounded by one table
 * and one piece of data, and a damaged image is one clear error.
 *
 * Format: docs/interop/qcow2.txt of QEMU.
 */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { constants, inflateRawSync } from 'node:zlib';
import { readFully } from './extents.ts';
import type { Extent } from './extents.ts';
import { ioError } from './io-error.ts';
import { damagedQcow2, parseQcow2Header, qcow2HeaderBytes } from './qcow2-header.ts';
import type { Qcow2Header } from './qcow2-header.ts';
import { nonZeroRuns } from './zeros.ts';

export interface Qcow2Image {
  readonly virtualSizeBytes: number;
  /** In guest order; zero and unallocated clusters are left out. To be iterated while the image is open. */
  readonly extents: AsyncIterable<Extent>;
  close(): Promise<void>;
}

const offsetMask = 0x00fffffffffffe00n;
const compressedFlag = 1n << 62n;
const zeroFlag = 1n;
/** Clusters that follow each other in the file are read together up to this size. */
const pieceBytes = 1024 * 1024;

/** @throws CxmError UNSUPPORTED (backing file, external data, encryption, ...), INVALID_INPUT (damaged), NOT_FOUND, IO */
export async function openQcow2(path: string): Promise<Qcow2Image> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    const { size } = await handle.stat();
    const head = Buffer.alloc(Math.min(qcow2HeaderBytes, size));
    await readFully(handle, path, head, 0, head.length);
    const header = parseQcow2Header(head);
    const file = { handle, path, sizeBytes: size, header };
    const l1 = await readTable(file, header.l1Offset, header.l1Entries);
    const opened = handle;
    return {
      virtualSizeBytes: header.virtualSizeBytes,
      extents: readDisk(file, l1),
      close: () => opened.close(),
    };
  } catch (error) {
    await handle?.close();
    throw ioError(error, `cannot read ${path}`);
  }
}

interface Qcow2File {
  readonly handle: FileHandle;
  readonly path: string;
  readonly sizeBytes: number;
  readonly header: Qcow2Header;
}

/** A part of the disk: where it is in the guest and what holds it in the file. */
type Piece =
  | { readonly kind: 'plain'; readonly guestOffset: number; readonly fileOffset: number; lengthBytes: number }
  | {
      readonly kind: 'compressed';
      readonly guestOffset: number;
      readonly fileOffset: number;
      readonly lengthBytes: number;
    };

async function* readDisk(file: Qcow2File, l1: DataView): AsyncGenerator<Extent> {
  const { clusterBytes, l1Entries } = file.header;
  const l2Entries = clusterBytes / 8;
  for (let index = 0; index < l1Entries; index++) {
    const l2Offset = Number(l1.getBigUint64(index * 8) & offsetMask);
    if (l2Offset === 0) continue;
    if (l2Offset % clusterBytes !== 0) throw damagedQcow2(`L2 table ${index} is in an impossible place`);
    const l2 = await readTable(file, l2Offset, l2Entries);
    yield* readPieces(file, piecesOf(file.header, l2, index * l2Entries * clusterBytes));
  }
}

/** What an L2 table says, neighbours joined. */
export function* piecesOf(header: Qcow2Header, l2: DataView, guestStart: number): Generator<Piece> {
  const { clusterBytes, clusterBits, virtualSizeBytes, version } = header;
  let run: Extract<Piece, { kind: 'plain' }> | undefined;
  for (let index = 0; index < l2.byteLength / 8; index++) {
    const guestOffset = guestStart + index * clusterBytes;
    if (guestOffset >= virtualSizeBytes) break;
    const entry = l2.getBigUint64(index * 8);
    if (entry & compressedFlag) {
      if (run !== undefined) yield run;
      run = undefined;
      yield { kind: 'compressed', guestOffset, ...compressedPlace(entry, clusterBits) };
      continue;
    }
    const fileOffset = Number(entry & offsetMask);
    if (fileOffset === 0 || (version === 3 && entry & zeroFlag)) continue;
    if (fileOffset % clusterBytes !== 0) throw damagedQcow2(`the cluster for ${guestOffset} is in an impossible place`);
    const lengthBytes = Math.min(clusterBytes, virtualSizeBytes - guestOffset);
    const joins =
      run?.guestOffset !== undefined &&
      run.guestOffset + run.lengthBytes === guestOffset &&
      run.fileOffset + run.lengthBytes === fileOffset &&
      run.lengthBytes + lengthBytes <= pieceBytes;
    if (run !== undefined && joins) {
      run.lengthBytes += lengthBytes;
      continue;
    }
    if (run !== undefined) yield run;
    run = { kind: 'plain', guestOffset, fileOffset, lengthBytes };
  }
  if (run !== undefined) yield run;
}

/** Place of a compressed cluster: offset in bytes and number of 512-byte sectors share the entry. */
function compressedPlace(entry: bigint, clusterBits: number): { fileOffset: number; lengthBytes: number } {
  const sizeShift = BigInt(62 - (clusterBits - 8));
  const fileOffset = entry & ((1n << sizeShift) - 1n);
  if (fileOffset > BigInt(Number.MAX_SAFE_INTEGER))
    throw damagedQcow2('a compressed cluster is in an impossible place');
  const sectors = Number((entry >> sizeShift) & ((1n << BigInt(clusterBits - 8)) - 1n)) + 1;
  return { fileOffset: Number(fileOffset), lengthBytes: sectors * 512 - (Number(fileOffset) % 512) };
}

async function* readPieces(file: Qcow2File, pieces: Iterable<Piece>): AsyncGenerator<Extent> {
  for (const piece of pieces) {
    const data = await (piece.kind === 'plain' ? readPlain(file, piece) : readCompressed(file, piece));
    for (const { start, end } of nonZeroRuns(data)) {
      yield { offset: piece.guestOffset + start, data: data.subarray(start, end) };
    }
  }
}

async function readPlain(file: Qcow2File, { fileOffset, lengthBytes }: Piece): Promise<Buffer> {
  // The last cluster of a file need not be there to its end; the rest of it is zero.
  const there = Math.min(lengthBytes, file.sizeBytes - fileOffset);
  if (there <= 0) throw damagedQcow2(`data at ${fileOffset} is behind its end`);
  const data = Buffer.allocUnsafe(lengthBytes).fill(0, there);
  await readFully(file.handle, file.path, data, fileOffset, there);
  return data;
}

async function readCompressed(file: Qcow2File, piece: Piece): Promise<Buffer> {
  const { clusterBytes, virtualSizeBytes } = file.header;
  const there = Math.min(piece.lengthBytes, file.sizeBytes - piece.fileOffset);
  if (there <= 0) throw damagedQcow2(`data at ${piece.fileOffset} is behind its end`);
  const packed = Buffer.allocUnsafe(there);
  await readFully(file.handle, file.path, packed, piece.fileOffset, there);
  const data = inflate(packed, clusterBytes);
  if (data?.length !== clusterBytes) {
    throw damagedQcow2(`the compressed cluster for ${piece.guestOffset} can't be decompressed`);
  }
  return data.subarray(0, Math.min(clusterBytes, virtualSizeBytes - piece.guestOffset));
}

/** A deflate stream without header; what follows it in its last sector belongs to others. */
function inflate(packed: Buffer, limitBytes: number): Buffer | undefined {
  try {
    return inflateRawSync(packed, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: limitBytes });
  } catch {
    return undefined;
  }
}

async function readTable(file: Qcow2File, offset: number, entries: number): Promise<DataView> {
  const table = Buffer.alloc(entries * 8);
  if (offset + table.length > file.sizeBytes) throw damagedQcow2(`a table at ${offset} is behind its end`);
  await readFully(file.handle, file.path, table, offset, table.length);
  return new DataView(table.buffer, table.byteOffset, table.length);
}

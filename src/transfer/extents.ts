/**
 * Disks as extents: the parts that are not zero, with their offsets. Holes of sparse files are not even read, and the
 * next block is read while the last one is used. A disk that is written has, when finished, zeros wherever nothing was
 * written, to the end of the device: a recycled volume never shows what was on it before. All of it is durable then.
 */
import { open, readFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { CxmError } from '../errors.ts';
import { deviceDirectory } from '../host/device-number.ts';
import { BlockPool, type LentBlock } from './block-pool.ts';
import { ioError } from './io-error.ts';
import { dataRanges } from './holes.ts';
import { WriteBehind } from './write-behind.ts';
import { nonZeroRuns, zeroGrainBytes } from './zeros.ts';
import type { Run } from './zeros.ts';

export interface Extent {
  readonly offset: number;
  readonly data: Uint8Array;
  /** Gives the memory back; whoever calls it is the last to look at the bytes. Nobody has to. */
  readonly release?: () => void;
}

export interface ReadExtentsOptions {
  /** Bytes that are read at a time, rounded up to 64 KiB; 1 MiB when left out. An extent is never longer. */
  readonly blockBytes?: number;
  readonly signal?: AbortSignal;
}

export interface ExtentSource {
  readonly totalBytes: number;
  /** In rising order of offsets; to be iterated once. `data` is the consumer's own. */
  readonly extents: AsyncIterable<Extent>;
}

const defaultBlockBytes = 1024 * 1024;
/** What may lie in a stream, and what is being read. */
const maxSpareBlocks = 4;

/** Opens a device or file. @throws CxmError NOT_FOUND, IO, also while iterating */
export async function openExtents(path: string, options: ReadExtentsOptions = {}): Promise<ExtentSource> {
  const handle = await open(path, 'r').catch((error: unknown) => {
    throw ioError(error, `cannot open ${path}`);
  });
  try {
    const { sizeBytes, sparse } = await measure(handle, path);
    const ranges = sparse ? await dataRanges(path, sizeBytes) : [{ start: 0, end: sizeBytes }];
    // Opened anew when iterated, so that a source that nobody reads holds nothing open.
    return { totalBytes: sizeBytes, extents: readExtents(path, ranges, options) };
  } finally {
    await handle.close();
  }
}

/** Size of a device or regular file in bytes. @throws CxmError NOT_FOUND, IO, UNSUPPORTED */
export async function deviceSizeBytes(path: string): Promise<number> {
  const handle = await open(path, 'r').catch((error: unknown) => {
    throw ioError(error, `cannot open ${path}`);
  });
  try {
    return (await measure(handle, path)).sizeBytes;
  } finally {
    await handle.close();
  }
}

/** Turns the bytes of a (decompressed) raw disk into extents. @throws (while iterating) CxmError TOO_SMALL */
export async function* extentsOfBytes(
  bytes: AsyncIterable<Uint8Array>,
  options: { readonly limitBytes: number; readonly blockBytes?: number },
): AsyncGenerator<Extent, { readonly totalBytes: number }> {
  const blockBytes = wholeGrains(options.blockBytes);
  let block = Buffer.allocUnsafe(blockBytes);
  let blockOffset = 0;
  let filled = 0;
  for await (const chunk of bytes) {
    if (blockOffset + filled + chunk.length > options.limitBytes) {
      throw new CxmError('TOO_SMALL', `the image is larger than its logical volume of ${options.limitBytes} bytes`, {
        changed: 'maybe',
      });
    }
    for (let taken = 0; taken < chunk.length;) {
      const part = chunk.subarray(taken, taken + blockBytes - filled);
      block.set(part, filled);
      taken += part.length;
      filled += part.length;
      if (filled < blockBytes) continue;
      if ((yield* inBlock(block, blockOffset)) > 0) block = Buffer.allocUnsafe(blockBytes);
      blockOffset += filled;
      filled = 0;
    }
  }
  yield* inBlock(block.subarray(0, filled), blockOffset);
  return { totalBytes: blockOffset + filled };
}

/** The extents of one block; returns how many there were (then its memory has gone to the consumer). */
export function* inBlock(block: Uint8Array, blockOffset: number): Generator<Extent, number> {
  const runs = nonZeroRuns(block);
  for (const { start, end } of runs) yield { offset: blockOffset + start, data: block.subarray(start, end) };
  return runs.length;
}

async function* readExtents(
  path: string,
  ranges: readonly Run[],
  { blockBytes, signal }: ReadExtentsOptions,
): AsyncGenerator<Extent> {
  const handle = await open(path, 'r').catch((error: unknown) => {
    throw ioError(error, `cannot open ${path}`);
  });
  const blocks = blocksOf(ranges, wholeGrains(blockBytes));
  const pool = new BlockPool(wholeGrains(blockBytes), maxSpareBlocks);
  const next = (): Promise<Block> | undefined => {
    const block = blocks.next();
    if (block.done) return undefined;
    const reading = readBlock(handle, path, block.value, pool.lend());
    reading.catch(() => undefined);
    return reading;
  };
  // Two reads are under way while a third block is with the consumer.
  const underWay: (Promise<Block> | undefined)[] = [next(), next()];
  try {
    for (;;) {
      const block = await underWay.shift();
      if (block === undefined) return;
      if (signal?.aborted) throw new CxmError('INTERRUPTED', `reading ${path} was interrupted`);
      const runs = nonZeroRuns(block.data);
      let held = runs.length;
      if (held === 0) block.release();
      underWay.push(next());
      for (const { start, end } of runs) {
        let isHeld = true;
        const release = (): void => {
          if (isHeld && (held -= 1) === 0) block.release();
          isHeld = false;
        };
        yield { offset: block.offset + start, data: block.data.subarray(start, end), release };
      }
    }
  } finally {
    await Promise.allSettled(underWay.map((reading) => reading ?? Promise.resolve()));
    await handle.close();
  }
}

interface Block {
  readonly offset: number;
  readonly data: Buffer;
  readonly release: () => void;
}

function* blocksOf(ranges: readonly Run[], blockBytes: number): Generator<Run> {
  for (const range of ranges) {
    for (let start = range.start; start < range.end; start += blockBytes) {
      yield { start, end: Math.min(range.end, start + blockBytes) };
    }
  }
}

async function readBlock(handle: FileHandle, path: string, { start, end }: Run, block: LentBlock): Promise<Block> {
  const length = end - start;
  await readFully(handle, path, block.memory, start, length);
  return { offset: start, data: block.memory.subarray(0, length), release: block.release };
}

/** Fills the beginning of `into`. @throws CxmError IO, also when the file ends before */
export async function readFully(
  handle: FileHandle,
  path: string,
  into: Buffer,
  offset: number,
  lengthBytes: number,
): Promise<void> {
  for (let done = 0; done < lengthBytes;) {
    const { bytesRead } = await handle.read(into, done, lengthBytes - done, offset + done).catch((error: unknown) => {
      throw ioError(error, `cannot read ${path} at ${offset + done}`);
    });
    if (bytesRead === 0) throw new CxmError('IO', `${path} ends at ${offset + done}, before its end was expected`);
    done += bytesRead;
  }
}

async function measure(handle: FileHandle, path: string): Promise<{ sizeBytes: number; sparse: boolean }> {
  const stat = await handle.stat();
  if (stat.isFile()) return { sizeBytes: stat.size, sparse: stat.blocks * 512 < stat.size };
  if (!stat.isBlockDevice()) throw new CxmError('UNSUPPORTED', `${path} is neither a file nor a block device`);
  const sectors = await readFile(`${deviceDirectory('block', stat.rdev)}/size`, 'latin1').catch((error: unknown) => {
    throw ioError(error, `cannot learn the size of ${path}`);
  });
  // The kernel counts sectors of 512 bytes here, whatever the device's own are.
  return { sizeBytes: Number.parseInt(sectors, 10) * 512, sparse: false };
}

/**
 * Whether the storage zeroes blocks by itself (WRITE SAME, WRITE ZEROES), so that the kernel need not send zeros.
 * Source: Documentation/ABI/stable/sysfs-block, write_zeroes_max_bytes: 0 where it can't.
 */
async function storageZeroes(rdev: number): Promise<boolean> {
  const limit = await readFile(`${deviceDirectory('block', rdev)}/queue/write_zeroes_max_bytes`, 'latin1').catch(
    () => '0',
  );
  return Number.parseInt(limit, 10) > 0;
}

function wholeGrains(blockBytes = defaultBlockBytes): number {
  return Math.max(1, Math.ceil(blockBytes / zeroGrainBytes)) * zeroGrainBytes;
}

export interface ExtentWriterOptions {
  /** Size of the device; nothing is written beyond. For a regular file: the size that it gets. */
  readonly deviceBytes: number;
  /** All of the device reads as zero already (freshly zeroed): gaps need no work. */
  readonly alreadyZero?: boolean;
  /**
   * Makes a range read as zero (the agent: `blkdiscard -z`); it begins and ends at multiples of 64 KiB or the end of
   * the device. Zeros are written when left out.
   */
  readonly zeroRange?: (offset: number, lengthBytes: number) => Promise<void>;
}

/** Smaller gaps are written: a program for each of them would take longer. */
const smallGapBytes = 4 * 1024 * 1024;
/**
 * A larger device whose storage zeroes by itself is zeroed as a whole before anything is written: one program instead
 * of one for each gap, of which a disk can have thousands. Smaller ones hold few gaps; a running VM may read a context
 * disk while it is written anew, and must not find it empty.
 */
const smallDeviceBytes = 64 * 1024 * 1024;
const zeroBlock = Buffer.alloc(1024 * 1024);

/** Opens a device, or a regular file (made if absent), for writing from scratch. @throws CxmError NOT_FOUND, IO */
export async function openExtentWriter(path: string, options: ExtentWriterOptions): Promise<ExtentWriter> {
  let handle;
  try {
    // Opened without O_CREAT first: a device that is missing must not become a file in /dev.
    handle = await open(path, path.startsWith('/dev/') ? 'r+' : 'a+').then(async (made) => {
      if (path.startsWith('/dev/')) return made;
      await made.close();
      return open(path, 'r+');
    });
    const stat = await handle.stat();
    if (stat.isFile()) {
      await handle.truncate(0);
      await handle.truncate(options.deviceBytes);
      return new ExtentWriter(handle, path, { ...options, alreadyZero: true });
    }
    const alreadyZero = options.alreadyZero === true || (await zeroWhole(stat.rdev, options));
    return new ExtentWriter(handle, path, { ...options, alreadyZero });
  } catch (error) {
    await handle?.close();
    throw ioError(error, `cannot open ${path} for writing`);
  }
}

/** Zeroes a device where that is better done at once; false if it was not. */
async function zeroWhole(rdev: number, { deviceBytes, zeroRange }: ExtentWriterOptions): Promise<boolean> {
  if (zeroRange === undefined || deviceBytes < smallDeviceBytes || !(await storageZeroes(rdev))) return false;
  await zeroRange(0, deviceBytes);
  return true;
}

/** Owns the open device; one writer a device. */
export class ExtentWriter {
  /** What gaps are looked for between; nothing where they need no work. */
  private readonly written: { start: number; end: number }[] = [];
  private readonly device: WriteBehind;
  private bytes = 0;

  constructor(
    private readonly handle: FileHandle,
    private readonly path: string,
    private readonly options: ExtentWriterOptions,
  ) {
    this.device = new WriteBehind(handle, path);
  }

  /** Bytes written so far, zeros for gaps not counted. */
  get writtenBytes(): number {
    return this.bytes;
  }

  /**
   * In any order; overlapping is allowed, the later one counts. The data must not change until it is released: it is on its
   * way.
   * @throws CxmError TOO_SMALL, IO (perhaps for what was written before)
   */
  async write({ offset, data, release }: Extent): Promise<void> {
    const end = offset + data.length;
    if (!Number.isSafeInteger(offset) || offset < 0 || end > this.options.deviceBytes) {
      const sentence = `data at ${offset} is beyond the end of the logical volume of ${this.options.deviceBytes} bytes`;
      throw new CxmError('TOO_SMALL', sentence, { changed: 'maybe' });
    }
    if (data.length === 0) return;
    await this.device.write(offset, data, release);
    this.bytes += data.length;
    if (this.options.alreadyZero === true) return;
    const last = this.written.at(-1);
    if (last?.end === offset) last.end = end;
    else this.written.push({ start: offset, end });
  }

  /** Zeroes what was not written, makes everything durable and closes. @throws CxmError IO */
  async finish(): Promise<void> {
    if (!this.options.alreadyZero) {
      for (const gap of gapsBetween(this.written, this.options.deviceBytes)) await this.zero(gap);
    }
    await this.device.flush();
    try {
      await this.handle.sync();
      await this.handle.close();
    } catch (error) {
      throw ioError(error, `cannot write ${this.path} out`);
    }
  }

  /** Closes without finishing; what was written is there, what was there before may be too. */
  async abort(): Promise<void> {
    await this.device.settle();
    await this.handle.close().catch(() => undefined);
  }

  private async zero({ start, end }: Run): Promise<void> {
    const { zeroRange, deviceBytes } = this.options;
    const innerStart = Math.ceil(start / zeroGrainBytes) * zeroGrainBytes;
    const innerEnd = end === deviceBytes ? end : Math.floor(end / zeroGrainBytes) * zeroGrainBytes;
    if (zeroRange === undefined || innerEnd - innerStart < smallGapBytes) return this.writeZeros(start, end);
    await this.writeZeros(start, innerStart);
    await zeroRange(innerStart, innerEnd - innerStart);
    await this.writeZeros(innerEnd, end);
  }

  private async writeZeros(start: number, end: number): Promise<void> {
    for (let at = start; at < end; at += zeroBlock.length) {
      await this.device.write(at, zeroBlock.subarray(0, Math.min(zeroBlock.length, end - at)));
    }
  }
}

/** The parts of `[0, end)` that no range covers, in order. */
export function gapsBetween(ranges: readonly Run[], end: number): Run[] {
  const gaps: Run[] = [];
  let at = 0;
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    if (range.start > at) gaps.push({ start: at, end: range.start });
    at = Math.max(at, range.end);
  }
  if (at < end) gaps.push({ start: at, end });
  return gaps;
}

/**
 * Disks as extents: the parts that are not zero, with their offsets. Reading skips zeros and holes; writing makes
 * every byte that was not written read as zero, so that a recycled volume never shows what was there before.
 */

export interface Extent {
  readonly offset: number;
  readonly data: Uint8Array;
}

export interface ReadExtentsOptions {
  /** Bytes that are read at a time; a multiple of 64 KiB. 1 MiB when left out. An extent is never longer. */
  readonly blockBytes?: number;
  readonly signal?: AbortSignal;
}

export interface ExtentSource {
  readonly totalBytes: number;
  /** In rising order of offsets. `data` is valid until the next extent is asked for. */
  readonly extents: AsyncIterable<Extent>;
}

/** @throws CxmError NOT_FOUND, IO */
export function openExtents(path: string, options?: ReadExtentsOptions): Promise<ExtentSource> {
  return Promise.reject(new Error(`openExtents ${path} ${options?.blockBytes}`));
}

/** Turns the bytes of a (decompressed) raw disk into extents. More than `limitBytes` is TOO_SMALL. */
export async function* extentsOfBytes(
  bytes: AsyncIterable<Uint8Array>,
  options: { readonly limitBytes: number; readonly blockBytes?: number },
): AsyncGenerator<Extent, { readonly totalBytes: number }> {
  for await (const data of bytes) if (options.limitBytes > 0) yield { offset: 0, data };
  return { totalBytes: 0 };
}

export interface ExtentWriterOptions {
  /** Size of the device; nothing is written beyond. For a regular file: the size that it gets. */
  readonly deviceBytes: number;
  /** All of the device reads as zero already (freshly zeroed): gaps need no work. */
  readonly alreadyZero?: boolean;
  /** Makes a range read as zero (the agent: `blkdiscard -z`). Zeros are written when left out. */
  readonly zeroRange?: (offset: number, lengthBytes: number) => Promise<void>;
}

/** Writes extents to a device or a file; one writer a device. */
export interface ExtentWriter {
  /** In any order. @throws CxmError TOO_SMALL (beyond the device), IO */
  write(extent: Extent): Promise<void>;
  /** Bytes written so far, zeros not counted. */
  readonly writtenBytes: number;
  /** Zeroes whatever was not written, up to the end of the device, and makes all of it durable. Closes. */
  finish(): Promise<void>;
  /** Closes without finishing. */
  abort(): Promise<void>;
}

export function openExtentWriter(path: string, options: ExtentWriterOptions): Promise<ExtentWriter> {
  return Promise.reject(new Error(`openExtentWriter ${path} ${options.deviceBytes}`));
}

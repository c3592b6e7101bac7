/**
 * The work on file systems that needs root: making, identifying, unpacking into and packing from a device. Foreign
 * archives and file systems are only touched inside the sandbox of archive-sandbox.ts.
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { CxmError } from '../errors.ts';
import { localCommands } from '../host/commands.ts';
import type { Commands } from '../host/commands.ts';
import { sandboxExit, sandboxLine } from './archive-sandbox.ts';
import { listEntries, sumOfEntries } from './archive-size.ts';
import { packFailed, packTooLarge, saysFull, tarCreate, tarExtract, unpackFailed } from './archive-tar.ts';
import { compressor, damaged, decompressors } from './compress.ts';
import { identify } from './identify.ts';
import { makeFileSystem, makeSwapSpace } from './make-filesystem.ts';
import { trustedMountPoint } from './mount-point.ts';
import { drain, firstLines, isProgramInput, throughProcess } from './process.ts';
import type { ProcessEnd, ProgramInput } from './process.ts';
import { endingWithZeros } from './archive-end.ts';

import type { ArchiveNote, FileSystemType } from './archive-note.ts';
import type { Compression } from './format.ts';

export interface MakeFileSystem {
  readonly type: FileSystemType;
  readonly uuid?: string;
  readonly label?: string;
  /** The device reads as zero: mkfs need not zero anything. */
  readonly zeroed: boolean;
}

export type DeviceContent =
  | { readonly kind: 'nothing' }
  | {
      readonly kind: 'filesystem';
      readonly type: FileSystemType;
      readonly uuid?: string;
      readonly label?: string;
      /** Unmounted cleanly: nothing to replay, no orphans, no errors. */
      readonly clean: boolean;
      /** Why an archive can't carry it (boot code, encryption, ...): only an exact image will do. */
      readonly exactOnly?: string;
    }
  /** Partitions, swap, another file system, or more than one thing at once. */
  | { readonly kind: 'other'; readonly description: string };

export interface UnpackOptions {
  /** Of the bytes in `archive`. */
  readonly compression: Compression;
  readonly archive: AsyncIterable<Uint8Array> | ProgramInput;
  readonly type: FileSystemType;
  readonly signal?: AbortSignal;
}

export interface MeasureOptions extends Pick<PackOptions, 'type' | 'replayJournal' | 'signal'> {
  /** Counting may end beyond it. */
  readonly limitBytes: number;
}

export interface PackOptions {
  readonly type: FileSystemType;
  readonly compression: Compression;
  readonly level: number;
  readonly note: ArchiveNote;
  /** The device is a writable snapshot: replay its journal. Otherwise nothing is written to the device. */
  readonly replayJournal: boolean;
  readonly signal?: AbortSignal;
}

/** The real body is `rootFileSystemTools`; unprivileged-filesystem.ts has another that never mounts. */
export interface FileSystemTools {
  make(device: string, options: MakeFileSystem): Promise<void>;
  makeSwap(device: string, options?: { readonly uuid?: string; readonly label?: string }): Promise<void>;
  identify(device: string): Promise<DeviceContent>;
  /** @throws CxmError TOO_SMALL (device full), INVALID_INPUT (damaged or hostile archive), INTERRUPTED, COMMAND */
  unpack(device: string, options: UnpackOptions): Promise<void>;
  /** About how long the archive becomes, without compression; where that can be told. @throws as packing does */
  readonly measure?: (device: string, options: MeasureOptions) => Promise<number>;
  /** The archive's bytes; iterating throws when packing failed, so an end without error is the whole archive. */
  pack(device: string, options: PackOptions): AsyncIterable<Uint8Array>;
  /** The same, written to a descriptor by the programs that make it; where they can. */
  readonly packTo?: (device: string, options: PackOptions, descriptor: number) => Promise<void>;
}

/** The real body, for this machine. */
export const rootFileSystemTools: FileSystemTools = createRootFileSystemTools(localCommands);

/**
 * @param mountPoint covered by an empty tmpfs inside a private mount namespace, never touched outside: any existing
 * directory that only root can replace will do, but one in which programs or the device lie
 */
export function createRootFileSystemTools(commands: Commands, mountPoint = '/mnt'): FileSystemTools {
  return {
    make: (device, options) => makeFileSystem(commands, device, options),
    makeSwap: (device, options) => makeSwapSpace(commands, device, options),
    identify: (device) => identify(commands, device),
    unpack: (device, options) => unpack(device, mountPoint, options),
    measure: (device, options) => measure(device, mountPoint, options),
    pack: (device, options) => pack(device, mountPoint, options),
    packTo: (device, options, descriptor) => drain(pack(device, mountPoint, options, descriptor)),
  };
}

const diskDirectory = '/disk';
/** Dirty data may have to be written out before. */
const maxFreeingMs = 20_000;
const freeingPauseMs = 20;

async function unpack(device: string, mountPoint: string, options: UnpackOptions): Promise<void> {
  const { compression, archive } = options;
  const [program, ...args] = sandboxLine({
    purpose: 'unpack',
    device,
    type: options.type,
    mountPoint: await trustedMountPoint(mountPoint),
    program: tarExtract(diskDirectory),
    filter: compression === 'none' ? undefined : decompressors[compression],
  });
  const unpacking = throughProcess(program, args, {
    input: compression === 'none' && !isProgramInput(archive) ? endingWithZeros(archive) : archive,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    killWhenSaid: saysFull,
    explain: (end) => sandboxFailed(end, device, compression) ?? unpackFailed(end),
  });
  await drain(freeing(device, unpacking));
}

async function measure(device: string, mountPoint: string, options: MeasureOptions): Promise<number> {
  const [program, ...args] = sandboxLine({
    purpose: options.replayJournal ? 'listReplayed' : 'list',
    device,
    type: options.type,
    mountPoint: await trustedMountPoint(mountPoint),
    program: listEntries(diskDirectory),
  });
  const listing = throughProcess(program, args, {
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    explain: (end) => sandboxFailed(end, device, 'none') ?? packFailed(end),
  });
  return sumOfEntries(freeing(device, listing), options.limitBytes);
}

async function* pack(
  device: string,
  mountPoint: string,
  options: PackOptions,
  output?: number,
): AsyncGenerator<Uint8Array> {
  const [program, ...args] = sandboxLine({
    purpose: options.replayJournal ? 'packReplayed' : 'pack',
    device,
    type: options.type,
    mountPoint: await trustedMountPoint(mountPoint),
    program: tarCreate(diskDirectory, options.note),
    filter: compressor(options.compression, options.level),
  });
  const packing = throughProcess(program, args, {
    ...(output === undefined ? {} : { output }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    explain: (end) => sandboxFailed(end, device, options.compression) ?? packFailed(end),
  });
  yield* freeing(device, packing);
}

/** The kernel takes the mount of killed processes down in its own time: waits until the device is free again. */
async function* freeing(device: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let unmounted = false;
  try {
    yield* bytes;
    unmounted = true;
  } finally {
    const deadline = performance.now() + maxFreeingMs;
    while (!unmounted && performance.now() < deadline) {
      unmounted = await isFree(device);
      if (!unmounted) await setTimeout(freeingPauseMs);
    }
  }
}

/** Of a block device, O_EXCL asks whether it is mounted or held by another device. */
async function isFree(device: string): Promise<boolean> {
  try {
    const handle = await open(device, constants.O_RDONLY | constants.O_EXCL);
    await handle.close();
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'EBUSY');
  }
}

/** The error when it was not tar that failed. */
function sandboxFailed(end: ProcessEnd, device: string, compression: Compression): CxmError | undefined {
  const said = firstLines(end.stderr);
  switch (end.exitCode) {
    case sandboxExit.setup:
      return new CxmError('COMMAND', `no closed room for the archive could be made: ${said}`);
    case sandboxExit.mount:
      return new CxmError('IO', `the file system on ${device} could not be mounted: ${said}`, {
        hint: 'check the file system with fsck',
      });
    case sandboxExit.filter:
      return damaged(compression, end);
    case sandboxExit.tooLarge:
      return packTooLarge(device);
    case sandboxExit.flush:
      return new CxmError('IO', `the file system on ${device} could not be written out: ${said}`, { changed: 'maybe' });
    default:
      return undefined;
  }
}

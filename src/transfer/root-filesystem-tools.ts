/**
 * File system work as root, on devices: mkfs, probing, and tar inside the sandbox of archive-sandbox.ts.
 */
import { CxmError } from '../errors.ts';
import type { Commands } from '../host/commands.ts';
import { sandboxExit, sandboxLine } from './archive-sandbox.ts';
import { packFailed, saysFull, tarCreate, tarExtract, unpackFailed } from './archive-tar.ts';
import { compressor, damaged, decompressors } from './compress.ts';
import type { FileSystemTools, PackOptions, UnpackOptions } from './filesystem.ts';
import type { Compression } from './format.ts';
import { identify } from './identify.ts';
import { makeFileSystem, makeSwapSpace } from './make-filesystem.ts';
import { drain, firstLines, throughProcess } from './process.ts';
import type { ProcessEnd } from './process.ts';
import { endingWithZeros } from './archive-end.ts';

export interface RootFileSystemToolsOptions {
  readonly commands: Commands;
  /** Any existing directory (TMP_ROOT, say); it is only covered inside a private mount namespace. */
  readonly mountPoint: string;
}

export function rootFileSystemTools({ commands, mountPoint }: RootFileSystemToolsOptions): FileSystemTools {
  return {
    make: (device, options) => makeFileSystem(commands, device, options),
    makeSwap: (device, options) => makeSwapSpace(commands, device, options),
    identify: (device) => identify(commands, device),
    unpack: (device, options) => unpack(device, mountPoint, options),
    pack: (device, options) => pack(device, mountPoint, options),
  };
}

const diskDirectory = '/disk';

async function unpack(device: string, mountPoint: string, options: UnpackOptions): Promise<void> {
  const { compression } = options;
  const [program, ...args] = sandboxLine({
    purpose: 'unpack',
    device,
    type: options.type,
    mountPoint,
    tar: tarExtract(diskDirectory),
    filter: compression === 'none' ? undefined : decompressors[compression],
  });
  await drain(
    throughProcess(program, args, {
      input: compression === 'none' ? endingWithZeros(options.archive) : options.archive,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      killWhenSaid: saysFull,
      explain: (end) => sandboxFailed(end, device, compression) ?? unpackFailed(end),
    }),
  );
}

async function* pack(device: string, mountPoint: string, options: PackOptions): AsyncGenerator<Uint8Array> {
  const [program, ...args] = sandboxLine({
    purpose: options.replayJournal ? 'packReplayed' : 'pack',
    device,
    type: options.type,
    mountPoint,
    tar: tarCreate(diskDirectory, options.note),
    filter: compressor(options.compression, options.level),
  });
  yield* throughProcess(program, args, {
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    explain: (end) => sandboxFailed(end, device, options.compression) ?? packFailed(end),
  });
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
    case sandboxExit.flush:
      return new CxmError('IO', `the file system on ${device} could not be written out: ${said}`, { changed: 'maybe' });
    default:
      return undefined;
  }
}

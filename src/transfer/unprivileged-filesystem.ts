/**
 * File system work without root, for the sandbox: volumes are regular files, nothing is ever mounted. mke2fs fills a
 * file system from a directory (-d), debugfs reads one back. Owners other than the caller's get lost: this is a stand-in
 * to look at, not for data of users.
 */
import { mkdir, mkdtemp, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CxmError } from '../errors.ts';
import type { Commands } from '../host/commands.ts';
import { packFailed, tarCreate, unpackFailed } from './archive-tar.ts';
import { endingWithZeros } from './archive-end.ts';
import { compress, decompress } from './compress.ts';
import type { FileSystemTools, PackOptions, UnpackOptions } from './filesystem.ts';
import { identify } from './identify.ts';
import { makeFileSystem, makeSwapSpace } from './make-filesystem.ts';
import { drain, readHere, throughProcess } from './process.ts';

/** File system tools for volumes that are regular files of the caller; ext only. */
export function unprivilegedFileSystemTools(commands: Commands): FileSystemTools {
  return {
    make: (device, options) => makeFileSystem(commands, device, options),
    makeSwap: (device, options) => makeSwapSpace(commands, device, options),
    identify: (device) => identify(commands, device),
    unpack: (device, options) => unpack(commands, device, options),
    pack: (device, options) => pack(commands, device, options),
  };
}

async function unpack(commands: Commands, device: string, options: UnpackOptions): Promise<void> {
  const made = await identify(commands, device);
  if (made.kind !== 'filesystem' || made.type === 'xfs') throw needsRoot(options.type);
  const { type, uuid, label } = made;
  await withDirectory(async (directory) => {
    const input = endingWithZeros(decompress(readHere(options.archive), options.compression, options.signal));
    const args = ['--extract', '--file=-', `--directory=${directory}`, '--preserve-permissions', '--sparse'];
    // Device nodes can't be made without root.
    await drain(throughProcess('tar', [...args, '--exclude=./dev/*'], { input, explain: unpackFailed }));
    const names = { ...(uuid === undefined ? {} : { uuid }), ...(label === undefined ? {} : { label }) };
    await makeFileSystem(commands, device, { type, zeroed: false, ...names }, directory);
  });
}

async function* pack(commands: Commands, device: string, options: PackOptions): AsyncGenerator<Uint8Array> {
  if (options.type === 'xfs') throw needsRoot(options.type);
  const directory = await mkdtemp(join(tmpdir(), 'cxm-pack-'));
  const content = join(directory, 'content');
  try {
    await mkdir(content);
    // debugfs takes its words apart at blanks: our own directory's name has none.
    await commands.run('debugfs', ['-R', `rdump / ${content}`, device], { timeoutMs: 15 * 60_000 });
    await rmdir(join(content, 'lost+found')).catch(() => undefined);
    const [program, ...args] = tarCreate(content, options.note);
    const bytes = throughProcess(program, [...args, '.'], { explain: packFailed });
    yield* compress(bytes, { compression: options.compression, level: options.level });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function withDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'cxm-unpack-'));
  try {
    await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function needsRoot(type: string): CxmError {
  return new CxmError('UNSUPPORTED', `a file system of type ${type} can not be filled without root`, {
    hint: 'use ext4, or run as root',
  });
}

/**
 * Checkpoints lie in directories of the user oned runs as, often on NFS where root is nobody, and that user could put a
 * link in their place. So root never opens them: xl writes to or reads from a named pipe in root's own directory, and a
 * process with the user's rights stands at its other end.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { asCxmError, CxmError } from '../../errors.ts';
import { asOwner } from '../owner.ts';
import { renameDurably, unfinishedPath } from './domain-checkpoint.ts';
import type { DomainHost } from './domain-host.ts';

/**
 * How long a guest's memory may be on its way. Then the user's process is ended, never xl: an xl that loses its pipe lets
 * a guest that it was saving go on, one that is killed leaves it suspended for ever. Longer than 2 TiB take at 50 MiB/s.
 */
const transferMs = 12 * 60 * 60_000;
/** How long the user's process may read on after xl has restored a guest, which does not run yet. */
const settleMs = 120_000;
const wakeMs = 200;

/**
 * Runs `save` with a path to write to; what it wrote becomes `file`, which is there complete or not at all. An existing
 * file is replaced. Once `save` has succeeded nothing but this file knows the guest's memory: then its way to the medium
 * is waited for as long as it takes. What was written of a file that could not be completed is left (see leftOf).
 * @throws CxmError what `save` threw, IO when the file could not be written, TIMEOUT
 */
export async function collect(host: DomainHost, file: string, save: (path: string) => Promise<void>): Promise<void> {
  const temporary = `${file}.cxm-new`;
  asOwner(host.owner, () => {
    mkdirSync(dirname(file), { recursive: true });
    rmSync(temporary, { force: true });
    // The memory of a guest is nobody else's business.
    writeFileSync(temporary, '', { mode: 0o600, flag: 'wx' });
  });
  try {
    const words = (pipe: string): string[] => [
      `if=${pipe}`,
      `of=${temporary}`,
      'bs=1M',
      'iflag=fullblock',
      'conv=fsync',
    ];
    await withPipe(host, words, save, undefined);
    renameDurably(host.owner, temporary, file);
  } catch (error) {
    keepAside(host, temporary, unfinishedPath(file));
    throw error;
  }
}

/** The next save begins with removing the temporary file: what may be all that is left of a guest must not bear its name. */
function keepAside(host: DomainHost, temporary: string, unfinished: string): void {
  try {
    renameDurably(host.owner, temporary, unfinished);
  } catch (error) {
    host.log('WARN', asCxmError(error).message);
  }
}

/** What a failed save has left of a checkpoint: files with something in them. */
export function leftOf({ owner }: DomainHost, file: string): string[] {
  return asOwner(owner, () =>
    [unfinishedPath(file), `${file}.cxm-new`].filter((path) => {
      const found = lstatSync(path, { throwIfNoEntry: false });
      return found?.isFile() === true && found.size > 0;
    }),
  );
}

/** Runs `restore` with a path to read the file's content from. @throws CxmError what `restore` threw, or IO */
export function feed(host: DomainHost, file: string, restore: (path: string) => Promise<void>): Promise<void> {
  return withPipe(host, (pipe) => [`if=${file}`, `of=${pipe}`, 'bs=1M', 'conv=notrunc'], restore, settleMs);
}

/**
 * Makes sure that there is room before a guest is stopped to be saved.
 * @throws CxmError NO_SPACE
 */
export function requireSpace(host: DomainHost, directory: string, bytes: number): void {
  const { bavail, bsize } = asOwner(host.owner, () => {
    mkdirSync(directory, { recursive: true });
    return statfsSync(directory);
  });
  if (bavail * bsize >= bytes) return;
  const mib = (value: number): number => Math.floor(value / 1024 ** 2);
  throw new CxmError(
    'NO_SPACE',
    `${directory} has ${mib(bavail * bsize)} MiB left, but the VM needs ${mib(bytes)} MiB`,
    {
      hint: 'free space in the system datastore',
    },
  );
}

/** @param lastMs how long the process at the other end may go on after `use`; for ever when undefined */
async function withPipe(
  host: DomainHost,
  words: (pipe: string) => string[],
  use: (pipe: string) => Promise<void>,
  lastMs: number | undefined,
): Promise<void> {
  mkdirSync(host.runDirectory, { recursive: true, mode: 0o711 });
  const directory = mkdtempSync(`${host.runDirectory}/pipe-`);
  const pipe = `${directory}/state`;
  try {
    await host.commands.run('mkfifo', ['-m', '600', pipe]);
    if (process.geteuid?.() === 0) {
      chmodSync(directory, 0o711);
      chownSync(pipe, host.owner.uid, host.owner.gid);
    }
    const mover = new Mover(host, words(pipe), pipe);
    try {
      await use(pipe);
    } catch (error) {
      throw (await mover.stop()) ?? error;
    }
    await mover.finish(lastMs);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The process at the other end of the pipe. */
class Mover {
  private readonly child: ChildProcess;
  private readonly ended: Promise<number>;
  private said = '';
  private stopping = false;
  private late = false;
  private readonly deadline: NodeJS.Timeout;

  constructor(host: DomainHost, words: readonly string[], pipe: string) {
    const rights = process.geteuid?.() === 0 ? { uid: host.owner.uid, gid: host.owner.gid } : {};
    this.child = spawn('dd', [...words, 'status=none'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
      ...rights,
    });
    this.child.stderr?.on('data', (chunk: Buffer) => (this.said += chunk.toString().slice(0, 1000)));
    this.ended = new Promise((resolve) => {
      this.child.on('error', () => resolve(127));
      this.child.on('close', (code) => resolve(code ?? 1));
    });
    void this.ended.then((code) => {
      if (code !== 0 && !this.stopping) this.release(pipe);
    });
    this.deadline = setTimeout(() => {
      this.late = true;
      this.child.kill('SIGKILL');
    }, transferMs);
  }

  /** xl has failed. What this process said explains it, if it had failed before. */
  async stop(): Promise<CxmError | undefined> {
    this.stopping = true;
    clearTimeout(this.deadline);
    const before = this.child.exitCode;
    this.child.kill('SIGKILL');
    await this.ended;
    if (this.late) {
      const hours = transferMs / 3_600_000;
      return new CxmError('TIMEOUT', `the checkpoint was still on its way after ${hours} hours and was given up`);
    }
    return before === null || before === 0 ? undefined : this.failure('nothing');
  }

  async finish(lastMs: number | undefined): Promise<void> {
    clearTimeout(this.deadline);
    const timer = lastMs === undefined ? undefined : setTimeout(() => this.child.kill('SIGKILL'), lastMs);
    const code = await this.ended;
    clearTimeout(timer);
    this.stopping = true;
    if (code !== 0) throw this.failure('maybe');
  }

  private failure(changed: 'nothing' | 'maybe'): CxmError {
    return new CxmError('IO', `the checkpoint could not be moved: ${this.said.trim() || 'dd failed'}`, { changed });
  }

  /** Whoever waits for us to open the pipe would wait for ever: let them find a pipe without another end. */
  private release(pipe: string): void {
    if (this.stopping) return;
    try {
      closeSync(openSync(pipe, 'r+'));
    } catch {
      return;
    }
    setTimeout(() => this.release(pipe), wakeMs);
  }
}

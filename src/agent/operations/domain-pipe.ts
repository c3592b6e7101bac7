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
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { CxmError } from '../../errors.ts';
import { asOwner } from '../owner.ts';
import type { DomainHost } from './domain-host.ts';

/** How long the user's process may need after xl has ended: for the last bytes to reach the medium. */
const settleMs = 120_000;
const wakeMs = 200;

/**
 * Runs `save` with a path to write to; what it wrote becomes `file`, which is there complete or not at all. An existing
 * file is replaced.
 * @throws CxmError what `save` threw, or IO when the file could not be written
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
    await withPipe(host, (pipe) => [`if=${pipe}`, `of=${temporary}`, 'bs=1M', 'iflag=fullblock', 'conv=fsync'], save);
    asOwner(host.owner, () => renameSync(temporary, file));
  } catch (error) {
    asOwner(host.owner, () => rmSync(temporary, { force: true }));
    throw error;
  }
}

/** Runs `restore` with a path to read the file's content from. @throws CxmError what `restore` threw, or IO */
export function feed(host: DomainHost, file: string, restore: (path: string) => Promise<void>): Promise<void> {
  return withPipe(host, (pipe) => [`if=${file}`, `of=${pipe}`, 'bs=1M', 'conv=notrunc'], restore);
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

async function withPipe(
  host: DomainHost,
  words: (pipe: string) => string[],
  use: (pipe: string) => Promise<void>,
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
    await mover.finish();
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
  }

  /** xl has failed. What this process said explains it, if it had failed before. */
  async stop(): Promise<CxmError | undefined> {
    this.stopping = true;
    const before = this.child.exitCode;
    this.child.kill('SIGKILL');
    await this.ended;
    return before === null || before === 0 ? undefined : this.failure('nothing');
  }

  async finish(): Promise<void> {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), settleMs);
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

/**
 * Runs the built tour as a process of its own, with a temporary directory of its own, and tells what it has left behind
 * on the machine: files, processes, mounts, loop devices.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { processesOf } from '../../src/sandbox/remove.ts';

const built = resolve(dirname(fileURLToPath(import.meta.url)), '../../dist');

export interface Ended {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A copy of what was built, which another build can't take away. @throws Error if nothing was built */
export function keepBuild(): string {
  if (!fs.existsSync(join(built, 'sandbox/tour.cjs'))) throw new Error('the tour is not built: run `npm run build`');
  const copy = fs.mkdtempSync(join(tmpdir(), 'cxm-tour-build-'));
  fs.cpSync(built, copy, { recursive: true });
  fs.chmodSync(copy, 0o755);
  return copy;
}

export class GuestHouse {
  /** TMPDIR of everything that is run. */
  readonly temporary: string;
  /** A copy of dist, to be changed. */
  readonly dist: string;
  private readonly directory: string;

  /**
   * @param source what `keepBuild` has returned
   * @param user id of the user everything runs as
   */
  constructor(
    source: string,
    private readonly user = process.getuid?.() ?? 0,
  ) {
    this.directory = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'cxm-tour-test-')));
    fs.chmodSync(this.directory, 0o755);
    this.dist = join(this.directory, 'dist');
    this.temporary = join(this.directory, 'tmp');
    fs.cpSync(source, this.dist, { recursive: true });
    fs.mkdirSync(this.temporary);
    fs.chownSync(this.temporary, user, user);
  }

  /** Starts the tour. @param args as after `npm start --` */
  tour(...args: readonly string[]): ChildProcess {
    return this.start(process.execPath, [join(this.dist, 'sandbox/tour.cjs'), ...args]);
  }

  start(program: string, args: readonly string[]): ChildProcess {
    const environment = { PATH: process.env['PATH'], LANG: 'C.UTF-8', TMPDIR: this.temporary, HOME: '/' };
    const ids = this.user === process.getuid?.() ? {} : { uid: this.user, gid: this.user };
    return spawn(program, args, { cwd: this.temporary, env: environment, stdio: ['ignore', 'pipe', 'pipe'], ...ids });
  }

  run(program: string, ...args: readonly string[]): Promise<Ended> {
    return endOf(this.start(program, args));
  }

  /** What there is of the tour on this machine, in words. */
  traces(): readonly string[] {
    const backing = fs
      .readdirSync('/sys/block')
      .filter((name) => name.startsWith('loop'))
      .map((name) => read(`/sys/block/${name}/loop/backing_file`));
    return [
      ...fs.readdirSync(this.temporary).map((name) => `file ${name}`),
      ...processesOf(this.temporary).map((id) => `process ${id}: ${read(`/proc/${id}/cmdline`).replaceAll('\0', ' ')}`),
      ...[...backing, ...read('/proc/self/mountinfo').split('\n')].filter((line) => line.includes(this.temporary)),
    ];
  }

  close(): void {
    for (const id of processesOf(this.directory)) process.kill(id, 'SIGKILL');
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

export function endOf(child: ChildProcess): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolvePromise, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolvePromise({ exitCode: code ?? -1, stdout, stderr }));
  });
}

/** Resolves when the process has written this. */
export function written(child: ChildProcess, text: string): Promise<void> {
  let seen = '';
  return new Promise((resolvePromise, reject) => {
    child.stdout?.on('data', (part: Buffer | string) => {
      seen += String(part);
      if (seen.includes(text)) resolvePromise();
    });
    child.on('close', () => reject(new Error(`it ended without writing ${text}:\n${seen}`)));
  });
}

function read(path: string): string {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

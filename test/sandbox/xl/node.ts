/**
 * Simulated Xen hosts for tests: the bundled stand-in as `xl` and `xentop`, one state directory a host, files as disks, and
 * an `ssh` that runs its command on the host of that name. All domains are destroyed and all files removed at the end.
 */
import { build } from 'esbuild';
import { execa } from 'execa';
import { chmod, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeDomain } from '../../../src/sandbox/xl/build.ts';
import { create } from '../../../src/sandbox/xl/create.ts';
import type { Knobs, SimulatedHost } from '../../../src/sandbox/xl/knobs.ts';
import { Store } from '../../../src/sandbox/xl/store.ts';

export interface Said {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

export class Hosts {
  readonly root: string;
  private readonly names = new Set<string>();

  private constructor(root: string) {
    this.root = root;
  }

  static async make(): Promise<Hosts> {
    const root = await mkdtemp(join(tmpdir(), 'cxm-xl-'));
    const hosts = new Hosts(root);
    await mkdir(join(root, 'bin'));
    await build({
      entryPoints: [new URL('../../../src/sandbox/xl/main.ts', import.meta.url).pathname],
      outfile: join(root, 'bin/xl'),
      bundle: true,
      platform: 'node',
      format: 'cjs',
      target: 'node20',
      banner: { js: '#!/usr/bin/env node' },
      logLevel: 'error',
    });
    await chmod(join(root, 'bin/xl'), 0o755);
    await symlink('xl', join(root, 'bin/xentop'));
    const ssh = [
      '#!/bin/sh',
      'while [ "${1#-}" != "$1" ]; do [ "$1" = -o ] && shift; shift; done',
      'host=$1; shift',
      `[ -d "${root}/$host" ] || { echo "ssh: connect to host $host port 22: No route to host" >&2; exit 255; }`,
      `XL_SIMULATED_STATE="${root}/$host" exec "$@"`,
    ];
    await writeFile(join(root, 'bin/ssh'), `${ssh.join('\n')}\n`, { mode: 0o755 });
    return hosts;
  }

  environment(name: string): Record<string, string> {
    return {
      PATH: `${join(this.root, 'bin')}:${process.env['PATH'] ?? ''}`,
      XL_SIMULATED_STATE: join(this.root, name),
    };
  }

  async add(name: string, host: Partial<SimulatedHost> = {}): Promise<void> {
    this.names.add(name);
    await mkdir(join(this.root, name), { recursive: true });
    await writeFile(join(this.root, name, 'host.json'), JSON.stringify({ name, ...host }));
  }

  /** As a whole: a call that is under way may look at any moment. */
  async turn(name: string, knobs: Partial<Knobs>): Promise<void> {
    const file = join(this.root, name, 'knobs.json');
    await writeFile(`${file}.new`, JSON.stringify(knobs));
    await rename(`${file}.new`, file);
  }

  async run(name: string, program: string, ...args: readonly string[]): Promise<Said> {
    const options = { env: this.environment(name), reject: false, stripFinalNewline: false } as const;
    const { stdout, stderr, exitCode } = await execa(program, args, options);
    return { stdout, stderr, exitCode: exitCode ?? -1 };
  }

  xl(name: string, ...args: readonly string[]): Promise<Said> {
    return this.run(name, 'xl', ...args);
  }

  /** A file below the root; what is given as text is written. */
  async file(path: string, text = ''): Promise<string> {
    const full = join(this.root, path);
    await mkdir(join(full, '..'), { recursive: true });
    await writeFile(full, text);
    return full;
  }

  /** The record of a domain by name, as the stand-in keeps it. */
  async guest(name: string, domain: string): Promise<unknown> {
    const { stdout } = await this.xl(name, 'simulated-guest', domain);
    return JSON.parse(stdout) as unknown;
  }

  async read(path: string): Promise<string> {
    return readFile(join(this.root, path), 'utf8');
  }

  /** Creates domains without a program run: most tests need some, few are about their creation. */
  async create(name: string, ...configPaths: readonly string[]): Promise<void> {
    const context = { store: new Store(join(this.root, name)), out: () => undefined, say: () => undefined };
    for (const path of configPaths) await create(context, [path]);
  }

  /** Destroys every domain without a program run: there are many tests. */
  async reset(): Promise<void> {
    for (const name of this.names) {
      await this.turn(name, {});
      const store = new Store(join(this.root, name));
      const context = { store, out: () => undefined, say: () => undefined };
      // The first change sweeps away what a call that ended midway left behind.
      store.locked(() => undefined);
      for (const { id } of store.domains()) await removeDomain(context, id);
    }
  }

  async end(): Promise<void> {
    await this.reset();
    await rm(this.root, { recursive: true, force: true });
  }
}

export async function until(condition: () => Promise<boolean>, timeoutMs = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('what was waited for did not happen');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

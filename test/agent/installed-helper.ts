/**
 * The helper of helper.ts, installed so that a caller reaches it as `sudo`: a process with pipes, as on a host. For the
 * time of one file of tests.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { expect } from 'vitest';
import { callHelper, type Call } from '../../src/agent/client.ts';
import { fileLock } from '../../src/agent/lock.ts';

export const here = fileURLToPath(new URL('.', import.meta.url));

export class InstalledHelper {
  readonly root = mkdtempSync(join(tmpdir(), 'cxm-helper-'));
  readonly notes = join(this.root, 'notes');
  readonly lockPath = join(this.root, 'lock/VG0');
  private readonly path = process.env.PATH;

  constructor() {
    mkdirSync(join(this.root, 'bin'));
    this.bundle(join(here, 'helper.ts'), 'helper.cjs');
    const sudo = join(this.root, 'bin/sudo');
    writeFileSync(sudo, `#!/bin/sh\nexec '${process.execPath}' '${this.root}/helper.cjs'\n`);
    chmodSync(sudo, 0o755);
    process.env.PATH = `${this.root}/bin:${this.path ?? ''}`;
  }

  remove(): void {
    process.env.PATH = this.path;
    rmSync(this.root, { recursive: true, force: true });
  }

  /** One file of a program, as it is installed: it starts faster. */
  bundle(source: string, name: string): void {
    const outfile = join(this.root, name);
    buildSync({ entryPoints: [source], outfile, bundle: true, platform: 'node', format: 'cjs' });
  }

  call(operation: string, rest: Partial<Call> = {}): Promise<unknown> {
    const settings = { VG_NAME: 'VG0' };
    const parameters = { notes: this.notes };
    const lock = fileLock(this.lockPath, 10);
    return callHelper({ kind: 'sudo' }, { operation, parameters, settings, lock, log: () => undefined, ...rest });
  }

  /** What the helper did, in order. */
  noted(): string[] {
    return existsSync(this.notes) ? readFileSync(this.notes, 'utf8').trim().split('\n') : [];
  }

  forget(): void {
    rmSync(this.notes, { force: true });
  }
}

export async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds() && tries < 300; tries += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(holds()).toBe(true);
}

/**
 * Standard input as oned leaves it to an action: one `bash -s` that it holds open until it has read the mark behind the
 * command, with a message in a here-document or, before 5.0, with nothing. Bundled actions, real processes.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ShellStream } from '../../support/shell-stream.ts';
import { vmDocument } from './hosts.ts';

const root = resolve(import.meta.dirname, '../../..');
const base = mkdtempSync(join(tmpdir(), 'cxm-input-test-'));
const remotes = join(base, 'remotes');
const request = join(base, 'request');

beforeAll(async () => {
  for (const directory of ['bin', 'remotes/cxm', 'remotes/vmm/cxm']) {
    mkdirSync(join(base, directory), { recursive: true });
  }
  const contents = `import { runAction } from './src/one/action.ts';
    const actions = { restore: require('./vmm/cxm/restore.ts'), attach_nic: require('./vmm/cxm/attach_nic.ts') };
    exports.run = (name, file) => runAction(actions[name].action, file, process.argv.slice(2));`;
  const outfile = join(remotes, 'cxm/vmm.js');
  const stdin = { contents, resolveDir: root, loader: 'js' } as const;
  await build({ stdin, outfile, bundle: true, platform: 'node', target: 'node20', format: 'cjs', logLevel: 'silent' });
  for (const name of ['restore', 'attach_nic']) {
    const launcher = `require('../../cxm/vmm.js').run('${name}', require('path').resolve(process.argv[1]));`;
    writeFileSync(join(remotes, 'vmm/cxm', name), `#!/usr/bin/env node\n${launcher}\n`, { mode: 0o755 });
  }
  writeFileSync(join(remotes, 'cxmrc'), 'VG_NAME="VG0"\n');
  // A helper that keeps what it is asked and ends.
  writeFileSync(join(base, 'bin/sudo'), `#!/bin/sh\ntimeout 1 cat >${request}\nexit 1\n`, { mode: 0o755 });
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

let shell: ChildProcessWithoutNullStreams;
let stream: ShellStream;
beforeEach(() => {
  rmSync(request, { force: true });
  const env = { ...process.env, PATH: `${base}/bin:${process.env['PATH'] ?? ''}` };
  shell = spawn('bash', ['-s'], { env, stdio: 'pipe', detached: true });
  stream = new ShellStream(shell);
});
afterEach(() => {
  // With the actions in it, if they hang.
  if (shell.exitCode === null) process.kill(-(shell.pid ?? 0), 'SIGKILL');
});

const checkpoint = '/var/lib/one/datastores/0/7/checkpoint';
const nic = ['web-7', '02:00:0a:63:00:01', 'br0', '-', 'dummy'];
const command = (action: string, args: readonly string[]): string =>
  [join(remotes, 'vmm/cxm', action), ...args].map((word) => `'${word}'`).join(' ');
const message = `<VMM_DRIVER_ACTION_DATA>${vmDocument(7)}</VMM_DRIVER_ACTION_DATA>`;

describe("an action whose input is that of oned's shell, held open until the action has ended", () => {
  it.each([
    ['restore of 3.x', 'restore', [checkpoint, 'host01', '7', 'host01']],
    ['restore of 4.x', 'restore', [checkpoint, 'host01', 'web-7', '7', 'host01']],
    ['attach_nic of 4.x', 'attach_nic', [...nic, '7', 'host01']],
  ])('goes on without a message, and leaves the shell its next command: %s', async (_version, action, args) => {
    await stream.run(command(action, args));
    expect(readFileSync(request, 'utf8')).toContain('"vmId":7');
    expect(await stream.run('echo next; (exit 3)')).toMatchObject({ stdout: 'next\n', exitCode: 3 });
  });
});

describe('an action with a message in a here-document', () => {
  it.each([
    ['restore', [checkpoint, 'host01', 'web-7', '7', 'host01'], '<UNAME>ann'],
    ['attach_nic', [...nic, 'one-7-0', '7', 'host01'], '"bridge":"br0"'],
  ])('takes it: %s', async (action, args, part) => {
    await stream.run(`cat << 'EOT' | ${command(action, args)}`, `${message}\nEOT\n`);
    expect(readFileSync(request, 'utf8')).toContain(part);
  });

  it('takes all of it, however long the rest takes once it has begun', async () => {
    const slowly = `{ printf '%s' '${message.slice(0, 20)}'; sleep 3; printf '%s' '${message.slice(20)}'; }`;
    await stream.run(`${slowly} | ${command('restore', [checkpoint, 'host01', 'web-7', '7', 'host01'])}`);
    expect(readFileSync(request, 'utf8')).toContain('<UNAME>ann');
  });
});

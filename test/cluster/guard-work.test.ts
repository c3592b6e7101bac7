/** The hold of a VM for work on its own node: real locks of two nodes, each a directory of its own. */
import { EventEmitter, once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, expect, test } from 'vitest';
import type { CliEnvironment } from '../../src/cli/environment.ts';
import { exitCodes } from '../../src/cli/exit-codes.ts';
import { runGuard } from '../../src/cli/guard.ts';
import type { Cluster } from '../../src/cluster/cluster.ts';
import { guardWork, type GuardedOutcome } from '../../src/cluster/guard.ts';
import { commandNode, lockToken } from '../../src/cluster/node-body.ts';
import { withVmLock } from '../../src/cluster/vm-lock.ts';
import { CxmError } from '../../src/errors.ts';
import { realClock } from '../../src/host/clock.ts';
import { localMachine, type Machine } from '../../src/host/hold.ts';

const directory = mkdtempSync(join(tmpdir(), 'cxm-guard-work-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const silent: Machine = {
  run: () => Promise.reject(new CxmError('HOST_UNREACHABLE', 'no route to host')),
  hold: () => Promise.reject(new CxmError('HOST_UNREACHABLE', 'no route to host')),
};

/** Nodes alpha and beta, where these are silent. */
function cluster(...unreachable: readonly string[]): Cluster {
  const nodes = ['alpha', 'beta'].map((name) => {
    const machine = unreachable.includes(name) ? silent : localMachine;
    const paths = { configDirectory: '/none', autostartDirectory: '/none', runDirectory: join(directory, name) };
    return commandNode(name, machine, paths);
  });
  const settings = { lockTimeoutMs: 1000 };
  return { nodes, settings, clock: realClock, signal: new AbortController().signal } as unknown as Cluster;
}

/** Who would move the VM needs the lock of every node. */
const move = (): Promise<string> => withVmLock(cluster(), 'web', () => Promise.resolve('moved'));

const token = (): string => readFileSync(lockToken(join(directory, 'beta'), 'web'), 'utf8');

test.each<[string, readonly string[]]>([
  ['all nodes answer', []],
  ['another node is silent', ['alpha']],
])('nobody moves a VM that is worked on when %s, and the hold can be told afterwards', async (_what, unreachable) => {
  const before = existsSync(lockToken(join(directory, 'beta'), 'web')) ? token() : '';
  await guardWork(cluster(...unreachable), { vm: 'web', node: 'beta' }, async () => {
    expect(token()).not.toBe(before);
    await expect(move()).rejects.toMatchObject({ code: 'IN_USE' });
    return 'done';
  });
  const after = token();
  expect(await move()).toBe('moved');
  expect(token()).not.toBe(after);
});

test('work is not begun without the lock of its own node, nor on one that is none', async () => {
  const begun: string[] = [];
  const work = (): Promise<GuardedOutcome> => {
    begun.push('work');
    return Promise.resolve('done');
  };
  await expect(guardWork(cluster('beta'), { vm: 'web', node: 'beta' }, work)).rejects.toMatchObject({
    code: 'HOST_UNREACHABLE',
  });
  await expect(guardWork(cluster(), { vm: 'web', node: 'gamma' }, work)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expect(begun).toEqual([]);
});

test('`cxm guard hold` says when it holds the VM, and holds it until it is told to let go', async () => {
  const said = new EventEmitter();
  const held = once(said, 'line');
  const input = new PassThrough();
  const environment = {
    localName: 'beta',
    terminal: { stdout: { write: (text: string) => said.emit('line', text) }, stderr: process.stderr, env: {} },
    open: () => Promise.resolve({ cluster: cluster(), close: () => Promise.resolve() }),
  } as unknown as CliEnvironment;
  const ended = runGuard(['hold', '--', 'web'], environment, input);
  expect(await held).toEqual(['held\n']);
  await expect(move()).rejects.toMatchObject({ code: 'IN_USE' });
  input.end('done\n');
  expect(await ended).toBe(exitCodes.done);
  expect(await move()).toBe('moved');
});

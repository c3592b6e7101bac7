/** Which nodes a command works with, by what cxmd says and what the nodes themselves do. */
import { expect, test } from 'vitest';
import { nodesToOpen, type DaemonLink } from '../../src/cli/daemon.ts';
import { CxmError } from '../../src/errors.ts';
import type { Commands } from '../../src/host/commands.ts';

const allowed = ['alpha', 'beta', 'gamma'];

function daemonSaying(role: string): DaemonLink {
  return { nodes: [{ name: 'beta', role }] } as unknown as DaemonLink;
}

const unreachable = (code: string): CxmError =>
  new CxmError('HOST_UNREACHABLE', 'beta can not be reached', { cause: Object.assign(new Error(code), { code }) });

/** Beta answers so; who asks another one fails. */
function betaThat(answer: () => Promise<unknown>): (node: string) => Commands {
  return (node) => ({
    run: () => (node === 'beta' ? (answer() as ReturnType<Commands['run']>) : Promise.reject(new Error(node))),
  });
}

const answers = betaThat(() => Promise.resolve());

test('all of them count where no cxmd answers', async () => {
  expect(await nodesToOpen({ changes: true }, undefined, allowed, answers)).toEqual(allowed);
});

test.each(['unknown', 'alone', 'taken out', 'passive'])('one that is %s counts', async (role) => {
  expect(await nodesToOpen({ changes: true }, daemonSaying(role), allowed, answers)).toEqual(allowed);
});

test('one that is off and does not answer is left out', async () => {
  const silent = betaThat(() => Promise.reject(unreachable('EHOSTUNREACH')));
  expect(await nodesToOpen({ changes: true }, daemonSaying('off'), allowed, silent)).toEqual(['alpha', 'gamma']);
});

test('so is one from which nothing comes within five seconds', async () => {
  const silent = betaThat(() => new Promise(() => undefined));
  expect(await nodesToOpen({ changes: true }, daemonSaying('off'), allowed, silent)).toEqual(['alpha', 'gamma']);
}, 10_000);

test('one that is called off and answers counts before something is changed', async () => {
  expect(await nodesToOpen({ changes: true }, daemonSaying('off'), allowed, answers)).toEqual(allowed);
});

test.each([unreachable('ECONNREFUSED'), new CxmError('ACCESS_DENIED', 'beta lets nobody in')])(
  'so does one that only says: %s',
  async (error) => {
    const deaf = betaThat(() => Promise.reject(error));
    expect(await nodesToOpen({ changes: true }, daemonSaying('off'), allowed, deaf)).toEqual(allowed);
  },
);

test('who only looks does not wait for one that is off', async () => {
  expect(await nodesToOpen({ changes: false }, daemonSaying('off'), allowed, answers)).toEqual(['alpha', 'gamma']);
});

test('nodes that the call names are taken as they are', async () => {
  expect(await nodesToOpen({ nodes: ['beta'], changes: true }, daemonSaying('off'), allowed, answers)).toEqual([
    'beta',
  ]);
});

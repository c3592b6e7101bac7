/** Which nodes a command works with, by what cxmd says and what the nodes themselves do. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { turnout, type DaemonLink, type TurnoutFacts } from '../../src/cli/daemon.ts';
import { CxmError } from '../../src/errors.ts';
import type { Commands } from '../../src/host/commands.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

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

function factsOf(daemon: DaemonLink | undefined, machineOf: (node: string) => Commands): TurnoutFacts {
  return { daemon, conf: { ALLOWED_NODES: allowed, HB_DISK: undefined }, machineOf, commands: machineOf('alpha') };
}

async function nodes(
  daemon: DaemonLink | undefined,
  machineOf: (node: string) => Commands,
  request: { readonly nodes?: readonly string[]; readonly changes: boolean } = { changes: true },
): Promise<readonly string[]> {
  return (await turnout(request, factsOf(daemon, machineOf))).nodes;
}

test('all of them count where no cxmd answers', async () => {
  expect(await nodes(undefined, answers)).toEqual(allowed);
});

test.each(['unknown', 'alone', 'taken out', 'passive'])('one that is %s counts', async (role) => {
  expect(await nodes(daemonSaying(role), answers)).toEqual(allowed);
});

test.each(['EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ETIMEDOUT'])(
  'one that is off and from which nothing comes (%s) is left out',
  async (code) => {
    const mute = betaThat(() => Promise.reject(unreachable(code)));
    expect(await nodes(daemonSaying('off'), mute)).toEqual(['alpha', 'gamma']);
  },
);

test('one that is called off and answers counts before something is changed', async () => {
  expect(await nodes(daemonSaying('off'), answers)).toEqual(allowed);
});

test.each([
  unreachable('ECONNREFUSED'),
  unreachable('ECONNRESET'),
  new CxmError('HOST_UNREACHABLE', 'beta closed the connection'),
  new CxmError('ACCESS_DENIED', 'beta lets nobody in'),
])('so does one that only says: %s', async (error) => {
  const deaf = betaThat(() => Promise.reject(error));
  expect(await nodes(daemonSaying('off'), deaf)).toEqual(allowed);
});

test('who only looks does not listen for one that is off', async () => {
  expect(await nodes(daemonSaying('off'), answers, { changes: false })).toEqual(['alpha', 'gamma']);
});

test('nodes that the call names are taken as they are', async () => {
  expect(await nodes(daemonSaying('off'), answers, { nodes: ['beta'], changes: true })).toEqual(['beta']);
});

test('before a VM is made later on, one that was left out and has come back is a refusal that names it', async () => {
  let hasPower = false;
  const beta = betaThat(() => (hasPower ? Promise.resolve() : Promise.reject(unreachable('EHOSTUNREACH'))));
  const { requireUsable } = await turnout({ changes: true }, factsOf(daemonSaying('off'), beta));
  vi.advanceTimersByTime(11_000);
  await requireUsable('alpha');
  hasPower = true;
  vi.advanceTimersByTime(11_000);
  await expect(requireUsable('alpha')).rejects.toThrow('beta was off when this began, and answers now');
});

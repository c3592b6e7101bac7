/** Parts of the daemon that need no cluster: journal, log, settings, view, the order of starts. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { cxmConfTable, type CxmConf } from '../../src/config/cxm-conf.ts';
import { parseSettingsOf, resolveOf } from '../../src/config/load.ts';
import { Journal, type JournalEntry } from '../../src/ha/daemon/journal.ts';
import { eventKinds, eventOf, renderLine } from '../../src/ha/daemon/log.ts';
import { daemonSettings, isLonger, reloaded } from '../../src/ha/daemon/settings.ts';
import { obstacleToWork, statusSentence, type StatusReport } from '../../src/ha/daemon/view.ts';
import { VmPoll } from '../../src/ha/daemon/vm-poll.ts';
import { VmWork } from '../../src/ha/daemon/vm-work.ts';
import type { DomainNames, Hypervisor, PlanOrder, StartOrder } from '../../src/ha/effects/hypervisor.ts';
import type { Effect, Result } from '../../src/ha/protocol/messages.ts';
import { createNode, type NodeState } from '../../src/ha/protocol/state.ts';

const directory = fs.mkdtempSync(join(tmpdir(), 'cxm-ha-daemon-'));
afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

function conf(text: string): CxmConf {
  return resolveOf(cxmConfTable, parseSettingsOf(cxmConfTable, text, 'cxm.conf'));
}

const whole = `CLUSTER_NAME = 'lab'\nHB_DISK = '/dev/hb'\nALLOWED_NODES = ['node1', 'node2']\n`;

describe('the journal', () => {
  const entry = (subject: string, decision = 'fence', evidence = ''): JournalEntry => {
    return { at: '2026-01-01T00:00:00.000Z', epoch: 1, subject, decision, evidence };
  };
  const broken = (): never => {
    throw new Error('it could not be written');
  };

  test('survives a restart, but for a line that a crash has cut', async () => {
    const state = join(directory, 'state');
    const journal = new Journal(state, broken);
    for (let at = 0; at < 100; at += 1) journal.add(entry(`node${at}`));
    await journal.flush();
    fs.appendFileSync(join(state, 'journal'), '{"at":"2026-01-01T00:00:0');
    const again = new Journal(state, broken);
    expect(again.about(undefined, 1000)).toHaveLength(100);
    expect(again.about('node7', 10)).toEqual([entry('node7')]);
  });

  test('finds what is about a name, and not what only begins so', () => {
    const journal = new Journal(join(directory, 'about'), broken);
    const all = [
      entry('node1'),
      entry('node10'),
      entry('vm', 'ordered to start on node1', ''),
      entry('x', 'y', 'node1: z'),
      entry('slot 7'),
    ];
    for (const one of all) journal.add(one);
    expect(journal.about('node1', 10)).toEqual([all[0], all[2], all[3]]);
    expect(journal.about(undefined, 2)).toEqual(all.slice(3));
    expect(journal.about('slot 7', 2)).toEqual(all.slice(4));
  });

  test('takes no more room than two files of bounded size', async () => {
    const state = join(directory, 'large');
    const journal = new Journal(state, broken);
    for (let at = 0; at < 40; at += 1) {
      for (let more = 0; more < 100; more += 1) journal.add(entry('node1', 'fence', 'x'.repeat(1000)));
      await journal.flush();
    }
    const sizes = fs.readdirSync(state).map((name) => fs.statSync(join(state, name)).size);
    expect(sizes).toHaveLength(2);
    expect(Math.max(...sizes)).toBeLessThan(1.3 * 1024 * 1024);
  });

  test('that can not be written is told of once, and works on in memory', async () => {
    const told: string[] = [];
    const journal = new Journal('/proc/nowhere/cxm', (reason) => told.push(reason));
    for (let at = 0; at < 10; at += 1) {
      journal.add(entry('node1'));
      await journal.flush();
    }
    expect(told).toHaveLength(1);
    expect(journal.about('node1', 100)).toHaveLength(10);
  });
});

describe('the log', () => {
  test('has one line an event, whatever the text brings', () => {
    expect(renderLine('fence', 'node1:\nfence\u001b[2J (x)')).toBe('<3>CXM041 node1: fence [2J (x)\n');
    expect(renderLine('alarm', 'x'.repeat(5000)).length).toBeLessThan(1100);
  });

  test('has a number of its own for each event', () => {
    const ids = Object.values(eventKinds).map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('knows the decisions on which something hangs', () => {
    const known: readonly (readonly [string, string])[] = [
      ['presumed dead', 'dead'],
      ['fence', 'fence'],
      ['off', 'off'],
      ['panic', 'panic'],
      ['end of panic', 'panicEnds'],
      ['master, epoch 3', 'master'],
      ['no longer master', 'noMaster'],
      ['out of the cluster', 'outOfCluster'],
      ['ordered to start on node2', 'ordered'],
      ['net lost, disk ok', 'channel'],
      ['recovered', 'recovery'],
    ];
    for (const [decision, event] of known) {
      expect(eventOf(decision)).toBe(event);
      // As the protocol says it: a word that was changed there would get another number here.
      const word = decision.replace(/ (epoch \d|on node2|lost, disk ok)$/, '');
      expect(protocolText).toContain(word);
    }
  });
});

const protocolText = fs
  .readdirSync('src/ha/protocol')
  .map((file) => fs.readFileSync(join('src/ha/protocol', file), 'utf8'))
  .join('');

describe('the settings', () => {
  test('are refused when something is missing or not safe', () => {
    expect(daemonSettings(conf(whole), 'node2')).toMatchObject({
      cluster: 'lab',
      diskPath: '/dev/hb',
      node: { self: 1 },
    });
    expect(() => daemonSettings(conf(''), 'node1')).toThrow(/CLUSTER_NAME/);
    expect(() => daemonSettings(conf(whole.replace(/HB_DISK.*\n/, '')), 'node1')).toThrow(/HB_DISK/);
    expect(() => daemonSettings(conf(whole), 'node3')).toThrow(/does not name this node, node3/);
    const many = Array.from({ length: 65 }, (_, index) => `'n${index}'`).join(', ');
    expect(() => daemonSettings(conf(whole.replace("'node1', 'node2'", many)), 'n1')).toThrow(/at most 64/);
  });

  test('say how a node is confirmed to be off', () => {
    const of = (more: string): string => daemonSettings(conf(whole + more), 'node1').node.fencing;
    expect(of('')).toBe('unconfirmed');
    expect(of("FENCE_STATUS_CMD = 'power'\n")).toBe('with-status');
    expect(of("FENCE_STATUS_CMD = 'power'\nDISABLE_FENCING = True\n")).toBe('disabled');
  });

  test('let the list of nodes only get longer, and name what has to wait', () => {
    expect(isLonger(['a', 'b'], ['a', 'b', 'c'])).toBe(true);
    for (const other of [['a'], ['b', 'a'], ['x', 'a', 'b']]) expect(isLonger(['a', 'b'], other)).toBe(false);
    expect(reloaded(conf(whole), conf(whole), 'node1')).toEqual({ conf: conf(whole), waiting: [] });
    const next = reloaded(conf(whole), conf(`${whole}TIMER = 5\nFENCE_TIMEOUT = 5\n`), 'node1');
    expect(next.waiting).toEqual(['TIMER has changed: it takes effect when cxmd is restarted']);
    expect(next.conf).toEqual(conf(`${whole}FENCE_TIMEOUT = 5\n`));
  });

  test('a watchdog that runs is fed on when a reload finds none any more', () => {
    const armed = conf(`${whole}WATCHDOG = '/dev/watchdog'\nWATCHDOG_TIMEOUT = 30\n`);
    const { WATCHDOG, WATCHDOG_TIMEOUT } = reloaded(armed, conf(whole), 'node1').conf;
    expect([WATCHDOG, WATCHDOG_TIMEOUT]).toEqual(['/dev/watchdog', 30]);
  });

  test('nothing is taken over from a file that is gone, or does not name this node', () => {
    expect(() => reloaded(conf(whole), conf(''), 'node1')).toThrow(/CLUSTER_NAME/);
    expect(() => reloaded(conf(whole), conf(whole.replace("'node1', 'node2'", "'node2'")), 'node1')).toThrow(/node1/);
  });
});

function nodeState(change: Partial<NodeState>): NodeState {
  const { node } = daemonSettings(conf(whole), 'node1');
  return { ...createNode({ ...node, diskId: '0' }), ...change };
}

const work = {
  id: 5,
  vm: 'web',
  source: -1,
  token: { epoch: 1, owner: 0 },
  origin: { kind: 'former' },
  phase: 'running',
  sequence: 1,
  claimedMs: 0,
  deadlineMs: 1e6,
  endedMs: 0,
  certain: false,
  answer: undefined,
  unclear: '',
  provenMs: 900,
  elsewhere: '',
} as const;

const healthy = { role: 'passive', lastTickMs: 900, slotWrittenMs: 900, readIssuedMs: 900, works: [work] } as const;

test('a sentence for systemctl status says what a person has to know first', () => {
  const report: StatusReport = {
    ...{ node: 'node1', role: 'passive', isMember: true, master: 'node2', epoch: 1, state: 'normal', disarmed: false },
    ...{ maintenance: false, since: '', refusal: '', recoveryOf: [], version: '' },
  };
  const said = (change: Partial<StatusReport>): string => statusSentence({ ...report, ...change });
  expect(said({})).toBe('member, node2 is master');
  expect(said({ master: undefined, state: 'panic' })).toBe('member, without a master; panic');
  const master = { role: 'active', master: 'node1' } as const;
  expect(said({ ...master, state: 'recovery', recoveryOf: ['node2'] })).toBe('master; recovery of node2');
  expect(said({ ...master, disarmed: true, maintenance: true })).toBe('master; disarmed: no fencing; in maintenance');
  const outside = { role: 'alone', isMember: false } as const;
  expect(said(outside)).toBe('joining');
  expect(said({ ...outside, refusal: 'the cluster is in panic' })).toBe('not let in: the cluster is in panic');
});

describe('before a VM is made', () => {
  const at = (change: Partial<NodeState>, nowMs = 1000): string | undefined => {
    return obstacleToWork(nodeState({ ...healthy, ...change }), nowMs, 5);
  };

  test('everything that has come between stops it', () => {
    expect(at({})).toBeUndefined();
    expect(at({ works: [] })).toMatch(/the order is over/);
    expect(at({ works: [{ ...work, phase: 'settling' }] })).toMatch(/the order is over/);
    expect(at({ role: 'alone' })).toMatch(/no member/);
    expect(at({}, 10_000)).toMatch(/asleep/);
    expect(at({ slotWrittenMs: -6000 })).toMatch(/write its slot/);
    expect(at({ readIssuedMs: -6000 })).toMatch(/has not read/);
    expect(at({ works: [{ ...work, provenMs: -6000 }] })).toMatch(/its claim was not seen/);
    expect(at({ works: [{ ...work, elsewhere: 'node2 has it' }] })).toBe('node2 has it');
    const panic = { panic: { version: 1, on: true }, disarmed: { version: 0, on: false } };
    expect(at({ switches: panic })).toMatch(/panic/);
    expect(at({ switches: panic, works: [{ ...work, token: undefined }] })).toBeUndefined();
  });
});

type StartEffect = Extract<Effect, { kind: 'start' }>;

describe('orders', () => {
  function starter(first: readonly string[], start: (order: StartOrder) => Promise<void>) {
    const results: Result[] = [];
    const works = Array.from({ length: 20 }, (_, index) => ({ ...work, id: index }));
    const vmWork = new VmWork({
      hypervisor: {
        async start(order: StartOrder) {
          await start(order);
          return { outcome: 'running', reason: '' };
        },
      } as unknown as Hypervisor,
      clock: () => 1000,
      state: () => nodeState({ ...healthy, works }),
      rules: () => ({ first, never: ['never'] }),
      done: (_id, result) => void results.push(result),
    });
    return { vmWork, results };
  }
  const effect = (id: number, vm: string, notAfterMs = 2000): StartEffect => {
    return { kind: 'start', id, vm, source: -1, token: undefined, notAfterMs };
  };

  test('that come too late are refused before anything is done', () => {
    const { vmWork, results } = starter([], () => Promise.reject(new Error('it was begun')));
    vmWork.start(effect(1, 'web', 999));
    expect(results).toEqual([{ kind: 'start', outcome: 'refused', reason: 'it was too late to begin' }]);
  });

  test('are carried out the most important first, a few at once', async () => {
    const begun: string[] = [];
    let atOnce = 0;
    let most = 0;
    const { vmWork, results } = starter(['db', 'dns'], async ({ vm }) => {
      begun.push(vm);
      most = Math.max(most, (atOnce += 1));
      await new Promise((resolve) => setTimeout(resolve, 20));
      atOnce -= 1;
    });
    ['a', 'b', 'c', 'd', 'e', 'dns', 'db', 'f'].forEach((vm, index) => vmWork.start(effect(index, vm)));
    await expect.poll(() => results, { timeout: 20_000 }).toHaveLength(8);
    expect(begun).toEqual(['db', 'dns', 'a', 'b', 'c', 'd', 'e', 'f']);
    expect(most).toBe(4);
  });

  test('for VMs that are not to be restarted get no place in a recovery, but do when they are only moved', async () => {
    const asked: (readonly string[])[] = [];
    const important: (readonly string[])[] = [];
    const results: Result[] = [];
    const recovery = { planId: 1 } as unknown as NonNullable<NodeState['recovery']>;
    const vmWork = new VmWork({
      hypervisor: {
        plan: ({ vms, first }: PlanOrder) => {
          asked.push(vms);
          important.push(first);
          return Promise.resolve({ placements: vms.map((vm) => ({ vm, node: 'node2' })), left: [] });
        },
      } as unknown as Hypervisor,
      clock: () => 1000,
      state: () => nodeState({ ...healthy, recovery }),
      rules: () => ({ first: ['web'], never: ['never'] }),
      done: (_id, result) => void results.push(result),
    });
    vmWork.plan({ kind: 'plan', id: 1, vms: ['web', 'never'], nodes: [1], failed: [] });
    vmWork.plan({ kind: 'plan', id: 2, vms: ['never'], nodes: [1], failed: [] });
    await expect.poll(() => results, { timeout: 20_000 }).toHaveLength(2);
    expect(asked).toEqual([['web'], ['never']]);
    expect(important).toEqual([['web'], ['web']]);
    expect(results[0]).toMatchObject({ placements: [{ vm: 'web', node: 1 }], left: [{ vm: 'never', panic: false }] });
    expect(results[1]).toMatchObject({ placements: [{ vm: 'never', node: 1 }], left: [] });
  });
});

test('a list of VMs that was wanted is sampled after that, also while another one is under way', async () => {
  let nowMs = 0;
  let release: (() => void)[] = [];
  const listed: (readonly [readonly string[], number])[] = [];
  const list = (): Promise<DomainNames> =>
    new Promise((resolve) => release.push(() => resolve({ vms: ['b', 'a', 'a'], others: false })));
  const poll = new VmPoll({ list }, () => nowMs, {
    listed: ({ vms }, sampledMs) => void listed.push([vms, sampledMs]),
    outcome: () => undefined,
  });
  poll.look();
  nowMs = 10;
  poll.look();
  poll.look();
  expect(release).toHaveLength(1);
  release.splice(0).forEach((go) => go());
  await expect.poll(() => release, { timeout: 20_000 }).toHaveLength(1);
  release.splice(0).forEach((go) => go());
  await expect.poll(() => listed, { timeout: 20_000 }).toHaveLength(2);
  expect(listed).toEqual([
    [['a', 'b'], 0],
    [['a', 'b'], 10],
  ]);
  release = [];
});

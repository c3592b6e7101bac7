/** Others count on a node's watchdog: when it is fed, and by which ends it is put to rest. */
import { Master } from './master.ts';
import { expect, test } from 'vitest';
import type { Lease, Slot } from '../../../src/ha/protocol/blocks.ts';
import { leaseOf, Member, slotOf } from './member.ts';

const names = ['alpha', 'beta', 'gamma'];

/** Alpha has just started under the master beta, with its own slot as a former daemon has left it. */
function started(former?: Partial<Slot>): Member {
  const alpha = new Member(0, names, true);
  alpha.happen({ kind: 'call', callId: 1, call: { kind: 'join' } });
  alpha.happen({ kind: 'vms', others: false, sampledMs: alpha.nowMs, vms: [] });
  alpha.tick();
  alpha.read(leaseOf(1, 3, 9), former === undefined ? [] : [{ ...slotOf(0, 'alpha', 40, 3), ...former }]);
  return alpha;
}

function letIn(alpha: Member): void {
  alpha.tick();
  const ask = alpha.take('ask').at(-1);
  const answer = { kind: 'join', accepted: true, final: false, reason: '', minimumIncarnation: 2 } as const;
  alpha.happen({ kind: 'answered', askId: ask?.askId ?? 0, answer });
}

/** The master's heartbeat, which says how long ago it has heard alpha. */
function hearMaster(alpha: Member, ageMs: number, sequence: number): void {
  alpha.hear(1, { role: 'active', epoch: 3, sequence, heardAgeMs: [ageMs, 0, 0] });
}

test('a daemon that comes after one that was killed does not feed it while nobody hears of it', () => {
  const alpha = started({ watchdogMs: 30_000 });
  for (let second = 0; second < 60; second += 1) alpha.tick();
  expect(alpha.take('feed-watchdog')).toEqual([]);
});

test('a daemon that comes after one that was killed feeds it while the master says that it hears it', () => {
  const alpha = started({ watchdogMs: 30_000 });
  for (let second = 0; second < 10; second += 1) {
    hearMaster(alpha, 500, second + 1);
    alpha.tick();
  }
  expect(alpha.take('feed-watchdog').length).toBeGreaterThanOrEqual(9);
  for (let second = 0; second < 20; second += 1) alpha.tick();
  expect(alpha.take('feed-watchdog').length).toBeLessThanOrEqual(6);
});

test('who was no member before does not start it before it is let in, and starts it before its slot says so', () => {
  const alpha = started();
  hearMaster(alpha, 500, 1);
  alpha.tick();
  expect(alpha.take('feed-watchdog')).toEqual([]);
  letIn(alpha);
  const kinds = alpha.all().map(({ kind }) => kind);
  expect(kinds).toContain('write-slot');
  expect(kinds.indexOf('feed-watchdog')).toBeLessThan(kinds.indexOf('write-slot'));
  expect(kinds.indexOf('feed-watchdog')).toBeGreaterThanOrEqual(0);
});

/** Alpha has just started after its own daemon, a master, was killed. Sees a lease a second: how often it feeds the watchdog. */
function heir(): (leases: readonly Lease[]) => number {
  const alpha = new Member(0, names, true);
  alpha.happen({ kind: 'call', callId: 1, call: { kind: 'join' } });
  alpha.happen({ kind: 'vms', others: false, sampledMs: alpha.nowMs, vms: [] });
  const own = { ...slotOf(0, 'alpha', 40, 3), watchdogMs: 30_000 };
  return (leases) => {
    for (const lease of leases) {
      alpha.read(lease, [own]);
      alpha.tick();
    }
    return alpha.take('feed-watchdog').length;
  };
}

test('a daemon that comes after a master that was killed feeds it until there is another one', () => {
  const feedsWith = heir();
  expect(feedsWith(Array.from({ length: 5 }, () => leaseOf(0, 3, 9)))).toBe(5);
  expect(feedsWith([leaseOf(1, 4, 2), leaseOf(1, 4, 3), leaseOf(1, 4, 4)])).toBe(0);
});

test('a daemon that comes after a master that was killed feeds it while others claim the lease in vain', () => {
  const feedsWith = heir();
  expect(feedsWith(Array.from({ length: 20 }, (_, time) => leaseOf(1, 4 + time, 1)))).toBe(20);
  expect(feedsWith([leaseOf(1, 30, 1), leaseOf(1, 30, 2), leaseOf(1, 30, 3)])).toBe(1);
});

/** A member that leaves while the disk takes nothing any more. */
function leaving(): Member {
  const alpha = started();
  letIn(alpha);
  const [first] = alpha.take('write-slot');
  alpha.happen({ kind: 'slot-written', sequence: first?.slot.sequence ?? 0 });
  alpha.happen({ kind: 'call', callId: 2, call: { kind: 'leave' } });
  return alpha;
}

test('a leave of which neither disk nor master has heard does not put it to rest', () => {
  const alpha = leaving();
  for (let second = 0; second < 12; second += 1) alpha.tick();
  expect(alpha.take('stopped')).toMatchObject([{ clean: true, atRest: false }]);
});

test('a leave of which the master has heard puts it to rest, though the disk has not taken it', () => {
  const alpha = leaving();
  for (let second = 0; second < 12; second += 1) {
    alpha.tick();
    hearMaster(alpha, 200, second + 1);
  }
  expect(alpha.take('stopped')).toMatchObject([{ clean: true, atRest: true }]);
});

test('who was taken out by a person puts it to rest, who is believed to be off does not', () => {
  for (const [ledger, atRest] of [
    [{ ...leaseOf(1, 3, 10).ledger, excluded: [9, 0, 0] }, true],
    [{ ...leaseOf(1, 3, 10).ledger, fenced: [9, 0, 0] }, false],
  ] as const) {
    const alpha = started();
    letIn(alpha);
    alpha.tick();
    alpha.read({ ...leaseOf(1, 3, 10), ledger });
    expect(alpha.take('stopped')).toMatchObject([{ clean: false, atRest }]);
  }
});

test('who is refused for good puts it to rest only if no former daemon has let others count on it', () => {
  for (const former of [undefined, { watchdogMs: 30_000 }]) {
    const alpha = started(former);
    alpha.tick();
    const ask = alpha.take('ask').at(-1);
    const answer = { kind: 'join', accepted: false, final: true, reason: 'no', minimumIncarnation: 2 } as const;
    alpha.happen({ kind: 'answered', askId: ask?.askId ?? 0, answer });
    expect(alpha.take('stopped')).toMatchObject([{ atRest: former === undefined }]);
  }
});

/** Beta falls silent, and can't be fenced: after how many seconds it counts as off. */
function secondsUntilOff(alpha: Master): number {
  const begunMs = alpha.nowMs;
  for (let second = 0; second < 200; second += 1) {
    alpha.live(1, { speaks: false, writes: false });
    for (const { id } of alpha.take('fence')) {
      alpha.happen({ kind: 'done', id, result: { kind: 'fence', ok: false, reason: 'no power' } });
    }
    if ((alpha.state.ledger.fenced[1] ?? 0) > 0) return (alpha.nowMs - begunMs) / 1000;
  }
  return Infinity;
}

test('who can not be fenced counts as off by the time-out of its own watchdog, whatever the master has', () => {
  expect(secondsUntilOff(new Master(60_000))).toBeGreaterThan(6 + 60);
  expect(secondsUntilOff(new Master(60_000))).toBeLessThan(6 + 60 + 15);
  expect(secondsUntilOff(new Master(10_000))).toBeLessThan(6 + 10 + 15);
  expect(secondsUntilOff(new Master(0))).toBe(Infinity);
});

/** How long a master may act, as it is asked when it decides and as it is told to those who carry it out. */
import { expect, test } from 'vitest';
import { actUntilMs, mayAct } from '../../../src/ha/protocol/lease.ts';
import { realRules } from '../../../src/ha/protocol/rules.ts';
import { emptyLedger, type Lease } from '../../../src/ha/protocol/blocks.ts';
import type { Step } from '../../../src/ha/protocol/state.ts';
import { Master } from './master.ts';
import { leaseOf, Member } from './member.ts';

test('an order may begin until the very millisecond to which its master may act, and not one longer', () => {
  const { state } = new Member(0, ['alpha', 'beta']);
  const held = { epoch: 1, sinceMs: 0, renewedMs: 5000, sequence: 3, writtenLedger: emptyLedger(2), releasing: false };
  const ownSlot = { written: { epoch: 1, vms: [] }, pending: { epoch: 1, vms: [] } };
  const at = (nowMs: number): Step => {
    const master = { ...state, role: 'active' as const, epoch: 1, ownSlot, held, nowMs, leaseChangedMs: 5000 };
    return { state: master, effects: [], rules: realRules, timing: state.config.timing };
  };
  const untilMs = actUntilMs(at(5000));
  expect(mayAct(at(untilMs))).toBe(true);
  expect(mayAct(at(untilMs + 1))).toBe(false);
});

test.each(['torn', 'empty'] as const)(
  'a master that finds the lease %s for leaseStop stops, though its writes succeed',
  (found) => {
    const alpha = new Master();
    const held = alpha.state.held;
    expect(held).toBeDefined();
    alpha.live(5, { lease: found });
    expect(alpha.state.held?.epoch).toBe(held?.epoch);
    alpha.live(1, { lease: found });
    expect(alpha.state.held).toBeUndefined();
  },
);

test('so does one that reads what it wrote long ago again and again', () => {
  const alpha = new Master();
  const { lease } = alpha;
  alpha.live(5, { lease: lease ?? 'empty' });
  expect(alpha.state.held).toBeDefined();
  alpha.live(2, { lease: lease ?? 'empty' });
  expect(alpha.state.held).toBeUndefined();
});

test('a lease that could not be read for a while and can be again is kept', () => {
  const alpha = new Master();
  const held = alpha.state.held;
  for (let round = 0; round < 4; round += 1) {
    alpha.live(4, { lease: 'torn' });
    alpha.live(1);
  }
  expect(alpha.state.held?.epoch).toBe(held?.epoch);
});

/** Alpha is a member under beta, whose lease stands still. Reads are a second apart, but for those left out. @returns when it claims, in seconds */
function claimsAfter(leaseSeen: Lease, isBlind: (second: number) => boolean): number {
  const alpha = new Member(0, ['alpha', 'beta']);
  alpha.join(leaseOf(1, 1, 5));
  const begunMs = alpha.nowMs;
  for (let second = 1; second < 60; second += 1) {
    alpha.tick();
    for (const { slot } of alpha.take('write-slot')) alpha.happen({ kind: 'slot-written', sequence: slot.sequence });
    if (!isBlind(second)) alpha.read(second === 1 ? leaseOf(1, 1, 5) : leaseSeen);
    if (alpha.take('write-lease').length > 0) return (alpha.nowMs - begunMs) / 1000;
  }
  return Infinity;
}

test('a lease that was not looked at for a while was not seen unchanged: somebody may have had it meanwhile', () => {
  const same = leaseOf(1, 1, 5);
  expect(claimsAfter(same, () => false)).toBeLessThanOrEqual(9);
  expect(claimsAfter(same, (second) => second > 2 && second < 12)).toBeGreaterThanOrEqual(12 + 8.5);
});

test('a release that was seen to happen is claimed at once, one that may be old after a wait', () => {
  const released = { ...leaseOf(1, 1, 6), released: true };
  expect(claimsAfter(released, () => false)).toBeLessThanOrEqual(3);
  expect(claimsAfter(released, (second) => second > 1 && second < 12)).toBeGreaterThanOrEqual(12 + 8.5);
});

test('a master that has not read its renewals back does not act, also before the tick at which it notices', () => {
  const alpha = new Master();
  const { lease } = alpha;
  const step = (): Step => ({ state: alpha.state, effects: [], rules: realRules, timing: alpha.state.config.timing });
  alpha.live(5, { lease: lease ?? 'empty' });
  expect(mayAct(step())).toBe(true);
  expect(actUntilMs(step())).toBeLessThan(alpha.nowMs + 2000);
  alpha.state = { ...alpha.state, nowMs: alpha.nowMs + 2000 };
  expect(alpha.state.held).toBeDefined();
  expect(mayAct(step())).toBe(false);
});

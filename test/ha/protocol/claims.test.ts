/** Between the grant of a claim and the moment in which a VM is made: what a later read says counts. */
import { describe, expect, test } from 'vitest';
import { bystandersOf, nodesOf, obstacleToWork } from '../../../src/ha/daemon/view.ts';
import type { Read, Slot } from '../../../src/ha/protocol/blocks.ts';
import { leaseOf, Member, slotOf } from './member.ts';

const names = ['alpha', 'beta', 'gamma'];

function live(alpha: Member, beta: Read<Slot>, seconds: number, own?: Read<Slot>): void {
  for (let at = 0; at < seconds; at += 1) {
    alpha.tick();
    for (const { slot } of alpha.take('write-slot')) {
      alpha.slot = slot;
      alpha.happen({ kind: 'slot-written', sequence: slot.sequence });
    }
    const sequence = (alpha.lease?.sequence ?? 5) + 1;
    alpha.lease = leaseOf(1, 1, sequence);
    alpha.read(alpha.lease, [own ?? alpha.slot ?? 'empty', beta]);
  }
}

/** alpha has been granted the claim for an order of beta, the master. */
function granted(): { readonly alpha: Member; readonly id: number; obstacle(): string | undefined } {
  const alpha = new Member(0, names);
  alpha.join(leaseOf(1, 1, 5));
  live(alpha, slotOf(1, 'beta', 9, 1), 2);
  alpha.order('web', { epoch: 1, owner: 1 });
  live(alpha, slotOf(1, 'beta', 10, 1), 3);
  const [effect] = alpha.take('start');
  expect(effect).toBeDefined();
  const id = effect?.id ?? 0;
  return { alpha, id, obstacle: () => obstacleToWork(alpha.state, alpha.nowMs, id) };
}

test('an order that is prepared for long may be begun as long as reads speak for it', () => {
  const { alpha, obstacle } = granted();
  expect(obstacle()).toBeUndefined();
  live(alpha, slotOf(1, 'beta', 11, 1), 30);
  expect(obstacle()).toBeUndefined();
});

test('it is not begun when no read has found its claim on the disk for leaseStop', () => {
  const { alpha, obstacle } = granted();
  live(alpha, slotOf(1, 'beta', 11, 1), 5, 'torn');
  expect(obstacle()).toBeUndefined();
  live(alpha, slotOf(1, 'beta', 11, 1), 2, 'torn');
  expect(obstacle()).toMatch(/its claim was not seen/);
});

test('it is not begun when the VM was made elsewhere by hand meanwhile', () => {
  const { alpha, obstacle } = granted();
  const beta = slotOf(1, 'beta', 11, 1);
  live(alpha, { ...beta, vms: [{ name: 'web', phase: 'running' }] }, 1);
  expect(obstacle()).toBe('beta has it');
});

test('the claim of another one, who will read ours and withdraw, is no obstacle', () => {
  const { alpha, obstacle } = granted();
  const beta = slotOf(1, 'beta', 11, 1);
  live(alpha, { ...beta, vms: [{ name: 'web', phase: 'starting' }] }, 1);
  expect(obstacle()).toBeUndefined();
});

const nodes = ['alpha', 'beta', 'gamma', '', 'delta', 'epsilon', 'zeta'];

/** Gamma has left, delta is off, epsilon was taken out by a person, zeta was never there. */
function withBystanders(): Member {
  const alpha = new Member(0, nodes);
  alpha.join(leaseOf(1, 1, 5));
  alpha.hear(4, { role: 'passive' });
  const slot = (index: number): Slot => slotOf(index, nodes[index] ?? '', 9, 1);
  const slots = [slot(0), slot(1), { ...slot(2), role: 'alone' as const }, 'empty' as const, slot(4), slot(5)];
  const ledger = { fenced: [0, 0, 0, 0, 1], excluded: [0, 0, 0, 0, 0, 1] };
  alpha.read({ ...leaseOf(1, 1, 6), ledger: { ...leaseOf(1, 1, 6).ledger, ...ledger } }, slots);
  return alpha;
}

test('who is no member is asked whether it has the VM, also when it was powered off: its power may be back', () => {
  const { state, nowMs } = withBystanders();
  expect(bystandersOf(state, nowMs)).toEqual(['beta', 'gamma', 'delta', 'epsilon', 'zeta']);
});

test('a member that is heard is asked as one, and one that is lost only whether it has the VM', () => {
  const alpha = withBystanders();
  alpha.hear(1, { role: 'passive', sequence: 10 });
  expect(bystandersOf(alpha.state, alpha.nowMs)).toEqual(['gamma', 'delta', 'epsilon', 'zeta']);
});

describe('a node is told as off', () => {
  const roleOfDelta = (alpha: Member): string | undefined =>
    nodesOf(alpha.state, alpha.nowMs).find(({ name }) => name === 'delta')?.role;

  test('while the disk says so', () => {
    expect(roleOfDelta(withBystanders())).toBe('off');
  });

  test('no longer when the disk was not read for TIMER', () => {
    const alpha = withBystanders();
    for (let second = 0; second < 3; second += 1) alpha.tick();
    expect(roleOfDelta(alpha)).toBe('unknown');
  });

  test('no longer when a new life of it is heard', () => {
    const alpha = withBystanders();
    alpha.hear(4, { role: 'joining', incarnation: 2 });
    expect(roleOfDelta(alpha)).toBe('joining');
  });
});

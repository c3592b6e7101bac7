/** Two nodes may claim the same epoch at once; orders of the one that became master are obeyed by everybody. */
import { expect, test } from 'vitest';
import { leaseOf, Member, slotOf } from './member.ts';

const names = ['alpha', 'beta', 'gamma'];

function refusals(node: Member): readonly string[] {
  return node.take('answer').flatMap(({ answer }) => (answer.kind === 'start' ? [answer.reason] : []));
}

function order(node: Member, owner: number, epoch: number): void {
  node.happen({
    kind: 'asked',
    askId: 7,
    from: owner,
    request: { kind: 'start', vm: 'web', token: { epoch, owner } },
  });
}

test('who has seen the claim that lost obeys the one that won', () => {
  const gamma = new Member(2, names);
  gamma.join(leaseOf(0, 1, 5));
  gamma.tick();
  gamma.read(leaseOf(0, 2, 1));
  gamma.tick();
  gamma.read(leaseOf(1, 2, 1));
  gamma.tick();
  gamma.read(leaseOf(1, 2, 2));
  order(gamma, 1, 2);
  expect(refusals(gamma)).toEqual([]);
  expect(gamma.state.works.map(({ vm }) => vm)).toEqual(['web']);
});

test('of the same epoch, an order of somebody else than its master is refused', () => {
  const gamma = new Member(2, names);
  gamma.join(leaseOf(0, 1, 5));
  gamma.tick();
  gamma.read(leaseOf(1, 2, 2));
  order(gamma, 0, 2);
  expect(refusals(gamma)).toEqual(['epoch 2 of alpha is over: 2 was seen']);
});

test('an order of a lower epoch than one seen anywhere is refused', () => {
  const gamma = new Member(2, names);
  gamma.join(leaseOf(0, 1, 5));
  gamma.tick();
  gamma.read(leaseOf(1, 2, 2));
  order(gamma, 0, 1);
  expect(refusals(gamma)).toEqual(['epoch 1 of alpha is over: 2 was seen']);
});

test('a higher epoch that is only heard of is a changed lease: nobody claims over it', () => {
  const gamma = new Member(2, names);
  gamma.join(leaseOf(0, 1, 5));
  for (let second = 0; second < 6; second += 1) {
    gamma.tick();
    for (const { slot } of gamma.take('write-slot')) gamma.happen({ kind: 'slot-written', sequence: slot.sequence });
    gamma.read(leaseOf(0, 1, 5));
  }
  const beta = { ...slotOf(1, 'beta', 9, 2), role: 'active' as const };
  for (let second = 0; second < 6; second += 1) {
    gamma.tick();
    for (const { slot } of gamma.take('write-slot')) gamma.happen({ kind: 'slot-written', sequence: slot.sequence });
    gamma.read(leaseOf(0, 1, 6), ['empty', { ...beta, sequence: 9 + second }]);
  }
  expect(gamma.take('write-lease')).toEqual([]);
});

test('a claim tells for how long the lease had stood still', () => {
  const gamma = new Member(2, names);
  gamma.join(leaseOf(0, 1, 5));
  for (let second = 0; second < 20 && gamma.state.claiming === undefined; second += 1) {
    gamma.tick();
    for (const { slot } of gamma.take('write-slot')) gamma.happen({ kind: 'slot-written', sequence: slot.sequence });
    gamma.read(leaseOf(0, 1, 5));
  }
  const claim = gamma.state.journal.find(({ decision }) => decision === 'claims epoch 2');
  const [, silence] = /^lease of alpha, epoch 1, unchanged for ([\d.]+) s$/.exec(claim?.evidence ?? '') ?? [];
  expect(Number(silence)).toBeGreaterThanOrEqual(9);
});

/** What a daemon takes over from the slot of its predecessor. */
import { expect, test } from 'vitest';
import { leaseOf, Member, slotOf } from './member.ts';

const names = ['alpha', 'beta', 'gamma'];

/** The own slot as a predecessor left it, read by a daemon that has just started. */
function started(slot: Partial<ReturnType<typeof slotOf>>): Member {
  const alpha = new Member(0, names);
  alpha.happen({ kind: 'call', callId: 1, call: { kind: 'join' } });
  alpha.happen({ kind: 'vms', others: false, sampledMs: alpha.nowMs, vms: [] });
  alpha.tick();
  alpha.read(leaseOf(1, 3, 9), [{ ...slotOf(0, 'alpha', 40, 3), ...slot }]);
  return alpha;
}

test('maintenance, panic and the highest epoch survive a restart, though no other node knows of them', () => {
  const panic = { version: 3, on: true };
  const { state } = started({ maintenance: true, epoch: 7, switches: { panic, disarmed: { version: 0, on: false } } });
  expect(state.maintenance).toBe(true);
  expect(state.switches.panic).toEqual(panic);
  expect(state.epoch).toBe(7);
  expect(state.incarnation).toBe(2);
});

test('who leaves before it is let in says goodbye for its predecessor, which went without a word', () => {
  const alpha = started({});
  alpha.take('write-slot');
  alpha.happen({ kind: 'call', callId: 2, call: { kind: 'leave' } });
  for (let second = 0; second < 2; second += 1) {
    alpha.tick();
    alpha.read(leaseOf(1, 3, 10 + second), [slotOf(0, 'alpha', 40, 3)]);
  }
  const [last] = alpha.take('write-slot');
  expect(last?.slot).toMatchObject({ role: 'alone', incarnation: 2 });
  alpha.happen({ kind: 'slot-written', sequence: last?.slot.sequence ?? 0 });
  expect(alpha.take('stopped')).toMatchObject([{ clean: true }]);
});

test('it says nothing when somebody else writes that slot', () => {
  const alpha = started({});
  alpha.happen({ kind: 'call', callId: 2, call: { kind: 'leave' } });
  alpha.tick();
  alpha.read(leaseOf(1, 3, 10), [slotOf(0, 'alpha', 41, 3)]);
  expect(alpha.take('write-slot')).toEqual([]);
  expect(alpha.take('stopped')).toHaveLength(1);
});

test('VMs of the predecessor that run nowhere any more are told', () => {
  const alpha = started({ vms: [{ name: 'web', phase: 'running' }] });
  alpha.tick();
  const ask = alpha.take('ask').at(-1);
  const answer = { kind: 'join', accepted: true, final: false, reason: '', minimumIncarnation: 2 } as const;
  alpha.happen({ kind: 'answered', askId: ask?.askId ?? 0, answer });
  expect(alpha.take('alarm').map(({ text }) => text)).toEqual([
    'ran here before this start of cxmd and run nowhere now: web',
  ]);
});

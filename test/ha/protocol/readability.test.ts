/** A slot that can't be read: who is kept from starting VMs by it, who is told, and who may write it anew. */
import { describe, expect, test } from 'vitest';
import { eventOf } from '../../../src/ha/daemon/log.ts';
import { Reminders } from '../../../src/ha/daemon/reminders.ts';
import { lastingTroubles } from '../../../src/ha/daemon/view.ts';
import type { Datagram, Read, Slot } from '../../../src/ha/protocol/blocks.ts';
import { leaseOf, Member, slotOf } from './member.ts';

const names = ['alpha', 'beta', 'gamma'];

/** A second of alpha: a tick, its slot written, its lease written, and a read that finds these slots of the others. */
function second(alpha: Member, others: readonly Read<Slot>[]): void {
  alpha.tick();
  land(alpha);
  const lease = alpha.lease ?? leaseOf(1, 1, 2);
  alpha.read(lease, [alpha.slot ?? 'empty', ...others]);
  land(alpha);
}

function land(alpha: Member): void {
  for (const { slot } of alpha.take('write-slot')) {
    alpha.slot = slot;
    alpha.happen({ kind: 'slot-written', sequence: slot.sequence });
  }
  for (const { lease } of alpha.take('write-lease')) {
    alpha.lease = lease;
    alpha.happen({ kind: 'lease-written' });
  }
}

/** Alone on a disk without a lease, so master after a while. */
function master(others: readonly Read<Slot>[]): Member {
  const alpha = new Member(0, names);
  alpha.happen({ kind: 'call', callId: 1, call: { kind: 'join' } });
  alpha.happen({ kind: 'vms', others: false, sampledMs: alpha.nowMs, vms: [] });
  for (let at = 0; at < 40 && alpha.state.role !== 'active'; at += 1) second(alpha, others);
  expect(alpha.state.role).toBe('active');
  second(alpha, others);
  return alpha;
}

function claim(alpha: Member, others: readonly Read<Slot>[]): readonly string[] {
  alpha.order('web', { epoch: alpha.state.epoch, owner: 0 });
  for (let at = 0; at < 15; at += 1) {
    second(alpha, others);
    if (alpha.take('list-vms').length > 0)
      alpha.happen({ kind: 'vms', others: false, sampledMs: alpha.nowMs, vms: [] });
  }
  const refusals = alpha.take('answer').map(({ answer }) => (answer.kind === 'start' ? answer.reason : answer.kind));
  return [...alpha.take('start').map(({ vm }) => `${vm} may start`), ...refusals];
}

describe('a claim beside a slot that can not be read is refused by the name of its node, and why:', () => {
  const gamma = slotOf(2, 'gamma', 9, 1);

  test('a wrong checksum', () => {
    const alpha = master(['empty', 'torn']);
    const why = 'the slot of gamma can not be read: its checksum is wrong';
    expect(claim(alpha, ['empty', 'torn'])).toEqual([why]);
    expect(alpha.state.journal).toContainEqual(
      expect.objectContaining({ subject: 'web', decision: 'not started here', evidence: why }),
    );
  });

  test('zeros where a slot was', () => {
    const alpha = master(['empty', gamma]);
    expect(claim(alpha, ['empty', 'empty'])).toEqual([
      'the slot of gamma can not be read: it is empty, and was not before',
    ]);
  });

  test('an older one than was there', () => {
    const alpha = master(['empty', gamma]);
    expect(claim(alpha, ['empty', { ...gamma, sequence: 8 }])).toEqual([
      'the slot of gamma can not be read: it is older than what was read there or heard from its node before',
    ]);
  });

  test('beyond the list of nodes', () => {
    const others = ['empty', 'empty', 'empty', 'torn'] as const;
    expect(claim(master(others), others)).toEqual(['slot 4 can not be read: its checksum is wrong']);
  });
});

test('a daemon that waits to be let in keeps nobody from a VM that its predecessor has not claimed', () => {
  const beta = slotOf(1, 'beta', 9, 1);
  const vms = [{ name: 'db', phase: 'running' }] as const;
  const alpha = master([beta, 'empty']);
  const waiting = { ...datagramOf(1, 2), role: 'joining', slotSequence: 0 } as const;
  alpha.happen({ kind: 'datagram', datagram: waiting });
  expect(claim(alpha, [{ ...beta, sequence: 10, vms }, 'empty'])).toEqual(['web may start']);
});

test('a slot older than its node says that it has written is waited for', () => {
  const beta = slotOf(1, 'beta', 9, 1);
  const alpha = master([beta, 'empty']);
  alpha.happen({ kind: 'datagram', datagram: { ...datagramOf(1, 2), slotSequence: 3 } });
  expect(claim(alpha, [beta, 'empty'])).toEqual([
    expect.stringMatching(/^the slot of beta can not be read: it is older/),
  ]);
});

test('what was off, and has written again, is void no longer, also when that can not be read', () => {
  const gamma = slotOf(2, 'gamma', 9, 1);
  const alpha = master(['empty', gamma]);
  alpha.happen({ kind: 'call', callId: 7, call: { kind: 'kill', node: 2, confirmedOff: true } });
  for (let at = 0; at < 15; at += 1) second(alpha, ['empty', gamma]);
  alpha.happen({ kind: 'datagram', datagram: { ...datagramOf(2, 2), sequence: 1, slotSequence: 1 } });
  for (const read of ['torn', 'empty', gamma] as const) {
    expect(claim(alpha, ['empty', read])).toEqual([expect.stringMatching(/^the slot of gamma can not be read/)]);
  }
});

test('it is told when it lasts longer than a write takes, once a minute while it lasts, and when it is over', () => {
  const alpha = master(['empty', 'empty']);
  const told: string[] = [];
  const reminders = new Reminders((event, text) => void told.push(`${event} ${text}`));
  const said = (): readonly string[] =>
    alpha.state.journal.filter(({ decision }) => decision.startsWith('slot ')).map(({ decision }) => decision);
  const live = (seconds: number, slot: Read<Slot>): void => {
    for (let at = 0; at < seconds; at += 1) {
      second(alpha, ['empty', slot]);
      reminders.look(lastingTroubles(alpha.state), alpha.nowMs);
    }
  };
  live(3, 'torn');
  live(3, 'empty');
  expect(said()).toEqual([]);
  live(150, 'torn');
  expect(said()).toEqual(['slot can not be read']);
  expect(told).toHaveLength(2);
  expect(told[0]).toBe(
    'slot the slot of gamma can not be read: its checksum is wrong; no VM is started here until it can',
  );
  live(1, 'empty');
  expect(said()).toEqual(['slot can not be read', 'slot can be read again']);
  expect(said().map(eventOf)).toEqual(['slot', 'slot']);
  live(100, 'empty');
  expect(told).toHaveLength(2);
});

describe('a damaged slot is written anew', () => {
  const vms = [{ name: 'web', phase: 'running' }] as const;
  const gamma: Slot = { ...slotOf(2, 'gamma', 9, 1), vms };
  const off = (alpha: Member): void =>
    alpha.happen({ kind: 'call', callId: 7, call: { kind: 'kill', node: 2, confirmedOff: true } });

  function mended(alpha: Member, seconds: number): readonly Slot[] {
    for (let at = 0; at < seconds; at += 1) second(alpha, ['empty', 'torn']);
    return alpha.take('mend-slot').map(({ slot }) => slot);
  }

  test('never while nobody said that its node is off', () => {
    expect(mended(master(['empty', 'torn']), 60)).toEqual([]);
    expect(mended(master(['empty', gamma]), 60)).toEqual([]);
  });

  test('with what was last read in it, once its node is off for certain', () => {
    const alpha = master(['empty', gamma]);
    off(alpha);
    expect(mended(alpha, 60)).toEqual([gamma]);
  });

  test('not before it stands on the disk that its node is off', () => {
    const alpha = master(['empty', gamma]);
    for (let at = 0; at < 20; at += 1) second(alpha, ['empty', 'torn']);
    off(alpha);
    alpha.read(alpha.lease ?? 'empty', [alpha.slot ?? 'empty', 'empty', 'torn']);
    expect(alpha.take('mend-slot')).toEqual([]);
  });

  test('not when its node is on its way back', () => {
    const alpha = master(['empty', gamma]);
    off(alpha);
    alpha.happen({ kind: 'datagram', datagram: datagramOf(2, 5) });
    expect(mended(alpha, 60)).toEqual([]);
  });

  test('by the word of a person where nobody knows what was in it, and nobody is let in with an incarnation it may have had', () => {
    const alpha = master(['empty', 'torn']);
    off(alpha);
    const [slot] = mended(alpha, 20);
    expect(slot).toMatchObject({ index: 2, name: 'gamma', role: 'alone', vms: [] });
    expect(slot?.incarnation).toBeGreaterThan(1_000_001);
    expect(alpha.state.ledger.fenced[2]).toBe(slot?.incarnation);
    const incarnation = slot?.incarnation ?? 0;
    const request = { kind: 'join', name: 'gamma', incarnation, nodes: names, diskId: 'disk', timerMs: 3000 } as const;
    alpha.happen({ kind: 'asked', askId: 3, from: 2, request: { ...request, incarnation: incarnation + 1 } });
    expect(alpha.take('answer').at(-1)?.answer).toMatchObject({ accepted: false, reason: /written anew/ });
  });

  test('no word is believed of a node that is heard', () => {
    const alpha = master(['empty', 'torn']);
    alpha.happen({ kind: 'datagram', datagram: datagramOf(2, 5) });
    alpha.take('reply');
    off(alpha);
    expect(alpha.take('reply')).toMatchObject([{ ok: false, text: 'gamma is heard on the network: it is not off' }]);
    expect(mended(alpha, 20)).toEqual([]);
  });
});

function datagramOf(from: number, incarnation: number): Datagram {
  return {
    ...{ from, incarnation, sequence: 4, epoch: 0, heardAgeMs: [], ballot: 0 },
    role: 'passive',
    state: 'normal',
    ...{ switches: { panic: { version: 0, on: false }, disarmed: { version: 0, on: false } } },
    ...{ slotSequence: 0, unlisted: false, diskId: 'disk' },
  };
}

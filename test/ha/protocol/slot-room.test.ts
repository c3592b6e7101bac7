/** However many VMs there are and however long their names: a slot fits, and says when it does not name all. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeSlot, maxSlotBytes } from '../../../src/ha/disk/format.ts';
import { lastingTroubles } from '../../../src/ha/daemon/view.ts';
import type { Slot, VmEntry } from '../../../src/ha/protocol/blocks.ts';
import { fitting, listBytes, vmRoomBytes } from '../../../src/ha/protocol/slot-room.ts';
import { maxNodes } from '../../../src/ha/records.ts';
import { Master } from './master.ts';
import { leaseOf, Member, slotOf } from './member.ts';

const names = ['alpha', 'beta', 'gamma'];
const diskId = '00112233445566778899aabbccddeeff';

const entry: fc.Arbitrary<VmEntry> = fc.record({
  name: fc.oneof(
    fc.string({ maxLength: 64 }),
    fc.string({ maxLength: 64, unit: 'binary' }),
    fc.constantFrom('x'.repeat(255), '\u20ac'.repeat(255), 'x'.repeat(40_000)),
  ),
  phase: fc.constantFrom('running', 'starting', 'incoming'),
});

/** All that can be in a slot but VMs, as large as it can be. */
function largest(vms: readonly VmEntry[], partial: boolean): Slot {
  const list = new Array<number>(maxNodes).fill(2 ** 52);
  const turn = { version: 2 ** 52, on: true };
  return {
    ...slotOf(maxNodes - 1, 'n'.repeat(255), 2 ** 52, 2 ** 52),
    vms,
    partial,
    ledger: { fenced: list, recovered: list, excluded: list },
    switches: { panic: turn, disarmed: turn },
  };
}

test('what is taken for fitting can be written beside the largest ledger and name, whatever the VMs are called', () => {
  const many = fc.tuple(fc.array(entry, { maxLength: 40 }), fc.integer({ min: 1, max: 60 }));
  fc.assert(
    fc.property(many, ([some, times]) => {
      const entries = Array.from({ length: times }, () => some).flat();
      const { vms, partial } = fitting(entries);
      expect(partial).toBe(listBytes(entries) > vmRoomBytes);
      if (!partial) expect(vms).toBe(entries);
      expect(listBytes(vms)).toBeLessThanOrEqual(vmRoomBytes);
      const { head, overflow } = encodeSlot(diskId, largest(vms, partial), 1);
      expect(head.readUInt32BE(8)).toBeLessThanOrEqual(maxSlotBytes);
      expect(head.length + overflow.length).toBeLessThanOrEqual(8 * 4096);
    }),
    { numRuns: 60 },
  );
});

test('the room is used to the last byte', () => {
  const entries = Array.from({ length: 1024 }, (_, at): VmEntry => {
    return { name: String(at).padStart(27, 'v'), phase: 'running' };
  });
  expect(listBytes(entries)).toBe(vmRoomBytes);
  expect(fitting(entries).partial).toBe(false);
  expect(fitting([...entries, { name: '', phase: 'running' }])).toMatchObject({ partial: true, vms: entries });
});

test('claims are named before what runs', () => {
  const running = Array.from({ length: 2000 }, (_, at): VmEntry => ({
    name: `vm${String(at)}`.padEnd(30),
    phase: 'running',
  }));
  const claims: readonly VmEntry[] = [
    { name: 'web', phase: 'starting' },
    { name: 'db', phase: 'incoming' },
  ];
  expect(fitting([...running, ...claims]).vms.slice(0, 2)).toEqual(claims);
});

function alphaWith(count: number): Member {
  const alpha = new Member(0, names);
  alpha.join(leaseOf(1, 1, 5));
  list(alpha, count);
  return alpha;
}

function list(alpha: Member, count: number): void {
  const vms = Array.from({ length: count }, (_, at) => `vm${String(at)}`.padEnd(30, '.'));
  alpha.happen({ kind: 'vms', others: false, sampledMs: alpha.nowMs, vms });
}

function written(alpha: Member): Slot | undefined {
  alpha.tick();
  const slot = alpha.take('write-slot').at(-1)?.slot;
  if (slot !== undefined) alpha.happen({ kind: 'slot-written', sequence: slot.sequence });
  return slot;
}

test('a start for which there is no room is refused at once, and says so', () => {
  const alpha = alphaWith(930);
  alpha.take('answer');
  const request = { kind: 'start', vm: 'w'.repeat(40), token: { epoch: 1, owner: 1 } } as const;
  alpha.happen({ kind: 'asked', askId: 7, from: 1, request });
  const reason = 'alpha has 930 VMs, and its slot on the heartbeat disk has no room for another one';
  expect(alpha.take('answer').map(({ answer }) => answer)).toEqual([{ kind: 'start', outcome: 'refused', reason }]);
  expect(written(alpha)?.partial).toBe(false);
});

test('more than fit are written in part, told, and started beside by nobody; and it is told when they fit again', () => {
  const alpha = alphaWith(1500);
  written(alpha);
  const slot = written(alpha);
  expect(slot?.partial).toBe(true);
  expect(listBytes(slot?.vms ?? [])).toBeLessThanOrEqual(vmRoomBytes);
  expect(lastingTroubles(alpha.state).map(({ event, text }) => `${event} ${text}`)).toEqual([
    expect.stringMatching(/^slotFull alpha has 1500 VMs, more than its slot can name/),
  ]);
  list(alpha, 3);
  written(alpha);
  expect(written(alpha)).toMatchObject({ partial: false });
  expect(lastingTroubles(alpha.state)).toEqual([]);
  const said = alpha.state.journal
    .filter(({ decision }) => decision.startsWith('has '))
    .map(({ decision }) => decision);
  expect(said).toEqual(['has more VMs than its slot can name', 'has VMs that its slot can name again']);
});

test('beside a node that does not name all of its VMs no VM is taken for free', () => {
  const alpha = alphaWith(0);
  alpha.order('web', { epoch: 1, owner: 1 });
  for (let second = 0; second < 15; second += 1) {
    const own = written(alpha) ?? 'empty';
    const beta = { ...slotOf(1, 'beta', 20 + second, 1), partial: true };
    alpha.read(leaseOf(1, 1, 6 + second), [own, beta]);
    list(alpha, 0);
  }
  const reason = 'beta has more VMs than its slot can name';
  expect(alpha.take('answer').at(-1)?.answer).toMatchObject({ outcome: 'refused', reason });
});

describe('a VM that the slot could not be told of', () => {
  test('is told on the network, once a write has had its time', () => {
    const alpha = new Master();
    const saysSo = (): boolean | undefined => alpha.take('send').at(-1)?.datagram.unlisted;
    alpha.happen({ kind: 'vms', others: false, sampledMs: alpha.nowMs, vms: ['web'] });
    alpha.live(1);
    expect(saysSo()).toBe(false);
    alpha.happen({ kind: 'vms', others: false, sampledMs: alpha.nowMs, vms: ['db', 'web'] });
    for (let second = 0; second < 4; second += 1) alpha.tick();
    expect(saysSo()).toBe(true);
    alpha.live(4);
    expect(saysSo()).toBe(false);
  });

  test('keeps its node from being fenced: nobody could be asked whether it lives', () => {
    const fencesOf = (unlisted: boolean): number => {
      const alpha = new Master();
      alpha.live(3, { writes: false, unlisted });
      alpha.live(20, { speaks: false, writes: false });
      expect(alpha.state.switches.panic.on).toBe(unlisted);
      return alpha.take('fence').length;
    };
    expect([fencesOf(false), fencesOf(true)]).toEqual([1, 0]);
  });
});

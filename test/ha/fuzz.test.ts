/** Bad input from a fixed seed: for the wire and the calls by themselves, and for real daemons on all their ports. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { maxCounter } from '../../src/ha/bytes.ts';
import { askShape, localCallShape, nothingShape, whyShape } from '../../src/ha/calls/messages.ts';
import * as format from '../../src/ha/disk/format.ts';
import type { Datagram, Slot } from '../../src/ha/protocol/blocks.ts';
import { emptyLedger, noSwitches } from '../../src/ha/protocol/blocks.ts';
import { openDatagram, sealDatagram } from '../../src/ha/wire/datagram.ts';
import { Random } from '../simulation/random.ts';
import { datagramKinds, type DatagramKind, type Recorded } from './fuzz/datagrams.ts';
import { hostileLine } from './fuzz/lines.ts';
import { Siege, type Round } from './fuzz/siege.ts';

const keyOf = (id: number) => ({ id, datagrams: Buffer.alloc(32, id), calls: Buffer.alloc(32, id) });
const right = keyOf(1);

function heartbeat(change: Partial<Datagram> = {}): Datagram {
  const counters = { incarnation: 4, sequence: 100, epoch: 2, ballot: 1002, slotSequence: 98 };
  const said = {
    role: 'passive',
    state: 'normal',
    switches: noSwitches(),
    heardAgeMs: [0, -1, 300],
    unlisted: false,
  } as const;
  return { from: 1, ...counters, ...said, diskId: '00'.repeat(16), ...change };
}

const recorded: Recorded = {
  datagrams: [sealDatagram(heartbeat(), 'lab', right), sealDatagram(heartbeat({ from: 2 }), 'lab', right)],
  cluster: 'lab',
  right,
  wrong: keyOf(2),
};

describe('a hostile datagram', () => {
  const kinds = (Object.keys(datagramKinds) as DatagramKind[]).filter((kind) => kind !== 'repeated');
  test.each(kinds)('of the kind %s is refused', (kind) => {
    const random = new Random(1);
    for (let at = 0; at < 300; at += 1) {
      const bytes = datagramKinds[kind](random, recorded);
      expect(typeof openDatagram(bytes, 'lab', [right]), bytes.toString('hex')).toBe('string');
    }
  });
});

test('no hostile line is a call that would be carried out', () => {
  const random = new Random(1);
  const shapes = { ask: askShape, call: localCallShape, why: whyShape, ping: nothingShape };
  let calls = 0;
  for (let at = 0; at < 1500; at += 1) {
    const line = hostileLine(random).toString();
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      continue;
    }
    const { method, params } = (message ?? {}) as { method?: unknown; params?: unknown };
    const shape = Object.entries(shapes).find(([name]) => name === method)?.[1];
    if (shape === undefined) continue;
    calls += 1;
    expect(() => shape(params ?? {}, 'params'), line.slice(0, 200)).toThrow(/must be/);
  }
  expect(calls).toBeGreaterThan(200);
});

describe('a counter from which nobody could count on', () => {
  test.each([maxCounter + 2, Number.MAX_SAFE_INTEGER])('%d is refused on the wire and on the disk', (most) => {
    for (const name of ['incarnation', 'sequence', 'epoch', 'slotSequence'] as const) {
      const bytes = sealDatagram(heartbeat({ [name]: most }), 'lab', right);
      expect(openDatagram(bytes, 'lab', [right])).toBe('malformed');
    }
    const diskId = 'ab'.repeat(16);
    const ledger = emptyLedger(0);
    const slot: Slot = {
      ...{ index: 4, name: 'node5', incarnation: 1, sequence: 1, epoch: 1, role: 'passive' },
      ...{ maintenance: false, watchdogMs: 0, vms: [], partial: false, ledger, switches: noSwitches() },
    };
    for (const name of ['incarnation', 'sequence', 'epoch'] as const) {
      const { head } = format.encodeSlot(diskId, { ...slot, [name]: most }, 0);
      expect(format.decodeSlot(diskId, 4, head, undefined)).toBe('torn');
      const lease = { epoch: 1, owner: 0, incarnation: 1, sequence: 1, released: false, ledger, [name]: most };
      expect(format.decodeLease(diskId, format.encodeLease(diskId, lease))).toBe('torn');
    }
    const written = format.encodeSlot(diskId, { ...slot, ledger: { ...ledger, fenced: [most] } }, 0);
    expect(format.decodeSlot(diskId, 4, written.head, undefined)).toBe('torn');
  });
});

describe('two daemons, assailed on all ports and on the disk', () => {
  let siege: Siege;
  let warm: Round;

  beforeAll(async () => {
    siege = new Siege({ number: 80, timerSeconds: 4 });
    await siege.begin();
    warm = await siege.round(1, 8000);
  }, 180_000);
  afterAll(() => siege.end(), 30_000);

  test('go on as if nothing were, and answer', { timeout: 180_000 }, async () => {
    expect(warm.findings).toEqual([]);
    const rounds = [await siege.round(2, 8000), await siege.round(3, 8000)];
    expect(rounds.flatMap(({ findings }) => findings)).toEqual([]);
    expect(rounds.at(-1)?.refused).toBeGreaterThan(warm.refused + 1000);
    for (const node of ['node1', 'node2'] as const) {
      const grownKib = Math.max(...rounds.map(({ residentKib }) => residentKib[node])) - warm.residentKib[node];
      expect(grownKib, `${node} from ${warm.residentKib[node]} KiB`).toBeLessThan(48 * 1024);
    }
  });
});

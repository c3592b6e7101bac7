/**
 * Datagrams that must change nothing, from a seed: noise, what was recorded and cut, prolonged or damaged, what was made with
 * another key, for another cluster or in another version, and what was made with the right key and makes no sense.
 */
import { createHmac } from 'node:crypto';
import type { Datagram } from '../../../src/ha/protocol/blocks.ts';
import type { ClusterKey } from '../../../src/ha/wire/cluster-key.ts';
import { openDatagram, sealDatagram } from '../../../src/ha/wire/datagram.ts';
import type { Random } from '../../simulation/random.ts';

export interface Recorded {
  /** Authentic ones, all of which the nodes have seen. */
  readonly datagrams: readonly Buffer[];
  readonly cluster: string;
  readonly right: ClusterKey;
  readonly wrong: ClusterKey;
}

export const datagramKinds = {
  noise: (random) => bytesOf(random, random.pick([0, 1, 15, 47, 48, 379, 1024, 1025, 9000, 65_000])),
  namedNoise: (random, recorded) => {
    const bytes = bytesOf(random, random.integer(48, 1100));
    pickDatagram(random, recorded).copy(bytes, 0, 0, random.pick([5, 8, 16]));
    return bytes;
  },
  repeated: (random, recorded) => pickDatagram(random, recorded),
  truncated: (random, recorded) => {
    const bytes = pickDatagram(random, recorded);
    return bytes.subarray(0, random.integer(0, bytes.length - 1));
  },
  prolonged: (random, recorded) =>
    Buffer.concat([pickDatagram(random, recorded), bytesOf(random, random.integer(1, 600))]),
  damaged: (random, recorded) => {
    const bytes = Buffer.from(pickDatagram(random, recorded));
    const at = random.integer(0, bytes.length - 1);
    bytes[at] = (bytes[at] ?? 0) ^ random.integer(1, 255);
    return bytes;
  },
  wrongKey: (random, recorded) => sealDatagram(newer(random, recorded), recorded.cluster, recorded.wrong),
  wrongKeyOfThatName: (random, recorded) => {
    const key = { ...recorded.wrong, id: recorded.right.id };
    return sealDatagram(newer(random, recorded), recorded.cluster, key);
  },
  wrongCluster: (random, recorded) => sealDatagram(newer(random, recorded), `${recorded.cluster}2`, recorded.right),
  wrongVersion: (random, recorded) => {
    const bytes = Buffer.from(pickDatagram(random, recorded));
    bytes[4] = ((bytes[4] ?? 0) + random.integer(1, 255)) % 256;
    return signed(bytes.subarray(0, -32), recorded);
  },
  malformed: (random, recorded) => {
    const bytes = Buffer.from(pickDatagram(random, recorded).subarray(0, -32));
    // Sender, incarnation, sequence, role, state, epoch, switches, what is unlisted, number of ages: each with what it can't be.
    const [at, value] = random.pick([
      [16, 0xff],
      [18, 0x7f],
      [26, 0xff],
      [34, 6 + random.integer(0, 200)],
      [35, 3 + random.integer(0, 200)],
      [36, 0x20],
      [52, 2],
      [74, 2],
      [91, 65 + random.integer(0, 190)],
    ] as const);
    bytes[at] = value;
    return signed(bytes, recorded);
  },
  malformedLength: (random, recorded) => {
    const bytes = pickDatagram(random, recorded).subarray(0, -32);
    const longer = Buffer.concat([bytes, bytesOf(random, random.integer(1, 100))]);
    return signed(random.chance(0.5) ? longer : bytes.subarray(0, random.integer(16, bytes.length - 1)), recorded);
  },
} as const satisfies Readonly<Record<string, (random: Random, recorded: Recorded) => Buffer>>;

export type DatagramKind = keyof typeof datagramKinds;

export function hostileDatagram(random: Random, recorded: Recorded): Buffer {
  const kind = random.pick(Object.keys(datagramKinds) as DatagramKind[]);
  return datagramKinds[kind](random, recorded);
}

export function bytesOf(random: Random, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  // One draw for four bytes: large ones are made by the thousand.
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeInt32LE(Math.floor(random.next() * 2 ** 32) | 0, at);
  return bytes;
}

function pickDatagram(random: Random, { datagrams }: Recorded): Buffer {
  return random.pick(datagrams);
}

/** As its sender might send it later: only the key tells that it did not. */
function newer(random: Random, recorded: Recorded): Datagram {
  const datagram = openDatagram(pickDatagram(random, recorded), recorded.cluster, [recorded.right]);
  if (typeof datagram === 'string') throw new Error(`what was recorded is refused: ${datagram}`);
  const sequence = datagram.sequence + random.integer(1, 1e6);
  const epoch = datagram.epoch + random.integer(0, 5);
  const panic = { version: 99, on: true };
  return { ...datagram, sequence, epoch, role: 'active', switches: { ...datagram.switches, panic } };
}

function signed(bytes: Buffer, { right }: Recorded): Buffer {
  return Buffer.concat([bytes, createHmac('sha256', right.datagrams).update(bytes).digest()]);
}

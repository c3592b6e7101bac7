/** Heartbeats on the wire: what is ours comes through unchanged, and nothing else does. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { maxCounter } from '../../src/ha/bytes.ts';
import type { Datagram } from '../../src/ha/protocol/blocks.ts';
import { clusterStates, maxNodes, roles } from '../../src/ha/records.ts';
import { readClusterKeys, type ClusterKey } from '../../src/ha/wire/cluster-key.ts';
import { maxDatagramBytes, openDatagram, sealDatagram } from '../../src/ha/wire/datagram.ts';
import { Rejections } from '../../src/ha/wire/rejections.ts';
import { broadcastOf, UdpLinks, type UdpEvents, type UdpSettings } from '../../src/ha/wire/udp.ts';

const counter = fc.nat({ max: maxCounter });
const turn = fc.record({ version: counter, on: fc.boolean() });
const datagrams: fc.Arbitrary<Datagram> = fc.record({
  from: fc.nat({ max: maxNodes - 1 }),
  incarnation: counter,
  sequence: counter,
  role: fc.constantFrom(...roles),
  state: fc.constantFrom(...clusterStates),
  epoch: counter,
  switches: fc.record({ panic: turn, disarmed: turn }),
  heardAgeMs: fc.array(fc.integer({ min: -1, max: 0x7fff_ffff }), { maxLength: maxNodes }),
  ballot: fc.nat({ max: 2000 }),
  slotSequence: counter,
  unlisted: fc.boolean(),
  diskId: fc.stringMatching(/^[0-9a-f]{32}$/),
});

const directory = fs.mkdtempSync(join(tmpdir(), 'cxm-ha-datagram-'));
afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));
let files = 0;

function keysOf(text: string, mode = 0o600, cluster = 'lab'): readonly ClusterKey[] {
  const file = join(directory, `key${(files += 1)}`);
  fs.writeFileSync(file, text, { mode });
  return readClusterKeys(file, cluster);
}

const [one, other] = ['11'.repeat(32), '22'.repeat(32)];
const keys = keysOf(one);
const key = keys[0] as ClusterKey;

describe('a datagram', () => {
  test('comes through as it was sent, within its size', () => {
    fc.assert(
      fc.property(datagrams, (datagram) => {
        const bytes = sealDatagram(datagram, 'lab', key);
        expect(bytes.length).toBeLessThanOrEqual(512);
        expect(openDatagram(bytes, 'lab', keys)).toEqual(datagram);
      }),
    );
  });

  test('with any bit changed, cut or prolonged is refused', () => {
    fc.assert(
      fc.property(datagrams, fc.nat(), fc.integer({ min: 1, max: 255 }), fc.nat(), (datagram, place, change, cut) => {
        const bytes = sealDatagram(datagram, 'lab', key);
        const changed = Buffer.from(bytes);
        const at = place % bytes.length;
        changed[at] = (changed[at] ?? 0) ^ change;
        expect(typeof openDatagram(changed, 'lab', keys)).toBe('string');
        expect(typeof openDatagram(bytes.subarray(0, cut % bytes.length), 'lab', keys)).toBe('string');
        expect(typeof openDatagram(Buffer.concat([bytes, Buffer.alloc(1)]), 'lab', keys)).toBe('string');
      }),
    );
  });

  test('random bytes are refused without an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2 * maxDatagramBytes }), fc.boolean(), (bytes, named) => {
        const data = Buffer.from(bytes);
        if (named) data.write('cxmD\x01', 'latin1');
        expect(typeof openDatagram(data, 'lab', keys)).toBe('string');
      }),
    );
  });

  test('of another key or cluster is told by its kind', () => {
    const [sample] = fc.sample(datagrams, 1) as [Datagram];
    expect(openDatagram(sealDatagram(sample, 'lab', keysOf(other)[0] as ClusterKey), 'lab', keys)).toBe('key');
    expect(openDatagram(sealDatagram(sample, 'lab2', key), 'lab', keys)).toBe('cluster');
    // The same file in a cluster of another name makes other keys.
    const forged = sealDatagram(sample, 'lab', keysOf(one, 0o600, 'lab2')[0] as ClusterKey);
    expect(openDatagram(forged, 'lab', keys)).toBe('key');
    const newer = sealDatagram(sample, 'lab', key);
    newer[4] = (newer[4] ?? 0) + 1;
    expect(openDatagram(newer, 'lab', keys)).toBe('version');
  });

  test('a key is changed without a moment in which nodes do not understand each other', () => {
    const [sample] = fc.sample(datagrams, 1) as [Datagram];
    const stages = [`${one}\n`, `${one}\n${other}\n`, `${other}\n${one}\n`, `${other}\n`].map((text) => keysOf(text));
    for (let at = 1; at < stages.length; at += 1) {
      const [before, after] = [stages[at - 1] ?? [], stages[at] ?? []];
      expect(openDatagram(sealDatagram(sample, 'lab', before[0] as ClusterKey), 'lab', after)).toEqual(sample);
      expect(openDatagram(sealDatagram(sample, 'lab', after[0] as ClusterKey), 'lab', before)).toEqual(sample);
    }
  });
});

describe('the key file', () => {
  test('is refused when others may read it, when it is missing, empty or too short', () => {
    expect(() => keysOf(one, 0o640)).toThrow(/may read or change/);
    expect(() => keysOf('')).toThrow(/no key in/);
    expect(() => keysOf('abcd')).toThrow(/key 1 of .* is no key/);
    expect(() => keysOf(`${one}\nnot a key!`)).toThrow(/key 2 of/);
    expect(() => readClusterKeys(join(directory, 'missing'), 'lab')).toThrow(/can't be read/);
  });

  test('may have comments and either way of writing', () => {
    const base64 = Buffer.from(one, 'hex').toString('base64');
    expect(keysOf(`# key\n\n  ${base64}\n`)[0]?.datagrams.equals(key.datagrams)).toBe(true);
  });
});

describe('the sockets', () => {
  const open: UdpLinks[] = [];
  afterEach(() => {
    for (const links of open.splice(0)) links.close();
  });

  async function link(
    { received, ...settings }: Partial<UdpSettings & Pick<UdpEvents, 'received'>>,
    heard: string[] = [],
  ): Promise<UdpLinks> {
    const all: UdpSettings = {
      port: 12_559,
      cast: 'unicast',
      group: '239.255.12.55',
      interfaces: ['lo'],
      listen: [],
      peers: () => [],
      ...settings,
    };
    const links = await UdpLinks.open(all, {
      received: received ?? ((bytes) => heard.push(String(bytes))),
      failed: () => undefined,
    });
    open.push(links);
    return links;
  }

  async function arrived(received: readonly string[], count: number): Promise<void> {
    await expect.poll(() => received.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(count);
  }

  test('reach each other by their own addresses', async () => {
    const received: string[] = [];
    const peers = (): readonly string[] => ['127.0.7.2', '127.0.7.3'];
    const sender = await link({ listen: ['127.0.7.1'], peers });
    await link({ listen: ['127.0.7.2', '127.0.7.3'] }, received);
    sender.send(Buffer.from('hello'));
    await arrived(received, 2);
    await expect(link({ listen: ['127.0.7.1'] })).rejects.toThrow(/UDP port 12559 of 127.0.7.1 can't be had/);
  });

  test('leave from the own address in the network of each node, and from the first one elsewhere', async () => {
    const sources: string[] = [];
    const settings = {
      listen: ['127.0.7.2'],
      port: 12_557,
      received: (_: Buffer, source: string) => sources.push(source),
    };
    await link(settings);
    for (const listen of [['127.0.7.1', '127.0.0.1'], ['127.0.7.1', '127.0.7.3'], ['127.0.7.1']]) {
      const sender = await link({ listen, port: 12_557, peers: () => ['127.0.7.2'] });
      sender.send(Buffer.from('hello'));
      await arrived(sources, sources.length + 1);
      sender.close();
    }
    // The loopback interface is the network of 127.0.0.1; of the others it does not know.
    expect(sources).toEqual(['127.0.0.1', '127.0.7.1', '127.0.7.1']);
  });

  test.each(['broadcast', 'multicast'] as const)('reach all of a network by %s', async (cast) => {
    const received: string[] = [];
    const links = await link({ cast, port: 12_558 }, received);
    links.send(Buffer.from('first'));
    await new Promise((resolve) => setTimeout(resolve, 100));
    links.send(Buffer.from('all'));
    // A group is joined with the first one, which may be lost.
    await expect.poll(() => received.includes('all'), { timeout: 20_000 }).toBe(true);
  });

  test('know the broadcast address of a network', () => {
    expect(broadcastOf('10.1.2.3', '255.255.240.0')).toBe('10.1.15.255');
    expect(broadcastOf('127.0.0.1', '255.0.0.0')).toBe('127.255.255.255');
  });
});

test('what is refused is counted, and told once a minute and kind', () => {
  let nowMs = 0;
  const told: string[] = [];
  const rejections = new Rejections(
    () => nowMs,
    (kind, count, source) => told.push(`${kind} ${count} ${source}`),
  );
  for (let at = 0; at < 1000; at += 1) {
    nowMs += 100;
    rejections.count(at % 2 === 0 ? 'key' : 'size', `host${at}`);
  }
  expect(told).toEqual(['key 1 host0', 'size 1 host1', 'key 300 host600', 'size 300 host601']);
  expect(rejections.totals()).toEqual([
    { kind: 'key', count: 500 },
    { kind: 'size', count: 500 },
  ]);
});

/** How cxm makes sure that a VM is nowhere. A clock by hand, and nodes that take their time. */
import { expect, test } from 'vitest';
import { requireAlone, seenMeanwhile } from '../../src/cluster/alone.ts';
import type { Cluster } from '../../src/cluster/cluster.ts';
import type { VmDefinition } from '../../src/cluster/definition.ts';
import type { ClusterNode } from '../../src/cluster/node.ts';
import { CxmError } from '../../src/errors.ts';

/** @param tookMs of each look in turn; the last one goes on. @param rows of the domain, from the look on at which it is back */
function slowCluster(tookMs: readonly number[], backAtLook = Infinity) {
  let nowMs = 0;
  let looks = 0;
  const clock = {
    now: () => nowMs,
    sleep: (ms: number) => Promise.resolve(void (nowMs += ms)),
  };
  const list = (): Promise<readonly object[]> => {
    nowMs += tookMs[Math.min(looks, tookMs.length - 1)] ?? 0;
    looks += 1;
    return Promise.resolve(looks >= backAtLook ? [{ id: 5, name: 'web', state: '-b----' }] : []);
  };
  const inventory = (): Promise<object> => Promise.resolve({ volumes: [] });
  const node = { name: 'node1', toolstack: { list }, inventory } as unknown as ClusterNode;
  const cluster = { clock, nodes: [node], settings: { busyTimeoutMs: 0 } } as unknown as Cluster;
  return { cluster, watch: () => seenMeanwhile(cluster, [node], ['web']), elapsedMs: () => nowMs };
}

test('on quick nodes a VM that is nowhere is waited for as long as a reboot takes it off the list', async () => {
  const { watch, elapsedMs } = slowCluster([50]);
  expect([...(await watch())]).toEqual([]);
  expect(elapsedMs()).toBeGreaterThanOrEqual(5000);
  expect(elapsedMs()).toBeLessThan(7000);
});

test('where every look is slow, so is the making of domains, and looks may lie further apart', async () => {
  for (const tookMs of [[4000], [1500, 4000, 2500, 2000, 3500, 2500]]) {
    const { watch, elapsedMs } = slowCluster(tookMs);
    expect([...(await watch())]).toEqual([]);
    expect(elapsedMs()).toBeLessThan(25_000);
  }
});

test('a single slow look among quick ones might have missed a domain, and the time counts anew', async () => {
  const { watch, elapsedMs } = slowCluster([50, 50, 50, 50, 6000, 50]);
  expect([...(await watch())]).toEqual([]);
  expect(elapsedMs()).toBeGreaterThan(14_000);
});

test('looks that are slow ever and again end with an error, not with a guess', async () => {
  const tookMs = Array.from({ length: 60 }, (_, at) => (at % 3 === 2 ? 5000 : 50));
  await expect(slowCluster(tookMs).watch()).rejects.toMatchObject({ code: 'TIMEOUT' });
});

test('a VM that comes back is seen, on slow nodes, too', async () => {
  const { watch } = slowCluster([2500], 3);
  expect([...(await watch()).keys()]).toEqual(['web']);
});

test('no VM is made when a node that was left out as off has come back', async () => {
  const { cluster } = slowCluster([0]);
  const definition = { vm: 'web', volumes: [] } as unknown as VmDefinition;
  await requireAlone(cluster, definition, 'node1');
  const requireUsable = (): Promise<void> => Promise.reject(new CxmError('REFUSED', 'node2 answers now'));
  await expect(requireAlone({ ...cluster, requireUsable }, definition, 'node1')).rejects.toThrow('node2 answers now');
});

test('nor when a volume of it has been removed meanwhile', async () => {
  const { cluster } = slowCluster([0]);
  const definition = { vm: 'web', volumes: [{ group: 'VG0', volume: 'lv-web' }] } as unknown as VmDefinition;
  await expect(requireAlone(cluster, definition, 'node1')).rejects.toThrow('VG0/lv-web was removed meanwhile');
});

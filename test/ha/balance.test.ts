/** The automatic balance of three real cxmd over simulated nodes: who moves what, and when nothing is moved. */
import { describe, expect, test } from 'vitest';
import { nodeNames, type ClusterRig, type NodeName } from './cluster-rig.ts';
import { cluster, clustersFrom, joined, pause } from './three-daemons.ts';

const settings = ['LB_INTERVAL = 2', 'LB_HOLD = 0', 'LB_THRESHOLD = 1', 'LB_MIN_GAIN = 0', 'LB_MAX_MIGRATION = 1'];
const vms = ['one.example.org', 'two.example.org'] as const;
clustersFrom(71);

/** Three members, disarmed, and both VMs on the first. */
async function uneven(): Promise<ClusterRig> {
  const current = await cluster({ settings });
  await joined(current);
  expect((await current.ctl('node1', '--disarm')).exitCode).toBe(0);
  for (const vm of vms) {
    current.sandbox.addVm(vm, { memoryMib: 512 });
    const { stderr } = await current.sandbox.cxm(['create', vm, '-f', 'node1', '--quiet'], { at: 'node1' });
    expect(stderr).toBe('');
  }
  return current;
}

function placesOf(current: ClusterRig): readonly (readonly string[])[] {
  return vms.map((vm) => current.sandbox.nodesWith(vm));
}

/** Lines about it, of all nodes. */
function told(current: ClusterRig, by: readonly NodeName[] = nodeNames): readonly string[] {
  return by.flatMap((node) =>
    current
      .log(node)
      .split('\n')
      .filter((line) => line.includes('CXM054')),
  );
}

describe('the automatic balance', () => {
  test(
    'waits while somebody has turned fencing off, then moves one of two VMs, says why, and leaves it alone',
    { timeout: 240_000 },
    async () => {
      const current = await uneven();
      await pause(12_000);
      expect(placesOf(current)).toEqual([['node1'], ['node1']]);
      expect((await current.ctl('node1', '--arm')).exitCode).toBe(0);
      await expect.poll(() => told(current).join('\n'), { timeout: 90_000 }).toMatch(/org runs on node[23]/);
      const places = placesOf(current);
      expect(places.flat().sort()).toEqual(['node1', expect.stringMatching(/node[23]/)]);
      await pause(12_000);
      expect(placesOf(current)).toEqual(places);
      expect(told(current).join('\n')).toMatch(
        /(one|two)\.example\.org goes from node1 to node[23]: .*node1 has the most RAM/,
      );
      const master = (await current.status('node1'))?.master;
      const others = nodeNames.filter((node) => node !== master);
      expect(told(current, others)).toEqual([]);
    },
  );
});

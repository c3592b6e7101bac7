/** What the master of three real cxmd over simulated nodes does by itself: balancing the load, mending migrations. */
import { once } from 'node:events';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodeOf } from '../../src/sandbox/layout.ts';
import { nodeNames, type ClusterRig, type NodeName } from './cluster-rig.ts';
import { cluster, clustersFrom, joined, pause, running } from './three-daemons.ts';

const settings = ['LB_INTERVAL = 2', 'LB_HOLD = 0', 'LB_THRESHOLD = 1', 'LB_MIN_GAIN = 0', 'LB_MAX_MIGRATION = 1'];
const [balanced, mended] = ['CXM054', 'CXM055'];
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

/** Lines of an event, of all nodes. */
function told(current: ClusterRig, event: string, by: readonly NodeName[] = nodeNames): readonly string[] {
  return by.flatMap((node) =>
    current
      .log(node)
      .split('\n')
      .filter((line) => line.includes(event)),
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
      await expect.poll(() => told(current, balanced).join('\n'), { timeout: 90_000 }).toMatch(/org runs on node[23]/);
      const places = placesOf(current);
      expect(places.flat().sort()).toEqual(['node1', expect.stringMatching(/node[23]/)]);
      await pause(12_000);
      expect(placesOf(current)).toEqual(places);
      expect(told(current, balanced).join('\n')).toMatch(
        /(one|two)\.example\.org goes from node1 to node[23]: .*node1 has the most RAM/,
      );
      const master = (await current.status('node1'))?.master;
      const others = nodeNames.filter((node) => node !== master);
      expect(told(current, balanced, others)).toEqual([]);
    },
  );
});

describe('a migration whose cxm was killed', () => {
  test(
    'is brought to its end by the master: volume, autostart link, and no note of it',
    { timeout: 300_000 },
    async () => {
      const vm = 'shop.example.org';
      const current = await cluster();
      const { sandbox } = current;
      const master = await joined(current);
      await running(current, vm, 'node1');
      sandbox.link(vm, 'node1');
      for (const node of nodeNames) sandbox.setKnobs(node, { migrateCopyMs: 2000 });
      const killed = sandbox.start(['migrate', vm, 'node2']);
      const ended = once(killed, 'close');
      await expect.poll(() => sandbox.nodesWith(vm), { timeout: 30_000, interval: 50 }).toContain('node2');
      killed.kill('SIGKILL');
      await ended;
      await expect.poll(() => sandbox.nodesWith(vm), { timeout: 30_000 }).toEqual(['node2']);
      expect([sandbox.activeOn(vm), sandbox.linkedOn(vm)]).toEqual([['node1', 'node2'], []]);
      for (const note of notes(current, vm)) fs.utimesSync(note, 0, 0);
      await expect.poll(() => told(current, mended), { timeout: 120_000 }).toHaveLength(1);
      expect(told(current, mended, [master]).join()).toContain(`${vm}: what a migration had left undone was done`);
      expect([sandbox.activeOn(vm), sandbox.linkedOn(vm), notes(current, vm)]).toEqual([['node2'], ['node2'], []]);
    },
  );
});

/** Files by which the nodes remember a migration that was begun. */
function notes({ sandbox }: ClusterRig, vm: string): readonly string[] {
  return nodeNames
    .map((node) => join(nodeOf(sandbox.layout, node).runDirectory, `vm-${vm}.moving`))
    .filter((path) => fs.existsSync(path));
}

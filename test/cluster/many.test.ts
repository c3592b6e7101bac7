/** Plans for many VMs, on nodes of the model that have a domain which the balancer would refuse to plan with. */
import { describe, expect, test } from 'vitest';
import { planEvacuation, planStartMany } from '../../src/cluster/many.ts';
import type { Cluster } from '../../src/cluster/cluster.ts';
import { allPromises, Operator } from './model/operator.ts';
import { Random, Scheduler } from './model/scheduler.ts';
import { emptyNode, World } from './model/world.ts';

/** @param domains of each node, by name. @param configured names of VMs with a configuration */
function clusterOf(domains: readonly (readonly string[])[], configured: readonly string[], memoryMib = 100) {
  const random = new Random(1);
  const scheduler = new Scheduler(random, () => undefined);
  const nodes = domains.map((_, index) => emptyNode(`node${index + 1}`, 500));
  const world = new World(scheduler, { nodes, sharedVolumes: new Set() });
  for (const node of nodes) {
    for (const vm of configured) node.configs.set(vm, { memoryMib, disks: [] });
    for (const vm of domains[nodes.indexOf(node)] ?? []) {
      world.addDomain(node, vm, 'running', { memoryMib: 100, disks: [] });
    }
  }
  const faults = { call: 0, migration: 0, deafGuest: 0, slowCreate: 0 };
  const operator = new Operator('admin', world, random, { faults, promises: allPromises });
  const cluster = { nodes: operator.nodes() } as unknown as Cluster;
  return async <T>(work: (cluster: Cluster) => Promise<T>): Promise<T> => {
    const outcome = work(cluster);
    outcome.catch(() => undefined);
    await scheduler.drain(6000);
    return outcome;
  };
}

const odd: readonly [string, readonly (readonly string[])[], readonly string[]][] = [
  ['has a name of its own', [['web', '_test'], []], ['_test']],
  ['has a name with a blank', [['web', 'my vm'], []], ['my vm']],
  ['is seen on two nodes', [['web', 'mail'], ['mail']], ['mail']],
  ['is elsewhere', [['web'], ['_test']], []],
];

describe('one domain that can not be planned with', () => {
  test.each(odd)(
    'does not keep the others from being ejected when it %s, and is told',
    async (_what, domains, told) => {
      const run = clusterOf(domains, ['web', 'mail']);
      const plan = await run((cluster) => planEvacuation(cluster, 'node1'));
      expect(plan.plan.map(({ vm, destination }) => [vm, destination])).toEqual([['web', 'node2']]);
      expect(plan.left).toEqual([]);
      expect(plan.failures.map(({ vm }) => vm)).toEqual(told);
      for (const { vm, error } of plan.failures) expect(error.message).toContain(vm);
    },
  );

  test.each(odd)('does not keep others from being started when it %s', async (_what, domains) => {
    const run = clusterOf(domains, ['shop', 'web', 'mail']);
    const { placement, failures } = await run((cluster) => planStartMany(cluster, ['shop']));
    expect(placement.starts.map(({ vm }) => vm)).toEqual(['shop']);
    expect(failures).toEqual([]);
  });

  test('is told when it can not be started, whatever its configuration says, and the others are', async () => {
    const run = clusterOf([['web'], []], ['shop'], 10 ** 12);
    const { placement, failures } = await run((cluster) => planStartMany(cluster, ['shop', 'my vm']));
    expect(placement.starts).toEqual([]);
    expect(failures.map(({ vm, error }) => [vm, error.code])).toEqual([
      ['shop', 'CONFIG'],
      ['my vm', 'INVALID_INPUT'],
    ]);
  });

  test('has memory that no other VM is given', async () => {
    const run = clusterOf([['_a', '_b', '_c', '_d'], []], ['shop'], 300);
    const { placement } = await run((cluster) => planStartMany(cluster, ['shop']));
    expect(placement.starts.map(({ destination }) => destination)).toEqual(['node2']);
  });
});

/**
 * Whether the model would notice: the library is broken in one way after the other, as by a careless change, and each
 * breakage must show itself within the ordinary number of histories; those that need a rare misfortune, among those that
 * have it.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type * as realCarryOut from '../../../src/cluster/carry-out.ts';
import type * as realCluster from '../../../src/cluster/cluster.ts';
import type * as realVmLock from '../../../src/cluster/vm-lock.ts';
import type * as realAlone from '../../../src/cluster/alone.ts';
import type * as realDomainList from '../../../src/xen/domain-list.ts';
import type * as realCertainty from '../../../src/cluster/certainty.ts';
import type { ClusterNode } from '../../../src/cluster/node.ts';
import type { DomainRow } from '../../../src/xen/domain-list.ts';
import { playHistory, type HistoryOptions } from './history.ts';
import { allPromises } from './operator.ts';
import { rowOf, type ModelDomain } from './world.ts';

type Breakage =
  | 'none'
  | 'nothing is deactivated elsewhere'
  | 'silent nodes are ignored'
  | 'no lock is taken'
  | 'the lock of one node is enough'
  | 'a reboot is not waited for'
  | 'nobody looks a last time'
  | 'only running rows count'
  | 'a failure means that xl has ended';

const state = vi.hoisted(() => ({ broken: 'none' as string }));
const isBroken = (breakage: Breakage): boolean => state.broken === breakage;

vi.mock('../../../src/cluster/carry-out.ts', async (original) => {
  const real = await original<typeof realCarryOut>();
  const carryOut: typeof real.carryOut = (cluster, steps, lock) =>
    real.carryOut(
      cluster,
      isBroken('nothing is deactivated elsewhere') ? steps.filter(({ kind }) => kind !== 'deactivate') : steps,
      lock,
    );
  return { ...real, carryOut };
});

vi.mock('../../../src/cluster/cluster.ts', async (original) => {
  const real = await original<typeof realCluster>();
  const requireAll: typeof real.requireAll = (answers) =>
    isBroken('silent nodes are ignored') ? answers.answers : real.requireAll(answers);
  return { ...real, requireAll };
});

vi.mock('../../../src/cluster/vm-lock.ts', async (original) => {
  const real = await original<typeof realVmLock>();
  const withVmLock: typeof real.withVmLock = (cluster, vm, work, options) => {
    if (isBroken('no lock is taken')) return work({ vm, check: () => undefined });
    if (isBroken('silent nodes are ignored')) return real.withVmLock(cluster, vm, work, { needed: [] });
    if (!isBroken('the lock of one node is enough')) return real.withVmLock(cluster, vm, work, options);
    const [first, ...others] = cluster.nodes;
    const mine = Math.floor(cluster.clock.now()) % 2 === 0 ? first : others.at(-1);
    return real.withVmLock({ ...cluster, nodes: mine === undefined ? [] : [mine] }, vm, work, options);
  };
  return { ...real, withVmLock };
});

vi.mock('../../../src/cluster/alone.ts', async (original) => {
  const real = await original<typeof realAlone>();
  const outwaitRestart: typeof real.outwaitRestart = (...given) =>
    isBroken('a reboot is not waited for') ? Promise.resolve() : real.outwaitRestart(...given);
  const requireAlone: typeof real.requireAlone = (...given) =>
    isBroken('nobody looks a last time') ? Promise.resolve() : real.requireAlone(...given);
  return { ...real, outwaitRestart, requireAlone };
});

vi.mock('../../../src/xen/domain-list.ts', async (original) => {
  const real = await original<typeof realDomainList>();
  const rowsOf: typeof real.rowsOf = (rows, name) =>
    isBroken('only running rows count') ? real.rowsOf(rows, name).filter(real.runsHere) : real.rowsOf(rows, name);
  return { ...real, rowsOf };
});

vi.mock('../../../src/cluster/certainty.ts', async (original) => {
  const real = await original<typeof realCertainty>();
  const hasEnded = (error: unknown): boolean =>
    isBroken('a failure means that xl has ended') ? true : real.hasEnded(error);
  return {
    ...real,
    hasEnded,
    changedAfter: (error: unknown, clean: boolean) => (clean && hasEnded(error) ? 'rolled-back' : 'maybe'),
  };
});

type Change = (node: ClusterNode, nodes: readonly ClusterNode[]) => Partial<ClusterNode>;

/** The nodes with something else in the place of what they do, also under a lock. */
function changed(change: Change): HistoryOptions {
  const wrapped = (node: ClusterNode, nodes: readonly ClusterNode[]): ClusterNode => ({
    ...node,
    under: (vm) => wrapped(node.under(vm), nodes),
    ...change(node, nodes),
  });
  return { wrap: (nodes) => nodes.map((node) => wrapped(node, nodes)) };
}

/** What xl says of a migration is taken for where the VM is. */
function trustedXl(): HistoryOptions {
  const running = (vm: string, id: number): DomainRow => rowOf({ ...shell, id, vm, phase: 'running' });
  return {
    kind: 'faults',
    wrap: (nodes) => {
      const believed = new Map<string, { readonly vm: string; readonly runs: boolean }>();
      const wrapped = (node: ClusterNode): ClusterNode => ({
        ...node,
        under: (vm) => {
          const body = wrapped(node.under(vm));
          const { toolstack } = node.under(vm);
          const believe = (here: string, elsewhere: string): void => {
            believed.set(here, { vm, runs: true });
            believed.set(elsewhere, { vm, runs: false });
          };
          const migrate: typeof toolstack.migrate = async (id, destination, options) => {
            try {
              await toolstack.migrate(id, destination, options);
              believe(destination, node.name);
            } catch (error) {
              believe(node.name, destination);
              throw error;
            }
          };
          return { ...body, toolstack: { ...body.toolstack, migrate } };
        },
        toolstack: {
          ...node.toolstack,
          list: async () => {
            const belief = believed.get(node.name);
            const rows = await node.toolstack.list().catch((error: unknown) => {
              if (belief === undefined) throw error;
              return [];
            });
            if (belief === undefined) return rows;
            const others = rows.filter((row) => row.name === undefined || !row.name.startsWith(belief.vm));
            return belief.runs ? [...others, running(belief.vm, 9999)] : others;
          },
        },
      });
      return nodes.map(wrapped);
    },
  };
}

const shell: ModelDomain = {
  id: 0,
  vm: '',
  memoryMib: 100,
  disks: [],
  bornMs: 0,
  phase: 'running',
  hasMonitor: true,
  open: false,
};

const runs = Number(process.env['CXM_MODEL_RUNS'] ?? 5000);

async function firstViolation(options: HistoryOptions): Promise<string | undefined> {
  for (let seed = 1; seed <= runs; seed += 1) {
    const { violation } = await playHistory(seed, options);
    if (violation !== undefined) return `seed ${seed}: ${violation}`;
  }
  return undefined;
}

afterEach(() => {
  state.broken = 'none';
});

describe('the model notices', { timeout: 600_000 }, () => {
  it.each<Breakage>([
    'nothing is deactivated elsewhere',
    'silent nodes are ignored',
    'no lock is taken',
    'the lock of one node is enough',
    'a reboot is not waited for',
    'nobody looks a last time',
    'only running rows count',
    'a failure means that xl has ended',
  ])('that %s', async (breakage) => {
    state.broken = breakage;
    const violation = await firstViolation({});
    expect(violation).toBeDefined();
  });

  it.each<[string, HistoryOptions]>([
    [
      'nobody waits for the xl of a killed cxm',
      { kind: 'deadStarters', promises: { ...allPromises, busyWaits: false } },
    ],
    [
      'what a killed cxm has sent begins late',
      { kind: 'kills', promises: { ...allPromises, lateStepsRefused: false } },
    ],
    ['locks are granted to everybody', { promises: { ...allPromises, locksWait: false } }],
    [
      'deactivating is only said',
      changed((node) => ({
        volumes: (group) => ({ ...node.volumes(group), deactivate: () => Promise.resolve() }),
      })),
    ],
    [
      'links stay while a VM moves',
      changed(({ files }) => ({ files: { ...files, removeLink: () => Promise.resolve() } })),
    ],
    ['xl is believed what it says of a migration', trustedXl()],
  ])('that %s', async (_, options) => {
    const violation = await firstViolation(options);
    expect(violation).toBeDefined();
  });
});

/**
 * The old balancer as the specification describes it: every one-migration neighbour of every kept solution, layer after
 * layer, with a linear list of the scores already seen. Kept is what gains enough against the beginning.
 *
 * Written so that its time is the algorithm's and not ours: sums are kept by node, a neighbour costs one copy of them.
 */
import type { BalanceLimits, ClusterState } from '../../src/balance/state.ts';

export interface Layered {
  /** Of the best plan that was kept; that of the state itself if none was. */
  readonly score: number;
  readonly migrations: number;
  /** False if time ran out before its end. */
  readonly ended: boolean;
}

interface Kept {
  readonly where: readonly number[];
  readonly memory: readonly number[];
  readonly cpu: readonly number[];
  readonly count: readonly number[];
}

function scoreOf({ memory, cpu }: Kept): number {
  const delta = (sums: readonly number[]): number => {
    const total = sums.reduce((sum, value) => sum + value, 0);
    return total === 0 ? 0 : ((Math.max(...sums) - Math.min(...sums)) * 100) / total;
  };
  return Math.hypot(delta(memory), delta(cpu));
}

function begin({ nodes, vms }: ClusterState): Kept {
  const where = vms.map(({ node }) => nodes.findIndex(({ name }) => name === node));
  const sum = (pick: (vm: ClusterState['vms'][number]) => number): number[] =>
    nodes.map((_, node) => vms.reduce((total, vm, at) => total + (where[at] === node ? pick(vm) : 0), 0));
  return { where, memory: sum((vm) => vm.memoryMib), cpu: sum((vm) => vm.cpuPercent), count: sum(() => 1) };
}

function migrate({ where, memory, cpu, count }: Kept, { vms }: ClusterState, vm: number, to: number): Kept {
  const from = where[vm] ?? 0;
  const shift = (sums: readonly number[], amount: number): number[] =>
    sums.map((sum, node) => (node === from ? sum - amount : node === to ? sum + amount : sum));
  return {
    where: where.map((node, at) => (at === vm ? to : node)),
    memory: shift(memory, vms[vm]?.memoryMib ?? 0),
    cpu: shift(cpu, vms[vm]?.cpuPercent ?? 0),
    count: shift(count, 1),
  };
}

/** @param hurry is asked for each neighbour whether to stop */
export function layered(state: ClusterState, limits: BalanceLimits, hurry: () => boolean = () => false): Layered {
  const { nodes, vms } = state;
  const start = begin(state);
  const before = scoreOf(start);
  const seen: number[] = [before];
  let best = { score: before, migrations: 0 };
  let layer: readonly Kept[] = [start];
  for (let migrations = 1; migrations <= limits.maxMigrations; migrations += 1) {
    const next: Kept[] = [];
    for (const kept of layer) {
      for (const [vm, { memoryMib }] of vms.entries()) {
        for (const [to, node] of nodes.entries()) {
          if (hurry()) return { ...best, ended: false };
          if (kept.where[vm] === to) continue;
          if ((kept.memory[to] ?? 0) + memoryMib > node.memoryMib) continue;
          if ((kept.count[to] ?? 0) >= limits.maxVmsPerNode) continue;
          const moved = migrate(kept, state, vm, to);
          const score = scoreOf(moved);
          if (((before - score) * 100) / before < limits.minGainPercent || seen.includes(score)) continue;
          seen.push(score);
          next.push(moved);
          if (score < best.score) best = { score, migrations };
        }
      }
    }
    layer = next;
  }
  return { ...best, ended: true };
}

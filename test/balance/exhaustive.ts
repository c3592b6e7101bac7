/**
 * The oracle: every sequence of migrations within the limits, by brute force, on the plain state. Shares nothing with the
 * product but the types, so that a mistake there isn't made here, too.
 */
import type { BalanceRules, ClusterState } from '../../src/balance/state.ts';

export interface OracleLimits {
  readonly maxMigrations: number;
  readonly maxVmsPerNode: number;
}

type Places = Map<string, string>;

export function placesOf({ vms }: ClusterState): Places {
  return new Map(vms.flatMap(({ name, node }) => (node === undefined ? [] : [[name, node] as const])));
}

/** Straight from the definition; nodes all ready and accepting. */
export function plainScore({ nodes, vms }: ClusterState, places: ReadonlyMap<string, string>): number {
  const delta = (pick: (vm: ClusterState['vms'][number]) => number): number => {
    const sums = nodes.map(({ name }) =>
      vms.filter((vm) => places.get(vm.name) === name).reduce((sum, vm) => sum + pick(vm), 0),
    );
    const total = sums.reduce((sum, value) => sum + value, 0);
    return total === 0 ? 0 : ((Math.max(...sums) - Math.min(...sums)) * 100) / total;
  };
  return Math.hypot(
    delta(({ memoryMib }) => memoryMib),
    delta(({ cpuPercent }) => cpuPercent),
  );
}

/** May this VM go there, with everything where `places` says? */
export function mayGo(
  { nodes, vms }: ClusterState,
  rules: BalanceRules,
  maxVmsPerNode: number,
  places: ReadonlyMap<string, string>,
  vm: string,
  destination: string,
): boolean {
  if (places.get(vm) === destination) return false;
  if (rules.ignored?.includes(vm)) return false;
  const pin = rules.pinned?.find((one) => one.vm === vm);
  if (pin !== undefined && !pin.nodes.includes(destination)) return false;
  const there = vms.filter(({ name }) => places.get(name) === destination);
  for (const group of rules.apart ?? []) {
    if (group.includes(vm) && there.some(({ name }) => group.includes(name))) return false;
  }
  const moved = vms.find(({ name }) => name === vm);
  const node = nodes.find(({ name }) => name === destination);
  if (moved === undefined || node === undefined || !node.ready || !node.accepting) return false;
  if (rules.empty?.includes(destination)) return false;
  const used = there.reduce((sum, { memoryMib }) => sum + memoryMib, 0);
  return used + moved.memoryMib <= node.memoryMib && there.length + 1 <= maxVmsPerNode;
}

/** The lowest score for each number of migrations, from 0 on. */
export function exhaustive(state: ClusterState, limits: OracleLimits, rules: BalanceRules = {}): readonly number[] {
  const best = Array.from({ length: limits.maxMigrations + 1 }, () => Infinity);
  const places = placesOf(state);
  const go = (depth: number): void => {
    best[depth] = Math.min(best[depth] ?? Infinity, plainScore(state, places));
    if (depth === limits.maxMigrations) return;
    for (const { name, node } of state.vms) {
      if (node === undefined) continue;
      const from = places.get(name) ?? node;
      for (const { name: destination } of state.nodes) {
        if (!mayGo(state, rules, limits.maxVmsPerNode, places, name, destination)) continue;
        places.set(name, destination);
        go(depth + 1);
        places.set(name, from);
      }
    }
  };
  go(0);
  return best.map((_, length) => Math.min(...best.slice(0, length + 1)));
}

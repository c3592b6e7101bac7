/**
 * Can the cluster lose a node? For each node an actual placement of its VMs on the others, as if it had just died: what
 * runs elsewhere stays where it is, and sums that look good don't help a VM that fits on no single node.
 */
import { buildModel, obstacle, startPlacement, unitAt } from './model.ts';
import { pack } from './packing.ts';
import type { LeftOver, PlaceOptions } from './place.ts';
import { checkRules, checkState, type ClusterState } from './state.ts';

export interface NodeFailure {
  readonly node: string;
  /** Could all its VMs be started elsewhere? */
  readonly absorbed: boolean;
  /** VMs that could not, the largest first. */
  readonly left: readonly LeftOver[];
  /** Of `left`: proven that no placement takes all, and not merely none found. */
  readonly certain: boolean;
}

export interface Redundancy {
  /**
   * Used RAM × 100 / (RAM of all ready nodes − RAM of the biggest); over 100 means that not even the sums would do. 100
   * for a single node.
   */
  readonly loadPercent: number;
  /** Any one node may fail. A cluster of one ready node is never redundant unless it has no VM. */
  readonly redundant: boolean;
  /** By name; ready nodes only. */
  readonly failures: readonly NodeFailure[];
}

/** @throws CxmError INVALID_INPUT if the state or a rule can't be */
export function redundancy(state: ClusterState, options: Omit<PlaceOptions, 'mayDisplace'> = {}): Redundancy {
  checkState(state);
  const rules = options.rules ?? {};
  checkRules(rules, state);
  const running = state.vms.filter(({ node }) => node !== undefined);
  const names = state.nodes.filter(({ ready }) => ready).map(({ name }) => name);
  const failures = names.sort().map((name): NodeFailure => {
    const after: ClusterState = {
      nodes: state.nodes.map((node) => (node.name === name ? { ...node, ready: false } : node)),
      vms: running.map((vm) => (vm.node === name ? { ...vm, node: undefined } : vm)),
    };
    const model = buildModel(after, rules, options.maxVmsPerNode ?? Infinity);
    const asked = model.units.flatMap(({ home }, unit) => (home < 0 ? [unit] : []));
    const { left, certain, placement } = pack(model, startPlacement(model), asked, {
      fit: 'tight',
      mayDisplace: false,
    });
    return {
      node: name,
      absorbed: left.length === 0,
      certain,
      left: left.flatMap((unit) => {
        const found = model.nodes.map(
          (node, at) => [node.name, obstacle(model, placement, unit, at) ?? 'node'] as const,
        );
        const obstacles = Object.fromEntries(found.filter(([node]) => node !== name));
        return unitAt(model, unit).vms.map((vm) => ({ vm: vm.name, memoryMib: vm.memoryMib, obstacles }));
      }),
    };
  });
  return { loadPercent: clusterLoadPercent(state), redundant: failures.every(({ absorbed }) => absorbed), failures };
}

/** See Redundancy.loadPercent. */
export function clusterLoadPercent({ nodes, vms }: ClusterState): number {
  const ready = nodes.filter((node) => node.ready);
  if (ready.length <= 1) return 100;
  const names = new Set(ready.map(({ name }) => name));
  const used = vms.reduce(
    (sum, { node, memoryMib }) => sum + (node !== undefined && names.has(node) ? memoryMib : 0),
    0,
  );
  const sizes = ready.map(({ memoryMib }) => memoryMib);
  const rest = sizes.reduce((sum, size) => sum + size, 0) - Math.max(...sizes);
  return rest === 0 ? (used === 0 ? 0 : Infinity) : (used * 100) / rest;
}

/**
 * Can the cluster lose a node? For each node an actual placement of its VMs on the others, as if it had just died: what
 * runs elsewhere stays where it is, and sums that look good don't help a VM that fits on no single node.
 */
import { buildModel, startPlacement, unitAt } from './model.ts';
import { pack } from './packing.ts';
import { checkState, type ClusterState } from './state.ts';

export interface NodeFailure {
  readonly node: string;
  /** VMs that could not be started elsewhere, the largest first. */
  readonly left: readonly { readonly vm: string; readonly memoryMib: number }[];
  /** Of `left`: proven that no placement takes all, and not merely none found. */
  readonly certain: boolean;
}

/**
 * Only memory counts: where a node dies, rules are wishes.
 *
 * @param mostTries as in packing.ts, for each node
 * @returns by name; ready nodes only. A single one has nobody who could take its VMs.
 * @throws CxmError INVALID_INPUT if the state can't be
 */
export function nodeFailures(state: ClusterState, mostTries?: number): readonly NodeFailure[] {
  checkState(state);
  const running = state.vms.filter(({ node }) => node !== undefined);
  const names = state.nodes.filter(({ ready }) => ready).map(({ name }) => name);
  return names.sort().map((name): NodeFailure => {
    const after: ClusterState = {
      nodes: state.nodes.map((node) => (node.name === name ? { ...node, ready: false } : node)),
      vms: running.map((vm) => (vm.node === name ? { ...vm, node: undefined } : vm)),
    };
    const model = buildModel(after, {}, Infinity);
    const asked = model.units.flatMap(({ home }, unit) => (home < 0 ? [unit] : []));
    const { left, certain } = pack(model, startPlacement(model), asked, {
      fit: 'tight',
      mayDisplace: false,
      ...(mostTries === undefined ? {} : { mostTries }),
    });
    const vms = left.flatMap((unit) => unitAt(model, unit).vms);
    return { node: name, certain, left: vms.map(({ name: vm, memoryMib }) => ({ vm, memoryMib })) };
  });
}

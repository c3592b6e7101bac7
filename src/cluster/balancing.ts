/**
 * From what the nodes say to what the balancer is told. A node's memory for VMs is what is free and what its VMs have now.
 * Pure; who measures CPU is metrics-balance.ts.
 */
import { isName, quote, type BalanceNode, type BalanceVm, type ClusterState } from '../balance/state.ts';
import { runsHere, type DomainRow, type HostInfo } from '../xen/domain-list.ts';
import type { VmDefinition } from './definition.ts';

export interface LookedAtNode {
  readonly node: string;
  readonly info: Pick<HostInfo, 'freeMemoryMib' | 'cpus'>;
  readonly rows: readonly DomainRow[];
}

/**
 * @param silent nodes that don't answer: they get no VMs, and theirs are not seen
 * @param cpuPercentOf of a VM; 0 for all when left out, which is right where only memory counts
 */
export function stateOf<T extends LookedAtNode>(
  looks: readonly T[],
  silent: readonly string[] = [],
  cpuPercentOf: (row: DomainRow, look: T) => number = () => 0,
): ClusterState {
  const nodes = looks.map(({ node, info, rows }): BalanceNode => ({
    name: node,
    memoryMib: info.freeMemoryMib + rows.filter(runsHere).reduce((sum, { memoryMib }) => sum + memoryMib, 0),
    cpus: info.cpus,
    ready: true,
    accepting: true,
  }));
  const away = silent.map((name): BalanceNode => ({ name, memoryMib: 0, cpus: 0, ready: false, accepting: false }));
  const vms = looks.flatMap((look) =>
    look.rows.filter(runsHere).map((row): BalanceVm => ({
      name: row.name ?? '',
      node: look.node,
      memoryMib: row.memoryMib,
      // The balancer counts thousandths.
      cpuPercent: Math.round(cpuPercentOf(row, look) * 1000) / 1000,
    })),
  );
  return { nodes: [...nodes, ...away], vms };
}

/** The state with VMs that are to start. */
export function withNewVms(state: ClusterState, definitions: readonly VmDefinition[]): ClusterState {
  const added = definitions.map(({ vm, memoryMib }): BalanceVm => ({
    name: vm,
    node: undefined,
    memoryMib,
    cpuPercent: 0,
  }));
  return { ...state, vms: [...state.vms, ...added] };
}

/** What the balancer refuses to plan with. */
export interface LeftOut {
  readonly vm: string;
  readonly nodes: readonly string[];
  readonly reason: string;
}

export interface Placeable {
  readonly state: ClusterState;
  readonly leftOut: readonly LeftOut[];
}

/**
 * Without what the balancer refuses: a domain that somebody has given a name of his own, or one that is seen on two nodes in
 * the middle of a migration. What they take of the nodes' memory is gone all the same, and other VMs are not to wait for them.
 */
export function placeable(state: ClusterState): Placeable {
  const nodesOf = new Map<string, string[]>();
  for (const { name, node } of state.vms)
    nodesOf.set(name, [...(nodesOf.get(name) ?? []), ...(node === undefined ? [] : [node])]);
  const leftOut = [...nodesOf].flatMap(([vm, nodes]): LeftOut[] => {
    if (!isName(vm)) return [{ vm, nodes, reason: `the domain ${quote(vm)} has no name that cxm gives to a VM` }];
    if (nodes.length < 2) return [];
    return [{ vm, nodes, reason: `${vm} is on ${nodes.join(' and ')}, perhaps in the middle of a migration` }];
  });
  const names = new Set(leftOut.map(({ vm }) => vm));
  const taken = new Map<string, number>();
  for (const { node, memoryMib } of state.vms.filter(({ name }) => names.has(name))) {
    if (node !== undefined) taken.set(node, (taken.get(node) ?? 0) + memoryMib);
  }
  const nodes = state.nodes.map((node) => ({ ...node, memoryMib: node.memoryMib - (taken.get(node.name) ?? 0) }));
  return { state: { nodes, vms: state.vms.filter(({ name }) => !names.has(name)) }, leftOut };
}

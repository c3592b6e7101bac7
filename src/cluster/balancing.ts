/**
 * From what the nodes say to what the balancer is told. A node's memory for VMs is what is free and what its VMs have now.
 * CPU comes as rates, from two readings some seconds apart.
 */
import type { BalanceNode, BalanceVm, ClusterState } from '../balance/state.ts';
import { runsHere, type DomainRow } from '../xen/domain-list.ts';
import { cpuPercent, type CpuReading } from '../xen/metrics.ts';
import type { VmDefinition } from './definition.ts';
import type { NodeSight } from './survey.ts';

/** An earlier reading of a node's CPU seconds, and when the sight was taken on the same clock. */
export interface Baseline {
  readonly reading: CpuReading;
  readonly uptimeSeconds: number;
}

/**
 * @param baselines by node; without one, the CPU of its VMs counts as 0
 * @param silent nodes that don't answer: they get no VMs, and theirs are not seen
 */
export function stateOf(
  sights: readonly NodeSight[],
  baselines: ReadonlyMap<string, Baseline> = new Map(),
  silent: readonly string[] = [],
): ClusterState {
  const nodes: BalanceNode[] = sights.map(({ node, info, rows }) => ({
    name: node,
    memoryMib: info.freeMemoryMib + guestsOf(rows).reduce((sum, { memoryMib }) => sum + memoryMib, 0),
    cpus: info.cpus,
    ready: true,
    accepting: true,
  }));
  const away = silent.map((name): BalanceNode => ({ name, memoryMib: 0, cpus: 0, ready: false, accepting: false }));
  const vms = sights.flatMap(({ node, rows }) =>
    guestsOf(rows).map((row): BalanceVm => ({
      name: row.name ?? '',
      node,
      memoryMib: row.memoryMib,
      cpuPercent: rate(row, baselines.get(node)),
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

function guestsOf(rows: readonly DomainRow[]): readonly DomainRow[] {
  return rows.filter(runsHere);
}

function rate(row: DomainRow, baseline: Baseline | undefined): number {
  if (baseline === undefined) return 0;
  const percent = cpuPercent(row, baseline.reading, baseline.uptimeSeconds);
  return Math.round(percent * 1000) / 1000;
}

/** `cxm infos`: what each node has and uses, and the cluster as a whole. Pure. */
import { nodeFailures, type NodeFailure } from '../balance/redundancy.ts';
import { runsHere } from '../xen/domain-list.ts';
import { placeable, stateOf } from './balancing.ts';
import type { SilentNode } from './cluster.ts';
import { clusterLoadPercent, nodeLoadPercent } from './load.ts';
import { memoryOf } from './metrics.ts';
import type { ClusterReading, NodeReading } from './metrics-read.ts';

export interface NodeInfos {
  readonly node: string;
  readonly cpus: number;
  readonly vms: number;
  /** Dynamic interrupts in use. */
  readonly irqs: number;
  readonly totalMemoryMib: number;
  readonly usedMemoryMib: number;
  readonly freeMemoryMib: number;
  /** What VMs can have there in all: free, and theirs already. */
  readonly availableMemoryMib: number;
  readonly loadPercent: number;
}

/** Sums over the nodes that answered. The load is the cluster's. */
export type ClusterInfos = Omit<NodeInfos, 'node'>;

export interface Infos {
  readonly nodes: readonly NodeInfos[];
  readonly totals: ClusterInfos;
  /** Not in the totals. */
  readonly silent: readonly SilentNode[];
  /** What would be left if one more node failed; the silent ones take no VM. */
  readonly failures: readonly NodeFailure[];
}

/** Keeps the answer for 32 crowded nodes within a second. */
const mostTries = 1000;

/** In the order of the readings. For these neither `usage` nor `physicalVolumes` is needed. */
export function infosOf({ readings, silent }: ClusterReading): Infos {
  const nodes = readings.map(nodeInfos);
  const total = (pick: (infos: NodeInfos) => number): number => nodes.reduce((sum, node) => sum + pick(node), 0);
  return {
    nodes,
    totals: {
      cpus: total(({ cpus }) => cpus),
      vms: total(({ vms }) => vms),
      irqs: total(({ irqs }) => irqs),
      totalMemoryMib: total(({ totalMemoryMib }) => totalMemoryMib),
      usedMemoryMib: total(({ usedMemoryMib }) => usedMemoryMib),
      freeMemoryMib: total(({ freeMemoryMib }) => freeMemoryMib),
      availableMemoryMib: total(({ availableMemoryMib }) => availableMemoryMib),
      loadPercent: clusterLoadPercent(nodes),
    },
    silent,
    failures: nodeFailures(placeable(stateOf(readings)).state, mostTries),
  };
}

function nodeInfos(reading: NodeReading): NodeInfos {
  const memory = memoryOf(reading);
  const { totalMib: totalMemoryMib, freeMib: freeMemoryMib } = memory;
  return {
    node: reading.node,
    cpus: reading.info.cpus,
    vms: reading.rows.filter(runsHere).length,
    irqs: reading.dynamicIrqs,
    totalMemoryMib,
    usedMemoryMib: memory.usedMib,
    freeMemoryMib,
    availableMemoryMib: memory.availableMib,
    loadPercent: nodeLoadPercent({ totalMemoryMib, freeMemoryMib, dynamicIrqs: reading.dynamicIrqs }),
  };
}

/**
 * What `cxm top` shows: rows of nodes and of VMs, chosen and sorted as the user asked. A node that is silent is a row that
 * says so; its VMs are left out, since nobody knows what they do. Pure.
 */
import { clusterLoadPercent, nodeLoadPercent } from '../cluster/load.ts';
import { memoryOf, vmFactsOf, type DiskRates, type NetworkRates, type VmFacts } from '../cluster/metrics.ts';
import type { WatchedNode } from '../cluster/metrics-watch.ts';
import { runsHere, type DomainMeaning } from '../xen/domain-list.ts';

export const sortKeys = ['cpu', 'memory', 'disk', 'network', 'name'] as const;
export type SortKey = (typeof sortKeys)[number];

export interface TopNode {
  readonly node: string;
  /** Undefined while it has not answered yet, or does not answer any more. */
  readonly figures: NodeFigures | undefined;
  /** Why there are no figures. */
  readonly silence: string | undefined;
}

export interface NodeFigures {
  readonly vms: number;
  readonly cpus: number;
  readonly totalMemoryMib: number;
  readonly usedMemoryMib: number;
  readonly freeMemoryMib: number;
  readonly irqs: number;
  readonly loadPercent: number;
  /** Of all domains; this and the rates are undefined until a node was read twice. */
  readonly cpuPercent: number | undefined;
  /** Sums over its VMs. */
  readonly network: NetworkRates | undefined;
  readonly disk: DiskRates | undefined;
}

export interface TopVm extends VmFacts {
  readonly node: string;
  readonly cpuPercent: number | undefined;
  readonly network: NetworkRates | undefined;
  readonly disk: DiskRates | undefined;
}

export interface TopView {
  readonly nodes: readonly TopNode[];
  readonly vms: readonly TopVm[];
  readonly totals: { readonly answering: number; readonly runningVms: number; readonly loadPercent: number };
}

export interface ViewChoice {
  readonly sort: SortKey;
  /** Only this node's VMs. */
  readonly node: string | undefined;
}

export function viewOf(watched: readonly WatchedNode[], { sort, node }: ViewChoice): TopView {
  const nodes = watched.map(nodeOf);
  const figures = nodes.flatMap((row) => row.figures ?? []);
  const heard = watched.filter(({ silence }) => silence === undefined);
  const vms = heard.filter((one) => node === undefined || one.node === node).flatMap(vmsOf);
  return {
    nodes,
    vms: vms.sort((one, other) => order[sort](one, other) || compare(one.name, other.name)),
    totals: {
      answering: figures.length,
      runningVms: figures.reduce((sum, one) => sum + one.vms, 0),
      loadPercent: clusterLoadPercent(figures),
    },
  };
}

function nodeOf(watched: WatchedNode): TopNode {
  const { node, reading, rates, silence } = watched;
  if (silence !== undefined || reading === undefined) {
    return { node, figures: undefined, silence: silence === undefined ? undefined : wordsOf(silence) };
  }
  const memory = memoryOf(reading);
  const [totalMemoryMib, freeMemoryMib] = [memory.totalMib, memory.freeMib];
  const network = rates?.vms.flatMap((vm) => vm.network ?? []);
  const disk = rates?.vms.flatMap((vm) => vm.disk ?? []);
  const figures: NodeFigures = {
    vms: reading.rows.filter(runsHere).length,
    cpus: reading.info.cpus,
    totalMemoryMib,
    usedMemoryMib: memory.usedMib,
    freeMemoryMib,
    irqs: reading.dynamicIrqs,
    loadPercent: nodeLoadPercent({ totalMemoryMib, freeMemoryMib, dynamicIrqs: reading.dynamicIrqs }),
    cpuPercent: rates?.cpuPercent,
    network: network && {
      receivedBytesPerSecond: sum(network, (one) => one.receivedBytesPerSecond),
      sentBytesPerSecond: sum(network, (one) => one.sentBytesPerSecond),
    },
    disk: disk && {
      readsPerSecond: sum(disk, (one) => one.readsPerSecond),
      writesPerSecond: sum(disk, (one) => one.writesPerSecond),
      readBytesPerSecond: sum(disk, (one) => one.readBytesPerSecond),
      writtenBytesPerSecond: sum(disk, (one) => one.writtenBytesPerSecond),
    },
  };
  return { node, figures, silence: undefined };
}

function wordsOf({ error, lastAnswerMs }: NonNullable<WatchedNode['silence']>): string {
  const last = lastAnswerMs === undefined ? '' : `, last heard of ${Math.round(lastAnswerMs / 1000)} s ago`;
  return `${error.message}${last}`;
}

function vmsOf({ node, reading, rates }: WatchedNode): readonly TopVm[] {
  if (rates !== undefined) return rates.vms.map((vm) => ({ ...vm, node }));
  if (reading === undefined) return [];
  return vmFactsOf(reading).map((vm) => ({ ...vm, node, cpuPercent: undefined, network: undefined, disk: undefined }));
}

export function networkSum(network: NetworkRates | undefined): number {
  return network === undefined ? 0 : network.receivedBytesPerSecond + network.sentBytesPerSecond;
}

export function diskSum(disk: DiskRates | undefined): number {
  return disk === undefined ? 0 : disk.readBytesPerSecond + disk.writtenBytesPerSecond;
}

/** The largest first; of equals, the first by name. */
const order: Readonly<Record<SortKey, (one: TopVm, other: TopVm) => number>> = {
  cpu: (one, other) => (other.cpuPercent ?? 0) - (one.cpuPercent ?? 0),
  memory: (one, other) => other.memoryMib - one.memoryMib,
  disk: (one, other) => diskSum(other.disk) - diskSum(one.disk),
  network: (one, other) => networkSum(other.network) - networkSum(one.network),
  name: () => 0,
};

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

function sum<T>(items: readonly T[], pick: (item: T) => number): number {
  return items.reduce((total, item) => total + pick(item), 0);
}

const stateWords: Readonly<Record<DomainMeaning, string>> = {
  running: 'runs',
  paused: 'paused',
  building: 'starts',
  incoming: 'arrives',
  leaving: 'leaves',
  shutDown: 'ended',
  dying: 'ends',
};

export function stateWord(meaning: DomainMeaning): string {
  return stateWords[meaning];
}

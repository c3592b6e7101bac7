/**
 * What the load balancer is told: memory and CPU of each VM, and what VMs can have on each node. A node counts as ready
 * only when both readings have it: VMs whose CPU nobody measured must not look idle.
 */
import type { ClusterState } from '../balance/state.ts';
import { CxmError } from '../errors.ts';
import type { Clock } from '../host/clock.ts';
import { runsHere, virtualMachineName } from '../xen/domain-list.ts';
import { cpuPercent, cpuReading } from '../xen/metrics.ts';
import type { SilentNode } from './cluster.ts';
import { areConsecutive, memoryOf } from './metrics.ts';
import { readNodes, type ClusterReading, type MeasuredNode, type NodeReading } from './metrics-read.ts';

export interface Measurement {
  readonly state: ClusterState;
  /** The nodes that are not ready, and why. */
  readonly silent: readonly SilentNode[];
}

/**
 * xl counts tenths of a second: five seconds make a VM's figure exact to 2 %.
 * @param elapsedMs between the two readings
 */
export async function measureState(
  nodes: readonly MeasuredNode[],
  clock: Clock,
  elapsedMs = 5000,
): Promise<Measurement> {
  const parts = { usage: false, physicalVolumes: false };
  const earlier = await readNodes(nodes, parts);
  await clock.sleep(elapsedMs);
  return stateBetween(earlier, await readNodes(nodes, parts));
}

/** Pure. Order and names of the nodes are the later reading's, the silent ones last. */
export function stateBetween(earlier: ClusterReading, later: ClusterReading): Measurement {
  const pairs = later.readings.map((reading) => ({
    reading,
    before: earlier.readings.find((candidate) => areConsecutive(candidate, reading)),
  }));
  const measured = pairs.flatMap(({ reading, before }) => (before === undefined ? [] : [{ reading, before }]));
  const silent = [
    ...later.silent,
    ...pairs.flatMap(({ reading: { node }, before }) =>
      before === undefined ? [silentBefore(node, earlier.silent)] : [],
    ),
  ];
  const ready = measured.map(({ reading }) => ({
    name: reading.node,
    memoryMib: memoryOf(reading).availableMib,
    cpus: reading.info.cpus,
    ready: true,
    accepting: true,
  }));
  const unready = silent.map(({ node }) => ({ name: node, memoryMib: 0, cpus: 0, ready: false, accepting: false }));
  return {
    state: { nodes: [...ready, ...unready], vms: measured.flatMap(({ before, reading }) => vmsOf(before, reading)) },
    silent,
  };
}

function vmsOf(before: NodeReading, reading: NodeReading): ClusterState['vms'] {
  const baseline = cpuReading(before.rows, before.uptimeSeconds);
  return reading.rows.filter(runsHere).map((row) => ({
    name: virtualMachineName(row) ?? '',
    node: reading.node,
    memoryMib: row.memoryMib,
    cpuPercent: Math.round(cpuPercent(row, baseline, reading.uptimeSeconds) * 1000) / 1000,
  }));
}

function silentBefore(node: string, silent: readonly SilentNode[]): SilentNode {
  const error = silent.find((candidate) => candidate.node === node)?.error;
  const why = error ?? new CxmError('INTERRUPTED', `${node} was restarted while it was measured`);
  return { node, error: why };
}

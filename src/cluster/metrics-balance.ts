/**
 * What the load balancer is told: memory and CPU of each VM, and what VMs can have on each node. A node counts as ready
 * only when both readings have it: VMs whose CPU nobody measured must not look idle.
 */
import type { ClusterState } from '../balance/state.ts';
import { CxmError } from '../errors.ts';
import type { Clock } from '../host/clock.ts';
import { cpuPercent, cpuReading } from '../xen/metrics.ts';
import { stateOf } from './balancing.ts';
import type { SilentNode } from './cluster.ts';
import { areConsecutive } from './metrics.ts';
import { readNodes, type ClusterReading, type MeasuredNode } from './metrics-read.ts';

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
  const measured = pairs.flatMap(({ reading, before }) =>
    before === undefined ? [] : [{ ...reading, baseline: cpuReading(before.rows, before.uptimeSeconds) }],
  );
  const silent = [
    ...later.silent,
    ...pairs.flatMap(({ reading: { node }, before }) =>
      before === undefined ? [silentBefore(node, earlier.silent)] : [],
    ),
  ];
  const names = silent.map(({ node }) => node);
  const state = stateOf(measured, names, (row, { baseline, uptimeSeconds }) =>
    cpuPercent(row, baseline, uptimeSeconds),
  );
  return { state, silent };
}

function silentBefore(node: string, silent: readonly SilentNode[]): SilentNode {
  const error = silent.find((candidate) => candidate.node === node)?.error;
  const why = error ?? new CxmError('INTERRUPTED', `${node} was restarted while it was measured`);
  return { node, error: why };
}

/** Memory and CPU of all VMs, as the balancer takes them: two looks at the nodes, some seconds apart. */
import type { ClusterState } from '../balance/state.ts';
import { stateOf } from '../cluster/balancing.ts';
import type { Cluster, SilentNode } from '../cluster/cluster.ts';
import { surveyNodes, type NodeSight } from '../cluster/survey.ts';
import { cpuReading } from '../xen/metrics.ts';

export interface Measurement {
  readonly state: ClusterState;
  readonly silent: readonly SilentNode[];
}

export async function measure(cluster: Cluster, elapsedMs: number): Promise<Measurement> {
  const seconds = (): number => cluster.clock.now() / 1000;
  const earlier = await surveyNodes(cluster);
  const first = seconds();
  await cluster.clock.sleep(elapsedMs);
  const { sights, silent } = await surveyNodes(cluster);
  const uptimeSeconds = seconds();
  const baselines = earlier.sights.map(
    ({ node, rows }: NodeSight) => [node, { reading: cpuReading(rows, first), uptimeSeconds }] as const,
  );
  return {
    state: stateOf(
      sights,
      new Map(baselines),
      silent.map(({ node }) => node),
    ),
    silent,
  };
}

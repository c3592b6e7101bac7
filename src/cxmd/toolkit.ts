/** What cxmd works on its cluster with. */
import { rulesOf } from '../cluster/balance-rules.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { CxmConf } from '../config/cxm-conf.ts';
import type { Toolkit } from '../ha/daemon/run.ts';
import { clusterBalancer } from './cluster-balancer.ts';
import { clusterHypervisor } from './cluster-hypervisor.ts';
import { migrationMender } from './migration-mender.ts';

export interface ToolkitParts {
  readonly localName: string;
  /** As it is at the moment. */
  configuration(): CxmConf;
  /** The cluster of these nodes only; opened for each piece of work, over connections that are kept. */
  open(nodes: readonly string[]): Cluster;
}

export function clusterToolkit(parts: ToolkitParts): Toolkit {
  return {
    hypervisor: clusterHypervisor({ ...parts, rules: () => rulesOf(parts.configuration()) }),
    balancer: clusterBalancer({ ...parts, clock: () => performance.now() }),
    mender: migrationMender(parts),
  };
}

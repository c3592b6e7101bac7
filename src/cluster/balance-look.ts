/** A cluster as the load balancer is to see it: what its nodes measure, and the rules as far as they are about it. */
import type { BalanceRules, ClusterState } from '../balance/state.ts';
import type { CxmConf } from '../config/cxm-conf.ts';
import { rulesAbout, rulesOf, vmsNamedBy, withHomes, withNamedNodes } from './balance-rules.ts';
import { placeable, type LeftOut } from './balancing.ts';
import type { Cluster, SilentNode } from './cluster.ts';
import { findHomes } from './homes.ts';
import { measureState } from './metrics-balance.ts';

export interface BalanceLook {
  readonly state: ClusterState;
  readonly rules: BalanceRules;
  /** Nodes that did not answer: they get no VMs, and theirs are not seen. */
  readonly silent: readonly SilentNode[];
  /** Domains that stay where they are, because nothing can be planned with them. */
  readonly leftOut: readonly LeftOut[];
  /** VMs in rules that run nowhere and have no configuration. A rule outlives its VM; a name that nobody knows may be a slip. */
  readonly strangers: readonly string[];
}

/** @param empty nodes beside LB_EMPTY that are to get no VM and lose theirs */
export async function lookForBalance(
  cluster: Cluster,
  configuration: CxmConf,
  empty: readonly string[] = [],
): Promise<BalanceLook> {
  const [{ state: measured, silent }, homes] = await Promise.all([
    measureState(cluster.nodes, cluster.clock),
    findHomes(cluster),
  ]);
  const { state, leftOut } = placeable(measured);
  const running = new Set(state.vms.map(({ name }) => name));
  const own = rulesOf(configuration);
  const given = { ...own, empty: [...new Set([...(own.empty ?? []), ...empty])] };
  const strangers = vmsNamedBy(given).filter((vm) => !running.has(vm) && !homes.configured.has(vm));
  const rules = rulesAbout(withHomes(given, homes.pinned), running);
  return { state: withNamedNodes(state, rules), rules, silent, leftOut, strangers: silent.length > 0 ? [] : strangers };
}

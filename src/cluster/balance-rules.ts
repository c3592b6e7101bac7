/**
 * The rules that an administrator has given the load balancer in cxm.conf, and what the cluster itself allows, as one. Guarantee:
 * a rule never keeps anything from being planned that it does not name: VMs that don't run and nodes that were left out or
 * are silent are no contradiction. Pure.
 */
import type { MigrationCost } from '../balance/plan.ts';
import type { BalanceLimits, BalanceNode, BalanceRules, ClusterState, Pin } from '../balance/state.ts';
import { wordsOf } from '../config/balance-keys.ts';
import type { CxmConf } from '../config/cxm-conf.ts';

type RuleKeys = Pick<CxmConf, 'LB_PIN' | 'LB_IGNORE' | 'LB_TOGETHER' | 'LB_APART' | 'LB_EMPTY'>;

/** Contradictions were refused when the configuration was read. */
export function rulesOf(configuration: RuleKeys): BalanceRules {
  return {
    pinned: configuration.LB_PIN.map(wordsOf).map(([vm = '', ...nodes]) => ({ vm, nodes })),
    ignored: configuration.LB_IGNORE.flatMap(wordsOf),
    together: configuration.LB_TOGETHER.map(wordsOf),
    apart: configuration.LB_APART.map(wordsOf),
    empty: configuration.LB_EMPTY,
  };
}

export function costOf(configuration: Pick<CxmConf, 'LB_COST_PER_MIGRATION' | 'LB_COST_PER_GIB'>): MigrationCost {
  return { percentPerMigration: configuration.LB_COST_PER_MIGRATION, percentPerGib: configuration.LB_COST_PER_GIB };
}

export function limitsOf(
  configuration: Pick<CxmConf, 'LB_MAX_VM_PER_NODE' | 'LB_MAX_MIGRATION' | 'LB_MIN_GAIN'>,
): BalanceLimits {
  const { LB_MAX_VM_PER_NODE, LB_MAX_MIGRATION, LB_MIN_GAIN } = configuration;
  return { maxVmsPerNode: LB_MAX_VM_PER_NODE, maxMigrations: LB_MAX_MIGRATION, minGainPercent: LB_MIN_GAIN };
}

/**
 * Of the nodes that a VM is pinned to, those on which it can be. Where there is none, it stays where it is: it is neither
 * moved against its pin nor to a node that can't hold it.
 * @param homes of findHomes
 */
export function withHomes(rules: BalanceRules, homes: readonly Pin[]): BalanceRules {
  const nodesOf = new Map(homes.map(({ vm, nodes }) => [vm, nodes]));
  const pinned = (rules.pinned ?? []).map(({ vm, nodes }) => {
    const possible = nodesOf.get(vm);
    return { vm, nodes, both: possible === undefined ? nodes : nodes.filter((node) => possible.includes(node)) };
  });
  const named = new Set(pinned.map(({ vm }) => vm));
  const stuck = pinned.filter(({ both }) => both.length === 0).map(({ vm }) => vm);
  return {
    ...rules,
    pinned: [
      ...pinned.map(({ vm, nodes, both }) => ({ vm, nodes: both.length === 0 ? nodes : both })),
      ...homes.filter(({ vm }) => !named.has(vm)),
    ],
    ignored: [...new Set([...(rules.ignored ?? []), ...stuck])],
  };
}

/** The state with the nodes that rules name and that are no part of it, as nodes that are not ready. */
export function withNamedNodes(state: ClusterState, { pinned = [], empty = [] }: BalanceRules): ClusterState {
  const known = new Set(state.nodes.map(({ name }) => name));
  const named = new Set([...pinned.flatMap(({ nodes }) => nodes), ...empty]);
  const absent = [...named].filter((name) => !known.has(name));
  const away = absent.map((name): BalanceNode => ({ name, memoryMib: 0, cpus: 0, ready: false, accepting: false }));
  return { ...state, nodes: [...state.nodes, ...away] };
}

/** The rules as far as they are about these VMs; groups of which fewer than two are left say nothing. */
export function rulesAbout(rules: BalanceRules, vms: ReadonlySet<string>): BalanceRules {
  const groups = (all: readonly (readonly string[])[] = []): readonly (readonly string[])[] =>
    all.map((group) => group.filter((vm) => vms.has(vm))).filter((group) => group.length > 1);
  return {
    pinned: (rules.pinned ?? []).filter(({ vm }) => vms.has(vm)),
    ignored: (rules.ignored ?? []).filter((vm) => vms.has(vm)),
    together: groups(rules.together),
    apart: groups(rules.apart),
    empty: rules.empty ?? [],
  };
}

/** VMs that rules name, each once. */
export function vmsNamedBy({ pinned = [], ignored = [], together = [], apart = [] }: BalanceRules): readonly string[] {
  return [...new Set([...pinned.map(({ vm }) => vm), ...ignored, ...together.flat(), ...apart.flat()])];
}

/**
 * Where VMs are to run that a node has lost, or is to lose: by the balancer's model, on the nodes that are left.
 *
 * Guarantees: the most important ones have the room where it is short; the administrator's rules are kept as long as no VM
 * has to stay down for them; one VM of which nothing is known keeps no other from its place.
 */
import { planPlacement, type PlacementPlan } from '../balance/place.ts';
import type { BalanceRules, ClusterState, Pin } from '../balance/state.ts';
import { withHomes, withNamedNodes } from '../cluster/balance-rules.ts';
import { placeable, stateOf, withNewVms } from '../cluster/balancing.ts';
import { nodeNamed, type Cluster } from '../cluster/cluster.ts';
import type { VmDefinition } from '../cluster/definition.ts';
import { findHomes } from '../cluster/homes.ts';
import { requireDefinition } from '../cluster/locate.ts';
import { leftBehind } from '../cluster/many.ts';
import { surveyNodes } from '../cluster/survey.ts';
import { asCxmError, CxmError } from '../errors.ts';
import type { PlanOrder, Planned } from '../ha/effects/hypervisor.ts';

/**
 * @param rules of cxm.conf
 * @throws CxmError HOST_UNREACHABLE when no node can be looked at
 */
export async function placesFor(cluster: Cluster, order: PlanOrder, rules: BalanceRules): Promise<Planned> {
  const survey = await surveyNodes(cluster);
  const names = survey.sights.map(({ node }) => node);
  if (names.length === 0) throw new CxmError('HOST_UNREACHABLE', 'no node could be looked at');
  const definitions: VmDefinition[] = [];
  const unknown: Planned['left'][number][] = [];
  for (const vm of order.vms) {
    const definition = await definitionOn(cluster, names, vm);
    if (definition instanceof CxmError) unknown.push({ vm, reason: definition.message, panic: false });
    else definitions.push(definition);
  }
  const state = withNewVms(withoutVms(placeable(stateOf(survey.sights)).state, order.vms), definitions);
  const { pinned: homes } = await findHomes(cluster);
  const { placements, left } = place(state, definitions, { ...order, names, homes, rules });
  return { placements, left: [...unknown, ...left] };
}

export interface PlaceFacts {
  /** Of the nodes that are left. */
  readonly names: readonly string[];
  /** Where VMs can be that can't be everywhere. */
  readonly homes: readonly Pin[];
  readonly failed: PlanOrder['failed'];
  readonly first: PlanOrder['first'];
  readonly rules: BalanceRules;
}

/** The daemon does nothing else meanwhile, and must not be late with its heartbeats: some 30 ms a search. */
const mostTries = 3000;

/** Pure. */
export function place(state: ClusterState, definitions: readonly VmDefinition[], facts: PlaceFacts): Planned {
  const vms = definitions.map(({ vm }) => vm);
  const rules = { ...facts.rules, pinned: (facts.rules.pinned ?? []).filter((pin) => canBeKept(pin, facts)) };
  const wished = tryPlaces(state, vms, { ...facts, rules: withHomes(rules, facts.homes) });
  if (wished.left.length === 0) return wished;
  const free = tryPlaces(state, vms, { ...facts, rules: { pinned: facts.homes } });
  const isDown = new Set(free.left.map(({ vm }) => vm));
  return wished.left.every(({ vm }) => isDown.has(vm)) ? wished : free;
}

/** A VM that was tried in vain where it should be may go wherever it can. */
function canBeKept({ vm, nodes }: Pin, { names, homes, failed }: PlaceFacts): boolean {
  const home = homes.find((one) => one.vm === vm)?.nodes ?? names;
  return nodes.some((node) => names.includes(node) && home.includes(node)) && !failed.some((one) => one.vm === vm);
}

function tryPlaces(
  state: ClusterState,
  vms: readonly string[],
  { rules, ...facts }: Omit<PlaceFacts, 'homes'>,
): Planned {
  const pinned = pinsFor(vms, { ...facts, homes: rules.pinned ?? [] });
  const hopeless = new Set(pinned.filter(({ nodes }) => nodes.length === 0).map(({ vm }) => vm));
  const all = { ...rules, pinned: pinned.filter(({ vm }) => !hopeless.has(vm)) };
  const wanted = vms.filter((vm) => !hopeless.has(vm));
  const { starts, left }: PlacementPlan = planPlacement(withNamedNodes(state, all), wanted, {
    rules: all,
    first: facts.first,
    mostTries,
  });
  return {
    placements: starts.map(({ vm, destination }) => ({ vm, node: destination })),
    left: [
      ...[...hopeless].map((vm) => ({ vm, reason: 'no node can have it', panic: false })),
      ...left.map(leftBehind).map(({ vm, error }) => ({ vm, reason: error.message, panic: true })),
    ],
  };
}

/**
 * Where VMs may be placed that may not be placed on every node. Nodes where a VM was tried in vain are left out while
 * others can have it: what was refused may have been so for a reason that passes, and who orders bounds the attempts.
 */
export function pinsFor(
  vms: readonly string[],
  { names, homes, failed }: Pick<PlaceFacts, 'names' | 'homes' | 'failed'>,
): readonly Pin[] {
  const pinOf = new Map(homes.map(({ vm, nodes }) => [vm, nodes]));
  return vms.flatMap((vm) => {
    const homesLeft = (pinOf.get(vm) ?? names).filter((node) => names.includes(node));
    const untried = homesLeft.filter((node) => !failed.some((one) => one.vm === vm && one.node === node));
    const nodes = untried.length > 0 ? untried : homesLeft;
    return nodes.length === names.length ? [] : [{ vm, nodes }];
  });
}

/** Those that run on one of the nodes are placed by what they will need, as if they ran nowhere. */
function withoutVms(state: ClusterState, vms: readonly string[]): ClusterState {
  const moved = new Set(vms);
  return { ...state, vms: state.vms.filter(({ name }) => !moved.has(name)) };
}

/** The first node that has one. */
async function definitionOn(cluster: Cluster, names: readonly string[], vm: string): Promise<VmDefinition | CxmError> {
  let failure = new CxmError('NOT_FOUND', `there is no configuration of ${vm}`);
  for (const name of names) {
    try {
      return await requireDefinition(nodeNamed(cluster, name), vm);
    } catch (error) {
      failure = asCxmError(error);
    }
  }
  return failure;
}

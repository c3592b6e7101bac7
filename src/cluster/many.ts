/**
 * Operations on many VMs, each by the operation for one: emptying nodes, carrying out a plan of the balancer, starting a
 * list, ending all. One that fails never keeps the others from their turn; all failures are told at the end.
 */
import { explainLeftOver } from '../balance/explain.ts';
import { planEject, planPlacement, type EjectPlan, type LeftOver, type PlacementPlan } from '../balance/place.ts';
import type { BalanceRules } from '../balance/state.ts';
import { asCxmError, CxmError } from '../errors.ts';
import { runsHere } from '../xen/domain-list.ts';
import { withHomes, withNamedNodes } from './balance-rules.ts';
import { placeable, stateOf, withNewVms, type LeftOut } from './balancing.ts';
import { nodeNamed, requireAll, type Cluster } from './cluster.ts';
import type { VmDefinition } from './definition.ts';
import { findHomes } from './homes.ts';
import { listNodes, requireDefinition } from './locate.ts';
import { migrateVm } from './migrate.ts';
import { startVm } from './start.ts';
import { shutdownVm, type StopResult } from './stop.ts';
import { answersOf, surveyNodes, whereabouts } from './survey.ts';

export interface Failure {
  readonly vm: string;
  readonly error: CxmError;
}

export interface ManyResult<T> {
  readonly done: readonly T[];
  readonly failures: readonly Failure[];
}

export interface PlannedMove {
  readonly vm: string;
  readonly source: string;
  readonly destination: string;
}

export interface EvacuationPlan extends EjectPlan {
  /** VMs of the node that can't be planned with. */
  readonly failures: readonly Failure[];
}

/**
 * How to empty a node: its VMs by memory, the largest first, each to the fitting node with the least free memory.
 * @param rules beside what the cluster itself allows, see withHomes
 * @throws CxmError NOT_FOUND, HOST_UNREACHABLE when that node does not answer
 */
export async function planEvacuation(
  cluster: Cluster,
  node: string,
  rules: BalanceRules = {},
): Promise<EvacuationPlan> {
  nodeNamed(cluster, node);
  const survey = await surveyNodes(cluster);
  const silent = survey.silent.find((one) => one.node === node);
  if (silent !== undefined) requireAll({ answers: [], silent: [silent] });
  const silentNodes = survey.silent.map((one) => one.node);
  const all = withHomes(rules, (await findHomes(cluster)).pinned);
  const { state, leftOut } = placeable(stateOf(survey.sights, silentNodes));
  const plan = planEject(withNamedNodes(state, all), [node], { rules: all, mayDisplace: false });
  return { ...plan, failures: leftOut.filter(({ nodes }) => nodes.includes(node)).map(notPlanned) };
}

function notPlanned({ vm, reason }: LeftOut): Failure {
  const hint = 'wait and try again; if it lasts, `cxm check` and `xl list` on the node tell what it is';
  return { vm, error: new CxmError('REFUSED', reason, { hint }) };
}

/** In the order of the plan, one after the other. */
export async function carryOutMoves(cluster: Cluster, moves: readonly PlannedMove[]): Promise<ManyResult<PlannedMove>> {
  return each(cluster, moves, async (move) => {
    await migrateVm(cluster, { vm: move.vm, destination: move.destination });
    return move;
  });
}

export interface StartManyPlan {
  readonly placement: PlacementPlan;
  /** VMs that run already, with their nodes. */
  readonly running: readonly { readonly vm: string; readonly node: string }[];
  /** VMs that can't be started whatever the room. */
  readonly failures: readonly Failure[];
}

/**
 * Where to start VMs: by configured memory, the largest first, each on the fitting node with the least free memory.
 * @param rules as for planEvacuation
 * @throws CxmError HOST_UNREACHABLE
 */
export async function planStartMany(
  cluster: Cluster,
  vms: readonly string[],
  rules: BalanceRules = {},
): Promise<StartManyPlan> {
  const survey = await surveyNodes(cluster);
  requireAll(answersOf(survey));
  const definitions: VmDefinition[] = [];
  const running: { vm: string; node: string }[] = [];
  const failures: Failure[] = [];
  for (const vm of new Set(vms)) {
    const [place] = whereabouts(survey.sights, vm).running;
    if (place !== undefined) running.push({ vm, node: place.node });
    else {
      await anyDefinition(cluster, vm).then(
        (definition) => void definitions.push(definition),
        (error: unknown) => void failures.push({ vm, error: asCxmError(error) }),
      );
    }
  }
  const all = withHomes(rules, (await findHomes(cluster)).pinned);
  const state = withNamedNodes(withNewVms(placeable(stateOf(survey.sights)).state, definitions), all);
  const names = definitions.map(({ vm }) => vm);
  return { placement: planPlacement(state, names, { rules: all }), running, failures };
}

/** The first node that has one. @throws CxmError NOT_FOUND */
async function anyDefinition(cluster: Cluster, vm: string): Promise<VmDefinition> {
  let failure: unknown;
  for (const node of cluster.nodes) {
    try {
      return await requireDefinition(node, vm);
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure ?? new CxmError('REFUSED', 'the cluster has no nodes');
}

export interface StartedVm {
  readonly vm: string;
  readonly node: string;
}

/** Starts as planned, each with its autostart link. */
export async function startMany(cluster: Cluster, plan: StartManyPlan): Promise<ManyResult<StartedVm>> {
  const started = await each(cluster, plan.placement.starts, async ({ vm, destination }) => {
    const node = await startVm(cluster, vm, { node: destination, setLink: true });
    return { vm, node };
  });
  return {
    done: started.done,
    failures: [...plan.failures, ...plan.placement.left.map(leftBehind), ...started.failures],
  };
}

/** Why a VM is on no node after a plan. */
export function leftBehind(left: LeftOver): Failure {
  return { vm: left.vm, error: new CxmError('REFUSED', explainLeftOver(left)) };
}

/** How many guests are asked to shut down at the same time: each takes a lock, so one of eight channels, on every node. */
const shutdownsAtOnce = 6;

/**
 * Shuts down every VM of the cluster, or of one node.
 * @throws CxmError HOST_UNREACHABLE, NOT_FOUND
 */
export async function shutdownAll(
  cluster: Cluster,
  node?: string,
): Promise<ManyResult<StopResult & { readonly vm: string }>> {
  if (node !== undefined) nodeNamed(cluster, node);
  const all = requireAll(await listNodes(cluster));
  const answers = all.filter((answer) => node === undefined || answer.node === node);
  const vms = answers.flatMap(({ value }) => value.filter(runsHere).flatMap(({ name }) => name ?? []));
  const lanes = Array.from({ length: Math.min(vms.length, shutdownsAtOnce) }, (_, lane) =>
    vms.filter((_vm, index) => index % shutdownsAtOnce === lane),
  );
  const results = await Promise.all(
    lanes.map((lane) =>
      each(
        cluster,
        lane.map((vm) => ({ vm })),
        async ({ vm }) => ({ vm, ...(await shutdownVm(cluster, vm)) }),
      ),
    ),
  );
  return { done: results.flatMap(({ done }) => done), failures: results.flatMap(({ failures }) => failures) };
}

async function each<T extends { readonly vm: string }, R>(
  cluster: Cluster,
  items: readonly T[],
  work: (item: T) => Promise<R>,
): Promise<ManyResult<R>> {
  const done: R[] = [];
  const failures: Failure[] = [];
  for (const item of items) {
    try {
      if (cluster.signal.aborted) throw new CxmError('INTERRUPTED', `${item.vm} was left alone`);
      done.push(await work(item));
    } catch (error) {
      const failure = asCxmError(error);
      failures.push({ vm: item.vm, error: failure });
      cluster.reporter.note('WARN', failure.message);
    }
  }
  return { done, failures };
}

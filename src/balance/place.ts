/**
 * Emptying nodes and placing VMs that are to start: the balancer's model with another goal, best-fit decreasing.
 *
 * Guarantees: no step breaks a limit or a rule; a VM that fits nowhere never keeps the others from being placed, and is
 * reported with what stands in the way on each node. LB_MAX_VM_PER_NODE is the balancer's wish, not the machine's limit:
 * it counts here only if the caller says so.
 */
import { describeSteps, nameOf, type PlanStep } from './describe.ts';
import {
  buildModel,
  move,
  obstacle,
  placementScore,
  startPlacement,
  unitAt,
  type Model,
  type Obstacle,
  type Placement,
} from './model.ts';
import { pack, type Packing, type PackingOptions } from './packing.ts';
import { checkRules, checkState, invalid, quote, type BalanceRules, type ClusterState } from './state.ts';

export interface PlaceOptions {
  readonly rules?: BalanceRules;
  /** No limit when left out. */
  readonly maxVmsPerNode?: number;
  /** May VMs that run and weren't asked for be moved when there is no other way? */
  readonly mayDisplace?: boolean;
}

/** A VM that has to stay where it is, or can't be started. */
export interface LeftOver {
  readonly vm: string;
  readonly memoryMib: number;
  /** By node, without its own: why not there. */
  readonly obstacles: Readonly<Record<string, Obstacle>>;
}

export interface EjectPlan {
  /** Those of other nodes that make room come first, then the ejected ones by RAM, largest first. */
  readonly plan: readonly PlanStep[];
  readonly left: readonly LeftOver[];
  /** What it took: best-fit decreasing, another assignment of the same VMs, or moving VMs of other nodes, too. */
  readonly method: Packing['method'];
  /** With VMs left over: is it proven that no assignment takes them all without moving VMs of other nodes? */
  readonly certain: boolean;
  readonly scoreBefore: number;
  readonly scoreAfter: number;
  readonly unknownVms: readonly string[];
}

/**
 * How to empty nodes; `mayDisplace` is true when left out.
 * @throws CxmError INVALID_INPUT if the state or a rule can't be, or a node is unknown or not ready
 */
export function planEject(state: ClusterState, nodes: readonly string[], options: PlaceOptions = {}): EjectPlan {
  checkState(state);
  for (const name of nodes) {
    const node = state.nodes.find((one) => one.name === name);
    if (node === undefined) throw invalid(`there is no node ${quote(name)} to empty`);
    if (!node.ready) throw invalid(`node ${name} isn't ready, so no VM can be moved away from it`);
  }
  const empty = [...new Set([...(options.rules?.empty ?? []), ...nodes])];
  const rules = { ...options.rules, empty };
  const unknownVms = checkRules(rules, state);
  const model = buildModel(state, rules, options.maxVmsPerNode ?? Infinity);
  const start = startPlacement(model);
  const asked = model.units.flatMap(({ home }, unit) => (nodes.includes(nameOf(model, home)) ? [unit] : []));
  const packing = pack(model, start, asked, { fit: 'tight', mayDisplace: options.mayDisplace ?? true });
  const plan = describeSteps(model, start, packing.relocations);
  return {
    plan,
    left: leftOvers(model, packing),
    method: packing.method,
    certain: packing.certain,
    scoreBefore: placementScore(model, start),
    scoreAfter: placementScore(model, packing.placement),
    unknownVms,
  };
}

/** A VM to start. */
export interface PlacementStep {
  readonly vm: string;
  readonly destination: string;
  readonly memoryMib: number;
  /** RAM that is free there before it starts. */
  readonly freeMib: number;
}

export interface PlacementPlan {
  /** Running VMs to move first; none unless `mayDisplace`. */
  readonly moves: readonly PlanStep[];
  /** In this order: by RAM, largest first. */
  readonly starts: readonly PlacementStep[];
  readonly left: readonly LeftOver[];
  readonly method: Packing['method'];
  readonly certain: boolean;
  readonly unknownVms: readonly string[];
}

export interface PlacementOptions extends PlaceOptions {
  /**
   * VMs that get their place before all others, in this order, if there isn't room for all; then no running VM is moved.
   * Names of others may be among them.
   */
  readonly first?: readonly string[];
  /** As in packing.ts, for each of a few searches. */
  readonly mostTries?: number;
}

/**
 * Where to start the VMs of the state that run nowhere, or those of them that are named; `mayDisplace` is false when
 * left out.
 * @throws CxmError INVALID_INPUT if the state or a rule can't be, or a named VM is unknown
 */
export function planPlacement(
  state: ClusterState,
  vms?: readonly string[],
  options: PlacementOptions = {},
): PlacementPlan {
  checkState(state);
  const known = new Set(state.vms.map(({ name }) => name));
  const unknown = vms?.find((name) => !known.has(name));
  if (unknown !== undefined) throw invalid(`there is no VM ${quote(unknown)} to place`);
  const wanted = vms === undefined ? undefined : new Set(vms);
  const considered = state.vms.filter(
    ({ name, node }) => node !== undefined || wanted === undefined || wanted.has(name),
  );
  const rules = options.rules ?? {};
  const unknownVms = checkRules(rules, state);
  const model = buildModel({ nodes: state.nodes, vms: considered }, rules, options.maxVmsPerNode ?? Infinity);
  const start = startPlacement(model);
  const asked = model.units.flatMap(({ home }, unit) => (home < 0 ? [unit] : []));
  const { mayDisplace = false, mostTries, first } = options;
  const search = { fit: 'tight', ...(mostTries !== undefined && { mostTries }) } as const;
  const whole = pack(model, start, asked, { ...search, mayDisplace });
  const packing = whole.left.length === 0 ? whole : byImportance(model, start, { asked, first, whole, search });
  const moves = packing.relocations.filter(({ unit }) => unitAt(model, unit).home >= 0);
  const after = startPlacement(model);
  for (const { unit, node } of moves) move(model, after, unit, node);
  return {
    moves: describeSteps(model, start, moves),
    starts: startSteps(model, after, packing),
    left: leftOvers(model, packing),
    method: packing.method,
    certain: packing.certain,
    unknownVms,
  };
}

interface Shortage {
  readonly asked: readonly number[];
  readonly first: readonly string[] | undefined;
  /** What best-fit makes of it. */
  readonly whole: Packing;
  readonly search: Omit<PackingOptions, 'mayDisplace'>;
}

/** Largest first would let a large unit take the room of a more important small one. */
function byImportance(model: Model, start: Placement, { asked, first = [], whole, search }: Shortage): Packing {
  const ranks = new Map(first.map((vm, at) => [vm, at]));
  const rankOf = (unit: number): number =>
    Math.min(...unitAt(model, unit).vms.map(({ name }) => ranks.get(name) ?? Infinity));
  const ahead = asked.filter((unit) => rankOf(unit) < Infinity).sort((one, other) => rankOf(one) - rankOf(other));
  if (ahead.length === 0) return whole;
  const options = { ...search, mayDisplace: false };
  const others = asked.filter((unit) => !ahead.includes(unit));
  const isRoomForAhead = pack(model, start, ahead, options).left.length === 0;
  let placement = start;
  const turns = (isRoomForAhead ? [ahead, others] : [...ahead.map((unit) => [unit]), others]).map((units) => {
    const packing = pack(model, placement, units, options);
    ({ placement } = packing);
    return packing;
  });
  return {
    relocations: turns.flatMap(({ relocations }) => relocations),
    left: turns.flatMap(({ left }) => left),
    method: 'first',
    certain: whole.certain,
    placement,
  };
}

function startSteps(model: Model, placement: Placement, { relocations }: Packing): readonly PlacementStep[] {
  const free = model.nodes.map(({ memoryMib }, node) => memoryMib - (placement.memory[node] ?? 0));
  return relocations
    .filter(({ unit }) => unitAt(model, unit).home < 0)
    .flatMap(({ unit, node }) =>
      unitAt(model, unit).vms.map(({ name, memoryMib }) => {
        const freeMib = free[node] ?? 0;
        free[node] = freeMib - memoryMib;
        return { vm: name, destination: nameOf(model, node), memoryMib, freeMib };
      }),
    );
}

function leftOvers(model: Model, { left, placement }: Packing): readonly LeftOver[] {
  return left.flatMap((unit) => {
    const obstacles = model.nodes.flatMap(({ name }, node) => {
      const reason = node === placement.where[unit] ? undefined : obstacle(model, placement, unit, node);
      return reason === undefined ? [] : [[name, reason] as const];
    });
    return unitAt(model, unit).vms.map(({ name, memoryMib }) => ({
      vm: name,
      memoryMib,
      obstacles: Object.fromEntries(obstacles),
    }));
  });
}

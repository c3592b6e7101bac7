/**
 * A cluster as numbers, for the searches: nodes and VMs sorted by name and called by their index, sums in whole numbers,
 * rules as tables. A *unit* is what moves at once: a VM, or a group of VMs that are together and stay so.
 *
 * Guarantee: `fits` is the one place that decides whether a unit may go to a node; whatever is planned asks it, with the
 * unit still counted where it comes from and already counted where it goes to, as it is while it migrates.
 */
import { combine, toCpuUnits, type Score } from './score.ts';
import {
  checkState,
  compareNames,
  type BalanceNode,
  type BalanceRules,
  type BalanceVm,
  type ClusterState,
} from './state.ts';

export interface Unit {
  /** Sorted by name. */
  readonly vms: readonly BalanceVm[];
  readonly memoryMib: number;
  /** Thousandths of a percent. */
  readonly cpu: number;
  /** Index of its node; -1 if it is on none. */
  readonly home: number;
  /** False for those that rules say to leave alone; starting one that runs nowhere is no moving. */
  readonly movable: boolean;
  /** Belongs to a group that is on several nodes: `allowed` is where it gathers. */
  readonly gathering: boolean;
  /** By node: may it be there? Undefined: everywhere. */
  readonly allowed: readonly boolean[] | undefined;
  /** Indices of the groups that keep it apart from others. */
  readonly apart: readonly number[];
}

export interface Model {
  readonly nodes: readonly BalanceNode[];
  readonly units: readonly Unit[];
  /** By node. Ready; may get VMs (ready, accepting, not to be emptied); is to be emptied. */
  readonly ready: readonly boolean[];
  readonly accepting: readonly boolean[];
  readonly emptying: readonly boolean[];
  readonly apartGroups: number;
  readonly maxVmsPerNode: number;
  /** What one MiB, one CPU unit more on the highest node means in percentage points. */
  readonly memoryScale: number;
  readonly cpuScale: number;
}

/** Where every unit is, and what follows from it. Changed by `move` only. */
export interface Placement {
  /** Node of each unit; -1 for none. */
  readonly where: Int32Array;
  /** Sums by node. */
  readonly memory: Float64Array;
  readonly cpu: Float64Array;
  readonly count: Int32Array;
  /** VMs of an apart group on a node: group × nodes + node. */
  readonly apart: Int32Array;
}

export function buildModel(state: ClusterState, rules: BalanceRules, maxVmsPerNode: number): Model {
  const nodes = [...state.nodes].sort((one, other) => compareNames(one.name, other.name));
  const index = new Map(nodes.map(({ name }, at) => [name, at]));
  const ready = nodes.map((node) => node.ready);
  const empty = new Set(rules.empty);
  const emptying = nodes.map(({ name }, at) => empty.has(name) && ready[at] === true);
  const accepting = nodes.map((node, at) => node.ready && node.accepting && emptying[at] === false);
  const seen = state.vms.filter(({ node }) => node === undefined || ready[index.get(node) ?? -1] === true);
  const vms = [...seen].sort((one, other) => compareNames(one.name, other.name));
  const running = vms.filter(({ node }) => node !== undefined);
  const total = (pick: (vm: BalanceVm) => number): number => running.reduce((sum, vm) => sum + pick(vm), 0);
  const scale = (sum: number): number => (sum === 0 ? 0 : 100 / sum);
  const base = { nodes, ready, accepting, emptying, maxVmsPerNode };
  return {
    ...base,
    units: buildUnits(vms, rules, index, accepting),
    apartGroups: rules.apart?.length ?? 0,
    memoryScale: scale(total(({ memoryMib }) => memoryMib)),
    cpuScale: scale(total(({ cpuPercent }) => toCpuUnits(cpuPercent))),
  };
}

type NodeIndex = ReadonlyMap<string, number>;

function buildUnits(
  vms: readonly BalanceVm[],
  rules: BalanceRules,
  index: NodeIndex,
  accepting: readonly boolean[],
): readonly Unit[] {
  const ignored = new Set(rules.ignored);
  const pins = new Map((rules.pinned ?? []).map(({ vm, nodes }) => [vm, nodes.map((name) => index.get(name) ?? -1)]));
  const groupOf = new Map((rules.together ?? []).flatMap((group) => group.map((name) => [name, group] as const)));
  const byName = new Map(vms.map((vm) => [vm.name, vm]));
  const done = new Set<string>();
  const units: Unit[] = [];
  for (const vm of vms) {
    if (done.has(vm.name)) continue;
    const friends = (groupOf.get(vm.name) ?? [vm.name]).flatMap((name) => byName.get(name) ?? []);
    const united = friends.every(({ node }) => node === vm.node);
    const members = united ? [...friends].sort((one, other) => compareNames(one.name, other.name)) : [vm];
    for (const { name } of members) done.add(name);
    const anchor = united ? undefined : anchorOf(friends, index, accepting);
    const limits = members.flatMap(({ name }) => {
      const nodes = pins.get(name);
      return nodes === undefined ? [] : [nodes];
    });
    if (anchor !== undefined) limits.push([anchor]);
    const home = vm.node === undefined ? -1 : (index.get(vm.node) ?? -1);
    units.push({
      vms: members,
      memoryMib: members.reduce((sum, { memoryMib }) => sum + memoryMib, 0),
      cpu: members.reduce((sum, { cpuPercent }) => sum + toCpuUnits(cpuPercent), 0),
      home,
      movable: home < 0 || members.every(({ name }) => !ignored.has(name)),
      gathering: anchor !== undefined,
      allowed:
        limits.length === 0 ? undefined : accepting.map((_, node) => limits.every((nodes) => nodes.includes(node))),
      apart: (rules.apart ?? []).flatMap((group, at) => (members.some(({ name }) => group.includes(name)) ? [at] : [])),
    });
  }
  return units;
}

/** Where a group that is on several nodes gathers: on the node with most of it that may get VMs, the first by name. */
function anchorOf(friends: readonly BalanceVm[], index: NodeIndex, accepting: readonly boolean[]): number | undefined {
  const counts = new Map<number, number>();
  for (const { node } of friends) {
    const at = node === undefined ? -1 : (index.get(node) ?? -1);
    if (accepting[at] === true) counts.set(at, (counts.get(at) ?? 0) + 1);
  }
  const best = [...counts].sort(([node, count], [otherNode, other]) => other - count || node - otherNode)[0];
  return best?.[0];
}

export function startPlacement(model: Model): Placement {
  const { nodes, units, apartGroups } = model;
  const placement: Placement = {
    where: new Int32Array(units.length).fill(-1),
    memory: new Float64Array(nodes.length),
    cpu: new Float64Array(nodes.length),
    count: new Int32Array(nodes.length),
    apart: new Int32Array(apartGroups * nodes.length),
  };
  units.forEach(({ home }, unit) => move(model, placement, unit, home));
  return placement;
}

export function copyPlacement({ where, memory, cpu, count, apart }: Placement): Placement {
  return {
    where: where.slice(),
    memory: memory.slice(),
    cpu: cpu.slice(),
    count: count.slice(),
    apart: apart.slice(),
  };
}

/** Puts a unit on a node (-1: on none), without asking whether it may. */
export function move(model: Model, placement: Placement, unit: number, node: number): void {
  const moved = unitAt(model, unit);
  shift(model, placement, moved, placement.where[unit] ?? -1, -1);
  shift(model, placement, moved, node, 1);
  placement.where[unit] = node;
}

function shift({ nodes }: Model, placement: Placement, unit: Unit, node: number, sign: number): void {
  if (node < 0) return;
  placement.memory[node] = (placement.memory[node] ?? 0) + sign * unit.memoryMib;
  placement.cpu[node] = (placement.cpu[node] ?? 0) + sign * unit.cpu;
  placement.count[node] = (placement.count[node] ?? 0) + sign * unit.vms.length;
  for (const group of unit.apart) {
    const at = group * nodes.length + node;
    placement.apart[at] = (placement.apart[at] ?? 0) + sign;
  }
}

export function unitAt({ units }: Model, unit: number): Unit {
  const found = units[unit];
  if (found === undefined) throw new Error(`there is no unit ${unit}`);
  return found;
}

/** Why a unit may not go to a node: a rule, the node, or a limit that it would break. */
export type Obstacle = 'fixed' | 'same-node' | 'node' | 'pin' | 'apart' | 'memory' | 'count';

/** May this unit go to this node now? */
export function fits(model: Model, placement: Placement, unit: number, node: number): boolean {
  return obstacle(model, placement, unit, node) === undefined;
}

export function obstacle(model: Model, placement: Placement, unit: number, node: number): Obstacle | undefined {
  const { memoryMib, vms, movable, allowed, apart } = unitAt(model, unit);
  if (!movable) return 'fixed';
  if (placement.where[unit] === node) return 'same-node';
  if (model.accepting[node] !== true) return 'node';
  if (allowed !== undefined && allowed[node] !== true) return 'pin';
  const size = model.nodes.length;
  if (apart.some((group) => (placement.apart[group * size + node] ?? 0) > 0)) return 'apart';
  if ((placement.memory[node] ?? 0) + memoryMib > (model.nodes[node]?.memoryMib ?? 0)) return 'memory';
  if ((placement.count[node] ?? 0) + vms.length > model.maxVmsPerNode) return 'count';
  return undefined;
}

/** Highest sum on a ready node minus lowest on one that may get VMs, as percentages of the total. */
export function spreadOf(model: Model, { memory, cpu }: Placement): { memoryPercent: number; cpuPercent: number } {
  return {
    memoryPercent: range(model, memory) * model.memoryScale,
    cpuPercent: range(model, cpu) * model.cpuScale,
  };
}

function range({ ready, accepting }: Model, sums: Float64Array): number {
  let high = -Infinity;
  let low = Infinity;
  for (let node = 0; node < sums.length; node += 1) {
    const sum = sums[node] ?? 0;
    if (ready[node] === true && sum > high) high = sum;
    if (accepting[node] === true && sum < low) low = sum;
  }
  return low === Infinity ? 0 : Math.max(0, high - low);
}

export function placementScore(model: Model, placement: Placement): number {
  const { memoryPercent, cpuPercent } = spreadOf(model, placement);
  return combine(memoryPercent, cpuPercent);
}

/**
 * The score of a state as it is.
 * @throws CxmError INVALID_INPUT as checkState
 */
export function scoreOf(state: ClusterState): Score {
  checkState(state);
  const model = buildModel(state, {}, Infinity);
  const spread = spreadOf(model, startPlacement(model));
  return { ...spread, score: combine(spread.memoryPercent, spread.cpuPercent) };
}

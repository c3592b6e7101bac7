/**
 * Every placement that one relocation away from a given one, with its score in constant time each: the inner loop of all
 * searches. What the limits and rules forbid is left out; where a whole pair of nodes can't beat `below`, it is skipped.
 */
import { combine } from './score.ts';
import { without, type Extremes } from './extremes.ts';
import { fits, type Model, type Placement } from './model.ts';

/** Units of each node, by their index: those of node n are `units` from `first[n]` to before `first[n + 1]`. */
export interface Residents {
  readonly first: Int32Array;
  readonly units: Int32Array;
}

/** Only units that may move and that `wanted` admits. */
export function residentsOf(
  model: Model,
  placement: Placement,
  wanted: (unit: number) => boolean = () => true,
): Residents {
  const { nodes, units: all } = model;
  const first = new Int32Array(nodes.length + 1);
  const chosen = new Uint8Array(all.length);
  for (let unit = 0; unit < all.length; unit += 1) {
    const node = placement.where[unit] ?? -1;
    if (node < 0 || all[unit]?.movable !== true || !wanted(unit)) continue;
    chosen[unit] = 1;
    bump(first, node + 1);
  }
  for (let node = 0; node < nodes.length; node += 1) first[node + 1] = (first[node + 1] ?? 0) + (first[node] ?? 0);
  const units = new Int32Array(first[nodes.length] ?? 0);
  const next = first.slice();
  for (let unit = 0; unit < all.length; unit += 1) {
    if (chosen[unit] === 1) units[bump(next, placement.where[unit] ?? 0)] = unit;
  }
  return { first, units };
}

/** Adds one; returns what was there before. */
function bump(array: Int32Array, at: number): number {
  const before = array[at] ?? 0;
  array[at] = before + 1;
  return before;
}

export interface Neighbourhood {
  readonly model: Model;
  readonly placement: Placement;
  /** Of the placement. */
  readonly extremes: Extremes;
  readonly residents: Residents;
  /** Units with a lower index are left out. */
  readonly firstUnit: number;
  /** Is this pair of nodes looked at? */
  readonly wanted: (source: number, destination: number) => boolean;
  /** Pairs of nodes that can't get below this score are skipped. */
  readonly below: () => number;
}

/** Calls `visit` for each allowed relocation with the score that it leads to; order: source, destination, unit. */
export function forEachNeighbour(
  { model, placement, extremes, residents, firstUnit, wanted, below }: Neighbourhood,
  visit: (unit: number, destination: number, score: number) => void,
): void {
  const { nodes, accepting, memoryScale, cpuScale, maxVmsPerNode } = model;
  const { memory, cpu, count } = placement;
  const size = nodes.length;
  for (let source = 0; source < size; source += 1) {
    const from = residents.first[source] ?? 0;
    const to = residents.first[source + 1] ?? 0;
    if (from === to) continue;
    const memoryThere = memory[source] ?? 0;
    const cpuThere = cpu[source] ?? 0;
    const counts = accepting[source] === true;
    for (let destination = 0; destination < size; destination += 1) {
      if (destination === source || accepting[destination] !== true || !wanted(source, destination)) continue;
      const memoryHigh = without(extremes.memoryHigh, source, destination);
      const memoryLow = without(extremes.memoryLow, source, destination);
      const cpuHigh = without(extremes.cpuHigh, source, destination);
      const cpuLow = without(extremes.cpuLow, source, destination);
      const bound = combine(
        Math.max(0, memoryHigh - memoryLow) * memoryScale,
        Math.max(0, cpuHigh - cpuLow) * cpuScale,
      );
      if (bound >= below()) continue;
      const memoryHere = memory[destination] ?? 0;
      const cpuHere = cpu[destination] ?? 0;
      const room = (nodes[destination]?.memoryMib ?? 0) - memoryHere;
      const slots = maxVmsPerNode - (count[destination] ?? 0);
      for (let at = from; at < to; at += 1) {
        const unit = residents.units[at] ?? 0;
        if (unit < firstUnit) continue;
        const { memoryMib, cpu: cpuOfUnit, vms, allowed, apart } = model.units[unit] ?? nobody;
        if (memoryMib > room || vms.length > slots) continue;
        if ((allowed !== undefined || apart.length > 0) && !fits(model, placement, unit, destination)) continue;
        const [memoryLeft, memoryNow] = [memoryThere - memoryMib, memoryHere + memoryMib];
        const [cpuLeft, cpuNow] = [cpuThere - cpuOfUnit, cpuHere + cpuOfUnit];
        const memoryTop = Math.max(memoryHigh, memoryLeft, memoryNow);
        const cpuTop = Math.max(cpuHigh, cpuLeft, cpuNow);
        const memoryBottom = Math.min(memoryLow, memoryNow, counts ? memoryLeft : memoryNow);
        const cpuBottom = Math.min(cpuLow, cpuNow, counts ? cpuLeft : cpuNow);
        visit(unit, destination, combine((memoryTop - memoryBottom) * memoryScale, (cpuTop - cpuBottom) * cpuScale));
      }
    }
  }
}

const nobody = { memoryMib: 0, cpu: 0, vms: [], allowed: undefined, apart: [] } as const;

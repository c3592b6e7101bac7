/**
 * What one or two further migrations can reach at best: the bound that lets the complete search skip most sets.
 *
 * A migration lowers one node and raises one. So of the highest nodes those that no migration leaves stay as they are, and
 * one that a migration leaves is lowered by its largest VM at most; the lowest nodes alike. All ways of spending the
 * migrations on the three highest and three lowest nodes of each resource are tried, for both resources at once: a
 * migration that lowers the highest node by memory and another by CPU can't be the same one.
 */
import type { Extremes, Three } from './extremes.ts';
import { unitAt, type Model } from './model.ts';

/** The largest unit that may move, for each node and resource; and of all. */
export interface Largest {
  readonly memory: Float64Array;
  readonly cpu: Float64Array;
  readonly memoryOfAll: number;
  readonly cpuOfAll: number;
}

/** Of the units at their homes: in a set of relocations each of them moves once. */
export function largestUnits(model: Model): Largest {
  const memory = new Float64Array(model.nodes.length);
  const cpu = new Float64Array(model.nodes.length);
  model.units.forEach(({ home, movable }, unit) => {
    if (home < 0 || !movable) return;
    memory[home] = Math.max(memory[home] ?? 0, unitAt(model, unit).memoryMib);
    cpu[home] = Math.max(cpu[home] ?? 0, unitAt(model, unit).cpu);
  });
  return { memory, cpu, memoryOfAll: Math.max(0, ...memory), cpuOfAll: Math.max(0, ...cpu) };
}

/** A score that no placement one migration away from this one is below. */
export function lowestAfterOne(model: Model, extremes: Extremes, largest: Largest): number {
  const { memoryHigh, memoryLow, cpuHigh, cpuLow } = extremes;
  const memorySource = memoryHigh.node[0] ?? -1;
  const cpuSource = cpuHigh.node[0] ?? -1;
  const memoryDestination = memoryLow.node[0] ?? -1;
  const cpuDestination = cpuLow.node[0] ?? -1;
  let lowest = Infinity;
  for (let from = 0; from < 2; from += 1) {
    const source = from === 0 ? memorySource : cpuSource;
    const memoryTop = highestWithout(memoryHigh, source, largest.memory);
    const cpuTop = highestWithout(cpuHigh, source, largest.cpu);
    for (let to = 0; to < 2; to += 1) {
      const destination = to === 0 ? memoryDestination : cpuDestination;
      const memoryBottom = lowestWith(memoryLow, destination, largest.memoryOfAll);
      const cpuBottom = lowestWith(cpuLow, destination, largest.cpuOfAll);
      const memoryRange = positive(memoryTop - memoryBottom) * model.memoryScale;
      const cpuRange = positive(cpuTop - cpuBottom) * model.cpuScale;
      lowest = Math.min(lowest, memoryRange * memoryRange + cpuRange * cpuRange);
    }
  }
  return Math.sqrt(lowest);
}

function highestWithout({ value, node }: Three, source: number, largest: Float64Array): number {
  const first = value[0] ?? 0;
  return node[0] === source ? Math.max(value[1] ?? 0, first - (largest[source] ?? 0)) : first;
}

function lowestWith({ value, node }: Three, destination: number, largest: number): number {
  const first = value[0] ?? 0;
  return node[0] === destination ? Math.min(value[1] ?? 0, first + largest) : first;
}

/** A score that no placement two migrations away from this one is below. */
export function lowestAfterTwo(model: Model, extremes: Extremes, largest: Largest): number {
  const { memoryHigh, memoryLow, cpuHigh, cpuLow } = extremes;
  let lowest = Infinity;
  const sources = spendings([...memoryHigh.node, ...cpuHigh.node]);
  const destinations = spendings([...memoryLow.node, ...cpuLow.node]);
  const lows = destinations.map(
    (nodes) => [raised(memoryLow, nodes, largest.memoryOfAll), raised(cpuLow, nodes, largest.cpuOfAll)] as const,
  );
  for (const nodes of sources) {
    const memoryTop = lowered(memoryHigh, nodes, largest.memory);
    const cpuTop = lowered(cpuHigh, nodes, largest.cpu);
    for (const [memoryBottom, cpuBottom] of lows) {
      const memoryRange = positive(memoryTop - memoryBottom) * model.memoryScale;
      const cpuRange = positive(cpuTop - cpuBottom) * model.cpuScale;
      lowest = Math.min(lowest, memoryRange * memoryRange + cpuRange * cpuRange);
    }
  }
  return Math.sqrt(lowest);
}

function positive(range: number): number {
  return range > 0 && range < Infinity ? range : 0;
}

/** Nodes that two migrations are spent on; -1 stands for any other. */
function spendings(nodes: readonly number[]): readonly (readonly number[])[] {
  const choices = [...new Set([-1, ...nodes])];
  return choices.flatMap((one, at) => choices.slice(at).map((other) => [one, other]));
}

function lowered({ value, node }: Three, sources: readonly number[], largest: Float64Array): number {
  let highest = -Infinity;
  for (let at = 0; at < 3; at += 1) {
    const there = node[at] ?? -1;
    if (there < 0) break;
    const times = sources.reduce((sum, source) => (source === there ? sum + 1 : sum), 0);
    highest = Math.max(highest, (value[at] ?? 0) - times * (largest[there] ?? 0));
  }
  return highest;
}

function raised({ value, node }: Three, destinations: readonly number[], largest: number): number {
  let lowest = Infinity;
  for (let at = 0; at < 3; at += 1) {
    const there = node[at] ?? -1;
    if (there < 0) break;
    const times = destinations.reduce((sum, destination) => (destination === there ? sum + 1 : sum), 0);
    lowest = Math.min(lowest, (value[at] ?? 0) + times * largest);
  }
  return lowest;
}

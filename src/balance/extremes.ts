/**
 * The three highest and three lowest sums of a placement, for both resources: enough to know the score after any one
 * migration, which touches two nodes, in constant time; and to bound what one or two further migrations can reach.
 */
import { combine } from './score.ts';
import type { Model, Placement } from './model.ts';

/** Values with their nodes, the most extreme first; missing ones are infinite, on node -1. */
interface Three {
  readonly value: Float64Array;
  readonly node: Int32Array;
}

export interface Extremes {
  readonly memoryHigh: Three;
  readonly memoryLow: Three;
  readonly cpuHigh: Three;
  readonly cpuLow: Three;
}

function three(): Three {
  return { value: new Float64Array(3), node: new Int32Array(3) };
}

export function newExtremes(): Extremes {
  return { memoryHigh: three(), memoryLow: three(), cpuHigh: three(), cpuLow: three() };
}

/** Fills `extremes` for a placement. Among equal sums the node with the lowest index comes first. */
export function readExtremes(model: Model, placement: Placement, extremes: Extremes): void {
  pick(placement.memory, model.ready, extremes.memoryHigh, 1);
  pick(placement.memory, model.accepting, extremes.memoryLow, -1);
  pick(placement.cpu, model.ready, extremes.cpuHigh, 1);
  pick(placement.cpu, model.accepting, extremes.cpuLow, -1);
}

function pick(sums: Float64Array, mask: readonly boolean[], { value, node }: Three, sign: 1 | -1): void {
  let [first, second, third] = [-Infinity, -Infinity, -Infinity];
  let [firstNode, secondNode, thirdNode] = [-1, -1, -1];
  for (let at = 0; at < sums.length; at += 1) {
    if (mask[at] !== true) continue;
    const sum = sign * (sums[at] ?? 0);
    if (sum <= third) continue;
    if (sum > first) {
      [third, thirdNode, second, secondNode, first, firstNode] = [second, secondNode, first, firstNode, sum, at];
    } else if (sum > second) {
      [third, thirdNode, second, secondNode] = [second, secondNode, sum, at];
    } else {
      [third, thirdNode] = [sum, at];
    }
  }
  value[0] = sign * first;
  value[1] = sign * second;
  value[2] = sign * third;
  node[0] = firstNode;
  node[1] = secondNode;
  node[2] = thirdNode;
}

/** The most extreme value of all nodes but two. */
export function without({ value, node }: Three, one: number, other: number): number {
  const first = node[0];
  if (first !== one && first !== other) return value[0] ?? 0;
  const second = node[1];
  if (second !== one && second !== other) return value[1] ?? 0;
  return value[2] ?? 0;
}

/**
 * A score that no placement `migrations` (1 or 2) away from this one is below: each of them lowers one node and raises
 * one, so of the three highest one stays as high as the last, and of the three lowest one as low.
 */
export function lowestReachable(model: Model, extremes: Extremes, migrations: 1 | 2): number {
  const range = (high: Three, low: Three): number => {
    const difference = (high.value[migrations] ?? 0) - (low.value[migrations] ?? 0);
    return difference > 0 && difference < Infinity ? difference : 0;
  };
  return combine(
    range(extremes.memoryHigh, extremes.memoryLow) * model.memoryScale,
    range(extremes.cpuHigh, extremes.cpuLow) * model.cpuScale,
  );
}

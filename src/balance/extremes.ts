/**
 * The three highest and three lowest sums of a placement, for both resources: enough to know the score after any one
 * migration, which touches two nodes, in constant time.
 */
import type { Model, Placement } from './model.ts';

/** Values with their nodes, the most extreme first; missing ones are infinite, on node -1. */
export interface Three {
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
  let first = -Infinity;
  let second = -Infinity;
  let third = -Infinity;
  let firstNode = -1;
  let secondNode = -1;
  let thirdNode = -1;
  for (let at = 0; at < sums.length; at += 1) {
    if (mask[at] !== true) continue;
    const sum = sign * (sums[at] ?? 0);
    if (sum <= third) continue;
    if (sum <= second) {
      third = sum;
      thirdNode = at;
      continue;
    }
    third = second;
    thirdNode = secondNode;
    if (sum <= first) {
      second = sum;
      secondNode = at;
      continue;
    }
    second = first;
    secondNode = firstNode;
    first = sum;
    firstNode = at;
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

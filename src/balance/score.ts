/**
 * How uneven a cluster is: score = √(ΔRAM² + ΔCPU²), where Δ = (highest − lowest sum of its VMs on a node) × 100 / total.
 * 0 is even, 141 everything on one node.
 *
 * Two cases that the formula leaves open: nodes that aren't ready have no part in it, nor have VMs that run nowhere; and a
 * node that may not get VMs counts for the highest sum, never for the lowest, since nothing may be done about that.
 */
/** Highest and lowest sum on a node, as percentages of the total. */
export interface Spread {
  readonly memoryPercent: number;
  readonly cpuPercent: number;
}

export interface Score extends Spread {
  readonly score: number;
}

/** CPU sums are whole numbers of thousandths of a percent, so that no order of adding changes them. */
export const cpuUnitsPerPercent = 1000;

export function toCpuUnits(cpuPercent: number): number {
  return Math.round(cpuPercent * cpuUnitsPerPercent);
}

export function combine(memoryPercent: number, cpuPercent: number): number {
  return Math.sqrt(memoryPercent * memoryPercent + cpuPercent * cpuPercent);
}

/** What a plan wins, in percent of the score before it. */
export function gainPercent(before: number, after: number): number {
  return before === 0 ? 0 : ((before - after) * 100) / before;
}

/** What searches return: relocations in an order that keeps every limit, and what they lead to. */

export interface Relocation {
  readonly unit: number;
  readonly node: number;
}

export interface Solution {
  /** In order; each is allowed when its turn comes. */
  readonly relocations: readonly Relocation[];
  /** Of VMs; a unit of several counts for as many. */
  readonly migrations: number;
  readonly score: number;
  /** The score plus the costs of the migrations: what is minimised. */
  readonly objective: number;
}

/** By unit: what moving it has to earn, in points of the score. */
export type Costs = Float64Array;

/** Differences of the score below this one are none. Scores are between 0 and 141, and far coarser. */
export const scoreTolerance = 1e-6;

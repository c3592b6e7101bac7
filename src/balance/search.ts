/** The best relocations for each number of migrations. */
import { beamSearch } from './beam.ts';
import type { Model, Placement } from './model.ts';
import { scoreTolerance, type Costs, type Solution } from './solution.ts';

export interface SearchOptions {
  readonly maxMigrations: number;
  readonly costs: Costs;
}

export interface SearchResult {
  /** By rising number of migrations; each better than all before it. */
  readonly solutions: readonly Solution[];
  /** Is it proven that no plan within the limits has a lower score than these, for each number of migrations? */
  readonly complete: boolean;
}

const evaluations = 4_000_000;

export function search(model: Model, start: Placement, { maxMigrations, costs }: SearchOptions): SearchResult {
  if (maxMigrations <= 0) return { solutions: [], complete: true };
  const found = beamSearch(model, start, { maxMigrations, costs, evaluations });
  return { solutions: improving(found), complete: false };
}

function improving(found: readonly Solution[]): readonly Solution[] {
  const kept: Solution[] = [];
  for (const solution of [...found].sort((one, other) => one.migrations - other.migrations)) {
    if (solution.objective < (kept.at(-1)?.objective ?? Infinity) - scoreTolerance) kept.push(solution);
  }
  return kept;
}

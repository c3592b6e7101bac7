/** The best relocations for each number of migrations. */
import { beamSearch } from './beam.ts';
import { exactSearch } from './exact.ts';
import { placementScore, type Model, type Placement } from './model.ts';
import { extendByOne, polish } from './polish.ts';
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
  const scoreBefore = placementScore(model, start);
  const beam = beamSearch(model, start, { maxMigrations, costs, evaluations });
  const known = polishAll(model, start, beam, { maxMigrations, costs });
  const effort = exactEffort(model, maxMigrations);
  const exact = exactSearch(model, start, { maxMigrations, costs, known, effort });
  return { solutions: improving([...known, ...exact.solutions], scoreBefore), complete: exact.complete };
}

/** Each length's solution, or the next shorter one with a relocation more, whichever is better, polished. */
function polishAll(
  model: Model,
  start: Placement,
  found: readonly Solution[],
  { maxMigrations, costs }: SearchOptions,
): readonly Solution[] {
  const effort = { left: polishEffort };
  const last = found.at(-1);
  const longest = last === undefined ? [] : [polish(model, start, last, { maxMigrations, costs, effort })];
  const known: Solution[] = [];
  for (let length = 1; length <= maxMigrations; length += 1) {
    const options = { maxMigrations: length, costs, effort };
    const shorter = known.at(-1);
    const grown = shorter === undefined ? undefined : extendByOne(model, start, shorter, options);
    const candidates = [...found.filter(({ migrations }) => migrations === length), ...(grown ? [grown] : [])];
    const polished = candidates.map((solution) => polish(model, start, solution, options));
    known.push(...polished.sort((one, other) => one.objective - other.objective).slice(0, 1));
  }
  return [...known, ...longest];
}

/** None where so many sets of all migrations but the last two have to be looked at that it would not end in a second. */
function exactEffort({ nodes, units }: Model, maxMigrations: number): number {
  let sets = 1;
  for (let size = 1; size <= maxMigrations - 2; size += 1) sets *= (nodes.length * units.length) / size;
  return sets <= maxSets ? maxEffort : 0;
}

const polishEffort = 10_000_000;
const maxSets = 100_000;
const maxEffort = 80_000_000;

/** The best of each length, as far as they are better than doing nothing and than all shorter ones. */
function improving(found: readonly Solution[], scoreBefore: number): readonly Solution[] {
  const kept: Solution[] = [];
  const sorted = [...found].sort((one, other) => one.migrations - other.migrations || one.objective - other.objective);
  for (const solution of sorted) {
    if (solution.objective < (kept.at(-1)?.objective ?? scoreBefore) - scoreTolerance) kept.push(solution);
  }
  return kept;
}

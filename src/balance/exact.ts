/**
 * The complete search for small clusters and few migrations: every set of relocations, except where a bound proves that
 * nothing better than what is known can follow. What it returns as complete can't be beaten within the limits.
 *
 * Sets, not sequences: the order of relocations doesn't change where they lead, so it is looked for only when a set would
 * be an improvement. Going through an intermediate node doesn't either, so detours are a matter of that order, too.
 */
import { largestUnits, lowestAfterOne, lowestAfterTwo, type Largest } from './bound.ts';
import { newExtremes, readExtremes, type Extremes } from './extremes.ts';
import { copyPlacement, move, placementScore, unitAt, type Model, type Placement } from './model.ts';
import { forEachNeighbour, residentsOf, type Residents } from './neighbours.ts';
import { schedule } from './schedule.ts';
import { scoreTolerance, type Costs, type Relocation, type Solution } from './solution.ts';

export interface ExactOptions {
  readonly maxMigrations: number;
  readonly costs: Costs;
  /** What is known already; the search begins where these end. */
  readonly known: readonly Solution[];
  /** So many pairs of nodes are looked at before it gives up. */
  readonly effort: number;
}

interface Search {
  readonly model: Model;
  readonly start: Placement;
  readonly costs: Costs;
  readonly maxMigrations: number;
  /** By number of migrations: the lowest objective of plans up to that length. */
  readonly best: Float64Array;
  readonly found: Solution[];
  /** The set that is looked at, and where it leads. */
  readonly chosen: Relocation[];
  readonly placement: Placement;
  readonly extremes: readonly Extremes[];
  /** Single VMs that are at home at the beginning; what has moved before stays. */
  readonly residents: Residents;
  readonly largest: Largest;
  effort: number;
}

/** Solutions better than the known ones of their length; `complete` unless it gave up. */
export function exactSearch(
  model: Model,
  start: Placement,
  options: ExactOptions,
): { solutions: readonly Solution[]; complete: boolean; effortLeft: number } {
  const { maxMigrations, costs, known, effort } = options;
  const best = new Float64Array(maxMigrations + 1).fill(placementScore(model, start));
  const search: Search = {
    model,
    start,
    costs,
    maxMigrations,
    best,
    found: [],
    chosen: [],
    placement: copyPlacement(start),
    extremes: Array.from({ length: maxMigrations + 1 }, newExtremes),
    residents: residentsOf(model, start, (unit) => {
      const { vms, home } = unitAt(model, unit);
      return vms.length === 1 && home === start.where[unit];
    }),
    largest: largestUnits(model),
    effort,
  };
  for (const { migrations, objective } of known) improve(search, migrations, objective);
  descend(search, 0, 0, 0);
  return { solutions: search.found, complete: search.effort > 0, effortLeft: Math.max(0, search.effort) };
}

function improve({ best }: Search, migrations: number, objective: number): void {
  for (let length = migrations; length < best.length; length += 1) {
    best[length] = Math.min(best[length] ?? Infinity, objective);
  }
}

/** All sets that add to the chosen one units from index `first` on. */
function descend(search: Search, first: number, used: number, paid: number): void {
  const { model, start, maxMigrations, placement, costs } = search;
  if (maxMigrations - used === 1) return finish(search, first, paid);
  for (let unit = first; unit < model.units.length; unit += 1) {
    const { movable, home, allowed, vms } = unitAt(model, unit);
    const migrations = used + vms.length;
    if (!movable || home < 0 || start.where[unit] !== home || migrations > maxMigrations) continue;
    const cost = paid + (costs[unit] ?? 0);
    for (let node = 0; node < model.nodes.length; node += 1) {
      if (node === home || model.accepting[node] !== true || (allowed !== undefined && allowed[node] !== true))
        continue;
      if (search.effort <= 0) return;
      search.effort -= 4 * model.nodes.length;
      move(model, placement, unit, node);
      search.chosen.push({ unit, node });
      record(search, migrations, placementScore(model, placement), cost);
      if (promises(search, migrations, cost)) descend(search, unit + 1, migrations, cost);
      search.chosen.pop();
      move(model, placement, unit, home);
    }
  }
}

/** Can more relocations lead to an improvement? */
function promises(search: Search, used: number, paid: number): boolean {
  const { model, placement, extremes, largest, best, maxMigrations } = search;
  const here = extremes[used];
  if (used >= maxMigrations || here === undefined) return false;
  readExtremes(model, placement, here);
  const bound = (further: number): number => {
    if (further === 1) return lowestAfterOne(model, here, largest);
    return further === 2 ? lowestAfterTwo(model, here, largest) : 0;
  };
  for (let further = 1; used + further <= maxMigrations; further += 1) {
    if (bound(further) + paid < (best[used + further] ?? 0) - scoreTolerance) return true;
  }
  return false;
}

/** The last migration: all neighbours at once. */
function finish(search: Search, first: number, paid: number): void {
  const { model, placement, extremes, residents, costs, maxMigrations, best } = search;
  const here = extremes[maxMigrations - 1];
  if (here === undefined) return;
  if (maxMigrations === 1) readExtremes(model, placement, here);
  search.effort -= model.nodes.length * model.nodes.length;
  const below = (): number => (best[maxMigrations] ?? 0) - paid - scoreTolerance;
  forEachNeighbour(
    { model, placement, extremes: here, residents, firstUnit: first, wanted: () => true, below },
    (unit, node, score) => {
      const cost = paid + (costs[unit] ?? 0);
      if (score + cost >= (best[maxMigrations] ?? 0) - scoreTolerance) return;
      search.chosen.push({ unit, node });
      record(search, maxMigrations, score, cost);
      search.chosen.pop();
    },
  );
}

/** Takes the chosen set if it improves on plans of its length, or of the length that detours give it. */
function record(search: Search, migrations: number, score: number, cost: number): void {
  const { model, start, best, found, chosen, maxMigrations, costs } = search;
  if (score + cost >= (best[migrations] ?? 0) - scoreTolerance) return;
  const relocations = schedule(model, start, chosen, maxMigrations);
  if (relocations === undefined) return;
  const length = relocations.reduce((sum, { unit }) => sum + unitAt(model, unit).vms.length, 0);
  const objective = score + relocations.reduce((sum, { unit }) => sum + (costs[unit] ?? 0), 0);
  if (objective >= (best[length] ?? 0) - scoreTolerance) return;
  improve(search, length, objective);
  found.push({ relocations, migrations: length, score, objective });
}

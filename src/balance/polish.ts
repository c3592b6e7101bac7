/**
 * Makes a solution better without making it longer: takes one or two relocations out of the set and looks whether the
 * cluster is as well off without them, or better off with another one in their place. What the searches for many
 * migrations miss, because they never take a step back, is found here.
 */
import { exactSearch } from './exact.ts';
import { newExtremes, readExtremes } from './extremes.ts';
import { copyPlacement, move, placementScore, unitAt, type Model, type Placement } from './model.ts';
import { forEachNeighbour, residentsOf } from './neighbours.ts';
import { schedule } from './schedule.ts';
import { scoreTolerance, type Costs, type Relocation, type Solution } from './solution.ts';

export interface PolishOptions {
  readonly maxMigrations: number;
  readonly costs: Costs;
  /** Shared by all that polish the same cluster. */
  readonly effort: Effort;
}

/** Pairs of units and nodes that may still be looked at; what has begun is brought to its end. */
export interface Effort {
  left: number;
}

/** The solution itself, or a better one of at most maxMigrations; shorter where that is no worse. */
export function polish(model: Model, start: Placement, solution: Solution, options: PolishOptions): Solution {
  let best = solution;
  for (;;) {
    const next: Solution | undefined =
      shorten(model, start, best, options) ??
      exchange(model, start, best, options) ??
      exchangeTwo(model, start, best, options);
    if (next === undefined) return best;
    best = next;
  }
}

/** The best solution that has one relocation more. */
export function extendByOne(
  model: Model,
  start: Placement,
  solution: Solution,
  options: PolishOptions,
): Solution | undefined {
  const targets = targetsOf(model, solution);
  const added = bestAddition(model, start, targets, options, Infinity);
  return added === undefined ? undefined : solutionOf(model, start, [...targets, added], options);
}

/** Where each unit ends: a set, without order and detours. */
function targetsOf(model: Model, { relocations }: Solution): readonly Relocation[] {
  const last = new Map(relocations.map(({ unit, node }) => [unit, node]));
  return [...last].flatMap(([unit, node]) => (node === unitAt(model, unit).home ? [] : [{ unit, node }]));
}

function placed(model: Model, start: Placement, targets: readonly Relocation[]): Placement {
  const placement = copyPlacement(start);
  for (const { unit, node } of targets) move(model, placement, unit, node);
  return placement;
}

function solutionOf(
  model: Model,
  start: Placement,
  targets: readonly Relocation[],
  { maxMigrations, costs }: PolishOptions,
): Solution | undefined {
  const relocations = schedule(model, start, targets, maxMigrations);
  if (relocations === undefined) return undefined;
  const score = placementScore(model, placed(model, start, targets));
  const cost = relocations.reduce((sum, { unit }) => sum + (costs[unit] ?? 0), 0);
  return { relocations, migrations: migrationsOf(model, relocations), score, objective: score + cost };
}

function migrationsOf(model: Model, relocations: readonly Relocation[]): number {
  return relocations.reduce((sum, { unit }) => sum + unitAt(model, unit).vms.length, 0);
}

/** Without one relocation, or two, that bring nothing. */
function shorten(model: Model, start: Placement, solution: Solution, all: PolishOptions): Solution | undefined {
  const targets = targetsOf(model, solution);
  const placement = placed(model, start, targets);
  const back = (at: number, other: number): boolean => {
    const gone = targets.filter((_, index) => index === at || index === other);
    for (const { unit } of gone) move(model, placement, unit, unitAt(model, unit).home);
    const score = placementScore(model, placement);
    for (const { unit, node } of gone) move(model, placement, unit, node);
    return score <= solution.score + scoreTolerance;
  };
  const options = { ...all, maxMigrations: solution.migrations - 1 };
  for (let at = 0; at < targets.length; at += 1) {
    const end = all.effort.left > 0 ? targets.length : at + 1;
    for (let other = at; other < end; other += 1) {
      all.effort.left -= model.nodes.length;
      if (!back(at, other)) continue;
      const rest = targets.filter((_, index) => index !== at && index !== other);
      const shorter = solutionOf(model, start, rest, options);
      if (shorter !== undefined && shorter.objective <= solution.objective + scoreTolerance) return shorter;
    }
  }
  return undefined;
}

/** The best solution with another relocation in place of one. */
function exchange(model: Model, start: Placement, solution: Solution, options: PolishOptions): Solution | undefined {
  const targets = targetsOf(model, solution);
  let best: Solution | undefined;
  targets.forEach((_, at) => {
    const rest = targets.filter((__, index) => index !== at);
    const below = (best ?? solution).objective - scoreTolerance;
    const added = bestAddition(model, start, rest, options, below);
    if (added === undefined) return;
    const changed = solutionOf(model, start, [...rest, added], options);
    if (changed !== undefined && changed.objective < below) best = changed;
  });
  return best;
}

/** The first better solution with two other relocations in place of two. */
function exchangeTwo(model: Model, start: Placement, solution: Solution, options: PolishOptions): Solution | undefined {
  const { costs, effort } = options;
  const targets = targetsOf(model, solution);
  for (let at = 0; at < targets.length; at += 1) {
    for (let other = at + 1; other < targets.length; other += 1) {
      if (effort.left <= 0) return undefined;
      const rest = targets.filter((_, index) => index !== at && index !== other);
      const paid = rest.reduce((sum, { unit }) => sum + (costs[unit] ?? 0), 0);
      const known = [{ ...solution, migrations: 1, objective: solution.objective - paid }];
      const given = Math.min(effort.left, effortPerPair);
      const from = placed(model, start, rest);
      const { solutions, effortLeft } = exactSearch(model, from, { maxMigrations: 2, costs, known, effort: given });
      effort.left -= given - effortLeft;
      const added = solutions.at(-1);
      if (added === undefined) continue;
      const changed = solutionOf(model, start, [...rest, ...targetsOf(model, added)], options);
      if (changed !== undefined && changed.objective < solution.objective - scoreTolerance) return changed;
    }
  }
  return undefined;
}

/** What the complete search may look at for one pair. */
const effortPerPair = 400_000;

/** The relocation of a unit still at home that leads to the lowest objective, if that is below. */
function bestAddition(
  model: Model,
  start: Placement,
  targets: readonly Relocation[],
  { maxMigrations, costs, effort }: PolishOptions,
  limit: number,
): Relocation | undefined {
  if (effort.left <= 0) return undefined;
  effort.left -= model.nodes.length * model.nodes.length + model.units.length;
  const placement = placed(model, start, targets);
  const left = maxMigrations - migrationsOf(model, targets);
  const paid = targets.reduce((sum, { unit }) => sum + (costs[unit] ?? 0), 0);
  const extremes = newExtremes();
  readExtremes(model, placement, extremes);
  const residents = residentsOf(model, placement, (unit) => {
    const { home, vms } = unitAt(model, unit);
    return home === start.where[unit] && home === placement.where[unit] && vms.length <= left;
  });
  let best: Relocation | undefined;
  let lowest = limit;
  forEachNeighbour(
    { model, placement, extremes, residents, firstUnit: 0, wanted: () => true, below: () => lowest - paid },
    (unit, node, score) => {
      const objective = score + paid + (costs[unit] ?? 0);
      if (objective < lowest) [best, lowest] = [{ unit, node }, objective];
    },
  );
  return best;
}

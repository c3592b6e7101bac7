/** Which of the solutions becomes the plan, and why nothing better was taken. */
import type { Choice } from './plan.ts';
import { obstacle, type Model, type Obstacle, type Placement } from './model.ts';
import { gainPercent } from './score.ts';
import type { SearchResult } from './search.ts';
import { scoreTolerance, type Relocation, type Solution } from './solution.ts';

export interface Alternative {
  readonly migrations: number;
  readonly score: number;
  /** Percent of the score that the balancer began with, which is the one after rules were mended. */
  readonly gainPercent: number;
}

/** Why the plan isn't a better one. */
export type NothingBetter =
  /** The score is 0: all nodes are alike. */
  | { readonly kind: 'even' }
  /** All migrations that may be made are used up by mending rules. */
  | { readonly kind: 'no-migrations-left'; readonly maxMigrations: number }
  /** No allowed migrations lower the score; `complete`: all were considered, else none was found. */
  | { readonly kind: 'nothing-found'; readonly complete: boolean; readonly maxMigrations: number }
  /** The best that was found gains less than is asked for. */
  | { readonly kind: 'gain-too-small'; readonly best: Alternative; readonly minGainPercent: number }
  /** There is a better plan, but its further migrations gain too little each. */
  | { readonly kind: 'not-worthwhile'; readonly best: Alternative; readonly minGainPercent: number }
  /** There is a better plan that is longer, and the shortest was asked for. */
  | { readonly kind: 'longer'; readonly best: Alternative }
  /** The plan has the lowest score of all found; `complete`: of all within the limits. */
  | { readonly kind: 'best'; readonly complete: boolean; readonly maxMigrations: number };

export interface ChooseOptions {
  readonly minGainPercent: number;
  readonly choice: Choice;
  readonly scoreBefore: number;
  readonly maxMigrations: number;
}

export interface Chosen {
  readonly relocations: readonly Relocation[];
  readonly alternatives: readonly Alternative[];
  readonly nothingBetter: NothingBetter;
}

export function chooseSolution({ solutions, complete }: SearchResult, options: ChooseOptions): Chosen {
  const { minGainPercent, choice, scoreBefore, maxMigrations } = options;
  const alternatives = solutions.map(({ migrations, score }) => ({
    migrations,
    score,
    gainPercent: gainPercent(scoreBefore, score),
  }));
  const nothing = (nothingBetter: NothingBetter): Chosen => ({ relocations: [], alternatives, nothingBetter });
  if (scoreBefore < scoreTolerance) return nothing({ kind: 'even' });
  if (maxMigrations <= 0) return nothing({ kind: 'no-migrations-left', maxMigrations });
  /** Costs of the migrations taken off. */
  const gainOf = ({ objective }: Solution): number => gainPercent(scoreBefore, objective);
  const useful = solutions.filter(({ objective }) => objective < scoreBefore - scoreTolerance);
  const best = alternatives[solutions.indexOf(useful.at(-1) as Solution)];
  if (best === undefined) return nothing({ kind: 'nothing-found', complete, maxMigrations });
  const enough = useful.filter((solution) => gainOf(solution) >= minGainPercent - scoreTolerance);
  const chosen = pick(enough, choice, (solution) => gainOf(solution) - minGainPercent * solution.migrations);
  if (chosen === undefined) return nothing({ kind: 'gain-too-small', best, minGainPercent });
  const { relocations } = chosen;
  if (chosen === useful.at(-1))
    return { relocations, alternatives, nothingBetter: { kind: 'best', complete, maxMigrations } };
  if (choice === 'efficient') return { relocations, alternatives, nothingBetter: { kind: 'longer', best } };
  return { relocations, alternatives, nothingBetter: { kind: 'not-worthwhile', best, minGainPercent } };
}

function pick(
  solutions: readonly Solution[],
  choice: Choice,
  worth: (solution: Solution) => number,
): Solution | undefined {
  switch (choice) {
    case 'efficient':
      return solutions[0];
    case 'best':
      return solutions.at(-1);
    case 'worthwhile':
      return solutions.reduce<Solution | undefined>(
        (one, other) => (one === undefined || worth(other) > worth(one) + scoreTolerance ? other : one),
        undefined,
      );
  }
}

/** Single migrations from a placement that something forbids, by what does. */
export function blockedMoves(model: Model, placement: Placement): Partial<Record<Obstacle, number>> {
  const counts: Partial<Record<Obstacle, number>> = {};
  model.units.forEach(({ home }, unit) => {
    if (home < 0) return;
    for (let node = 0; node < model.nodes.length; node += 1) {
      const reason = obstacle(model, placement, unit, node);
      if (reason !== undefined && reason !== 'same-node') counts[reason] = (counts[reason] ?? 0) + 1;
    }
  });
  return counts;
}

/**
 * The load balancer: from a state to an ordered plan of migrations, with the score after each of them and why there is
 * nothing better.
 *
 * Guarantees: every step by itself keeps the limits and breaks no rule, with the moving VM counted on both nodes; the plan
 * is never worse than doing nothing, and never as good as a shorter one; the same input, in whatever order, gives the same
 * plan. Which plan is chosen: see `Choice`.
 */
import { describeSteps, type PlanStep } from './describe.ts';
import { blockedMoves, chooseSolution, type Alternative, type NothingBetter } from './choose.ts';
import {
  buildModel,
  placementScore,
  spreadOf,
  startPlacement,
  type Model,
  type Obstacle,
  type Placement,
} from './model.ts';
import { apply } from './packing.ts';
import { brokenRule, repair, type BrokenRule } from './repair.ts';
import { gainPercent, type Score } from './score.ts';
import { search } from './search.ts';
import { combine } from './score.ts';
import {
  checkLimits,
  checkRules,
  checkState,
  defaultLimits,
  type BalanceLimits,
  type BalanceRules,
  type ClusterState,
} from './state.ts';

/**
 * Which plan is taken, of the best ones of each length that gain at least minGainPercent:
 * `worthwhile`: the one with the greatest gain after minGainPercent is taken off for each migration, so that each
 * further migration earns what a plan has to; `efficient`: the shortest; `best`: the lowest score, whatever the length.
 * Of two that are equal the shorter one.
 */
export type Choice = 'worthwhile' | 'efficient' | 'best';

/** What a migration has to earn, in percent of the score before the plan, beside minGainPercent for the plan. */
export interface MigrationCost {
  readonly percentPerMigration: number;
  readonly percentPerGib: number;
}

export interface BalanceOptions {
  readonly rules?: BalanceRules;
  readonly choice?: Choice;
  readonly cost?: MigrationCost;
}

/** What a rule demands and the cluster after the plan doesn't have. */
export interface Unresolved {
  readonly rule: BrokenRule;
  readonly vm: string;
  readonly node: string;
}

export interface BalancePlan {
  readonly plan: readonly PlanStep[];
  readonly before: Score;
  readonly after: Score;
  /** Percent of the score before; negative if mending rules made it worse. */
  readonly gainPercent: number;
  readonly movedMib: number;
  /** The best found for each number of migrations, if better than all shorter ones; rules are mended in all of them. */
  readonly alternatives: readonly Alternative[];
  readonly nothingBetter: NothingBetter;
  /** Migrations from the state after the plan that something forbids, by what forbids them. */
  readonly blocked: Readonly<Partial<Record<Obstacle, number>>>;
  readonly unresolved: readonly Unresolved[];
  /** VMs that rules name and that the state doesn't have. */
  readonly unknownVms: readonly string[];
}

/**
 * @throws CxmError INVALID_INPUT if the state or a rule can't be, see checkState and checkRules, or a limit is no number it can be
 */
export function planBalance(
  state: ClusterState,
  limits: Partial<BalanceLimits> = {},
  options: BalanceOptions = {},
): BalancePlan {
  checkState(state);
  const rules = options.rules ?? {};
  const unknownVms = checkRules(rules, state);
  const allLimits = { ...defaultLimits, ...limits };
  checkLimits(allLimits);
  const { maxVmsPerNode, maxMigrations, minGainPercent } = allLimits;
  const model = buildModel(state, rules, maxVmsPerNode);
  const start = startPlacement(model);
  const mended = repair(model, start, maxMigrations);
  const used = describeSteps(model, start, mended.relocations).length;
  const costs = migrationCosts(model, placementScore(model, mended.placement), options.cost);
  const result = search(model, mended.placement, { maxMigrations: maxMigrations - used, costs });
  const chosen = chooseSolution(result, {
    minGainPercent,
    choice: options.choice ?? 'worthwhile',
    scoreBefore: placementScore(model, mended.placement),
    maxMigrations: maxMigrations - used,
  });
  const relocations = [...mended.relocations, ...chosen.relocations];
  const end = apply(model, start, relocations);
  const [before, after] = [scoreAt(model, start), scoreAt(model, end)];
  const plan = describeSteps(model, start, relocations);
  return {
    plan,
    before,
    after,
    gainPercent: gainPercent(before.score, after.score),
    movedMib: plan.reduce((sum, { memoryMib }) => sum + memoryMib, 0),
    alternatives: chosen.alternatives.map((one) => ({ ...one, migrations: one.migrations + used })),
    nothingBetter: chosen.nothingBetter,
    blocked: blockedMoves(model, end),
    unresolved: unresolvedRules(model, end),
    unknownVms,
  };
}

function scoreAt(model: Model, placement: Placement): Score {
  const spread = spreadOf(model, placement);
  return { ...spread, score: combine(spread.memoryPercent, spread.cpuPercent) };
}

/** Beside what the caller asks, a trace, so that of equal plans the one that moves less is the better one. */
function migrationCosts(model: Model, score: number, cost: MigrationCost | undefined): Float64Array {
  const { percentPerMigration, percentPerGib } = cost ?? { percentPerMigration: 0, percentPerGib: 0 };
  return Float64Array.from(model.units, ({ vms, memoryMib }) => {
    const asked = (score / 100) * (percentPerMigration * vms.length + (percentPerGib * memoryMib) / 1024);
    return asked + trace * (vms.length + (memoryMib * model.memoryScale) / 100);
  });
}

const trace = 1e-9;

function unresolvedRules(model: Model, placement: Placement): readonly Unresolved[] {
  return model.units.flatMap(({ vms }, unit) => {
    const rule = brokenRule(model, placement, unit);
    const node = model.nodes[placement.where[unit] ?? -1]?.name;
    return rule === undefined || node === undefined ? [] : vms.map(({ name }) => ({ rule, vm: name, node }));
  });
}

/**
 * A plan in sentences: why each step, why nothing better, what stays undone. Plain text without layout, for a renderer to
 * put where it likes; everything said here is also in the plan as data.
 */
import type { NothingBetter } from './choose.ts';
import type { PlanStep, Resource, StepReason } from './describe.ts';
import type { Obstacle } from './model.ts';
import type { BalancePlan, Unresolved } from './plan.ts';
import type { Waiting } from './hysteresis.ts';
import type { LeftOver } from './place.ts';

export interface Explanation {
  /** One for each step of the plan. */
  readonly steps: readonly string[];
  readonly nothingBetter: string;
  /** What forbids further migrations, the most frequent first. */
  readonly blocked: readonly string[];
  /** Rules that the plan doesn't mend; names in rules that don't exist. */
  readonly warnings: readonly string[];
}

export function explainPlan(plan: BalancePlan): Explanation {
  return {
    steps: plan.plan.map(explainStep),
    nothingBetter: explainNothingBetter(plan.nothingBetter),
    blocked: Object.entries(plan.blocked)
      .sort(([one, count], [other, otherCount]) => otherCount - count || (one < other ? -1 : 1))
      .map(([obstacle, count]) => `${plural(count, 'migration')} ruled out: ${obstacleWords[obstacle as Obstacle]}`),
    warnings: [
      ...plan.unresolved.map(explainUnresolved),
      ...plan.unknownVms.map((name) => `a rule names VM ${name}, which isn't there`),
    ],
  };
}

export function explainStep({ vm, source, destination, why }: PlanStep): string {
  return `${vm} goes from ${source} to ${destination}: ${why.map(explainReason).join('; ')}`;
}

const resourceWords: Readonly<Record<Resource, string>> = { memory: 'RAM', cpu: 'CPU load' };

export function explainReason(reason: StepReason): string {
  switch (reason.kind) {
    case 'empties':
      return `${reason.node} is to be empty`;
    case 'rule':
      return ruleWords[reason.rule];
    case 'from-highest':
      return `${reason.node} has the most ${resourceWords[reason.resource]}`;
    case 'to-lowest':
      return `${reason.node} has the least ${resourceWords[reason.resource]}`;
    case 'makes-room':
      return `makes room for ${reason.vm}`;
    case 'detour':
      return `waits there until ${reason.node} has room for it`;
    case 'prepares':
      return 'pays together with the other steps';
  }
}

const ruleWords = {
  pin: 'it is pinned elsewhere',
  together: 'its group gathers there',
  apart: 'its group must not share a node',
} as const;

const obstacleWords: Readonly<Record<Obstacle, string>> = {
  fixed: 'the VM is not to be moved',
  'same-node': 'the VM is there already',
  node: 'the node may not get VMs',
  pin: 'the VM can not be there, or is pinned to other nodes',
  apart: 'another VM of its group is there',
  memory: 'the node has too little free RAM',
  count: 'the node has as many VMs as allowed',
};

export function explainNothingBetter(reason: NothingBetter): string {
  const percent = (value: number): string => `${value.toFixed(1)} %`;
  switch (reason.kind) {
    case 'even':
      return 'the nodes are exactly even already';
    case 'no-migrations-left':
      return 'no migrations are left for balancing';
    case 'nothing-found':
      return reason.complete
        ? `no ${upTo(reason.maxMigrations)} would make the nodes more even`
        : `no ${upTo(reason.maxMigrations)} was found that would make the nodes more even`;
    case 'gain-too-small':
      return `the best plan gains ${percent(reason.best.gainPercent)} with ${plural(reason.best.migrations, 'migration')}, less than the ${percent(reason.minGainPercent)} asked for`;
    case 'not-worthwhile':
      return `${plural(reason.best.migrations, 'migration')} would gain ${percent(reason.best.gainPercent)}, but each further one must gain ${percent(reason.minGainPercent)}`;
    case 'longer':
      return `${plural(reason.best.migrations, 'migration')} would gain ${percent(reason.best.gainPercent)}, but the shortest plan was asked for`;
    case 'best':
      return reason.complete
        ? `no ${upTo(reason.maxMigrations)} leads to a lower score`
        : `nothing better was found with ${upTo(reason.maxMigrations)}`;
  }
}

export function explainUnresolved({ rule, vm, node }: Unresolved): string {
  switch (rule) {
    case 'empty':
      return `${vm} stays on ${node}, which is to be empty`;
    case 'pin':
      return `${vm} stays on ${node}, though it is pinned elsewhere`;
    case 'together':
      return `${vm} stays on ${node}, away from its group`;
    case 'apart':
      return `${vm} stays on ${node}, beside another VM of its group`;
  }
}

/** Why a VM is left over: what stands in the way, and on how many nodes. */
export function explainLeftOver({ vm, memoryMib, obstacles }: LeftOver): string {
  const counts = new Map<Obstacle, string[]>();
  for (const [node, obstacle] of Object.entries(obstacles)) {
    counts.set(obstacle, [...(counts.get(obstacle) ?? []), node]);
  }
  const reasons = [...counts].map(([obstacle, nodes]) => `${nodes.join(', ')}: ${obstacleWords[obstacle]}`);
  if (reasons.length === 0) return `${vm} (${memoryMib} MiB) fits nowhere: there is no other node`;
  return `${vm} (${memoryMib} MiB) fits on no other node (${reasons.join('; ')})`;
}

export function explainWaiting(waiting: Waiting): string {
  switch (waiting.kind) {
    case 'even-enough':
      return `the score is ${waiting.score.toFixed(1)}, below ${waiting.thresholdScore}`;
    case 'settling':
      return `the last plan is to take effect: ${Math.ceil(waiting.remainingSeconds)} s more`;
    case 'holding':
      return `the score is ${waiting.score.toFixed(1)} and must stay so for ${Math.ceil(waiting.remainingSeconds)} s more`;
    case 'no-plan':
      return waiting.coolingVms.length === 0
        ? explainNothingBetter(waiting.result.nothingBetter)
        : `${explainNothingBetter(waiting.result.nothingBetter)}; ${plural(waiting.coolingVms.length, 'VM')} moved lately and left alone`;
  }
}

function upTo(maxMigrations: number): string {
  return maxMigrations === 1 ? 'single migration' : `plan of up to ${maxMigrations} migrations`;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

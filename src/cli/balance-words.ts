/** The load balancer's reasons as half sentences. Pure. */
import type { NothingBetter } from '../balance/choose.ts';
import type { StepReason } from '../balance/describe.ts';

const rules = {
  pin: 'it may not be where it is',
  together: 'it belongs to a group on one node',
  apart: 'it must not be beside another one of its group',
} as const;

export function whyStep(reason: StepReason): string {
  switch (reason.kind) {
    case 'empties':
      return `${reason.node} is to be empty`;
    case 'rule':
      return rules[reason.rule];
    case 'from-highest':
      return `${reason.node} has the most ${resource(reason.resource)}`;
    case 'to-lowest':
      return `${reason.node} has the least ${resource(reason.resource)}`;
    case 'makes-room':
      return `makes room for ${reason.vm}`;
    case 'detour':
      return `goes on to ${reason.node} later`;
    case 'prepares':
      return 'pays with the steps that follow';
  }
}

export function whyNothingBetter(reason: NothingBetter): string {
  switch (reason.kind) {
    case 'even':
      return 'all nodes are alike';
    case 'no-migrations-left':
      return `rules take all ${reason.maxMigrations} migrations`;
    case 'nothing-found':
      return reason.complete
        ? `no ${reason.maxMigrations} or fewer migrations lower the score`
        : `no ${reason.maxMigrations} or fewer migrations that lower the score were found`;
    case 'gain-too-small':
      return `the best plan gains ${reason.best.gainPercent.toFixed(1)} %, less than LB_MIN_GAIN (${reason.minGainPercent} %)`;
    case 'not-worthwhile':
      return `${reason.best.migrations} migrations would gain ${reason.best.gainPercent.toFixed(1)} %, too little for each`;
    case 'longer':
      return `${reason.best.migrations} migrations would gain ${reason.best.gainPercent.toFixed(1)} %, but the shortest plan was asked for`;
    case 'best':
      return reason.complete
        ? `this is the best that ${reason.maxMigrations} migrations can do`
        : `nothing better with ${reason.maxMigrations} migrations was found`;
  }
}

function resource(name: 'memory' | 'cpu'): string {
  return name === 'cpu' ? 'CPU' : 'memory';
}

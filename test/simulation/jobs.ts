/**
 * Many seeds at once, in processes of their own: a seed at a time each, the next one to whoever is free.
 *
 * Guarantees: what a seed gives does not depend on where it is run or on how many there are; after a violation no further
 * seed is begun, those under way are waited for, and of several that break something the lowest one is told.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { makePlan } from './plan.ts';
import { runPlan, type Broken, type Outcome } from './run.ts';

/** The same for all seeds of a run. */
export interface SeedOrder {
  readonly hours: number;
  /** Instead of the number that the seed gives. */
  readonly nodes?: number;
}

export type SeedAnswer =
  | { readonly seed: number; readonly outcome: Outcome }
  /** The simulator itself has failed. */
  | { readonly seed: number; readonly error: string };

export interface SeedRun {
  readonly order: SeedOrder;
  readonly first: number;
  readonly count: number;
  readonly jobs: number;
  /** No further seed is to be begun. */
  isOver(): boolean;
  ended(outcome: Outcome): void;
}

export function runSeed(seed: number, { hours, nodes }: SeedOrder): SeedAnswer {
  try {
    const outcome = runPlan(makePlan(seed, hours, nodes));
    const { violation } = outcome;
    const broken = violation && { guarantee: violation.guarantee, message: violation.message };
    return { seed, outcome: { ...outcome, violation: broken } };
  } catch (error) {
    return { seed, error: error instanceof Error ? `${error.stack ?? ''} ${String(error.cause)}` : String(error) };
  }
}

/** @returns the lowest seed that has broken something. @throws Error when the simulator itself fails */
export async function runSeeds(run: SeedRun): Promise<(Broken & { readonly seed: number }) | undefined> {
  const { first, count, jobs } = run;
  let next = first;
  let broken: (Broken & { readonly seed: number }) | undefined;
  let failure: string | undefined;
  const take = (): number | undefined => {
    if (next >= first + count || broken !== undefined || failure !== undefined || run.isOver()) return undefined;
    next += 1;
    return next - 1;
  };
  const took = (answer: SeedAnswer): void => {
    if ('error' in answer) {
      failure ??= `seed ${String(answer.seed)}: ${answer.error}`;
      return;
    }
    run.ended(answer.outcome);
    const { violation } = answer.outcome;
    if (violation !== undefined && !(broken !== undefined && broken.seed < answer.seed)) {
      broken = { ...violation, seed: answer.seed };
    }
  };
  const size = Math.max(1, Math.min(jobs, count));
  await Promise.all(Array.from({ length: size }, () => runProcess(run.order, take, took)));
  if (failure !== undefined) throw new Error(failure);
  return broken;
}

/** One process, from its first seed to its last. */
function runProcess(
  order: SeedOrder,
  take: () => number | undefined,
  took: (answer: SeedAnswer) => void,
): Promise<void> {
  const child = fork(new URL('job.ts', import.meta.url), { execArgv: ['--max-semi-space-size=64', '--import', 'tsx'] });
  let current: number | undefined;
  const goOn = (): void => {
    current = take();
    if (current === undefined) child.disconnect();
    else send(child, { seed: current, order });
  };
  return new Promise((resolve) => {
    child.on('message', (answer: SeedAnswer) => {
      current = undefined;
      took(answer);
      goOn();
    });
    child.on('exit', (code) => {
      if (current !== undefined) took({ seed: current, error: `its process has ended with ${String(code)}` });
      resolve();
    });
    goOn();
  });
}

export interface SeedQuestion {
  readonly seed: number;
  readonly order: SeedOrder;
}

function send(child: ChildProcess, question: SeedQuestion): void {
  child.send(question);
}

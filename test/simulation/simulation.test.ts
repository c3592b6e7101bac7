/** The ordinary run of the simulator, and whether it would notice if the protocol were wrong. */
import { describe, expect, test } from 'vitest';
import { mutants } from './mutants.ts';
import { makePlan } from './plan.ts';
import { runPlan } from './run.ts';
import { addOutcome, noFigures } from './summary.ts';

/** Seeds of the ordinary run; every breakage has to be caught among them. */
const seeds = 100;
const hours = 5;
/** On a slow machine the run ends here, and says how far it came. */
const limitMs = 20_000;

/** A worker that is silent for a minute counts as dead. */
function letOthersRun(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('simulated clusters', () => {
  test('no seed breaks S1, S2, S3, L1 or L2', { timeout: 120_000 }, async () => {
    const startMs = performance.now();
    let figures = noFigures();
    for (let seed = 1; seed <= seeds && performance.now() - startMs < limitMs; seed += 1) {
      await letOthersRun();
      const outcome = runPlan(makePlan(seed, hours));
      expect(outcome.violation?.message, `seed ${String(seed)}`).toBeUndefined();
      figures = addOutcome(figures, outcome);
    }
    expect(figures.fences).toBeGreaterThan(figures.seeds);
    expect(figures.slaveMs.length + figures.masterMs.length).toBeGreaterThan(figures.seeds / 4);
  });

  test('the same seed gives the same run, event by event', () => {
    const trace = (): string[] => {
      const lines: string[] = [];
      runPlan(makePlan(7, hours), { trace: (line) => lines.push(line) });
      return lines;
    };
    const first = trace();
    expect(first.length).toBeGreaterThan(100);
    expect(trace()).toEqual(first);
  });
});

describe('a protocol that', () => {
  test.each(mutants)('$name is caught', { timeout: 300_000 }, async ({ rules }) => {
    let caught: string | undefined;
    for (let seed = 1; seed <= seeds && caught === undefined; seed += 1) {
      await letOthersRun();
      caught = runPlan(makePlan(seed, hours), { rules }).violation?.guarantee;
    }
    expect(caught).toMatch(/^(S1|S2|S3|L|L1|L2)$/);
  });
});

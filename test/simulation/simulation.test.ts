/** The ordinary run of the simulator, and whether it would notice if the protocol were wrong. */
import { describe, expect, test } from 'vitest';
import { realRules } from '../../src/ha/protocol/rules.ts';
import { theMaster } from './faults.ts';
import { runSeeds } from './jobs.ts';
import { mutants } from './mutants.ts';
import { makePlan, type Plan } from './plan.ts';
import { runPlan, type Outcome } from './run.ts';
import { onNodes, shrink } from './shrink.ts';
import { addOutcome, noFigures } from './summary.ts';

/** Seeds of the ordinary run; every breakage has to be caught among them. */
const seeds = 200;
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

  test.each([2132, 100503, 100886, 107225])('seed %d, which has found something, stays without a violation', (seed) => {
    expect(runPlan(makePlan(seed, hours)).violation).toBeUndefined();
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

describe('a plan that fails', () => {
  const fencesTooEarly = mutants.find(({ name }) => name === 'fences on one lost channel')?.rules ?? realRules;

  function traceOf(plan: Plan): readonly string[] {
    const lines: string[] = [];
    runPlan(plan, { rules: fencesTooEarly, trace: (line) => lines.push(line) });
    return lines;
  }

  test('on twelve nodes is made small: few nodes, few faults, and it fails the same way each time', () => {
    const plan = makePlan(5, 2, 12);
    const broken = runPlan(plan, { rules: fencesTooEarly }).violation;
    expect(broken?.guarantee).toBe('S3');
    const smaller = shrink(plan, 'S3', { rules: fencesTooEarly, attempts: 150 });
    expect(smaller.nodes).toBeLessThanOrEqual(3);
    expect(smaller.episodes).toHaveLength(1);
    expect(smaller.episodes[0]?.faults.length).toBeLessThanOrEqual(2);
    // As a person gets it, as text.
    const again = JSON.parse(JSON.stringify(smaller)) as Plan;
    const trace = traceOf(again);
    expect(trace.at(-1)).toContain('VIOLATION S3');
    expect(traceOf(smaller)).toEqual(trace);
  }, 120_000);

  test('on fewer nodes keeps a node at rest that stays, by its new number, and leaves one out that does not', () => {
    const faults = [{ afterMs: 1, fault: { kind: 'power-loss', node: 20, forMs: 5 } }] as const;
    const restsOn = (nodes: number): number | undefined => {
      const episodes = [{ kind: 'death', atMs: 0, lengthMs: 1, faults, resting: 30 }] as const;
      return onNodes({ ...makePlan(1, 1, 32), episodes }, nodes).episodes[0]?.resting;
    };
    expect([restsOn(2), restsOn(1)]).toEqual([1, undefined]);
  });

  test('on fewer nodes keeps what is said of those that stay, and leaves the rest out', () => {
    const faults = [
      { afterMs: 1, fault: { kind: 'power-loss', node: 20, forMs: 5 } },
      { afterMs: 2, fault: { kind: 'cut', from: 7, to: 20, forMs: 5 } },
      { afterMs: 3, fault: { kind: 'partition', nodes: [1, 7, 30], pings: true, forMs: 5 } },
      { afterMs: 4, fault: { kind: 'stutter', node: theMaster, times: 1, deafMs: 1, awakeMs: 1 } },
      { afterMs: 5, fault: { kind: 'torn', block: 31, forMs: 5 } },
    ] as const;
    const plan: Plan = {
      ...makePlan(1, 1, 32),
      episodes: [{ kind: 'chaos', atMs: 0, lengthMs: 1, faults }],
    };
    expect(onNodes(plan, 2).episodes[0]?.faults.map(({ fault }) => fault)).toEqual([
      { kind: 'power-loss', node: 1, forMs: 5 },
      { kind: 'cut', from: 0, to: 1, forMs: 5 },
      { kind: 'partition', nodes: [0], pings: true, forMs: 5 },
      { kind: 'stutter', node: theMaster, times: 1, deafMs: 1, awakeMs: 1 },
    ]);
  });
});

describe('many seeds at once', () => {
  test('give what one after the other gives', { timeout: 120_000 }, async () => {
    const run = async (jobs: number): Promise<readonly number[]> => {
      const events: number[] = [];
      const ended = (outcome: Outcome): void => void events.push(outcome.events);
      await runSeeds({ order: { hours: 1, nodes: 2 }, first: 1, count: 6, jobs, isOver: () => false, ended });
      return events.sort((one, other) => one - other);
    };
    const alone = [1, 2, 3, 4, 5, 6].map((seed) => runPlan(makePlan(seed, 1, 2)).events);
    expect(await run(3)).toEqual(alone.sort((one, other) => one - other));
  });
});

describe('a protocol that', () => {
  test.each(mutants)('$name is caught', { timeout: 300_000 }, async ({ rules, asksNoBystander }) => {
    let caught: string | undefined;
    for (let seed = 1; seed <= seeds && caught === undefined; seed += 1) {
      await letOthersRun();
      caught = runPlan(makePlan(seed, hours), { rules, asksNoBystander }).violation?.guarantee;
    }
    expect(caught).toMatch(/^(S1|S2|S3|L|L1|L2)$/);
  });
});

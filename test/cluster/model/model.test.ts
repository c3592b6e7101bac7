/** The two sins, looked for in thousands of histories: a VM that runs twice, and a volume active beside its writer. */
import { describe, expect, it } from 'vitest';
import { playHistory, type History } from './history.ts';

/** CXM_MODEL_RUNS more of them, CXM_MODEL_SEED=n this one alone, with its trace. */
const runs = Number(process.env['CXM_MODEL_RUNS'] ?? 5000);
const only = process.env['CXM_MODEL_SEED'];
const firstSeed = only === undefined ? 1 : Number(only);
const lastSeed = only === undefined ? runs : firstSeed;

describe('in any interleaving of operators, failures, kills and outages', () => {
  it(
    `no VM runs twice, and no volume is active beside its writer (seeds ${firstSeed} to ${lastSeed})`,
    { timeout: 3_600_000 },
    async () => {
      let failed: History | undefined;
      let [operations, succeeded] = [0, 0];
      for (let seed = firstSeed; seed <= lastSeed && failed === undefined; seed += 1) {
        const history = await playHistory(seed);
        operations += history.operations;
        succeeded += history.succeeded;
        if (history.violation !== undefined || only !== undefined) failed = history;
      }
      if (failed !== undefined) console.log(failed.trace.join('\n'));
      expect(failed?.violation === undefined ? undefined : `seed ${failed.seed}: ${failed.violation}`).toBeUndefined();
      // A model in which hardly anything succeeds would prove nothing.
      if (only === undefined) expect(succeeded / operations).toBeGreaterThan(0.3);
    },
  );
});

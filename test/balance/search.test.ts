import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planBalance } from '../../src/balance/plan.ts';
import { arbitraryCluster } from './arbitrary.ts';
import { exhaustive } from './exhaustive.ts';
import { makeCluster, type ClusterShape } from './generate.ts';
import { layered } from './layered.ts';

/** The lowest score that the product finds, by number of migrations. */
function ours(state: Parameters<typeof planBalance>[0], maxMigrations: number, maxVmsPerNode: number): number[] {
  const { before, alternatives } = planBalance(state, { maxMigrations, maxVmsPerNode, minGainPercent: 0 });
  return Array.from({ length: maxMigrations + 1 }, (_, length) =>
    Math.min(before.score, ...alternatives.filter((one) => one.migrations <= length).map(({ score }) => score)),
  );
}

function expectSame(found: readonly number[], oracle: readonly number[]): void {
  expect(found.length).toBe(oracle.length);
  found.forEach((score, length) => expect(score, `${length} migrations`).toBeCloseTo(oracle[length] ?? NaN, 5));
}

describe('compared with every sequence of up to three migrations', () => {
  test('small clusters get the same scores for each length', () => {
    fc.assert(
      fc.property(
        arbitraryCluster({ maxNodes: 4, maxVms: 7 }),
        fc.integer({ min: 2, max: 8 }),
        (state, maxVmsPerNode) => {
          expectSame(ours(state, 3, maxVmsPerNode), exhaustive(state, { maxMigrations: 3, maxVmsPerNode }));
        },
      ),
      { numRuns: 150 },
    );
  });

  const shapes: ClusterShape[] = (['random', 'skewed', 'new-node'] as const).flatMap((placing) =>
    [60, 95, 99].map((fillPercent) => ({ nodes: 4, vms: 10, placing, fillPercent, sizes: 'any' as const })),
  );

  test.each(shapes)('four nodes with ten VMs, $placing, $fillPercent % full', (shape) => {
    for (const seed of [1, 2]) {
      const state = makeCluster(seed, shape);
      expectSame(ours(state, 3, 5), exhaustive(state, { maxMigrations: 3, maxVmsPerNode: 5 }));
    }
  });

  test('rules are kept by both alike', () => {
    fc.assert(
      fc.property(
        arbitraryCluster({ maxNodes: 3, maxVms: 6 }),
        fc.nat({ max: 5 }),
        fc.nat({ max: 5 }),
        (state, one, other) => {
          const names = state.vms.map(({ name }) => name);
          const [first, second] = [names[one], names[other]];
          if (first === undefined || second === undefined || first === second) return;
          const home = state.vms[one]?.node ?? '';
          const rules = { ignored: [second], pinned: [{ vm: first, nodes: [home] }] };
          const limits = { maxMigrations: 3, maxVmsPerNode: 20, minGainPercent: 0 };
          const { after } = planBalance(state, limits, { rules, choice: 'best' });
          expect(after.score).toBeCloseTo(exhaustive(state, limits, rules)[3] ?? NaN, 5);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('what is called complete is', () => {
    const state = makeCluster(5, { nodes: 8, vms: 60, placing: 'skewed', fillPercent: 90, sizes: 'any' });
    const { nothingBetter } = planBalance(state, { maxVmsPerNode: 60, minGainPercent: 0 }, { choice: 'best' });
    expect(nothingBetter).toEqual({ kind: 'best', complete: true, maxMigrations: 3 });
  });
});

describe('compared with the old layered search', () => {
  test('never worse', () => {
    fc.assert(
      fc.property(arbitraryCluster({ maxNodes: 5, maxVms: 9 }), fc.constantFrom(0, 5, 10), (state, minGainPercent) => {
        const limits = { maxMigrations: 2, maxVmsPerNode: 8, minGainPercent };
        const { after } = planBalance(state, limits, { choice: 'best' });
        expect(after.score).toBeLessThanOrEqual(layered(state, limits).score + 1e-6);
      }),
      { numRuns: 150 },
    );
  });

  test('finds the swap that it cannot', () => {
    const vm = (name: string, node: string, memoryMib: number): Parameters<typeof planBalance>[0]['vms'][number] => ({
      name,
      node,
      memoryMib,
      cpuPercent: 0,
    });
    const node = { memoryMib: 14_000, cpus: 4, ready: true, accepting: true };
    const state = {
      nodes: [
        { ...node, name: 'a' },
        { ...node, name: 'b' },
      ],
      vms: [vm('v1', 'a', 5000), vm('v2', 'a', 5000), vm('w1', 'b', 4000), vm('w2', 'b', 4000)],
    };
    const limits = { maxMigrations: 3, maxVmsPerNode: 20, minGainPercent: 5 };
    const old = layered(state, limits);
    const { after, before } = planBalance(state, limits);
    expect(old.score).toBeCloseTo(before.score, 6);
    expect(after.score).toBe(0);
  });
});

describe('long plans', () => {
  test('of any length keep getting better and are the same each time', () => {
    const state = makeCluster(11, { nodes: 12, vms: 120, placing: 'skewed', fillPercent: 85, sizes: 'few' });
    const limits = { maxMigrations: 15, maxVmsPerNode: 50, minGainPercent: 0 };
    const first = planBalance(state, limits, { choice: 'best' });
    expect(planBalance(state, limits, { choice: 'best' })).toEqual(first);
    const scores = first.alternatives.map(({ score }) => score);
    expect(scores).toEqual([...scores].sort((one, other) => other - one));
    expect(first.gainPercent).toBeGreaterThan(70);
  });
});

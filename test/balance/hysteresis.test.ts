import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { explainWaiting } from '../../src/balance/explain.ts';
import { decide, emptyHistory, type BalanceHistory } from '../../src/balance/hysteresis.ts';
import type { ClusterState } from '../../src/balance/state.ts';
import { arbitraryCluster } from './arbitrary.ts';
import { replayDay } from './replay.ts';

const settings = {
  thresholdScore: 20,
  holdSeconds: 600,
  settleSeconds: 300,
  cooldownSeconds: 3600,
  smoothingSeconds: 0,
  gapSeconds: 10_000,
};

function state(places: Record<string, string>, cpuPercent = 10): ClusterState {
  return {
    nodes: ['a', 'b', 'c'].map((name) => ({ name, memoryMib: 9000, cpus: 8, ready: true, accepting: true })),
    vms: Object.entries(places).map(([name, node]) => ({ name, node, memoryMib: 1000, cpuPercent })),
  };
}

const uneven = state({ v: 'a', w: 'a', x: 'a', y: 'a', z: 'b' });

describe('automatic balancing', () => {
  test('waits while the cluster is even enough', () => {
    const { plan, wait } = decide(emptyHistory, state({ v: 'a', w: 'b', x: 'c' }), 0, { settings });
    expect(plan).toBeUndefined();
    expect(wait?.kind).toBe('even-enough');
  });

  test('acts only after the imbalance has lasted, and a pause in it starts the time anew', () => {
    let history = decide(emptyHistory, uneven, 0, { settings }).history;
    const early = decide(history, uneven, 599, { settings });
    expect(early.wait).toMatchObject({ kind: 'holding', remainingSeconds: 1 });
    expect(decide(early.history, uneven, 600, { settings }).plan?.plan.length).toBeGreaterThan(0);
    history = decide(early.history, state({ v: 'a', w: 'b', x: 'c' }), 599, { settings }).history;
    expect(decide(history, uneven, 601, { settings }).wait?.kind).toBe('holding');
  });

  test('counts the time anew after a gap in which nobody looked', () => {
    const watched = { ...settings, gapSeconds: 100 };
    const { history } = decide(emptyHistory, uneven, 0, { settings: watched });
    const after = decide(history, uneven, 700, { settings: watched });
    expect(after.wait).toMatchObject({ kind: 'holding', remainingSeconds: 600 });
    const noGap = decide(history, uneven, 100, { settings: watched });
    expect(noGap.wait).toMatchObject({ kind: 'holding', remainingSeconds: 500 });
  });

  test('leaves a VM alone for its cooldown, whether the plan was carried out or not', () => {
    const held = decide(emptyHistory, uneven, 0, { settings }).history;
    const { plan, history } = decide(held, uneven, 600, { settings });
    const moved = new Set(plan?.plan.map(({ vm }) => vm));
    let later: BalanceHistory = history;
    for (let now = 660; now < 600 + 3600; now += 60) {
      const decision = decide(later, uneven, now, { settings });
      for (const { vm } of decision.plan?.plan ?? []) {
        expect(moved.has(vm)).toBe(false);
        moved.add(vm);
      }
      later = decision.history;
    }
  });

  test('leaves a VM alone that somebody else has moved', () => {
    const before = state({ v: 'b', w: 'a', x: 'a' });
    const after = state({ v: 'a', w: 'a', x: 'a' });
    const seen = decide(emptyHistory, before, 0, { settings }).history;
    const { history } = decide(seen, after, 60, { settings });
    const rules = { ignored: ['w', 'x'] };
    const decision = decide(history, after, 1200, { settings, rules });
    expect(decision.wait).toMatchObject({ kind: 'no-plan', coolingVms: ['v'] });
    expect(decide(decision.history, after, 60 + 3600, { settings, rules }).plan?.plan.map(({ vm }) => vm)).toEqual([
      'v',
    ]);
  });

  test('remembers a VM that is out of sight while it migrates', () => {
    const held = decide(emptyHistory, uneven, 0, { settings }).history;
    const { plan, history } = decide(held, uneven, 600, { settings });
    const gone = plan?.plan[0]?.vm ?? '';
    const without = { ...uneven, vms: uneven.vms.filter(({ name }) => name !== gone) };
    const later = decide(history, without, 700, { settings }).history;
    expect(decide(later, uneven, 2000, { settings }).plan?.plan.some(({ vm }) => vm === gone) ?? false).toBe(false);
  });

  test('gives a plan time to settle', () => {
    const held = decide(emptyHistory, uneven, 0, { settings }).history;
    const { history } = decide(held, uneven, 600, { settings: { ...settings, holdSeconds: 0 } });
    const next = decide(history, uneven, 899, { settings: { ...settings, holdSeconds: 0 } });
    expect(next.wait).toMatchObject({ kind: 'settling', remainingSeconds: 1 });
  });

  test('does not trust a clock that went back: cooldowns begin anew rather than end or last for ever', () => {
    const held = decide(emptyHistory, uneven, 50_000, { settings }).history;
    const planned = decide(held, uneven, 50_600, { settings }).history;
    const back = decide(planned, uneven, 0, { settings }).history;
    const times = Object.values(back.vms).flatMap(({ movedAt }) => (movedAt === null ? [] : [movedAt]));
    expect(times.length).toBeGreaterThan(0);
    expect(times.every((time) => time === 0)).toBe(true);
  });

  test('smooths CPU use, so that one sample of a peak is no imbalance', () => {
    const calm = state({ v: 'a', w: 'b', x: 'c' });
    const peak = { ...calm, vms: calm.vms.map((vm) => (vm.name === 'v' ? { ...vm, cpuPercent: 400 } : vm)) };
    const smooth = { ...settings, smoothingSeconds: 600 };
    const { history } = decide(emptyHistory, calm, 0, { settings: smooth });
    expect(decide(history, peak, 1, { settings: smooth }).wait?.kind).toBe('even-enough');
    expect(decide(history, peak, 1, { settings }).wait?.kind).toBe('holding');
  });

  test('a history survives JSON, and every way of waiting has a sentence', () => {
    fc.assert(
      fc.property(
        arbitraryCluster({ maxNodes: 3, maxVms: 6 }),
        fc.array(fc.integer({ min: 0, max: 900 })),
        (any, gaps) => {
          let history = emptyHistory;
          let now = 0;
          for (const gap of gaps) {
            now += gap;
            const decision = decide(history, any, now, { settings });
            const again = decide(JSON.parse(JSON.stringify(history)) as BalanceHistory, any, now, { settings });
            expect(again).toEqual(decision);
            expect(decision.plan === undefined).toBe(decision.wait !== undefined);
            if (decision.wait !== undefined) expect(explainWaiting(decision.wait)).not.toMatch(/undefined|NaN/);
            history = decision.history;
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('a day of changing load', () => {
  const day = { seed: 1, nodes: 4, vms: 24, hours: 24 };

  test('moves VMs, keeps the cluster more even, and none goes back within an hour', { timeout: 120_000 }, () => {
    const careful = replayDay({ ...day, mode: 'hysteresis' });
    expect(careful.returns).toBe(0);
    expect(careful.migrations).toBeGreaterThan(5);
    expect(careful.migrations).toBeLessThan(150);
    expect(careful.meanScore).toBeLessThan(replayDay({ ...day, mode: 'none' }).meanScore * 0.8);
  });

  test('planning anew each minute moves VMs back and forth: the model has what hysteresis is for', () => {
    expect(replayDay({ ...day, hours: 1, mode: 'eager' }).returns).toBeGreaterThan(5);
  });
});

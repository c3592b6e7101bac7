import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { explainPlan } from '../../src/balance/explain.ts';
import { scoreOf } from '../../src/balance/model.ts';
import { planBalance, type BalanceOptions } from '../../src/balance/plan.ts';
import type { BalanceRules, ClusterState } from '../../src/balance/state.ts';
import { arbitraryCluster, arbitraryRuled, shuffled } from './arbitrary.ts';
import { mayGo, placesOf, plainScore } from './exhaustive.ts';

const small = { maxNodes: 5, maxVms: 12 };
const choices = fc.constantFrom('worthwhile', 'efficient', 'best');
const someLimits = fc.record({
  maxVmsPerNode: fc.integer({ min: 1, max: 12 }),
  maxMigrations: fc.integer({ min: 0, max: 5 }),
  minGainPercent: fc.constantFrom(0, 1, 5, 20),
});

function cluster(nodes: Record<string, number>, vms: Record<string, [string, number, number?]>): ClusterState {
  return {
    nodes: Object.entries(nodes).map(([name, memoryMib]) => ({
      name,
      memoryMib,
      cpus: 8,
      ready: true,
      accepting: true,
    })),
    vms: Object.entries(vms).map(([name, [node, memoryMib, cpuPercent = 0]]) => ({
      name,
      node,
      memoryMib,
      cpuPercent,
    })),
  };
}

const steps = (state: ClusterState, limits = {}, options: BalanceOptions = {}): string[] =>
  planBalance(state, limits, options).plan.map(({ vm, source, destination }) => `${vm} ${source} ${destination}`);

describe('every plan', () => {
  test('keeps limits and rules at each step, with the moving VM counted on both nodes', () => {
    fc.assert(
      fc.property(arbitraryRuled(small), someLimits, choices, ({ state, rules }, limits, choice) => {
        const { plan } = planBalance(state, limits, { rules, choice });
        expect(plan.length).toBeLessThanOrEqual(limits.maxMigrations);
        const places = placesOf(state);
        for (const { vm, source, destination } of plan) {
          expect(places.get(vm)).toBe(source);
          expect(mayGo(state, rules, limits.maxVmsPerNode, places, vm, destination)).toBe(true);
          places.set(vm, destination);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('tells the scores that the definition gives, from step to step', () => {
    fc.assert(
      fc.property(arbitraryCluster(small), choices, (state, choice) => {
        const { plan, before, after } = planBalance(state, {}, { choice });
        const places = placesOf(state);
        expect(before.score).toBeCloseTo(plainScore(state, places), 6);
        let last = before.score;
        for (const { vm, destination, scoreBefore, scoreAfter } of plan) {
          expect(scoreBefore).toBeCloseTo(last, 9);
          places.set(vm, destination);
          expect(scoreAfter).toBeCloseTo(plainScore(state, places), 6);
          last = scoreAfter;
        }
        expect(after.score).toBeCloseTo(last, 9);
      }),
      { numRuns: 120 },
    );
  });

  test('is never worse than doing nothing and gains at least what is asked for', () => {
    fc.assert(
      fc.property(arbitraryCluster(small), someLimits, choices, (state, limits, choice) => {
        const { plan, before, after, gainPercent } = planBalance(state, limits, { choice });
        expect(after.score).toBeLessThanOrEqual(before.score);
        if (plan.length > 0) expect(gainPercent).toBeGreaterThanOrEqual(limits.minGainPercent - 1e-6);
        if (plan.length > 0) expect(after.score).toBeLessThan(before.score);
      }),
      { numRuns: 120 },
    );
  });

  test('has no step without which the cluster were as even', () => {
    fc.assert(
      fc.property(
        arbitraryCluster({ maxNodes: 6, maxVms: 20 }),
        fc.integer({ min: 1, max: 9 }),
        (state, maxMigrations) => {
          const { plan, after } = planBalance(state, { maxMigrations, minGainPercent: 0 }, { choice: 'best' });
          for (const left of new Set(plan.map(({ vm }) => vm))) {
            const places = placesOf(state);
            const possible = plan.every(({ vm, destination }) => {
              if (vm === left) return true;
              const may = mayGo(state, {}, 20, places, vm, destination);
              places.set(vm, destination);
              return may;
            });
            if (possible) expect(plainScore(state, places)).toBeGreaterThan(after.score - 1e-6);
          }
        },
      ),
      { numRuns: 120 },
    );
  });

  test('is the same whatever the order of nodes, VMs and groups', () => {
    const pair = arbitraryRuled({ ...small, odd: true }).chain(({ state, rules }) =>
      shuffled(state).map((other) => ({ state, other, rules })),
    );
    fc.assert(
      fc.property(pair, someLimits, choices, ({ state, other, rules }, limits, choice) => {
        const turned: BalanceRules = { ...rules, pinned: [...(rules.pinned ?? [])].reverse() };
        expect(planBalance(other, limits, { rules: turned, choice })).toEqual(
          planBalance(state, limits, { rules, choice }),
        );
      }),
      { numRuns: 120 },
    );
  });

  test('has a reason for each step and says why there is nothing better', () => {
    fc.assert(
      fc.property(arbitraryRuled({ ...small, odd: true }), someLimits, ({ state, rules }, limits) => {
        const result = planBalance(state, limits, { rules });
        const { steps: sentences, nothingBetter } = explainPlan(result);
        expect(result.plan.every(({ why }) => why.length > 0)).toBe(true);
        expect(sentences.length).toBe(result.plan.length);
        expect(nothingBetter).not.toMatch(/undefined|NaN/);
      }),
      { numRuns: 60 },
    );
  });
});

describe('the choice', () => {
  const heavy = Object.fromEntries(
    ['v1', 'v2', 'v3', 'v4'].map((name): [string, [string, number]] => [name, ['a', 4000]]),
  );
  const uneven = cluster({ a: 64_000, b: 64_000, c: 64_000 }, { ...heavy, v5: ['a', 400], v6: ['a', 400] });

  test('efficient is the shortest plan that gains enough', () => {
    const { plan, nothingBetter } = planBalance(uneven, { maxMigrations: 6 }, { choice: 'efficient' });
    expect(plan.length).toBe(1);
    expect(nothingBetter.kind).toBe('longer');
  });

  test('best is the lowest score, and of equal ones the shortest', () => {
    const limits = { maxMigrations: 6, minGainPercent: 0 };
    const { plan, after, alternatives } = planBalance(uneven, limits, { choice: 'best' });
    const lowest = Math.min(...alternatives.map(({ score }) => score));
    expect(after.score).toBeCloseTo(lowest, 6);
    expect(plan.length).toBe(alternatives.find(({ score }) => score < lowest + 1e-6)?.migrations);
  });

  test('worthwhile takes a further migration only if it gains as much as a plan has to', () => {
    fc.assert(
      fc.property(arbitraryCluster(small), fc.constantFrom(1, 5, 10), (state, minGainPercent) => {
        const limits = { maxMigrations: 4, minGainPercent };
        const { plan, alternatives, gainPercent } = planBalance(state, limits);
        if (plan.length === 0) return;
        for (const other of alternatives) {
          const extra = plan.length - other.migrations;
          if (other.gainPercent < minGainPercent) continue;
          if (extra > 0) expect(gainPercent - other.gainPercent).toBeGreaterThanOrEqual(extra * minGainPercent - 1e-4);
          if (extra < 0) expect(other.gainPercent - gainPercent).toBeLessThanOrEqual(-extra * minGainPercent + 1e-4);
        }
      }),
      { numRuns: 120 },
    );
  });

  test('a cost of migrations keeps large VMs where they are and small gains undone', () => {
    const state = cluster({ a: 64_000, b: 64_000 }, { big: ['a', 8192], other: ['a', 8192] });
    expect(steps(state)).toHaveLength(1);
    expect(steps(state, {}, { cost: { percentPerMigration: 0, percentPerGib: 12 } })).toEqual([]);
    expect(steps(state, {}, { cost: { percentPerMigration: 99, percentPerGib: 0 } })).toEqual([]);
  });
});

describe('a swap', () => {
  test('of two VMs is found where no single migration helps', () => {
    const state = cluster(
      { a: 20_000, b: 20_000 },
      { big: ['a', 8000, 10], small: ['b', 4000, 10], x: ['a', 2000], y: ['b', 2000] },
    );
    const { plan, after, before } = planBalance(state, { maxMigrations: 3, minGainPercent: 5 });
    expect(after.score).toBeLessThan(before.score);
    expect(plan.length).toBeGreaterThan(0);
  });

  test('without room for both goes over a third node', () => {
    const state = cluster(
      { a: 10_000, b: 10_000, c: 10_000 },
      { a1: ['a', 6000, 100], a2: ['a', 4000, 100], b1: ['b', 6000], b2: ['b', 4000], c1: ['c', 6000, 100] },
    );
    const rules = { pinned: [{ vm: 'b2', nodes: ['a', 'b'] }] };
    const { plan, after, before } = planBalance(state, { minGainPercent: 1 }, { choice: 'best', rules });
    expect(after.score).toBeLessThan(before.score);
    const moved = plan.map(({ vm }) => vm);
    expect(moved.length).toBe(3);
    expect(new Set(moved).size).toBe(2);
    const detour = plan.find(({ why }) => why.some(({ kind }) => kind === 'detour'));
    expect(detour?.destination).toBe('c');
  });
});

describe('nothing better', () => {
  test('an even cluster says so', () => {
    const state = cluster({ a: 8000, b: 8000 }, { v: ['a', 1000, 5], w: ['b', 1000, 5] });
    expect(planBalance(state).nothingBetter).toEqual({ kind: 'even' });
  });

  test('an empty cluster and one without nodes are even', () => {
    expect(planBalance({ nodes: [], vms: [] }).nothingBetter).toEqual({ kind: 'even' });
    expect(planBalance(cluster({ a: 8000, b: 1 }, {})).plan).toEqual([]);
  });

  test('a full cluster says what forbids migrations', () => {
    const state = cluster({ a: 4000, b: 3000 }, { v: ['a', 4000], w: ['b', 3000] });
    const { nothingBetter, blocked } = planBalance(state);
    expect(nothingBetter).toEqual({ kind: 'nothing-found', complete: true, maxMigrations: 3 });
    expect(blocked).toEqual({ memory: 2 });
  });

  test('a gain below the minimum is named', () => {
    const state = cluster({ a: 9000, b: 9000 }, { v: ['a', 4000], w: ['b', 4000], x: ['a', 101], y: ['a', 1] });
    const { nothingBetter, plan } = planBalance(state, { minGainPercent: 50, maxMigrations: 1 });
    if (plan.length === 0) expect(nothingBetter.kind).toBe('gain-too-small');
    expect(planBalance(state, { minGainPercent: 99.9 }).nothingBetter.kind).toBe('gain-too-small');
  });

  test('no migrations allowed means no plan', () => {
    const state = cluster({ a: 9000, b: 9000 }, { v: ['a', 4000], w: ['a', 4000] });
    expect(planBalance(state, { maxMigrations: 0 }).nothingBetter.kind).toBe('no-migrations-left');
  });
});

describe('rules', () => {
  const state = cluster(
    { a: 32_000, b: 32_000, c: 32_000 },
    { db: ['a', 4000, 50], web1: ['a', 2000, 20], web2: ['a', 2000, 20], mail: ['a', 3000, 30] },
  );

  test('a pinned VM goes only to its nodes', () => {
    const rules = { pinned: ['db', 'web1', 'web2', 'mail'].map((vm) => ({ vm, nodes: ['a', 'c'] })) };
    expect(planBalance(state, {}, { rules }).plan.every(({ destination }) => destination === 'c')).toBe(true);
  });

  test('a VM away from its pinned nodes comes home, whatever it costs', () => {
    const even = cluster({ a: 9000, b: 9000 }, { v: ['a', 1000], w: ['b', 1000] });
    expect(steps(even, {}, { rules: { pinned: [{ vm: 'w', nodes: ['a'] }] } })[0]).toBe('w b a');
  });

  test('ignored VMs stay', () => {
    const ignored = ['db', 'web1', 'web2', 'mail'];
    const { plan, blocked } = planBalance(state, {}, { rules: { ignored } });
    expect(plan).toEqual([]);
    expect(blocked.fixed).toBe(12);
  });

  test('a group apart never shares a node, and one that does is taken apart', () => {
    const { plan, unresolved } = planBalance(state, {}, { rules: { apart: [['web1', 'web2', 'db']] } });
    const places = placesOf(state);
    for (const { vm, destination } of plan) places.set(vm, destination);
    expect(new Set([places.get('web1'), places.get('web2'), places.get('db')]).size).toBe(3);
    expect(unresolved).toEqual([]);
  });

  test('a group that is together stays together at the end', () => {
    fc.assert(
      fc.property(arbitraryCluster(small), fc.nat({ max: 11 }), fc.nat({ max: 11 }), (any, one, other) => {
        const [first, second] = [
          any.vms[one % Math.max(1, any.vms.length)],
          any.vms[other % Math.max(1, any.vms.length)],
        ];
        if (first === undefined || second === undefined || first === second || first.node !== second.node) return;
        const { plan } = planBalance(any, { maxMigrations: 4 }, { rules: { together: [[first.name, second.name]] } });
        const places = placesOf(any);
        for (const { vm, destination } of plan) places.set(vm, destination);
        expect(places.get(first.name)).toBe(places.get(second.name));
      }),
      { numRuns: 200 },
    );
  });

  test('a scattered group gathers where most of it is', () => {
    const scattered = cluster({ a: 9000, b: 9000, c: 9000 }, { v: ['a', 100], w: ['b', 100], x: ['b', 100] });
    expect(steps(scattered, { maxMigrations: 1 }, { rules: { together: [['v', 'w', 'x']] } })).toEqual(['v a b']);
  });

  test('nodes to be emptied are emptied as far as migrations go, and the rest is named', () => {
    const rules = { empty: ['a'] };
    const { plan, unresolved } = planBalance(state, { maxMigrations: 3 }, { rules });
    expect(plan.map(({ vm }) => vm)).toEqual(['db', 'mail', 'web1']);
    expect(plan.every(({ source, destination }) => source === 'a' && destination !== 'a')).toBe(true);
    expect(unresolved).toEqual([{ rule: 'empty', vm: 'web2', node: 'a' }]);
    expect(planBalance(state, { maxMigrations: 9 }, { rules }).unresolved).toEqual([]);
  });

  test('rules about VMs that are gone are told and otherwise ignored; unknown nodes are refused', () => {
    expect(planBalance(state, {}, { rules: { ignored: ['old'] } }).unknownVms).toEqual(['old']);
    expect(() => planBalance(state, {}, { rules: { empty: ['d'] } })).toThrow('there is no node "d"');
  });
});

describe('states', () => {
  test('nodes that are not ready, or do not accept, get nothing; the former lose nothing', () => {
    fc.assert(
      fc.property(arbitraryCluster({ ...small, odd: true }), (state) => {
        const { plan } = planBalance(state, { maxMigrations: 4 });
        const node = new Map(state.nodes.map((one) => [one.name, one]));
        for (const { source, destination } of plan) {
          expect(node.get(destination)?.ready && node.get(destination)?.accepting).toBe(true);
          expect(node.get(source)?.ready).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });

  test.each([
    ['a VM on two nodes', { name: 'v', node: 'b' }, 'VM v is on two nodes: a and b'],
    ['a VM on an unknown node', { name: 'w', node: 'x' }, 'VM w is on node "x", which isn\'t listed'],
    ['memory that is no number', { name: 'w', node: 'a', memoryMib: Number.NaN }, 'memory of VM w is NaN'],
    ['negative CPU', { name: 'w', node: 'a', cpuPercent: -1 }, 'cpu of VM w is -1'],
    ['a hostile name', { name: '$(reboot)', node: 'a' }, 'VM "$(reboot)" is no name'],
  ])('%s is refused', (_, vm, message) => {
    const base = cluster({ a: 1000, b: 1000 }, { v: ['a', 10] });
    const bad = { memoryMib: 1, cpuPercent: 0, ...vm };
    expect(() => planBalance({ ...base, vms: [...base.vms, bad] })).toThrow(message);
  });

  test('limits that are no numbers are refused', () => {
    expect(() => planBalance(cluster({ a: 1 }, {}), { maxMigrations: Number.NaN })).toThrow('maxMigrations is NaN');
    expect(() => planBalance(cluster({ a: 1 }, {}), { minGainPercent: -1 })).toThrow('minGainPercent is -1');
  });

  test('the score is that of the definition', () => {
    fc.assert(
      fc.property(arbitraryCluster(small), (state) => {
        expect(scoreOf(state).score).toBeCloseTo(plainScore(state, placesOf(state)), 6);
      }),
    );
    const one = cluster({ a: 9000, b: 9000 }, { v: ['a', 1000, 10] });
    expect(scoreOf(one).score).toBeCloseTo(Math.SQRT2 * 100, 9);
  });
});

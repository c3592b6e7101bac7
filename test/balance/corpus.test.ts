import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { explainPlan } from '../../src/balance/explain.ts';
import { parseClusterFile } from '../../src/balance/file.ts';
import { planEject, planPlacement } from '../../src/balance/place.ts';
import { planBalance, type BalancePlan } from '../../src/balance/plan.ts';
import { nodeFailures } from '../../src/balance/redundancy.ts';

function read(name: string): ReturnType<typeof parseClusterFile> {
  return parseClusterFile(readFileSync(`test/fixtures/balance/${name}.txt`, 'utf8'), name);
}

function plan(name: string, limits = {}): BalancePlan {
  const { state, rules } = read(name);
  return planBalance(state, limits, { rules });
}

const moves = (result: BalancePlan): string[] => result.plan.map(({ vm, destination }) => `${vm} ${destination}`);

describe('the corpus', () => {
  test('swap-needed: two migrations where one is no use', () => {
    const result = plan('swap-needed');
    expect(result.plan).toHaveLength(2);
    expect(result.after.score).toBe(0);
    expect(plan('swap-needed', { maxMigrations: 1 }).plan).toEqual([]);
  });

  test('swap-over-third-node: the detour is taken and explained', () => {
    const result = plan('swap-over-third-node');
    expect(moves(result)).toEqual(['a2 gamma', 'b2 alpha', 'a2 beta']);
    expect(explainPlan(result).steps[0]).toContain('waits there until beta has room for it; makes room for b2');
  });

  test('one-big-vm: the small ones leave its node, it stays', () => {
    const result = plan('one-big-vm', { minGainPercent: 1 });
    expect(result.plan.map(({ vm, source }) => [vm, source]).sort()).toEqual([
      ['web1', 'alpha'],
      ['web2', 'alpha'],
    ]);
  });

  test('nearly-full: what little is possible is not worth it, and the full nodes are the reason', () => {
    const result = plan('nearly-full', { maxMigrations: 8 });
    expect(result.nothingBetter).toMatchObject({ kind: 'gain-too-small', best: { migrations: 2 } });
    expect(result.blocked).toEqual({ memory: 15 });
    expect(explainPlan(result).blocked).toEqual(['15 migrations ruled out: the node has too little free RAM']);
  });

  test('new-node: it gets the big one, so that there is room for others to follow', () => {
    const result = plan('new-node');
    expect(result.plan[0]).toMatchObject({ vm: 'c1', destination: 'delta' });
    expect(result.gainPercent).toBeGreaterThan(80);
    expect(result.nothingBetter).toEqual({ kind: 'best', complete: true, maxMigrations: 3 });
  });

  test('cpu-against-memory: a swap evens out both', () => {
    const result = plan('cpu-against-memory');
    expect(result.after.memoryPercent).toBeLessThan(result.before.memoryPercent);
    expect(result.after.cpuPercent).toBeLessThan(result.before.cpuPercent);
  });

  test('maintenance: rules come first, and what they leave undone is named', () => {
    const result = plan('maintenance', { maxMigrations: 5 });
    expect(moves(result).slice(0, 3).sort()).toEqual(['db delta', 'dns1 delta', 'web delta']);
    expect(result.unresolved).toEqual([]);
    expect(planPlacement(read('maintenance').state).starts.map(({ destination }) => destination)).toEqual(['alpha']);
  });

  test('displace-to-eject: another VM makes room, and none would if the node failed', () => {
    const { state } = read('displace-to-eject');
    expect(planEject(state, ['alpha'])).toMatchObject({ left: [], method: 'displaced' });
    expect(nodeFailures(state).find(({ node }) => node === 'alpha')?.left).not.toEqual([]);
  });

  test('too-many-vms: the number of VMs on a node is a limit', () => {
    const result = plan('too-many-vms', { maxVmsPerNode: 6, maxMigrations: 1 });
    expect(moves(result)).toEqual([]);
    expect(plan('too-many-vms', { maxVmsPerNode: 7, maxMigrations: 1 }).plan).toHaveLength(1);
    expect(result.blocked.count).toBeGreaterThan(0);
  });

  test('idle-vms: only RAM counts', () => {
    expect(plan('idle-vms').after).toMatchObject({ cpuPercent: 0 });
    expect(plan('idle-vms').after.score).toBeLessThan(15);
  });
});

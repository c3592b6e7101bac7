/**
 * Three real cxmd, each on a network of its own, hurt from outside. One cluster for all tests, in their order; how long a
 * failover takes is measured by `npm run bench -- ha`, with more faults than these.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nodeNames } from './cluster-rig.ts';
import { findClockLibrary } from './fault-programs.ts';
import { FaultRig } from './fault-rig.ts';
import { until } from './until.ts';

const clockLibrary = findClockLibrary();
const [master, home] = ['node1', 'node2'] as const;
const vms = ['web.example.org', 'mail.example.org'];
const timerMs = 3000;

describe.skipIf(process.getuid?.() !== 0)('three cxmd on networks of their own', () => {
  let rig: FaultRig;

  beforeAll(async () => {
    rig = await FaultRig.open(clockLibrary === undefined ? {} : { clockLibrary });
    await rig.start(master);
    await rig.startVms(home, [vms[0] ?? '']);
    await rig.startVms(master, [vms[1] ?? '']);
  }, 150_000);

  afterAll(async (suite) => {
    if (suite.tasks.some(({ result }) => result?.state === 'fail')) {
      for (const node of nodeNames) process.stderr.write(`--- ${node}\n${rig.cluster.log(node)}\n`);
    }
    await rig.close();
  });

  function expectNoFailover(): void {
    expect(rig.cluster.fenced()).toEqual([]);
    expect(vms.map((vm) => rig.cluster.startsOf(vm))).toEqual([0, 0]);
    expect(vms.map((vm) => rig.cluster.sandbox.nodesWith(vm))).toEqual([[home], [master]]);
    expect(rig.witness.twice).toEqual([]);
  }

  test.skipIf(clockLibrary === undefined)(
    'the time of day set by an hour, forwards on a member and backwards on the master, starts no failover',
    { timeout: 120_000 },
    async () => {
      const sinceMs = Date.now() - 2 * 3_600_000;
      rig.stepClock(home, 3600);
      rig.stepClock(master, -3600);
      await sleep(4 * timerMs);
      rig.stepClock(home, 0);
      rig.stepClock(master, 0);
      await sleep(1.5 * timerMs);
      expect(await rig.settled(nodeNames)).toBe(master);
      expectNoFailover();
      // Nobody was even suspected, and nobody believes to have slept for an hour.
      const decisions = nodeNames.flatMap((node) => rig.journal(node, sinceMs));
      expect(decisions.filter(({ decision }) => decision.includes('lost'))).toEqual([]);
      const pausesMs = decisions
        .filter(({ decision }) => decision === 'own pause')
        .map(({ evidence }) => parseInt(evidence));
      expect(Math.max(0, ...pausesMs)).toBeLessThan(60_000);
    },
  );

  test(
    'a node whose link is down is not fenced, its VMs stay where they are, and it comes back',
    { timeout: 120_000 },
    async () => {
      rig.setLink(home, false);
      await until('the master knows', 60_000, () =>
        /is cut off from the network and alive/.test(rig.cluster.log(master)),
      );
      await sleep(timerMs);
      expectNoFailover();
      rig.setLink(home, true);
      expect(await rig.settled(nodeNames)).toBe(master);
      expectNoFailover();
    },
  );

  test('a master that hangs until it was fenced starts no VM when it wakes', { timeout: 180_000 }, async () => {
    const [, vm = ''] = vms;
    rig.freeze(master);
    // What the others wait for is not the time of day.
    for (const node of nodeNames) rig.stepClock(node, -3600);
    await until(`${vm} runs elsewhere`, 120_000, () => rig.arrivals([vm], master).length > 0);
    expect(rig.cluster.fenced()).toEqual([`fence ${master}`]);
    rig.thaw(master);
    // Nobody has let it in again: it is off for certain to all others.
    expect(await rig.cluster.ended(master)).toBe(4);
    expect(rig.cluster.startsOf(vm)).toBe(1);
    expect(rig.cluster.sandbox.nodesWith(vm)).toEqual([home]);
    expect(rig.witness.twice).toEqual([]);
  });
});

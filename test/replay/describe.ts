/**
 * The tests of one version: one a scenario, in their order. Groups of VMs that have nothing to do with each other
 * are replayed at the same time, each on its own ground; what is left of the VMs is deleted at the end.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OneVersion } from '../support/recordings.ts';
import { listedCounts, recordedCalls, type Call } from './calls.ts';
import { particulars, simultaneous } from './particulars.ts';
import { Replay } from './replay.ts';

/** A scenario that waits its turn waits for all before it. */
const timeout = 600_000;

interface Scenario {
  readonly name: string;
  readonly calls: readonly Call[];
}

interface Lane {
  readonly title: string;
  readonly scenarios: readonly Scenario[];
  replay: Replay | undefined;
  /** One a scenario, and one for the end; settled in this order. The name of the scenario that one was not reached for. */
  readonly results: Promise<string | undefined>[];
}

export function describeReplay(version: OneVersion): void {
  const calls = recordedCalls(version);
  const lanes = [
    laneOf('VM 1', calls, 0, 1),
    laneOf('VMs 2 to 7', calls, 2, 7),
    // 3.8 polls VM 8 while it deletes VM 9.
    laneOf('VMs from 8 on', calls, 8, Infinity),
  ];

  describe(`what OpenNebula ${version} asked of its drivers, asked of ours, has the right effect:`, () => {
    beforeAll(() => {
      for (const lane of lanes) start(lane, new Replay(version, calls));
    });
    afterAll(async () => {
      for (const { replay } of lanes) await replay?.end();
    });

    describe.each(lanes)('$title', (lane) => {
      const names = [...lane.scenarios.map(({ name }) => name), 'nothing is left once all VMs are deleted'];
      for (const [index, name] of names.entries()) {
        it(name, { timeout }, async ({ skip }) => {
          const broken = await lane.results[index];
          if (broken !== undefined) skip(`not reached, since ${broken} has failed`);
        });
      }
    });

    it('every recorded call was made', () => {
      const made = new Map<string, number>();
      for (const { replay } of lanes) {
        for (const [action, count] of replay?.made ?? []) made.set(action, (made.get(action) ?? 0) + count);
      }
      const expected = listedCounts(version);
      // The first monitor of 7.x is older than its list.
      if (version === '7.x') expected.set('tm/monitor', 1);
      expect(Object.fromEntries([...made].sort())).toEqual(Object.fromEntries([...expected].sort()));
      const known = new Set(calls.map(({ sequence }) => sequence));
      expect(Object.keys(particulars[version]).filter((sequence) => !known.has(Number(sequence)))).toEqual([]);
    });
  });
}

/** The scenarios follow each other; every one begins where the last one has ended. */
function start(lane: Lane, replay: Replay): void {
  lane.replay = replay;
  let last: Promise<unknown> = Promise.resolve();
  let broken: string | undefined;
  const then = (name: string, work: () => Promise<void>): void => {
    const result = last.then(async () => {
      if (broken !== undefined) return broken;
      broken = name;
      await work();
      broken = undefined;
      return undefined;
    });
    lane.results.push(result);
    last = result.catch(() => undefined);
  };
  for (const { name, calls } of lane.scenarios) then(name, () => replay.scenario(calls));
  then('the end', () => replay.endLives());
}

/** Calls of one scenario that follow each other; one that comes again gets a number. */
function laneOf(title: string, all: readonly Call[], first: number, last: number): Lane {
  // The monitor is of no VM.
  const calls = all.filter(({ vmId = 0 }) => vmId >= first && vmId <= last);
  const scenarios: { name: string; calls: Call[] }[] = [];
  let scenario: string | undefined;
  let groupEnd = -1;
  for (const call of calls) {
    // What oned does at the same time may be listed under two scenarios.
    if (call.scenario === scenario || call.sequence <= groupEnd) scenarios.at(-1)?.calls.push(call);
    else scenarios.push({ name: call.scenario === '' ? 'idle' : call.scenario, calls: [call] });
    if (call.sequence > groupEnd) scenario = call.scenario;
    groupEnd = simultaneous[call.version][call.sequence] ?? groupEnd;
  }
  const seen = new Map<string, number>();
  const named = scenarios.map(({ name, calls: own }) => {
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return { name: count === 1 ? name : `${name} (${count})`, calls: own };
  });
  return { title, scenarios: named, replay: undefined, results: [] };
}

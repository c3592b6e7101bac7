/** The tests of one version: one a scenario, in their order, then what is left of every VM. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OneVersion } from '../support/recordings.ts';
import { listedCount, recordedCalls, type Call } from './calls.ts';
import { particulars } from './particulars.ts';
import { Replay } from './replay.ts';

const scenarioMs = 120_000;

export function describeReplay(version: OneVersion): void {
  describe(`what OpenNebula ${version} asked of its drivers, asked of ours, each call with the right effect:`, () => {
    const calls = recordedCalls(version);
    let replay: Replay;
    let broken: string | undefined;
    beforeAll(() => {
      replay = new Replay(version, calls);
    });
    afterAll(() => replay.ground.end());

    for (const [name, ofScenario] of scenarios(calls)) {
      it(name, { timeout: scenarioMs }, async ({ skip }) => {
        // Every scenario begins where the last one has ended.
        if (broken !== undefined) skip(`not reached, since ${broken} has failed`);
        broken = name;
        await replay.scenario(ofScenario);
        broken = undefined;
      });
    }

    it('leaves nothing of any VM once it is deleted', { timeout: scenarioMs }, async ({ skip }) => {
      if (broken !== undefined) skip(`not reached, since ${broken} has failed`);
      await replay.endLives();
    });

    it('skips no call', () => {
      const made = [...replay.made.values()].reduce((sum, count) => sum + count, 0);
      const unlisted = version === '7.x' ? 1 : 0;
      const repeats = replay.calls.reduce((sum, { times }) => sum + times - 1, 0);
      expect(made).toBe(replay.calls.length);
      expect(made + repeats).toBe(listedCount(version) + unlisted);
      const known = new Set(replay.calls.map(({ sequence }) => sequence));
      expect(Object.keys(particulars[version]).filter((sequence) => !known.has(Number(sequence)))).toEqual([]);
      const counts = [...replay.made].sort().map(([action, count]) => `${action} ${count}`);
      console.info(`replayed of ${version}: ${made} calls (${repeats} more were the same polls): ${counts.join(', ')}`);
    });
  });
}

/** Calls of one scenario that follow each other; one that comes again gets a number. */
function scenarios(calls: readonly Call[]): [string, Call[]][] {
  const found: [string, Call[]][] = [];
  let last: string | undefined;
  for (const call of calls) {
    if (call.scenario === last) found.at(-1)?.[1].push(call);
    else found.push([call.scenario === '' ? 'idle' : call.scenario, [call]]);
    last = call.scenario;
  }
  const seen = new Map<string, number>();
  return found.map(([name, calls]) => {
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return [count === 1 ? name : `${name} (${count})`, calls];
  });
}

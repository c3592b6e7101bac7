/** How long a master may act, as it is asked when it decides and as it is told to those who carry it out. */
import { expect, test } from 'vitest';
import { actUntilMs, mayAct } from '../../../src/ha/protocol/lease.ts';
import { realRules } from '../../../src/ha/protocol/rules.ts';
import { emptyLedger } from '../../../src/ha/protocol/blocks.ts';
import type { Step } from '../../../src/ha/protocol/state.ts';
import { Member } from './member.ts';

test('an order may begin until the very millisecond to which its master may act, and not one longer', () => {
  const { state } = new Member(0, ['alpha', 'beta']);
  const held = { epoch: 1, sinceMs: 0, renewedMs: 5000, sequence: 3, writtenLedger: emptyLedger(2), releasing: false };
  const at = (nowMs: number): Step => {
    const master = { ...state, role: 'active' as const, epoch: 1, writtenEpoch: 1, held, nowMs };
    return { state: master, effects: [], rules: realRules, timing: state.config.timing };
  };
  const untilMs = actUntilMs(at(5000));
  expect(mayAct(at(untilMs))).toBe(true);
  expect(mayAct(at(untilMs + 1))).toBe(false);
});

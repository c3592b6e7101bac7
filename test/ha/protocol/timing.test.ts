/** The table of durations: what holds for every TIMER that is accepted, and that a table which breaks it isn't. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  assertTiming,
  deriveTiming,
  driftBound,
  watchdogSilenceMs,
  type Timing,
} from '../../../src/ha/protocol/timing.ts';

test('at TIMER=3 the table is that of the worked timeline', () => {
  const { leaseStopMs, leaseLostMs, claimDelayMs, claimSettleMs, netLostMs, pingDeadlineMs } = deriveTiming(3);
  expect([leaseStopMs, leaseLostMs, netLostMs]).toEqual([6000, 8500, 9000]);
  expect([claimDelayMs, claimSettleMs, pingDeadlineMs]).toEqual([3000, 2500, 1500]);
});

test('for every TIMER from a second to a minute, a master has stopped before another one can act', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1000, max: 60_000 }), fc.integer({ min: 0, max: 60_000 }), (timerMs, watchdogMs) => {
      const timing = deriveTiming(timerMs / 1000, { watchdogMs });
      const slowestStop = timing.leaseStopMs * (1 + driftBound);
      expect(slowestStop + 500).toBeLessThan(timing.leaseLostMs * (1 - driftBound));
      const slowestClaim = (timing.claimDelayMs / 2) * (1 + driftBound);
      expect(slowestClaim).toBeLessThan(timing.claimSettleMs * (1 - driftBound));
      if (watchdogMs > 0) {
        const slowestBite = (timing.watchdogStopMs + watchdogMs) * (1 + driftBound);
        expect(slowestBite).toBeLessThan(watchdogSilenceMs(timing, watchdogMs) * (1 - driftBound));
      }
    }),
  );
});

test('a TIMER that leaves less than half a second for a slow disk is refused', () => {
  expect(() => deriveTiming(0.9)).toThrow(/half a second is left/);
});

test.each<[string, Partial<Timing>]>([
  ['leaseStop + margin < leaseLost', { leaseStopMs: 8000 }],
  ['claimDelay / 2 > a heartbeat period', { claimDelayMs: 1500 }],
  ['claimDelay / 2 < claimSettle', { claimSettleMs: 1500 }],
  ['claimDelay × 1.5 + a period < leaseStop', { claimDelayMs: 4000 }],
  ['a second heartbeat may be lost before a node is', { diskLostMs: 2500 }],
])('a table that breaks "%s" is refused by that name', (name, change) => {
  expect(() => assertTiming({ ...deriveTiming(3), ...change })).toThrow(name);
});

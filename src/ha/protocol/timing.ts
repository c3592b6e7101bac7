/**
 * Every duration of the protocol, derived from TIMER in one table, and the inequalities that make the lease safe.
 *
 * Guarantees: a table that breaks an inequality can't be made, so a daemon with it doesn't start. All times are
 * milliseconds of the own monotonic clock; no timestamp of another machine is ever compared with ours. What is assumed
 * of clocks: while one of two nodes counts an hour, the other one counts an hour within `driftBound`.
 *
 * Worked timeline at TIMER=3. t is the moment before the master issued the last renewal that succeeded:
 *
 *     t+0      the renewal reaches the disk
 *     t+6      leaseStop: a master that could not renew stops acting, and never resumes in this epoch; the others,
 *              who have seen no change for that long, begin to vote who of them tries first
 *     t+9      leaseLost: who wins the vote and reads the lease still unchanged may write a claim, epoch+1;
 *              the write must have ended 1.5 s after that read was issued, or the claim is void
 *     t+12     claimSettle after the write: the claim is read back unchanged: master, epoch+1
 *     t+12     a node that fell silent together with the master has been silent for more than netLost (9 s) and
 *              diskLost: the VMs are pinged, at most 1.5 s
 *     t+13.5   fencing begins; with what it takes, and a second to persist that it was done, the first order to
 *              start a VM leaves at t+15 plus the time of the fence command
 *
 * Reads begin at ticks, a period apart, and what they are to show was seen or written a few milliseconds after one. So
 * diskLost, leaseLost and claimSettle are half a period less than the whole number of ticks at which they take effect
 * (8.5, 8.5 and 2.5 s): otherwise each would cost one tick more.
 *
 * Why nobody acts beside the new master: the former one stops at t+6, and a claim needs t+8.5, by clocks that differ by
 * less than `driftBound`; between the two are at least a scheduling pause and a slow read (`marginMs`). Of two claimers the
 * one whose write lands first reads the other's claim, because that landed within claimDelay/2 of a read before its own.
 */
import { CxmError } from '../../errors.ts';

/** Two monotonic clocks differ by less than this part of the time that passes: 1 %, a hundred times what hardware does. */
export const driftBound = 0.01;

export interface Timing {
  readonly timerMs: number;
  /** Between two heartbeats, on the wire and on the disk. A second, or a third of TIMER if that is shorter. */
  readonly periodMs: number;
  /** Silence of a peer on the network, for us and for all who are heard, after which that channel is lost. */
  readonly netLostMs: number;
  /** The same for its slot. Half a period less than netLost: the change itself was only seen at the next read. */
  readonly diskLostMs: number;
  /** So long after it issued its last successful renewal the master may act. */
  readonly leaseStopMs: number;
  /** So long the lease must have been seen unchanged before it may be claimed. */
  readonly leaseLostMs: number;
  /** The write of a claim ends within half of this after the read it rests on was issued, or the claim is void. */
  readonly claimDelayMs: number;
  /** At least so long after the end of that write the read is issued that confirms the claim. */
  readonly claimSettleMs: number;
  /** A candidate waits this long for each one that goes before it. */
  readonly staggerMs: number;
  /** An own pause longer than this makes us deaf for that time: silence is counted anew from its end. */
  readonly gapMs: number;
  /** A read of the disk older than this is no longer a view of it. */
  readonly freshMs: number;
  /** The members have this long for pinging. */
  readonly pingDeadlineMs: number;
  /** A request that has not been answered by then is sent again or given up. */
  readonly askDeadlineMs: number;
  /**
   * Longer than the toolstack itself waits for a domain to be made: after it, a claim on what is in no list of domains is
   * dead.
   */
  readonly startDeadlineMs: number;
  /** The same for a live migration, of which the destination keeps its claim meanwhile. */
  readonly migrateDeadlineMs: number;
  /** A node whose VMs answer, or whose recovery isn't possible for another reason, is looked at again after this. */
  readonly holdMs: number;
  /** Between two looks at a node that says that nothing runs on it: a guest that reboots is in no list for up to 5 s. */
  readonly emptyLookMs: number;
  /** A named lock is freed after this. */
  readonly lockMs: number;
  /** Between the stop of a master and the first claim, beyond what clocks may differ. */
  readonly marginMs: number;
  /** Timeout of the own watchdog device. 0: there is none. */
  readonly watchdogMs: number;
  /** Without being seen for this long a node stops feeding its watchdog. */
  readonly watchdogStopMs: number;
}

export interface TimingOptions {
  /** Timeout of the watchdog device; 0 or left out: there is none. */
  readonly watchdogMs?: number;
  readonly startDeadlineMs?: number;
  readonly migrateDeadlineMs?: number;
}

/**
 * The table for a TIMER in seconds.
 * @throws CxmError CONFIG if the inequalities don't hold
 */
export function deriveTiming(timerSeconds: number, options: TimingOptions = {}): Timing {
  const timerMs = timerSeconds * 1000;
  const periodMs = Math.min(1000, Math.round(timerMs / 3));
  const watchdogMs = options.watchdogMs ?? 0;
  const timing: Timing = {
    timerMs,
    periodMs,
    netLostMs: 3 * timerMs,
    diskLostMs: 3 * timerMs - periodMs / 2,
    leaseStopMs: 2 * timerMs,
    leaseLostMs: 3 * timerMs - periodMs / 2,
    claimDelayMs: timerMs,
    claimSettleMs: timerMs - periodMs / 2,
    staggerMs: Math.round(timerMs / 2),
    gapMs: Math.round(1.5 * periodMs),
    freshMs: timerMs,
    pingDeadlineMs: Math.round(timerMs / 2),
    askDeadlineMs: timerMs,
    startDeadlineMs: options.startDeadlineMs ?? 360_000,
    migrateDeadlineMs: options.migrateDeadlineMs ?? 1_800_000,
    holdMs: 6 * timerMs,
    emptyLookMs: Math.max(2 * timerMs, 6000),
    lockMs: 30_000,
    marginMs: Math.round(timerMs / 2),
    watchdogMs,
    watchdogStopMs: 2 * timerMs,
  };
  assertTiming(timing);
  return timing;
}

/**
 * A node whose watchdog has this timeout is off when it has been silent on both channels so long: it is seen by us at most
 * netLost after it spoke, then waits watchdogStop, then the device. Both are the same on all nodes, by their TIMER.
 */
export function watchdogSilenceMs({ timerMs, watchdogStopMs }: Timing, watchdogMs: number): number {
  return Math.ceil((watchdogStopMs + watchdogMs + 3 * timerMs) * (1 + 2 * driftBound));
}

/** @throws CxmError CONFIG naming the inequality that doesn't hold */
export function assertTiming(timing: Timing): void {
  const { watchdogMs } = timing;
  const slow = 1 + driftBound;
  const must: readonly (readonly [string, boolean])[] = [
    [
      'leaseStop + margin < leaseLost',
      timing.leaseStopMs * slow + timing.marginMs < timing.leaseLostMs * (1 - driftBound),
    ],
    ['half a second is left for a slow read and a pause of the process', timing.marginMs >= 500],
    ['claimDelay / 2 > a heartbeat period', timing.claimDelayMs / 2 >= timing.periodMs],
    [
      "claimDelay / 2 < claimSettle, or a rival's claim is not seen",
      (timing.claimDelayMs / 2) * slow < timing.claimSettleMs * (1 - driftBound),
    ],
    ['claimDelay × 1.5 + a period < leaseStop', timing.claimDelayMs * 1.5 + timing.periodMs < timing.leaseStopMs],
    ['a second heartbeat may be lost before the lease stops', timing.leaseStopMs >= 3 * timing.periodMs],
    ['a second heartbeat may be lost before a node is', timing.diskLostMs >= 3 * timing.periodMs],
    [
      'watchdogStop + watchdog timeout < watchdogSilence',
      watchdogMs === 0 ||
        (timing.watchdogStopMs + watchdogMs) * slow < watchdogSilenceMs(timing, watchdogMs) * (1 - driftBound),
    ],
  ];
  const broken = must.find(([, holds]) => !holds);
  if (broken === undefined) return;
  throw new CxmError('CONFIG', `TIMER ${String(timing.timerMs / 1000)} s is not safe: ${broken[0]} does not hold`, {
    hint: 'take a longer TIMER',
  });
}

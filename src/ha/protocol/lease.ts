/**
 * Who is master: a lease on the disk, claimed and kept by the delta-lease protocol (Chockler and Malkhi, "Light-weight
 * leases for storage-centric coordination"), with an epoch as fencing token.
 *
 * Guarantees, while clocks differ by less than the bound and whatever the disk delays, reorders or tears: `mayAct` is true
 * on one node at most. Renewal reads before it writes; what could not be renewed in time is lost for good; a claim whose
 * write was slow is void; a block of a lower epoch than one already seen is a late write of a former master, which the
 * holder overwrites and everybody else ignores.
 */
import type { Lease, Read } from './blocks.ts';
import { candidateDelayMs, isCandidate } from './election.ts';
import { learnEpoch, learnLedger } from './evidence.ts';
import { because, nameOf, never, type Step } from './state.ts';
import { armWatchdog } from './watchdog.ts';

/** May this node fence, start and migrate at this moment? */
export function mayAct({ state, rules, timing }: Step): boolean {
  const { held } = state;
  if (held === undefined || state.role !== 'active' || held.releasing) return false;
  if (rules.readsBack && state.nowMs - state.leaseChangedMs >= timing.leaseStopMs) return false;
  if (rules.overtaken(state.epoch, held.epoch) || state.ownSlot.written.epoch < rules.persistedEpoch(held.epoch))
    return false;
  return rules.mayAct(held.renewedMs, state.nowMs, timing);
}

/**
 * Before the carrying out of an irrevocable effect begins, our clock must not have passed this: the last millisecond in which
 * we may act. At leaseStop itself we may no more.
 */
export function actUntilMs({ state, rules, timing }: Step): number {
  const seenMs = Math.min(state.held?.renewedMs ?? never, state.leaseChangedMs);
  return rules.notAfter(seenMs, timing.leaseStopMs) - 1;
}

/**
 * After a read, before the next one counts: where two of them lie further apart than a claim takes to become a lease, somebody
 * may have been master meanwhile, and a late write of ours may hide it. Then what stands there is a beginning, however
 * familiar.
 */
export function watchLease({ state, rules, timing }: Step): void {
  if (rules.noticesLookAway && state.nowMs - state.readIssuedMs >= timing.claimSettleMs) {
    state.leaseWatchedMs = state.nowMs;
  }
}

/** Takes in the lease as a read found it. */
export function observeLease(step: Step, read: Read<Lease>): void {
  const { state, rules } = step;
  if (state.leaseChangedMs === never) state.leaseChangedMs = state.nowMs;
  if (read === 'torn') {
    if (state.leaseTornMs === never) state.leaseTornMs = state.nowMs;
    if (rules.tornIsChange) state.leaseChangedMs = state.nowMs;
    return;
  }
  state.leaseTornMs = never;
  if (read === 'empty') return;
  learnLedger(state, read.ledger);
  if (read.epoch < state.epoch) return;
  // Two may have claimed the same epoch. Only whose claim was confirmed renews, so a renewal tells whose it is.
  learnEpoch(step, read.epoch, read.sequence > 1 ? read.owner : -1);
  const seen = state.leaseSeen;
  if (seen !== undefined && sameLease(seen, read)) return;
  state.leaseSeen = read;
  state.leaseChangedMs = state.nowMs;
}

function sameLease(one: Lease, other: Lease): boolean {
  return (
    one.epoch === other.epoch &&
    one.sequence === other.sequence &&
    one.owner === other.owner &&
    one.incarnation === other.incarnation &&
    one.released === other.released
  );
}

/** After a read: renew, confirm the claim, or begin one. */
export function workOnLease(step: Step, read: Read<Lease>, issuedMs: number): void {
  const { state } = step;
  if (state.held !== undefined) renew(step, read);
  else if (state.claiming !== undefined) confirm(step, read, issuedMs);
  else if (mayClaim(step, read, issuedMs)) claim(step, issuedMs);
}

function renew(step: Step, read: Read<Lease>): void {
  const { state, rules } = step;
  const { held } = state;
  if (held === undefined) return;
  if (typeof read === 'object' && rules.leaseTaken(read, held.epoch, state.config.self)) {
    return stepDown(step, `the lease on the disk is of epoch ${String(read.epoch)}, ${nameOf(state, read.owner)}`);
  }
  // A torn or empty block, or one of a lower epoch, hides no successor: that one would have had to wait for our expiry.
  if (state.leaseWrite !== undefined) return;
  const sequence = held.sequence + 1;
  state.held = { ...held, sequence };
  writeLease(step, { epoch: held.epoch, sequence, released: held.releasing });
}

function writeLease(step: Step, values: Pick<Lease, 'epoch' | 'sequence' | 'released'>): void {
  const { state } = step;
  const lease: Lease = {
    ...values,
    owner: state.config.self,
    incarnation: state.incarnation,
    ledger: state.ledger,
  };
  state.leaseWrite = { issuedMs: state.nowMs, lease };
  step.effects.push({ kind: 'write-lease', lease });
}

/** The write of the lease has ended. */
export function leaseWritten(step: Step): void {
  const { state, rules, timing } = step;
  const { leaseWrite, held, claiming } = state;
  state.leaseWrite = undefined;
  if (leaseWrite === undefined) return;
  const { lease, issuedMs } = leaseWrite;
  if (claiming?.phase === 'writing' && claiming.epoch === lease.epoch) {
    if (rules.claimInTime(claiming.readIssuedMs, state.nowMs, timing)) {
      state.claiming = { ...claiming, phase: 'waiting', writtenMs: state.nowMs };
    } else voidClaim(step, 'the write took too long');
    return;
  }
  if (held?.epoch !== lease.epoch) return;
  if (lease.released) {
    state.held = undefined;
    return;
  }
  if (rules.leaseExpired(held.renewedMs, state.nowMs, timing)) return stepDown(step, 'the renewal came too late');
  state.held = { ...held, renewedMs: issuedMs, writtenLedger: lease.ledger };
}

export function leaseWriteFailed(step: Step): void {
  const { state } = step;
  state.leaseWrite = undefined;
  if (state.claiming?.phase === 'writing') voidClaim(step, 'the write failed');
}

function mayClaim(step: Step, read: Read<Lease>, issuedMs: number): boolean {
  const { state, rules, timing } = step;
  if (state.leaseWrite !== undefined || !isCandidate(step)) return false;
  const delayMs = candidateDelayMs(step);
  const isReleased = typeof read === 'object' && read.released && read.epoch === state.epoch;
  // Of a release that we have not seen happen, nobody knows what came after it.
  if (isReleased && state.leaseChangedMs > state.leaseWatchedMs) return issuedMs - state.leaseChangedMs >= delayMs;
  // Torn may be a renewal on its way; torn all the time is a master that died while it wrote.
  if (read === 'torn' && issuedMs - state.leaseTornMs < timing.leaseLostMs) return false;
  return rules.leaseLost(Math.max(state.leaseChangedMs, state.leaseWatchedMs) + delayMs, issuedMs, timing);
}

function claim(step: Step, readIssuedMs: number): void {
  const { state } = step;
  // Where the lease is damaged, the slots that told of the epoch may be, too: of all counters only the time of day goes on.
  const isDamaged = state.leaseSeen === undefined && state.leaseTornMs !== never;
  const epoch = Math.max(state.epoch, isDamaged ? Math.floor(state.wallMs / 1000) : 0) + 1;
  const silence = seconds(state.nowMs - state.leaseChangedMs);
  // From here on the wait for the lease counts anew.
  learnEpoch(step, epoch, -1);
  const writeIssuedMs = state.nowMs;
  state.claiming = { phase: 'writing', epoch, sequence: 1, readIssuedMs, writeIssuedMs, writtenMs: never };
  because(
    step,
    nameOf(state, state.config.self),
    `claims epoch ${String(epoch)}`,
    state.leaseSeen === undefined
      ? 'the disk has no lease'
      : `lease of ${nameOf(state, state.leaseSeen.owner)}, epoch ${String(state.leaseSeen.epoch)}, ` +
          (state.leaseSeen.released ? 'released' : `unchanged for ${silence}`),
  );
  writeLease(step, { epoch, sequence: 1, released: false });
}

function confirm(step: Step, read: Read<Lease>, issuedMs: number): void {
  const { state, rules, timing } = step;
  const { claiming } = state;
  if (claiming?.phase !== 'waiting') return;
  const isOurs =
    typeof read === 'object' &&
    read.epoch === claiming.epoch &&
    read.owner === state.config.self &&
    read.incarnation === state.incarnation;
  if (read === 'torn') return;
  if (!isOurs || state.epoch !== claiming.epoch) return voidClaim(step, 'what was read back is not ours');
  if (!rules.claimSettled(claiming.writtenMs, issuedMs, timing)) return;
  state.claiming = undefined;
  if (rules.leaseExpired(claiming.writeIssuedMs, state.nowMs, timing)) return voidClaim(step, 'it was read too late');
  learnEpoch(step, claiming.epoch, state.config.self);
  if (state.role === 'joining') armWatchdog(step);
  state.role = 'active';
  state.electionMs = never;
  state.held = {
    epoch: claiming.epoch,
    sinceMs: state.nowMs,
    renewedMs: claiming.writeIssuedMs,
    sequence: claiming.sequence,
    writtenLedger: undefined,
    releasing: false,
  };
  state.slotWantedAgain = true;
  because(
    step,
    nameOf(state, state.config.self),
    `master, epoch ${String(claiming.epoch)}`,
    'the claim was read back unchanged',
  );
  renew(step, read);
}

function voidClaim(step: Step, reason: string): void {
  step.state.claiming = undefined;
  because(step, nameOf(step.state, step.state.config.self), 'claim void', reason);
}

/** At every tick: a lease that was not renewed in time is over. */
export function expireLease(step: Step): void {
  const { state, rules, timing } = step;
  const { held, claiming } = state;
  if (claiming?.phase === 'waiting' && rules.leaseExpired(claiming.writeIssuedMs, state.nowMs, timing)) {
    voidClaim(step, 'it could not be read back in time');
  }
  if (held === undefined) return;
  if (rules.overtaken(state.epoch, held.epoch)) return stepDown(step, `epoch ${String(state.epoch)} was seen`);
  if (rules.leaseExpired(held.renewedMs, state.nowMs, timing)) stepDown(step, 'the lease could not be renewed in time');
  // What can't be read does not renew it for the others either, whatever the storage says of our writes.
  else if (rules.readsBack && state.nowMs - state.leaseChangedMs >= timing.leaseStopMs) {
    stepDown(step, 'our renewals could not be read back in time');
  }
}

/** Stops acting, for good in this epoch. Whatever was begun as master is the next one's to finish. */
export function stepDown(step: Step, reason: string): void {
  const { state } = step;
  state.held = undefined;
  stopMastering(step, reason);
}

/** Stops acting at once and gives the lease back with the next write, so that nobody has to wait for its end. */
export function releaseLease(step: Step, reason: string): void {
  const { state } = step;
  if (state.held === undefined || state.held.releasing) return;
  state.held = { ...state.held, releasing: true };
  stopMastering(step, reason);
}

function stopMastering(step: Step, reason: string): void {
  const { state } = step;
  if (state.role === 'active') state.role = 'passive';
  state.recovery = undefined;
  state.evacuation = undefined;
  state.locks = [];
  because(step, nameOf(state, state.config.self), 'no longer master', reason);
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

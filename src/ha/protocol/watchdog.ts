/**
 * This node's own watchdog. Others take a node whose slot says that it is armed for off after a silence, without asking
 * anybody: while such a slot stands, the device must run, and be fed only as long as others can know that we live.
 *
 * Guarantees: the device runs before a slot says so. It is fed while our slot reaches the disk or the master says that it
 * hears us, both of which the master counts our silence from. A daemon that has come after one that was killed, and wants in,
 * feeds it for no other reason but one: the disk says that there is no master who could count, and a new one begins to count
 * when it has claimed the lease, which we would read. It is put to rest when nobody counts on it, and not by an end of which
 * nobody has heard.
 */
import { isMember } from './blocks.ts';
import { hasFormerMembership } from './election.ts';
import { never, peerAt, type Step } from './state.ts';

/** Before our first slot of this membership. */
export function armWatchdog({ state, effects }: Step): void {
  if (state.config.watchdogArmed) effects.push({ kind: 'feed-watchdog' });
}

/** At every tick. */
export function feedWatchdog(step: Step): void {
  const { state, timing, rules, effects } = step;
  if (!state.config.watchdogArmed) return;
  const formerMs = hasFormerMembership(step) ? (peerAt(state, state.config.self).slot?.watchdogMs ?? 0) : 0;
  const isHeir = state.role === 'joining' && formerMs > 0;
  const isCountedOn = isMember(state.role) || state.role === 'leaving' || isHeir;
  const isSeen = heardByMasterMs(step) + timing.watchdogStopMs > state.nowMs;
  const isWritten = state.nowMs - state.slotWrittenMs < timing.watchdogStopMs;
  const isFed = rules.mayFeed(isSeen || isWritten || (isHeir && isNobodyMaster(step)), isMember(state.role));
  if (isCountedOn && isFed) effects.push({ kind: 'feed-watchdog' });
}

/**
 * As far as the disk was read a moment ago: our former daemon was it, or it has given the lease back or let it run out. A
 * claim that nobody has renewed is no master's either: it may stand again and again where the disk is slow.
 */
function isNobodyMaster({ state, timing }: Step): boolean {
  if (state.nowMs - state.readIssuedMs >= timing.leaseStopMs) return false;
  if (state.leaseSeen === undefined || state.leaseSeen.released || state.leaseSeen.sequence === 1) return true;
  if (state.leaseSeen.owner === state.config.self) return true;
  const seenMs = Math.max(state.leaseChangedMs, state.leaseWatchedMs);
  return state.leaseChangedMs !== never && state.readIssuedMs - seenMs >= timing.leaseLostMs;
}

/** A master has heard of our leaving, so that its silence is no death to it. */
export function isLeavingKnown(step: Step): boolean {
  return heardByMasterMs(step) >= step.state.leaveMs + step.timing.periodMs;
}

/** When a master has heard us last, as far as it has told. */
function heardByMasterMs({ state }: Step): number {
  const times = state.peers.map((_, node) => {
    const { datagram, netSeenMs } = peerAt(state, node);
    const ageMs = datagram?.role === 'active' ? (datagram.heardAgeMs[state.config.self] ?? -1) : -1;
    return ageMs < 0 ? -Infinity : netSeenMs - ageMs;
  });
  return Math.max(-Infinity, ...times);
}

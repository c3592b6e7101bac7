/**
 * Who tries first. A vote is no decision: the disk decides (lease). It only keeps nodes from claiming all at once, and
 * keeps those back who would make a bad master.
 *
 * Guarantees: every candidate gets its turn, the n-th one after n staggers, so a vote that is lost, late or wrong costs
 * time and nothing else. A node that hears nobody while others are alive on the disk suspects itself and doesn't stand.
 */
import { isMember } from './blocks.ts';
import { diskChannel, isHeard } from './evidence.ts';
import { because, nameOf, never, peerAt, type NodeState, type Step } from './state.ts';

export function isCandidate(step: Step): boolean {
  const { state, timing } = step;
  if (state.isolated || state.incarnation === 0) return false;
  if (state.role === 'joining') return !othersLive(step);
  if (state.role !== 'passive' && state.role !== 'voting') return false;
  if (state.nowMs - state.slotWrittenMs >= timing.leaseStopMs) return false;
  return hearsSomebody(state, timing.netLostMs) || !othersLive(step);
}

function hearsSomebody(state: NodeState, withinMs: number): boolean {
  return state.peers.some((_, node) => node !== state.config.self && isHeard(state, node, withinMs));
}

/** Is another member alive on the disk? In a cluster of two that is no reason to hold back: who would be right? */
function othersLive(step: Step): boolean {
  const { state } = step;
  const others = state.peers.filter(({ slot }, node) => {
    return node !== state.config.self && slot !== undefined && isMember(slot.role) && !isOut(state, node);
  });
  if (others.length < 2 && state.role !== 'joining') return false;
  return state.peers.some(({ slot, seenAlive }, node) => {
    if (node === state.config.self || slot === undefined || !isMember(slot.role) || isOut(state, node)) return false;
    return seenAlive && diskChannel(step, node) === 'ok';
  });
}

/** Off for certain, or taken out by a person. */
export function isOut({ ledger, peers }: NodeState, node: number): boolean {
  const incarnation = peers[node]?.slot?.incarnation ?? 0;
  return incarnation <= (ledger.fenced[node] ?? 0) || incarnation <= (ledger.excluded[node] ?? 0);
}

/** The slot on the disk still calls us a member: a former daemon of ours has ended without a word. */
export function hasFormerMembership({ state }: Step): boolean {
  const { slot } = peerAt(state, state.config.self);
  return slot !== undefined && isMember(slot.role) && !isOut(state, state.config.self);
}

/** How good a master this node would be; 0: it doesn't stand. Of equal ones the lower index goes first. */
export function ownBallot(step: Step): number {
  const { state, timing } = step;
  if (!isCandidate(step)) return 0;
  const heard = state.peers.filter(
    (_, node) => node !== state.config.self && isHeard(state, node, timing.netLostMs),
  ).length;
  return 1 + heard + (state.maintenance ? 0 : 1000);
}

/** How long we wait for those who go before us. */
export function candidateDelayMs(step: Step): number {
  const { state, timing } = step;
  const own = ownBallot(step);
  const before = state.peers.filter((_, node) => {
    if (node === state.config.self || !isHeard(state, node, 3 * timing.periodMs)) return false;
    const ballot = peerAt(state, node).datagram?.ballot ?? 0;
    return ballot > own || (ballot === own && ballot > 0 && node < state.config.self);
  }).length;
  return before * timing.staggerMs;
}

/** Passive nodes vote when the lease has been silent for 2×TIMER or was given back, and stop when there is a master. */
export function voteWhenMasterIsSilent(step: Step): void {
  const { state, timing } = step;
  if (state.role !== 'passive' && state.role !== 'voting') return;
  const isSilent =
    state.leaseChangedMs !== never &&
    state.readIssuedMs - state.leaseChangedMs >= timing.leaseStopMs &&
    state.nowMs - state.readDoneMs < timing.freshMs;
  const isVacant = isSilent || state.leaseSeen?.released === true;
  if (isVacant && state.role === 'passive' && state.held === undefined) {
    state.role = 'voting';
    state.electionMs = state.nowMs;
    because(step, nameOf(state, state.config.self), 'votes', isSilent ? 'the lease is silent' : 'the lease is vacant');
  } else if (!isVacant && state.role === 'voting' && state.claiming === undefined) {
    state.role = 'passive';
    state.electionMs = never;
  }
}

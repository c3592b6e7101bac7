/**
 * What is known of the other nodes, and when it last changed by our own clock.
 *
 * Guarantees: only growing counters are life; a replayed, reordered or late datagram, a block that a late write has set
 * back, and a block with a wrong checksum never are. Without information a channel is `unknown`, never `lost`: after an own
 * pause the silence on the network is counted anew, and a disk that we can't read says nothing about others.
 */
import {
  isMember,
  mergeLedger,
  mergeSwitches,
  type Datagram,
  type Ledger,
  type NodeIndex,
  type Read,
  type Slot,
} from './blocks.ts';
import { raisePanic } from './panic.ts';
import type { Channel } from './rules.ts';
import type { Peer } from './parts.ts';
import { alarm, because, nameOf, peerAt, setPeer, type NodeState, type Step } from './state.ts';

/** Takes a heartbeat in. Nothing in it is a time of another clock; ages it reports count from its arrival. */
export function observeDatagram(step: Step, datagram: Datagram): void {
  const { state } = step;
  const { from, incarnation, sequence } = datagram;
  if (from === state.config.self || state.role === 'alone') return;
  const peer = peerAt(state, from);
  if (!isNewer(peer, datagram)) return;
  if (datagram.diskId !== state.config.diskId) {
    hold(step, `other-disk/${String(from)}`, () => {
      alarm(
        step,
        nameOf(state, from),
        `${nameOf(state, from)} uses another heartbeat disk: mend HB_DISK there or here`,
      );
    });
    return;
  }
  if (incarnation <= (state.ledger.fenced[from] ?? 0)) return countGhost(step, from, peer);
  // All that a peer has, written out: most of what a daemon does is this.
  setPeer(state, from, {
    slot: peer.slot,
    slotChangedMs: peer.slotChangedMs,
    netIncarnation: incarnation,
    netSequence: sequence,
    netSeenMs: state.nowMs,
    heardSinceMs: state.nowMs - peer.netSeenMs < step.timing.netLostMs ? peer.heardSinceMs : state.nowMs,
    datagram,
    enteredMs: hasEntered(peer, datagram) ? state.nowMs : peer.enteredMs,
    seenAlive: true,
    ghosts: 0,
  });
  state.isolated = false;
  learnEpoch(step, datagram.epoch, -1);
  state.switches = mergeSwitches(state.switches, datagram.switches);
}

function isNewer({ netIncarnation, netSequence, slot }: Peer, { incarnation, sequence }: Datagram): boolean {
  if (incarnation === netIncarnation) return sequence > netSequence;
  if (incarnation < netIncarnation || slot === undefined) return incarnation > netIncarnation;
  // After a restart of ours the slot tells how far the sender was, so what was recorded before is not life.
  return incarnation > slot.incarnation || (incarnation === slot.incarnation && sequence >= slot.sequence);
}

function hasEntered({ datagram }: Peer, { incarnation, role }: Datagram): boolean {
  if (!isMember(role)) return false;
  return datagram === undefined || datagram.incarnation !== incarnation || !isMember(datagram.role);
}

/** How far a node had come when it wrote a slot or sent a datagram. */
export interface Counters {
  readonly incarnation: number;
  readonly sequence: number;
}

/** Takes in the slot of another node as a read at nowMs found it. */
export function observeSlot(step: Step, index: NodeIndex, read: Read<Slot>): void {
  const { state, rules } = step;
  if (read === 'empty') return;
  const peer = peerAt(state, index);
  if (read === 'torn') {
    if (rules.tornIsChange) setPeer(state, index, { ...peer, slotChangedMs: state.nowMs });
    return;
  }
  const known = peer.slot;
  if (known !== undefined && !isLater(read, known)) return;
  const isFenced = read.incarnation <= (state.ledger.fenced[index] ?? 0);
  if (isFenced && known !== undefined && index !== state.config.self) countGhost(step, index, peer);
  const now = peerAt(state, index);
  setPeer(state, index, {
    slot: read,
    slotChangedMs: state.nowMs,
    netIncarnation: now.netIncarnation,
    netSequence: now.netSequence,
    netSeenMs: now.netSeenMs,
    heardSinceMs: now.heardSinceMs,
    datagram: now.datagram,
    seenAlive: peer.seenAlive || (known !== undefined && !isFenced),
    enteredMs: now.enteredMs,
    ghosts: now.ghosts,
  });
  learnEpoch(step, read.epoch, -1);
  learnLedger(state, read.ledger);
  state.switches = mergeSwitches(state.switches, read.switches);
}

export function isLater(one: Counters, other: Counters): boolean {
  if (one.incarnation !== other.incarnation) return one.incarnation > other.incarnation;
  return one.sequence > other.sequence;
}

/**
 * Epochs only rise; whose one is, is known once somebody has become master in it. Whoever has it has the lease, also
 * while a late write of a former master hides that from us, so the time to wait before claiming begins anew.
 */
export function learnEpoch({ state, rules }: Step, epoch: number, owner: NodeIndex | -1): void {
  if (epoch > state.epoch) {
    state.epoch = epoch;
    state.epochOwner = owner;
    if (rules.higherEpochIsChange) state.leaseChangedMs = state.nowMs;
  } else if (epoch === state.epoch && state.epochOwner === -1) state.epochOwner = owner;
}

export function learnLedger(state: NodeState, ledger: Ledger): void {
  const merged = mergeLedger(state.ledger, ledger);
  if (merged === state.ledger) return;
  merged.fenced.forEach((incarnation, node) => {
    if (incarnation <= (state.ledger.fenced[node] ?? 0)) return;
    // What was sent or written before the power went may still arrive.
    const untilMs = state.nowMs + state.config.timing.netLostMs + state.config.timing.claimDelayMs;
    state.holds = { ...state.holds, [`ghost/${String(node)}`]: untilMs };
  });
  state.ledger = merged;
}

/** A node that was confirmed to be off shows life: the fence command has lied. */
function countGhost(step: Step, node: NodeIndex, peer: Peer): void {
  const { state } = step;
  if (state.nowMs < (state.holds[`ghost/${String(node)}`] ?? 0)) return;
  setPeer(state, node, { ...peer, ghosts: peer.ghosts + 1 });
  if (peer.ghosts + 1 === 3) raisePanic(step, `${nameOf(state, node)} was confirmed to be off and shows life`);
}

/** Does something at most once in holdMs. */
export function hold(step: Step, key: string, action: () => void): void {
  const { state, timing } = step;
  if (state.nowMs < (state.holds[key] ?? 0)) return;
  state.holds = { ...state.holds, [key]: state.nowMs + timing.holdMs };
  action();
}

/** Was the node itself heard by us within so long? */
export function isHeard(state: NodeState, node: NodeIndex, withinMs: number): boolean {
  return state.nowMs - peerAt(state, node).netSeenMs < withinMs;
}

/** How long nobody whom we hear has heard the node. */
export function netSilenceMs({ state, rules, timing }: Step, node: NodeIndex): number {
  let silenceMs = state.nowMs - peerAt(state, node).netSeenMs;
  if (!rules.believesOthersHear) return silenceMs;
  for (let at = 0; at < state.peers.length; at += 1) {
    const { datagram, netSeenMs } = peerAt(state, at);
    const sinceMs = state.nowMs - netSeenMs;
    if (at === node || datagram === undefined || sinceMs >= timing.netLostMs) continue;
    const ageMs = datagram.heardAgeMs[node] ?? -1;
    if (ageMs >= 0) silenceMs = Math.min(silenceMs, ageMs + sinceMs);
  }
  return silenceMs;
}

export function netChannel(step: Step, node: NodeIndex): Channel {
  const { state, rules, timing } = step;
  if (netSilenceMs(step, node) < timing.netLostMs) return 'ok';
  if (rules.noticesOwnPause && state.nowMs - state.listeningMs < timing.netLostMs) return 'unknown';
  return 'lost';
}

export function diskChannel({ state, timing }: Step, node: NodeIndex): Channel {
  const { slotChangedMs, slot, datagram, enteredMs } = peerAt(state, node);
  // A new daemon of it has just been let in, and we have not seen its first slot.
  const isNew = datagram !== undefined && slot !== undefined && datagram.incarnation > slot.incarnation;
  if (isNew && state.nowMs - enteredMs < timing.diskLostMs) return 'unknown';
  if (state.readIssuedMs - slotChangedMs >= timing.diskLostMs) {
    return state.nowMs - state.readDoneMs < timing.freshMs ? 'lost' : 'unknown';
  }
  return state.nowMs - slotChangedMs < timing.diskLostMs ? 'ok' : 'unknown';
}

/** By node: how long ago we heard it; what our heartbeat tells the others. */
export function heardAges(state: NodeState): readonly number[] {
  return state.peers.map(({ netSeenMs, netIncarnation }) =>
    netIncarnation === 0 ? -1 : Math.round(state.nowMs - netSeenMs),
  );
}

/** Were we awake all the time since then? What comes after a pause may have waited for us. */
export function hasListenedSince({ state, timing }: Step, sinceMs: number): boolean {
  return state.listeningMs <= sinceMs && state.nowMs - state.lastTickMs <= timing.gapMs;
}

/** Notices that we were stopped: nobody was listening meanwhile. */
export function observePause(step: Step): void {
  const { state, timing } = step;
  const gapMs = state.nowMs - state.lastTickMs;
  if (gapMs > timing.gapMs) {
    if (state.listeningMs > 0 && state.role !== 'alone') {
      because(step, nameOf(state, state.config.self), 'own pause', `${String(Math.round(gapMs))} ms between two ticks`);
    }
    state.listeningMs = state.nowMs;
  }
  state.lastTickMs = state.nowMs;
}

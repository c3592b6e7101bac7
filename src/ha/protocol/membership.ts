/**
 * Joining and leaving. Who is a member stands in the slots, not in the memory of a master, so it survives any of them.
 *
 * Guarantees: a node takes part only with an incarnation above all that were ever seen of it; one whose former incarnation
 * still shows life, is being recovered, or uses another list of nodes or another disk isn't let in; a clean leave is the
 * last word of a slot and never looks like a death; VMs that a node leaves behind stay claimed by it.
 */
import { isMember, mergeSwitches, type NodeIndex, type Read, type Slot } from './blocks.ts';
import type { Answer, Request } from './messages.ts';
import { hasFormerMembership, isOut } from './election.ts';
import { isLater, learnEpoch, learnLedger } from './evidence.ts';
import { clusterState } from './panic.ts';
import { mayAct, releaseLease } from './lease.ts';
import { adoptFormerClaims, reply } from './orders.ts';
import { unknownIncarnation } from './readability.ts';
import { alarm, because, nameOf, never, peerAt, setPeer, takeId, type NodeState, type Step } from './state.ts';
import { armWatchdog, isLeavingKnown } from './watchdog.ts';

export function join(step: Step, callId: number): void {
  const { state } = step;
  if (state.role !== 'alone') return reply(step, callId, false, `this node is ${state.role} already`);
  state.role = 'joining';
  state.joinCallId = callId;
  state.joinRefused = '';
  state.startedMs = state.nowMs;
  state.listeningMs = state.nowMs;
  state.lastTickMs = state.nowMs;
  step.effects.push({ kind: 'list-vms' });
}

/** Our own slot, before we have written it: how far our predecessors came, and what they had begun. */
export function observeOwnSlot(step: Step, read: Read<Slot>): void {
  const { state } = step;
  const { self } = state.config;
  if (state.role === 'alone') return;
  // After a change of the disk others may come back later than we, and remember more of us than it does.
  if (state.role === 'joining' && state.incarnation !== 0)
    state.incarnation = incarnationAbove(state, state.incarnation);
  if (state.incarnation !== 0) return state.farewellMs === never ? guardOwnSlot(step, read) : bidFarewell(step, read);
  state.incarnation = incarnationAbove(state, lastIncarnation(step, read) + 1);
  if (typeof read === 'object') {
    setPeer(state, self, { ...peerAt(state, self), slot: read });
    // What only we had said would be lost with the first slot that we write.
    state.maintenance = read.maintenance;
    state.switches = mergeSwitches(state.switches, read.switches);
    learnEpoch(step, read.epoch, -1);
    learnLedger(state, read.ledger);
    state.sequence = Math.max(state.sequence, read.sequence);
    adoptFormerClaims(step, read.vms);
  }
  if (state.farewellMs !== never && !hasFormerMembership(step)) finishLeave(step, 'it was no member yet');
}

/** How far our predecessors came, as far as the disk can tell. */
function lastIncarnation({ state }: Step, read: Read<Slot>): number {
  if (typeof read === 'object') return read.incarnation;
  if (read === 'torn') return unknownIncarnation;
  // It may be another disk now, and others remember us: of all counters only the time of day goes on.
  return Math.max(0, Math.floor(state.wallMs / 1000));
}

function incarnationAbove({ ledger, minimumIncarnation, config }: NodeState, atLeast: number): number {
  const { fenced, excluded } = ledger;
  return Math.max(minimumIncarnation, atLeast, (fenced[config.self] ?? 0) + 1, (excluded[config.self] ?? 0) + 1);
}

/** Our former daemon went without a word. It gets one, if it was really ours: nobody else has written meanwhile. */
function bidFarewell(step: Step, read: Read<Slot>): void {
  const { state } = step;
  const known = peerAt(state, state.config.self).slot;
  if (typeof read !== 'object' || known === undefined) return;
  if (isLater(read, known)) return finishLeave(step, 'another daemon writes the slot of this name');
  if (state.nowMs < state.farewellMs) return;
  state.farewellMs = never;
  state.slotWantedAgain = true;
}

/** A slot has one writer. Another one with our index means two machines with one name. */
function guardOwnSlot(step: Step, read: Read<Slot>): void {
  const { state } = step;
  if (typeof read !== 'object' || !isMember(state.role) || read.incarnation <= state.incarnation) return;
  drop(step, `another daemon writes the slot of ${nameOf(state, state.config.self)}`);
}

/**
 * Out of the cluster at once, without a last word in the slot: its claims stay.
 * @param atRest nobody believes that the watchdog ends this node
 */
export function drop(step: Step, reason: string, atRest = false): void {
  const { state, effects } = step;
  if (state.role === 'alone') return;
  if (state.held !== undefined) releaseLease(step, reason);
  state.held = undefined;
  state.claiming = undefined;
  state.role = 'alone';
  effects.push({ kind: 'alarm', text: reason }, { kind: 'stopped', reason, clean: false, atRest });
  because(step, nameOf(state, state.config.self), 'out of the cluster', reason);
}

/** At every tick of a node that wants in: ask whoever holds the lease. Without a live lease it may claim it (election). */
export function pursueJoin(step: Step): void {
  const { state, timing, effects } = step;
  if (state.role !== 'joining' || state.incarnation === 0 || state.vmsSampledMs === never) return;
  const owner = state.leaseSeen?.released === false ? state.leaseSeen.owner : state.config.self;
  if (owner === state.config.self || state.nowMs - state.joinAskedMs < timing.askDeadlineMs) return;
  state.joinAskedMs = state.nowMs;
  state.joinAskId = takeId(state);
  const request: Request = {
    kind: 'join',
    name: nameOf(state, state.config.self),
    incarnation: state.incarnation,
    nodes: state.config.nodes,
    diskId: state.config.diskId,
    timerMs: timing.timerMs,
  };
  effects.push({ kind: 'ask', askId: state.joinAskId, to: owner, request, deadlineMs: timing.askDeadlineMs });
}

export function joinAnswered(step: Step, answer: Extract<Answer, { kind: 'join' }>): void {
  const { state } = step;
  if (state.role !== 'joining') return;
  if (answer.accepted) return enter(step);
  state.minimumIncarnation = Math.max(state.minimumIncarnation, answer.minimumIncarnation);
  state.incarnation = Math.max(state.incarnation, state.minimumIncarnation);
  if (answer.reason !== state.joinRefused) because(step, nameOf(state, state.config.self), 'not let in', answer.reason);
  state.joinRefused = answer.reason;
  if (!answer.final) return;
  state.role = 'alone';
  step.effects.push({ kind: 'stopped', reason: answer.reason, clean: true, atRest: !hasFormerMembership(step) });
  if (state.joinCallId !== 0) reply(step, state.joinCallId, false, answer.reason);
}

function enter(step: Step): void {
  const { state } = step;
  state.role = 'passive';
  armWatchdog(step);
  state.joinRefused = '';
  state.slotWantedAgain = true;
  because(step, nameOf(state, state.config.self), 'joined', `incarnation ${String(state.incarnation)}`);
  answerJoinCall(step);
}

/** Also when a joining node has become master by itself. */
export function answerJoinCall(step: Step): void {
  const { state } = step;
  if (state.joinCallId === 0) return;
  tellWhatIsGone(step);
  reply(step, state.joinCallId, true, 'joined');
  state.joinCallId = 0;
}

/**
 * A machine that was back before anybody found it dead has lost its VMs, and nobody recovers them: they may as well
 * have been shut down while no daemon looked.
 */
function tellWhatIsGone(step: Step): void {
  const { state } = step;
  const former = peerAt(state, state.config.self).slot;
  if (former === undefined || !isMember(former.role) || isOut(state, state.config.self)) return;
  const present = new Set(state.vms);
  for (const { slot } of state.peers) if (slot !== former) slot?.vms.forEach(({ name }) => present.add(name));
  const gone = former.vms.filter(({ name, phase }) => phase === 'running' && !present.has(name));
  if (gone.length === 0) return;
  const names = gone.map(({ name }) => name).join(' ');
  alarm(step, nameOf(state, state.config.self), `ran here before this start of cxmd and run nowhere now: ${names}`);
}

/** The master is asked to let a node in. */
export function judgeJoin(step: Step, from: NodeIndex, request: Extract<Request, { kind: 'join' }>): Answer {
  const { state, timing } = step;
  const peer = peerAt(state, from);
  // It speaks, so the machine is on: whoever wonders whether it is dead should know.
  setPeer(state, from, { ...peer, netSeenMs: state.nowMs, seenAlive: true });
  const highest = Math.max(
    peer.slot?.incarnation ?? 0,
    peer.datagram?.role === 'joining' ? 0 : peer.netIncarnation,
    state.ledger.fenced[from] ?? 0,
    state.ledger.excluded[from] ?? 0,
  );
  const answer = (reason: string, final = false): Answer => {
    return { kind: 'join', accepted: reason === '', final, reason, minimumIncarnation: highest + 1 };
  };
  if (!mayAct(step)) return answer('this node is not the master');
  if (request.diskId !== state.config.diskId) return answer('another heartbeat disk', true);
  if (request.timerMs !== timing.timerMs) {
    return answer(
      `TIMER is ${String(request.timerMs / 1000)} here, and ${String(timing.timerMs / 1000)} on the master`,
      true,
    );
  }
  if (!isPrefix(request.nodes, state.config.nodes)) return answer('ALLOWED_NODES differs', true);
  if ((state.config.nodes[from] ?? '') !== request.name) return answer('not in ALLOWED_NODES of the master', true);
  const mode = clusterState(state);
  if (mode !== 'normal') return answer(`the cluster is in ${mode}`);
  if (state.evacuation?.node === from) return answer('its VMs are being moved away');
  if (state.obscure.mending?.node === from) return answer('its slot is being written anew');
  if (request.incarnation <= highest) return answer('its incarnation is too low');
  const spoke = peer.datagram !== undefined && peer.datagram.incarnation === peer.slot?.incarnation;
  const lastMs = Math.max(peer.slotChangedMs, spoke ? peer.netSeenMs : never);
  const isLive = peer.slot !== undefined && isMember(peer.slot.role) && state.nowMs - lastMs < timing.gapMs;
  return answer(isLive ? 'a daemon of this name is a member' : '');
}

/** One list must be the beginning of the other one: so they are changed node after node while the cluster runs. */
function isPrefix(one: readonly string[], other: readonly string[]): boolean {
  const common = Math.min(one.length, other.length);
  for (let at = 0; at < common; at += 1) {
    // A removed node leaves an empty place.
    if (one[at] !== other[at] && one[at] !== '' && other[at] !== '') return false;
  }
  return common > 0;
}

export function leave(step: Step, callId: number): void {
  const { state } = step;
  if (state.role === 'alone') return reply(step, callId, true, 'this node is no member');
  state.leaveCallId = callId;
  state.leaveMs = state.nowMs;
  const wasMember = isMember(state.role);
  releaseLease(step, 'this node leaves');
  state.claiming = undefined;
  state.role = 'leaving';
  if (!wasMember) return leaveUnadmitted(step);
  state.slotWantedAgain = true;
}

/** The slot may still call it a member, from before a crash: left so, it would be taken for dead. */
function leaveUnadmitted(step: Step): void {
  const { state, timing } = step;
  if (state.incarnation !== 0 && !hasFormerMembership(step)) return finishLeave(step, 'it was no member yet');
  state.farewellMs = state.nowMs + timing.gapMs;
}

/** May the last word be written? Not before the lease was given back, or has run out. */
export function mayWriteLastWord(step: Step): boolean {
  return step.state.role === 'leaving' && step.state.held === undefined;
}

/** @param atRest the others know that we have left, or never counted us in */
export function finishLeave(step: Step, how: string, atRest = true): void {
  const { state, effects } = step;
  if (state.role !== 'leaving') return;
  state.role = 'alone';
  reply(step, state.leaveCallId, true, 'left');
  effects.push({ kind: 'stopped', reason: 'left', clean: true, atRest });
  because(step, nameOf(state, state.config.self), 'left', how);
}

/** A disk that doesn't take the last word keeps nobody from leaving; the others know it from the heartbeat. */
export function expireLeave(step: Step): void {
  const { state, timing } = step;
  if (state.role !== 'leaving' || state.nowMs - state.leaveMs < timing.leaseLostMs) return;
  state.held = undefined;
  finishLeave(step, 'the disk did not take it', isLeavingKnown(step));
}

/** We read that a person took us out, or that we were fenced. */
export function checkOwnStanding(step: Step): void {
  const { state } = step;
  const { self } = state.config;
  if (!isMember(state.role) || state.incarnation === 0) return;
  if ((state.ledger.fenced[self] ?? 0) >= state.incarnation) {
    drop(step, 'the others believe that this node is off: they may have started its VMs');
  } else if ((state.ledger.excluded[self] ?? 0) >= state.incarnation) {
    drop(step, 'this node was taken out of the cluster', true);
  }
}

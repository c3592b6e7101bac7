/**
 * The protocol: `step(state, event) → {state, effects}`. No clock, no randomness, no input or output; the same state and
 * event always give the same answer, and the state that was given is never changed.
 *
 * Guarantees: effects stand in the order in which they must be carried out; no more than one read, one write of the slot
 * and one write of the lease are under way; a heartbeat of the disk and of the network go out at every tick.
 */
import { isMember, type Datagram, type NodeIndex, type Slot } from './blocks.ts';
import { ownBallot, voteWhenMasterIsSilent } from './election.ts';
import { evacuate, evacuationAnswered, evacuationPlanned, emptyFenceDone } from './evacuation.ts';
import { heardAges, observeDatagram, observePause, observeSlot } from './evidence.ts';
import { expireLease, leaseWriteFailed, leaseWritten, mayAct, observeLease, watchLease, workOnLease } from './lease.ts';
import {
  answerJoinCall,
  checkOwnStanding,
  expireLeave,
  finishLeave,
  joinAnswered,
  judgeJoin,
  mayWriteLastWord,
  observeOwnSlot,
  pursueJoin,
} from './membership.ts';
import { takeCall } from './calls.ts';
import type { Answer, Effect, Event, Request, Result } from './messages.ts';
import { checkClaims, claimsWritten, endWork, expireWorks, settleWorks, surveyAnswer, takeOrder } from './orders.ts';
import { clusterState } from './panic.ts';
import { advanceRecovery, fenceDone, findDead, recoveryAnswered } from './recovery.ts';
import { planDone } from './restart.ts';
import { mendSlots, observeObscure, slotMended } from './readability.ts';
import { realRules, type Rules } from './rules.ts';
import { hasUnlisted, ownList } from './slot-room.ts';
import { copyState, never, takeId, type NodeState, type Step } from './state.ts';
import { endIsolation, lookAround } from './verdict.ts';
import { feedWatchdog } from './watchdog.ts';

export interface Stepped {
  readonly state: NodeState;
  readonly effects: readonly Effect[];
}

export function step(before: NodeState, event: Event, rules: Rules = realRules): Stepped {
  const state = copyState(before);
  const wallMs = event.kind === 'tick' ? event.wallMs : state.wallMs;
  state.nowMs = rules.clock(event.nowMs, wallMs);
  state.wallMs = wallMs;
  const current: Step = { state, effects: [], rules, timing: state.config.timing };
  apply(current, event);
  flush(current);
  return { state, effects: current.effects };
}

function apply(current: Step, event: Event): void {
  switch (event.kind) {
    case 'tick':
      return tick(current);
    case 'datagram':
      return observeDatagram(current, event.datagram);
    case 'read':
      return readDone(current, event);
    case 'read-failed':
      current.state.readPending = false;
      return;
    case 'slot-written':
      return slotWritten(current, event.sequence);
    case 'slot-write-failed':
      current.state.slotPendingMs = never;
      current.state.slotFailedMs = current.state.nowMs;
      return;
    case 'lease-written':
      return leaseWritten(current);
    case 'lease-write-failed':
      return leaseWriteFailed(current);
    case 'vms':
      return vmsListed(current, event);
    case 'call':
      return takeCall(current, event.callId, event.call);
    case 'asked':
      return asked(current, event.askId, event.from, event.request);
    case 'answered':
      return answered(current, event.askId, event.answer);
    case 'ask-failed':
      return answered(current, event.askId, null);
    case 'done':
      return done(current, event.id, event.result);
  }
}

function tick(current: Step): void {
  const { state } = current;
  observePause(current);
  if (state.role === 'alone') return;
  expireLease(current);
  checkOwnStanding(current);
  endIsolation(current);
  voteWhenMasterIsSilent(current);
  pursueJoin(current);
  expireLeave(current);
  state.slotWantedAgain = true;
  state.readWanted = true;
  writeSlot(current);
  sendHeartbeat(current);
  actAsMaster(current);
  expireWorks(current);
  feedWatchdog(current);
}

function actAsMaster(current: Step): void {
  if (!mayAct(current) || !lookAround(current)) return;
  findDead(current);
  advanceRecovery(current);
  evacuate(current);
}

/** What has become due by the event: at most one of each is under way. */
function flush(current: Step): void {
  const { state, effects } = current;
  if (state.role === 'alone') return;
  if (state.slotWantedAgain) writeSlot(current);
  if (state.readWanted && !state.readPending) {
    state.readWanted = false;
    state.readPending = true;
    effects.push({ kind: 'read-disk' });
  }
}

function writeSlot(current: Step): void {
  const { state, rules, effects } = current;
  const mayWrite = isMember(state.role) || (state.role === 'leaving' && state.farewellMs === never);
  if (!mayWrite || state.slotPendingMs !== never || state.incarnation === 0) return;
  state.slotWantedAgain = false;
  state.sequence += 1;
  state.slotPendingMs = state.nowMs;
  const epoch = rules.persistedEpoch(state.epoch);
  const { vms, partial } = ownList(current);
  state.ownSlot = { ...state.ownSlot, pending: { epoch, vms } };
  const slot: Slot = {
    index: state.config.self,
    name: state.config.nodes[state.config.self] ?? '',
    incarnation: state.incarnation,
    sequence: state.sequence,
    epoch,
    role: mayWriteLastWord(current) ? 'alone' : state.role,
    maintenance: state.maintenance,
    watchdogMs: state.config.watchdogArmed ? state.config.timing.watchdogMs : 0,
    vms,
    partial,
    ledger: state.ledger,
    switches: state.switches,
  };
  state.lastWord = slot.role === 'alone' ? slot.sequence : 0;
  effects.push({ kind: 'write-slot', slot });
}

function slotWritten(current: Step, sequence: number): void {
  const { state } = current;
  const couldAct = mayAct(current);
  state.slotWrittenMs = state.slotPendingMs;
  state.slotPendingMs = never;
  state.slotSequence = sequence;
  state.ownSlot = { ...state.ownSlot, written: state.ownSlot.pending };
  claimsWritten(current, sequence);
  // A new master whose epoch had to be written does not wait for its next tick.
  if (!couldAct) actAsMaster(current);
  if (state.lastWord === sequence) finishLeave(current, 'its slot says so');
}

function sendHeartbeat(current: Step): void {
  const { state, effects, rules } = current;
  if (state.isolated || state.incarnation === 0) return;
  state.sequence += 1;
  const datagram: Datagram = {
    from: state.config.self,
    incarnation: state.incarnation,
    sequence: state.sequence,
    role: state.role,
    state: clusterState(state),
    epoch: rules.persistedEpoch(state.epoch),
    switches: state.switches,
    heardAgeMs: heardAges(state),
    ballot: state.role === 'joining' ? 0 : ownBallot(current),
    slotSequence: state.slotSequence,
    unlisted: hasUnlisted(state),
    diskId: state.config.diskId,
  };
  effects.push({ kind: 'send', datagram });
}

function readDone(current: Step, event: Extract<Event, { kind: 'read' }>): void {
  const { state } = current;
  state.readPending = false;
  if (state.role === 'alone') return;
  watchLease(current);
  state.readIssuedMs = event.issuedMs;
  state.readDoneMs = state.nowMs;
  for (let node = 0; node < event.slots.length; node += 1) {
    if (node !== state.config.self) observeSlot(current, node, event.slots[node] ?? 'empty');
  }
  observeLease(current, event.lease);
  observeObscure(current, event.slots);
  observeOwnSlot(current, event.slots[state.config.self] ?? 'empty');
  checkOwnStanding(current);
  expireLease(current);
  if (worksOnLease(state)) workOnLease(current, event.lease, event.issuedMs);
  if (mayAct(current)) answerJoinCall(current);
  checkClaims(current, event.slots, event.issuedMs);
  mendSlots(current);
  // Not only at the next tick: what the disk shows is a second old by then.
  actAsMaster(current);
}

/** Who leaves has only to give it back. */
function worksOnLease({ role, held }: NodeState): boolean {
  return role === 'leaving' ? held !== undefined : role !== 'alone';
}

function vmsListed(current: Step, { vms, others, sampledMs }: Extract<Event, { kind: 'vms' }>): void {
  const { state } = current;
  if (sampledMs < state.vmsSampledMs) return;
  state.vms = vms;
  state.vmsSampledMs = sampledMs;
  state.slotWantedAgain = true;
  settleWorks(current, vms, sampledMs);
  for (const errand of state.errands) {
    if (errand.kind !== 'survey' || sampledMs < errand.askedMs) continue;
    state.errands = state.errands.filter((one) => one !== errand);
    current.effects.push({
      kind: 'answer',
      askId: errand.askId,
      to: errand.from,
      answer: surveyAnswer(state, others),
    });
  }
}

function asked(current: Step, askId: number, from: NodeIndex, request: Request): void {
  const { state, effects, timing } = current;
  switch (request.kind) {
    case 'join':
      effects.push({ kind: 'answer', askId, to: from, answer: judgeJoin(current, from, request) });
      return;
    case 'ping': {
      const id = takeId(state);
      state.errands = [...recent(current), { kind: 'ping', id, askId, from, askedMs: state.nowMs }];
      effects.push({ kind: 'ping', id, vms: request.vms, deadlineMs: timing.pingDeadlineMs });
      return;
    }
    case 'survey':
      state.errands = [...recent(current), { kind: 'survey', id: takeId(state), askId, from, askedMs: state.nowMs }];
      effects.push({ kind: 'list-vms' });
      return;
    case 'start':
    case 'receive': {
      const source = request.kind === 'receive' ? request.source : -1;
      const origin = { kind: 'ask', askId, from } as const;
      takeOrder(current, { vm: request.vm, source, token: request.token, origin });
      return;
    }
  }
}

function recent({ state, timing }: Step): NodeState['errands'] {
  return state.errands.filter(({ askedMs }) => state.nowMs - askedMs < 4 * timing.askDeadlineMs);
}

function answered(current: Step, askId: number, answer: Answer | null): void {
  const { state } = current;
  if (askId === state.joinAskId) {
    if (answer?.kind === 'join') joinAnswered(current, answer);
    return;
  }
  recoveryAnswered(current, askId, answer);
  evacuationAnswered(current, askId, answer);
}

function done(current: Step, id: number, result: Result): void {
  const { state, effects } = current;
  switch (result.kind) {
    case 'ping': {
      const errand = state.errands.find((one) => one.id === id);
      state.errands = state.errands.filter((one) => one !== errand);
      if (errand === undefined) return;
      effects.push({ kind: 'answer', askId: errand.askId, to: errand.from, answer: result });
      return;
    }
    case 'start': {
      const work = state.works.find((one) => one.id === id && one.phase === 'running');
      if (work !== undefined) endWork(current, work, result.outcome, result.reason);
      return;
    }
    case 'mend-slot':
      return slotMended(current, id, result);
    case 'plan':
      planDone(current, id, result);
      evacuationPlanned(current, id, result);
      advanceRecovery(current);
      return;
    case 'fence':
    case 'fence-status':
      fenceDone(current, id, result);
      emptyFenceDone(current, id, result);
      advanceRecovery(current);
      return;
  }
}

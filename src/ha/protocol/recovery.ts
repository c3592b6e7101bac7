/**
 * What the master does about nodes that are presumed dead: ping their VMs from every member, fence, confirm, persist,
 * survey everybody, start the VMs elsewhere.
 *
 * Guarantees: a VM that answers, a member that could not ping, evidence that came back, and a fence that isn't confirmed each
 * keep the next step from being taken. "Off" is on the disk before the first VM is ordered to start, so the next master
 * goes on where a dead one stopped: nodes that are fenced and not recovered are recovered from the survey on. A VM
 * of which an order is out, or which anybody claims, is not ordered elsewhere.
 */
import { isMember, withEntry, type NodeIndex } from './blocks.ts';
import { areOver, askAll, unanswered, withAnswer } from './asks.ts';
import { learnLedger } from './evidence.ts';
import { actUntilMs, mayAct } from './lease.ts';
import type { Answer, PingResult, Result } from './messages.ts';
import { advanceStarts } from './restart.ts';
import type { PendingAsk, Recovery, Target, Todo } from './parts.ts';
import { alarm, because, nameOf, never, peerAt, takeId, type NodeState, type Step } from './state.ts';
import { watchdogSilenceMs } from './timing.ts';
import { evidenceOf, hasUnlistedVms, isSilent, judge, otherMembers, raisePanicOnce } from './verdict.ts';

const emptyRecovery: Recovery = {
  targets: [],
  survey: undefined,
  surveyRound: 0,
  surveyedMs: 0,
  planId: 0,
  planVms: [],
  todo: [],
  shortage: '',
};

/** At every tick of a master that may act: who is dead and not yet taken care of? */
export function findDead(step: Step): void {
  const { state } = step;
  if (state.switches.panic.on) return;
  for (const node of otherMembers(step)) {
    const slot = peerAt(state, node).slot;
    if (slot === undefined || state.recovery?.targets.some((target) => target.node === node) === true) continue;
    const verdict = judge(step, node);
    if (verdict === 'alive') endHold(step, node);
    if (verdict !== 'dead' || state.nowMs < (state.holds[holdKey(node)] ?? 0)) continue;
    if (slot.maintenance || state.switches.disarmed.on) {
      holdOff(step, node, slot.maintenance ? 'it is in maintenance: left alone' : 'the cluster is disarmed');
      continue;
    }
    if (hasUnlistedVms(step, node)) {
      raisePanicOnce(step, `${nameOf(state, node)} is lost, and its slot does not name all of its VMs: no information`);
      return;
    }
    beginTarget(step, node, slot.incarnation);
  }
  for (const node of unfinished(step)) addTarget(step, offTarget(step, node));
}

function beginTarget(step: Step, node: NodeIndex, incarnation: number): void {
  const { state } = step;
  because(step, nameOf(state, node), 'presumed dead', evidenceOf(step, node));
  const vms = peerAt(state, node).slot?.vms.map(({ name }) => name) ?? [];
  const elsewhere = runningOnLivingMembers(step, node);
  const pinged = vms.filter((vm) => !elsewhere.has(vm));
  addTarget(step, {
    node,
    incarnation,
    phase: 'pinging',
    decidedMs: never,
    vms,
    pinged,
    round: 1,
    asks: askPings(step, pinged, node),
    effectId: 0,
    failure: '',
    startedMs: state.nowMs,
  });
}

function runningOnLivingMembers(step: Step, lost: NodeIndex): ReadonlySet<string> {
  const { state } = step;
  const running = new Set(state.vms);
  for (const node of otherMembers(step)) {
    if (node === lost || judge(step, node) !== 'alive') continue;
    for (const { name, phase } of peerAt(state, node).slot?.vms ?? []) if (phase === 'running') running.add(name);
  }
  return running;
}

/** Fenced by a former master, who did not live to finish. */
function unfinished({ state }: Step): readonly NodeIndex[] {
  return state.peers.flatMap(({ slot }, node) => {
    const fenced = state.ledger.fenced[node] ?? 0;
    const isDone = (state.ledger.recovered[node] ?? 0) >= fenced || slot === undefined || slot.incarnation !== fenced;
    const isTarget = state.recovery?.targets.some((target) => target.node === node) === true;
    return isDone || isTarget || !isMember(slot.role) ? [] : [node];
  });
}

function offTarget(step: Step, node: NodeIndex): Target {
  const { state } = step;
  const { slot } = peerAt(state, node);
  because(step, nameOf(state, node), 'recovery goes on', 'the ledger says that it is off and not recovered');
  return {
    node,
    incarnation: slot?.incarnation ?? 0,
    phase: 'off',
    decidedMs: never,
    vms: slot?.vms.map(({ name }) => name) ?? [],
    pinged: [],
    round: 0,
    asks: [],
    effectId: 0,
    failure: '',
    startedMs: state.nowMs,
  };
}

function addTarget(step: Step, target: Target): void {
  const recovery = step.state.recovery ?? emptyRecovery;
  // Whoever was surveyed before it was lost is to be looked at anew, without it.
  step.state.recovery = { ...recovery, targets: [...recovery.targets, target], survey: undefined };
}

function askPings(step: Step, vms: readonly string[], node: NodeIndex): readonly PendingAsk[] {
  if (vms.length === 0) return [];
  const others = otherMembers(step).filter((other) => other !== node && !isSilent(step, other));
  return askAll(step, [step.state.config.self, ...others], { kind: 'ping', vms });
}

/** Goes as far as it can with what is known. */
export function advanceRecovery(step: Step): void {
  const { state } = step;
  if (state.recovery === undefined) return;
  if (state.switches.panic.on) {
    state.recovery = undefined;
    return;
  }
  if (!mayAct(step)) return;
  for (const target of state.recovery.targets) {
    if (state.switches.panic.on) return;
    if (target.phase === 'pinging') advancePing(step, target);
    else if (target.phase === 'looking') lastLook(step, target);
    else if (target.phase === 'recording') advanceRecording(step, target);
  }
  const { recovery } = state;
  if (recovery === undefined) return;
  if (recovery.targets.length === 0) state.recovery = undefined;
  else if (recovery.targets.every(({ phase }) => phase === 'off')) advanceStarts(step);
}

function advancePing(step: Step, target: Target): void {
  const { state, rules } = step;
  const results = target.asks.map(({ answer }) => (answer?.kind === 'ping' ? answer.results : []));
  if (rules.forbidsFencing(results.flat())) {
    return giveUp(step, target, `one of its VMs answers: ${answering(target, results)}`);
  }
  if (!areOver(step, target.asks)) return;
  const missing = unanswered(target.asks).filter((to) => to === state.config.self || !isSilent(step, to));
  if (missing.length > 0) return pingAgain(step, target, missing);
  if (target.pinged.length > 0 && results.flat().every((result) => result === 'unknown')) {
    return raisePanicOnce(step, `no VM of ${nameOf(state, target.node)} could be pinged: no information`);
  }
  const unresolved = target.pinged.filter((_, at) => results.every((list) => list[at] === 'unknown'));
  if (unresolved.length > 0) alarm(step, nameOf(state, target.node), `could not be pinged: ${unresolved.join(' ')}`);
  if (rules.looksAgain && judge(step, target.node) !== 'dead') return giveUp(step, target, 'it shows life again');
  if (state.switches.disarmed.on) return giveUp(step, target, 'the cluster is disarmed');
  if (state.config.fencing === 'disabled') {
    return raisePanicOnce(step, `${nameOf(state, target.node)} would have to be fenced, and DISABLE_FENCING is set`);
  }
  if (!rules.readsBeforeFencing) return fence(step, target);
  state.readWanted = true;
  replaceTarget(step, { ...target, phase: 'looking', decidedMs: state.nowMs });
}

/** The disk as it is now: is the lease still ours (or we would not be here), and the slot still silent? */
function lastLook(step: Step, target: Target): void {
  const { state, rules } = step;
  if (rules.looksAgain && judge(step, target.node) !== 'dead') return giveUp(step, target, 'it shows life again');
  if (state.switches.disarmed.on) return giveUp(step, target, 'the cluster is disarmed');
  // And not one that is over for long: what it showed may be so no more.
  if (state.readIssuedMs < target.decidedMs || state.readDoneMs < state.nowMs) {
    state.readWanted = true;
    return;
  }
  if (target.failure !== '' && !silentBehindWatchdog(step, target)) return;
  if (target.failure !== '' && isUnread(state, target.node)) {
    return raisePanicOnce(step, `${target.failure}, and its slot can't be read: it may be feeding its watchdog`);
  }
  fence(step, target);
}

/** What stands there says nothing, so a slot that doesn't change is no silence. */
function isUnread({ obscure }: NodeState, node: NodeIndex): boolean {
  return obscure.slots.some((one) => one.node === node && !one.isVoid);
}

function answering({ pinged, asks }: Target, results: readonly (readonly PingResult[])[]): string {
  const index = results.findIndex((list) => list.includes('answer'));
  return `${pinged[results[index]?.indexOf('answer') ?? 0] ?? '?'} to slot ${String(asks[index]?.to ?? '?')}`;
}

/** A member that could not ping has given no information: until it can, or is found dead itself, or a person decides. */
function pingAgain(step: Step, target: Target, missing: readonly NodeIndex[]): void {
  const { state, timing } = step;
  const names = missing.map((node) => nameOf(state, node)).join(' ');
  if (state.nowMs - Math.max(...target.asks.map(({ sentMs }) => sentMs)) < timing.periodMs) return;
  if (state.nowMs - target.startedMs > timing.netLostMs + 2 * timing.timerMs) {
    return raisePanicOnce(step, `${names} could not ping the VMs of ${nameOf(state, target.node)}: no information`);
  }
  const asks = askPings(step, target.pinged, target.node);
  replaceTarget(step, { ...target, round: target.round + 1, asks });
}

/** Not now; looked at again after holdMs if it is still lost. */
function giveUp(step: Step, target: Target, reason: string): void {
  const { state } = step;
  if (state.recovery === undefined) return;
  state.recovery = { ...state.recovery, targets: state.recovery.targets.filter(({ node }) => node !== target.node) };
  holdOff(step, target.node, reason);
}

function holdOff(step: Step, node: NodeIndex, reason: string): void {
  const { state, timing } = step;
  state.holds = { ...state.holds, [holdKey(node)]: state.nowMs + timing.holdMs };
  alarm(step, nameOf(state, node), `${nameOf(state, node)} is lost and not fenced: ${reason}`);
}

/** It lives again: should it die now, that is another death. */
function endHold({ state }: Step, node: NodeIndex): void {
  if (state.nowMs >= (state.holds[holdKey(node)] ?? 0)) return;
  state.holds = { ...state.holds, [holdKey(node)]: never };
}

function holdKey(node: NodeIndex): string {
  return `lost/${String(node)}`;
}

function fence(step: Step, target: Target): void {
  const { state, effects } = step;
  if (!isUnread(state, target.node) && silentBehindWatchdog(step, target))
    return confirmOff(step, target, 'its watchdog has ended it');
  const id = takeId(state);
  const token = { epoch: state.held?.epoch ?? 0, owner: state.config.self };
  replaceTarget(step, { ...target, phase: 'fencing', effectId: id });
  because(step, nameOf(state, target.node), 'fence', `no VM answers (${String(target.pinged.length)} pinged)`);
  effects.push({ kind: 'fence', id, node: target.node, token, notAfterMs: actUntilMs(step) });
}

/** With an armed watchdog, silence for long enough is a fence: by the time-out that the node itself has told. */
function silentBehindWatchdog({ state, timing }: Step, { node }: Target): boolean {
  const { slot, netSeenMs, slotChangedMs } = peerAt(state, node);
  if (slot === undefined || slot.watchdogMs === 0) return false;
  // A former master may have told it that it is heard, until we became master.
  const lastMs = Math.max(netSeenMs, slotChangedMs, state.held?.sinceMs ?? state.nowMs);
  return state.nowMs - lastMs > watchdogSilenceMs(timing, slot.watchdogMs);
}

/** The fence command or the question for the power state has ended. */
export function fenceDone(step: Step, id: number, result: Result): void {
  const { state, rules, effects } = step;
  const target = state.recovery?.targets.find((one) => one.effectId === id);
  // Whoever is master next will find the node lost, and fence it again.
  if (target === undefined || !mayAct(step)) return;
  const name = nameOf(state, target.node);
  if (result.kind === 'fence') {
    if (!result.ok && !rules.fenceConfirmed(false, 'not-asked')) {
      return fenceFailed(step, target, `fencing ${name} failed: ${result.reason}`);
    }
    if (state.config.fencing === 'with-status' && !rules.fenceConfirmed(result.ok, 'unknown')) {
      const effectId = takeId(state);
      replaceTarget(step, { ...target, phase: 'confirming', effectId });
      effects.push({ kind: 'fence-status', id: effectId, node: target.node });
      return;
    }
    return confirmOff(step, target, 'the fence command says so');
  }
  if (result.kind !== 'fence-status') return;
  if (!rules.fenceConfirmed(true, result.power)) {
    return raisePanicOnce(step, `${name} was fenced, and its power state is ${result.power}`);
  }
  confirmOff(step, target, 'the fence command and the power state say so');
}

/** Its board may have lost power with it. An armed watchdog needs no board: then we wait for the end of its time. */
function fenceFailed(step: Step, target: Target, failure: string): void {
  const { state } = step;
  const isArmed = (peerAt(state, target.node).slot?.watchdogMs ?? 0) > 0;
  if (!isArmed) return raisePanicOnce(step, failure);
  alarm(step, nameOf(state, target.node), `${failure}; waiting until its watchdog must have ended it`);
  replaceTarget(step, { ...target, phase: 'looking', decidedMs: state.nowMs, effectId: 0, failure });
}

/** Off for certain: this goes to the disk before anything is built on it. */
function confirmOff(step: Step, target: Target, how: string): void {
  const { state } = step;
  const { fenced } = state.ledger;
  learnLedger(state, { ...state.ledger, fenced: withEntry(fenced, target.node, target.incarnation) });
  because(step, nameOf(state, target.node), 'off', how);
  state.slotWantedAgain = true;
  state.readWanted = true;
  replaceTarget(step, { ...target, phase: 'recording', effectId: 0 });
}

function advanceRecording(step: Step, target: Target): void {
  const written = step.state.held?.writtenLedger?.fenced[target.node] ?? 0;
  if (written >= target.incarnation) replaceTarget(step, { ...target, phase: 'off' });
  else step.state.readWanted = true;
}

function replaceTarget(step: Step, target: Target): void {
  const { recovery } = step.state;
  if (recovery === undefined) return;
  step.state.recovery = {
    ...recovery,
    targets: recovery.targets.map((one) => (one.node === target.node ? target : one)),
  };
}

/** An answer, or null for a failure, to a question of this recovery. */
export function recoveryAnswered(step: Step, askId: number, answer: Answer | null): void {
  const { recovery } = step.state;
  if (recovery === undefined) return;
  const targets = recovery.targets.map((target) => {
    const asks = withAnswer(target.asks, askId, answer);
    return asks === target.asks ? target : { ...target, asks };
  });
  const survey = recovery.survey === undefined ? undefined : withAnswer(recovery.survey, askId, answer);
  const todo = recovery.todo.map((one) => (one.askId === askId && one.phase === 'ordered' ? told(one, answer) : one));
  step.state.recovery = { ...recovery, targets, survey, todo };
  advanceRecovery(step);
}

/** What became of an order. Without an answer it stays with the node that was asked, until that one says or is off. */
function told(todo: Todo, answer: Answer | null): Todo {
  if (answer?.kind !== 'start') return { ...todo, askId: 0, reason: 'no answer' };
  if (answer.outcome === 'running') return { ...todo, phase: 'done', reason: '' };
  if (answer.outcome === 'unknown') return { ...todo, askId: 0, reason: answer.reason };
  return { ...todo, phase: 'pending', askId: 0, attempts: todo.attempts + 1, reason: answer.reason };
}

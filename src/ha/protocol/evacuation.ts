/**
 * Moving VMs away from a node that still lives: one that is cut off from the network, one whose path to the disk is broken,
 * one in maintenance. One migration at a time, each VM tried once in a while, and never instead of a recovery.
 *
 * Guarantees: a node that is cut off from the network is never fenced; one without the disk only after it has said itself,
 * a moment ago and for longer than a guest takes to reboot, that it has no domain at all, and that none comes up on it. A
 * failed fence changes nothing here and is only told.
 */
import { withEntry, type NodeIndex } from './blocks.ts';
import { askOne } from './asks.ts';
import { hasListenedSince, learnLedger } from './evidence.ts';
import { actUntilMs, mayAct } from './lease.ts';
import type { Answer, Result } from './messages.ts';
import { mayReceive } from './restart.ts';
import type { Evacuation } from './parts.ts';
import { alarm, because, nameOf, never, peerAt, takeId, type Step } from './state.ts';
import { evidenceOf, judge, otherMembers } from './verdict.ts';

/** A VM that could not be moved is tried again after so many holds. */
const patience = 10;

/** At every tick of a master that may act. */
export function evacuate(step: Step): void {
  const { state, timing } = step;
  if (state.recovery !== undefined || state.switches.panic.on) {
    state.evacuation = undefined;
    return;
  }
  const { evacuation } = state;
  if (evacuation !== undefined) {
    const limitMs = evacuation.phase === 'moving' ? 3 * timing.migrateDeadlineMs : timing.startDeadlineMs;
    if (state.nowMs - evacuation.sentMs > limitMs) endAttempt(step, evacuation, 'no answer');
    return;
  }
  for (const node of [state.config.self, ...otherMembers(step)]) {
    if (needsEmptying(step, node) && beginMove(step, node)) return;
  }
}

function needsEmptying(step: Step, node: NodeIndex): boolean {
  const { state } = step;
  if (node === state.config.self) return state.maintenance;
  const verdict = judge(step, node);
  if (verdict === 'cut-off' || verdict === 'without-disk') return true;
  return verdict === 'alive' && peerAt(state, node).slot?.maintenance === true;
}

function isInMaintenance({ state }: Step, node: NodeIndex): boolean {
  return node === state.config.self ? state.maintenance : peerAt(state, node).slot?.maintenance === true;
}

function beginMove(step: Step, node: NodeIndex): boolean {
  const { state, effects } = step;
  const listed = node === state.config.self ? state.vms : runningOn(step, node);
  const vm = listed.find((name) => state.nowMs >= (state.holds[holdKey(node, name)] ?? 0));
  if (vm === undefined) return checkEmpty(step, node);
  const nodes = [state.config.self, ...otherMembers(step)].filter((one) => one !== node && mayReceive(step, one));
  const effectId = takeId(state);
  state.evacuation = { node, vm, phase: 'planning', effectId, askId: 0, sentMs: state.nowMs };
  because(
    step,
    vm,
    `is to leave ${nameOf(state, node)}`,
    isInMaintenance(step, node) ? 'maintenance' : evidenceOf(step, node),
  );
  effects.push({ kind: 'plan', id: effectId, vms: [vm], nodes, failed: [] });
  return true;
}

/** By its slot, without those that have arrived elsewhere: a node without the disk can't take them out itself. */
function runningOn({ state }: Step, node: NodeIndex): readonly string[] {
  const listed = peerAt(state, node).slot?.vms.filter(({ phase }) => phase === 'running') ?? [];
  const elsewhere = new Set([...state.vms, ...state.works.map(({ vm }) => vm)]);
  state.peers.forEach(({ slot }, at) => {
    if (at !== node && at !== state.config.self) slot?.vms.forEach(({ name }) => elsewhere.add(name));
  });
  return listed.map(({ name }) => name).filter((name) => !elsewhere.has(name));
}

function checkEmpty(step: Step, node: NodeIndex): boolean {
  const { state, timing } = step;
  if (node === state.config.self || judge(step, node) !== 'without-disk') return false;
  if (state.switches.disarmed.on || state.config.fencing === 'disabled') return false;
  if (peerAt(state, node).slot?.maintenance === true) return false;
  if (state.nowMs < (state.holds[holdKey(node, '')] ?? 0)) return false;
  const { askId } = askOne(step, node, { kind: 'survey' }, timing.askDeadlineMs);
  state.evacuation = { node, vm: '', phase: 'checking', effectId: 0, askId, sentMs: state.nowMs };
  return true;
}

export function evacuationPlanned(step: Step, id: number, result: Extract<Result, { kind: 'plan' }>): void {
  const { state, timing } = step;
  const { evacuation } = state;
  if (evacuation?.effectId !== id || evacuation.phase !== 'planning') return;
  const to = result.placements.find(({ vm }) => vm === evacuation.vm)?.node;
  if (to === undefined || !mayAct(step)) return endAttempt(step, evacuation, result.left[0]?.reason ?? 'no place');
  const token = { epoch: state.held?.epoch ?? 0, owner: state.config.self };
  const request = { kind: 'receive', vm: evacuation.vm, source: evacuation.node, token } as const;
  const { askId } = askOne(step, to, request, 2 * timing.migrateDeadlineMs);
  state.evacuation = { ...evacuation, phase: 'moving', askId, effectId: 0, sentMs: state.nowMs };
}

export function evacuationAnswered(step: Step, askId: number, answer: Answer | null): void {
  const { state, timing } = step;
  const { evacuation } = state;
  if (evacuation?.askId !== askId) return;
  if (evacuation.phase === 'moving') {
    if (answer?.kind === 'start' && answer.outcome === 'running') return endMove(step, evacuation);
    return endAttempt(step, evacuation, answer?.kind === 'start' ? answer.reason : 'no answer');
  }
  if (evacuation.phase !== 'checking') return;
  if (answer?.kind !== 'survey' || answer.vms.length > 0 || answer.others) {
    return endAttempt(step, evacuation, 'it is not empty');
  }
  // A VM may have come there since it said so.
  if (!hasListenedSince(step, evacuation.sentMs)) return endAttempt(step, evacuation, 'we were asleep meanwhile');
  if (!mayAct(step) || judge(step, evacuation.node) !== 'without-disk') return endAttempt(step, evacuation, 'not now');
  if (!wasEmptyBefore(step, evacuation)) return;
  const id = takeId(state);
  const token = { epoch: state.held?.epoch ?? 0, owner: state.config.self };
  state.evacuation = { ...evacuation, phase: 'fencing', effectId: id, askId: 0, sentMs: state.nowMs };
  because(step, nameOf(state, evacuation.node), 'fence', 'it is empty, and useless without the disk');
  // That it is empty is known for a moment only.
  const notAfterMs = Math.min(actUntilMs(step), state.nowMs + timing.periodMs);
  step.effects.push({ kind: 'fence', id, node: evacuation.node, token, notAfterMs });
}

/** The first time that it says so nothing is done but to ask again. */
function wasEmptyBefore({ state, timing }: Step, { node }: Evacuation): boolean {
  const fromMs = state.holds[emptyKey(node)] ?? never;
  if (state.nowMs >= fromMs && state.nowMs < fromMs + timing.holdMs) return true;
  const againMs = state.nowMs + timing.emptyLookMs;
  state.holds = { ...state.holds, [emptyKey(node)]: againMs, [holdKey(node, '')]: againMs };
  state.evacuation = undefined;
  return false;
}

export function emptyFenceDone(step: Step, id: number, result: Result): void {
  const { state, rules, effects } = step;
  const { evacuation } = state;
  if (evacuation?.effectId !== id || !mayAct(step)) return;
  if (result.kind === 'fence') {
    if (!result.ok) return endAttempt(step, evacuation, `fencing failed: ${result.reason}`);
    if (state.config.fencing === 'with-status') {
      const effectId = takeId(state);
      state.evacuation = { ...evacuation, phase: 'confirming', effectId };
      effects.push({ kind: 'fence-status', id: effectId, node: evacuation.node });
      return;
    }
  } else if (result.kind !== 'fence-status' || !rules.fenceConfirmed(true, result.power)) {
    return endAttempt(step, evacuation, 'its power state is not off');
  }
  const incarnation = peerAt(state, evacuation.node).slot?.incarnation ?? 0;
  learnLedger(state, {
    ...state.ledger,
    fenced: withEntry(state.ledger.fenced, evacuation.node, incarnation),
    recovered: withEntry(state.ledger.recovered, evacuation.node, incarnation),
  });
  state.slotWantedAgain = true;
  because(step, nameOf(state, evacuation.node), 'off', 'it was empty and without the disk');
  holdOff(step, evacuation, 1);
}

function endMove(step: Step, evacuation: Evacuation): void {
  because(step, evacuation.vm, `has left ${nameOf(step.state, evacuation.node)}`, 'the migration has succeeded');
  // Until slots tell where it is now: should it come back to a node that is to be emptied, it leaves again soon.
  holdOff(step, evacuation, 1);
}

function endAttempt(step: Step, evacuation: Evacuation, how: string): void {
  const { node, vm } = evacuation;
  const name = nameOf(step.state, node);
  alarm(
    step,
    vm === '' ? name : vm,
    vm === '' ? `${name} is not fenced: ${how}` : `${vm} could not leave ${name}: ${how}`,
  );
  holdOff(step, evacuation, vm === '' ? 1 : patience);
  if (vm === '') step.state.holds = { ...step.state.holds, [emptyKey(node)]: never };
}

function holdOff({ state, timing }: Step, { node, vm }: Evacuation, holds: number): void {
  const untilMs = state.nowMs + timing.holdMs * holds;
  state.holds = { ...state.holds, [holdKey(node, vm)]: untilMs };
  state.evacuation = undefined;
}

/** From when on its second word that it is empty counts; `never` while the first one is missing. */
function emptyKey(node: NodeIndex): string {
  return `empty/${String(node)}`;
}

function holdKey(node: NodeIndex, vm: string): string {
  return `move/${String(node)}/${vm}`;
}

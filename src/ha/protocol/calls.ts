/**
 * What persons and programs on this node ask for.
 *
 * Guarantees: each call gets one reply; what only the master can do is refused elsewhere with the master's name; and a
 * person's word that a node is off is written down as theirs.
 */
import { withEntry, type NodeIndex } from './blocks.ts';
import { isHeard, learnLedger } from './evidence.ts';
import { mayAct, releaseLease } from './lease.ts';
import { lock, notMaster, unlock } from './locks.ts';
import { join, leave } from './membership.ts';
import type { Call } from './messages.ts';
import { reply } from './orders.ts';
import { endPanic, raisePanic, turned } from './panic.ts';
import { beyondUnknown, supposeLeft } from './readability.ts';
import { because, nameOf, peerAt, type Step } from './state.ts';

export function takeCall(step: Step, callId: number, call: Call): void {
  const { state } = step;
  switch (call.kind) {
    case 'join':
      return join(step, callId);
    case 'leave':
      return leave(step, callId);
    case 'kill':
      return kill(step, callId, call.node, call.confirmedOff);
    case 'recover':
      return recover(step, callId);
    case 'force-panic':
      raisePanic(step, call.reason);
      return reply(step, callId, true, 'panic');
    case 'force-election':
      return forceElection(step, callId);
    case 'lock':
      return lock(step, callId, call.name, call.holder);
    case 'unlock':
      return unlock(step, callId, call.name, call.holder);
    case 'maintenance':
      return maintain(step, callId, call.on);
    case 'disarm':
      state.switches = { ...state.switches, disarmed: turned(state.switches.disarmed, call.on) };
      state.slotWantedAgain = true;
      because(step, 'cluster', call.on ? 'disarmed' : 'armed', 'a person said so');
      return reply(step, callId, true, call.on ? 'disarmed' : 'armed');
  }
}

function maintain(step: Step, callId: number, on: boolean): void {
  const { state } = step;
  state.maintenance = on;
  state.slotWantedAgain = true;
  because(step, nameOf(state, state.config.self), on ? 'in maintenance' : 'in service', 'a person said so');
  reply(step, callId, true, on ? 'in maintenance' : 'in service');
}

function recover(step: Step, callId: number): void {
  if (!mayAct(step)) return reply(step, callId, false, notMaster(step));
  if (!step.state.switches.panic.on) return reply(step, callId, false, 'the cluster is not in panic');
  endPanic(step);
  reply(step, callId, true, 'normal');
}

function forceElection(step: Step, callId: number): void {
  if (!mayAct(step)) return reply(step, callId, false, notMaster(step));
  releaseLease(step, 'a person asked for an election');
  reply(step, callId, true, 'election');
}

/** Takes a node out; with a person's word that it's off, its VMs are free to be started, by hand. */
function kill(step: Step, callId: number, node: NodeIndex, confirmedOff: boolean): void {
  const { state } = step;
  if (!mayAct(step)) return reply(step, callId, false, notMaster(step));
  const { slot, netIncarnation } = peerAt(state, node);
  const beyond = confirmedOff ? beyondUnknown(state, node) : undefined;
  if (beyond !== undefined && isHeard(state, node, step.timing.netLostMs)) {
    return reply(step, callId, false, `${nameOf(state, node)} is heard on the network: it is not off`);
  }
  const incarnation = beyond ?? Math.max(slot?.incarnation ?? 0, netIncarnation);
  if (node === state.config.self || incarnation === 0) return reply(step, callId, false, 'no other member');
  const { fenced, recovered, excluded } = state.ledger;
  learnLedger(state, {
    fenced: confirmedOff ? withEntry(fenced, node, incarnation) : fenced,
    recovered: confirmedOff ? withEntry(recovered, node, incarnation) : recovered,
    excluded: withEntry(excluded, node, incarnation),
  });
  if (state.recovery !== undefined) {
    const targets = state.recovery.targets.filter((target) => target.node !== node);
    const todo = state.recovery.todo.filter(({ origin }) => origin !== node);
    state.recovery = targets.length === 0 ? undefined : { ...state.recovery, targets, todo, survey: undefined };
  }
  if (state.evacuation?.node === node) state.evacuation = undefined;
  state.slotWantedAgain = true;
  if (beyond !== undefined) supposeLeft(state, node, beyond);
  because(
    step,
    nameOf(state, node),
    'taken out',
    confirmedOff ? 'a person vouches that it is off' : 'a person said so',
  );
  reply(step, callId, true, 'taken out');
}

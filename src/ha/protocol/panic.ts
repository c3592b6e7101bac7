/**
 * Panic: no failover, no fencing, no joins, until a person has looked and says `recover` on the master. Elections go on.
 *
 * Guarantees: it spreads to every node by heartbeat and slot, survives a restart through the slots, and a panic raised
 * after a `recover` is never taken back by it.
 */
import type { ClusterState, Switch } from './blocks.ts';
import { because, nameOf, type NodeState, type Step } from './state.ts';

export function raisePanic(step: Step, reason: string): void {
  const { state } = step;
  if (!state.switches.panic.on) {
    state.switches = { ...state.switches, panic: turned(state.switches.panic, true) };
    state.slotWantedAgain = true;
  }
  step.effects.push({ kind: 'alarm', text: `panic: ${reason}` });
  because(step, nameOf(state, state.config.self), 'panic', reason);
}

export function endPanic(step: Step): void {
  const { state } = step;
  state.switches = { ...state.switches, panic: turned(state.switches.panic, false) };
  state.slotWantedAgain = true;
  because(step, nameOf(state, state.config.self), 'end of panic', 'a person said recover');
}

export function turned({ version }: Switch, on: boolean): Switch {
  return { version: version + 1, on };
}

export function clusterState(state: NodeState): ClusterState {
  if (state.switches.panic.on) return 'panic';
  return state.recovery === undefined ? 'normal' : 'recovery';
}

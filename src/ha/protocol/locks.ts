/**
 * Named locks of the cluster, held by the master and freed after 30 s.
 *
 * Guarantees: a lock has one holder at a time, also over a change of the master: a new one grants nothing until all that
 * its predecessor may have granted has ended. They keep programs from stepping on each other's feet; S1 doesn't rest on them.
 */
import { mayAct } from './lease.ts';
import { reply } from './orders.ts';
import { nameOf, type Step } from './state.ts';

export function lock(step: Step, callId: number, name: string, holder: string): void {
  const { state, timing } = step;
  const sinceMs = state.held?.sinceMs ?? state.nowMs;
  if (!mayAct(step)) return reply(step, callId, false, notMaster(step));
  const other = state.locks.find((one) => one.name === name && one.untilMs > state.nowMs);
  if (other !== undefined && other.holder !== holder)
    return reply(step, callId, false, `${other.holder} holds ${name}`);
  // The first epoch of a disk has no predecessor.
  if (state.nowMs - sinceMs < timing.lockMs && (state.held?.epoch ?? 0) > 1 && other === undefined) {
    return reply(step, callId, false, 'the master is new and waits until locks of the former one have ended');
  }
  const rest = state.locks.filter((one) => one.name !== name && one.untilMs > state.nowMs);
  state.locks = [...rest, { name, holder, untilMs: state.nowMs + timing.lockMs }];
  reply(step, callId, true, 'locked');
}

export function unlock(step: Step, callId: number, name: string, holder: string): void {
  const { state } = step;
  if (!mayAct(step)) return reply(step, callId, false, notMaster(step));
  state.locks = state.locks.filter((one) => one.name !== name || one.holder !== holder);
  reply(step, callId, true, 'unlocked');
}

/** What everybody but the master answers to calls that only the master can serve. */
export function notMaster({ state }: Step): string {
  if (state.leaseSeen === undefined || state.leaseSeen.released) return 'there is no master now';
  if (state.leaseSeen.owner === state.config.self) return 'there is no master now';
  return `ask the master, ${nameOf(state, state.leaseSeen.owner)}`;
}

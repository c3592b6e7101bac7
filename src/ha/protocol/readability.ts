/**
 * What a slot that was read says of the VMs of its node: which ones it has, that it has none for certain (void), or nothing.
 * And what becomes of slots that say nothing for long: everybody is told whose, and the master mends what it may.
 *
 * Guarantees: a slot that can't be read is void only when every life of its node that we have read or heard of is off for
 * certain. Mended, by a node that isn't its own, is only a slot with a wrong checksum whose node is off for certain, by
 * fencing or by a person's word that is on the disk; it gets back what was last read in it, so nothing is made up.
 */
import type { NodeIndex, Read, Slot } from './blocks.ts';
import { isLater } from './evidence.ts';
import { actUntilMs, mayAct } from './lease.ts';
import type { Result } from './messages.ts';
import type { Obscure, Obscurity } from './parts.ts';
import { because, nameOf, peerAt, setPeer, takeId, type NodeState, type Step } from './state.ts';

export function slotWord(state: NodeState, node: NodeIndex, read: Read<Slot>): Slot | 'void' | Obscurity {
  const { slot: known, datagram } = peerAt(state, node);
  const fenced = state.ledger.fenced[node] ?? 0;
  // A daemon that has written nothing yet claims nothing: what its predecessor has left is its node's word.
  const said = datagram !== undefined && datagram.slotSequence > 0 ? datagram : undefined;
  const hasReturned = said !== undefined && said.incarnation > fenced;
  const isOff = known !== undefined && known.incarnation <= fenced && !hasReturned;
  if (read === 'empty') return isOff || (known === undefined && !hasReturned) ? 'void' : 'emptied';
  if (read === 'torn') return isOff ? 'void' : 'torn';
  if (read.incarnation <= fenced) return isOff ? 'void' : 'behind';
  // Older than what we have seen, or than what its node has told us: a late write has set it back for a moment.
  if (known !== undefined && isLater(known, read)) return 'behind';
  const toldLater = said !== undefined && isLater({ incarnation: said.incarnation, sequence: said.slotSequence }, read);
  return toldLater ? 'behind' : read;
}

const sayings: Readonly<Record<Obscurity, string>> = {
  torn: 'its checksum is wrong',
  behind: 'it is older than what was read there or heard from its node before',
  emptied: 'it is empty, and was not before',
};

/** For people: whose slot, and why. */
export function obscuritySentence(state: NodeState, node: NodeIndex, why: Obscurity): string {
  const name = nameOf(state, node);
  const slot = name === `slot ${String(node)}` ? name : `the slot of ${name}`;
  return `${slot} can not be read: ${sayings[why]}`;
}

/** After a read: which slots say nothing, and since when. Told when it lasts longer than a write may take. */
export function observeObscure(step: Step, slots: readonly Read<Slot>[]): void {
  const { state, timing } = step;
  let found: Obscure[] | undefined;
  const count = Math.max(slots.length, state.peers.length);
  for (let node = 0; node < count; node += 1) {
    if (node === state.config.self) continue;
    const read = slots[node] ?? 'empty';
    const word = slotWord(state, node, read);
    const isVoid = word === 'void';
    if (typeof word === 'object' || (isVoid && read !== 'torn')) continue;
    const before = state.obscure.slots.find((one) => one.node === node);
    const sinceMs = before?.sinceMs ?? state.nowMs;
    const why = isVoid ? 'torn' : word;
    const isTold = !isVoid && (before?.isTold === true || state.nowMs - sinceMs >= timing.leaseStopMs);
    (found ??= []).push({ node, why, sinceMs, isVoid, isTold });
  }
  if (found === undefined && state.obscure.slots.length === 0) return;
  const before = state.obscure.slots;
  state.obscure = { ...state.obscure, slots: found ?? [] };
  tellChanges(step, before);
}

function tellChanges(step: Step, before: readonly Obscure[]): void {
  const { state } = step;
  const isIn = (list: readonly Obscure[], node: NodeIndex): boolean =>
    list.some((one) => one.node === node && one.isTold);
  for (const { node, why, isTold } of state.obscure.slots) {
    if (!isTold || isIn(before, node)) continue;
    because(step, nameOf(state, node), 'slot can not be read', `${sayings[why]}; no VM is started until it can`);
  }
  for (const { node, isTold } of before) {
    if (isTold && !isIn(state.obscure.slots, node))
      because(step, nameOf(state, node), 'slot can be read again', 'or is void');
  }
}

/**
 * Of the slot of a node of which nobody knows how far it came: no life of it has had such a number. Far above the seconds of
 * the time of day, with which a node begins on an empty disk.
 */
export const unknownIncarnation = 2 ** 40;

/**
 * A person vouches that the node has no power, and nobody knows what its damaged slot held: an incarnation above all that
 * it can have had, with which it is off from now on. Undefined when its slot was read, or is not damaged.
 */
export function beyondUnknown(state: NodeState, node: NodeIndex): number | undefined {
  const isTorn = state.obscure.slots.some((one) => one.node === node && one.why === 'torn');
  const { slot, netIncarnation } = peerAt(state, node);
  if (!isTorn || slot !== undefined) return undefined;
  const { fenced, recovered, excluded } = state.ledger;
  const highest = Math.max(netIncarnation, fenced[node] ?? 0, recovered[node] ?? 0, excluded[node] ?? 0);
  return Math.max(highest, unknownIncarnation) + unknownIncarnation;
}

/** What is to stand there instead: the last word of a node that has gone, without a VM. */
export function supposeLeft(state: NodeState, node: NodeIndex, incarnation: number): void {
  const slot: Slot = {
    index: node,
    name: nameOf(state, node),
    incarnation,
    sequence: 0,
    epoch: 0,
    role: 'alone',
    maintenance: false,
    watchdogMs: 0,
    vms: [],
    partial: false,
    ledger: state.ledger,
    switches: state.switches,
  };
  setPeer(state, node, { ...peerAt(state, node), slot });
}

/** After a read of the master: one damaged slot of a node that is off gets back what was last read in it. */
export function mendSlots(step: Step): void {
  const { state, rules, timing, effects } = step;
  if (state.obscure.slots.length === 0 || state.obscure.mending !== undefined || !mayAct(step)) return;
  const { held } = state;
  for (const { node, why, isVoid, sinceMs } of state.obscure.slots) {
    const { slot, netIncarnation } = peerAt(state, node);
    if (why !== 'torn' || slot === undefined || state.nowMs - sinceMs < timing.leaseLostMs) continue;
    // Whoever is on its way back writes itself.
    const latest = Math.max(slot.incarnation, netIncarnation);
    if (!rules.mayMend(isVoid, latest, held?.writtenLedger?.fenced[node] ?? 0)) continue;
    if (state.nowMs < (state.holds[holdKey(node)] ?? 0)) continue;
    const id = takeId(state);
    state.holds = { ...state.holds, [holdKey(node)]: state.nowMs + timing.holdMs };
    state.obscure = { ...state.obscure, mending: { id, node } };
    effects.push({ kind: 'mend-slot', id, slot, notAfterMs: actUntilMs(step) });
    return;
  }
}

function holdKey(node: NodeIndex): string {
  return `mend/${String(node)}`;
}

export function slotMended(step: Step, id: number, { ok, reason }: Extract<Result, { kind: 'mend-slot' }>): void {
  const { state } = step;
  const { mending } = state.obscure;
  if (mending?.id !== id) return;
  state.obscure = { ...state.obscure, mending: undefined };
  state.readWanted = true;
  const decision = ok ? 'slot was mended' : 'slot was not mended';
  because(step, nameOf(state, mending.node), decision, ok ? 'its node is off for certain' : reason);
}

/** Has the node been found unreadable for so long that a person is told? For those who repeat it. */
export function toldObscure(state: NodeState): readonly Obscure[] {
  return state.obscure.slots.filter(({ isTold }) => isTold);
}

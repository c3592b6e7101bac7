/**
 * How many VMs a slot can name. The room is that of the format, less what the rest of a slot may grow to, so it is the same
 * for every node at every time.
 *
 * Guarantees: a slot always fits, so a node is never taken for dead because it has too many VMs; a VM for whose name there is
 * no room is not started; what runs beyond that was made past cxm, and its slot says that it does not name all: then nobody
 * takes a VM for free that may be there, and nobody is fenced whose VMs could not all be asked.
 */
import { isMember, type VmEntry } from './blocks.ts';
import { because, nameOf, never, ownEntries, peerAt, type NodeState, type Step } from './state.ts';

/** Of 32,720 bytes at most 1844 are for the rest: a node's name of 255 bytes, and a ledger of 64 nodes. */
export const vmRoomBytes = 30_720;

/** As the format counts it: phase (1), length of the name (2), name. */
export function listBytes(entries: readonly VmEntry[]): number {
  return entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
}

function entryBytes({ name }: VmEntry): number {
  return 3 + Buffer.byteLength(name);
}

export interface VmList {
  readonly vms: readonly VmEntry[];
  /** There are more than these. */
  readonly partial: boolean;
}

/** As many as there is room for: what is claimed first, since that is what others must know. */
export function fitting(entries: readonly VmEntry[], roomBytes = vmRoomBytes): VmList {
  if (listBytes(entries) <= roomBytes) return { vms: entries, partial: false };
  const claimed = entries.filter(({ phase }) => phase !== 'running');
  const running = entries.filter(({ phase }) => phase === 'running');
  let left = roomBytes;
  const vms = [...claimed, ...running].filter((entry) => {
    const bytes = entryBytes(entry);
    if (bytes > left) return false;
    left -= bytes;
    return true;
  });
  return { vms, partial: true };
}

/** What goes into our slot. Told when not all of it does, and when all does again. */
export function ownList(step: Step): VmList {
  const { state } = step;
  const entries = ownEntries(state);
  const list = fitting(entries);
  // Before the first list of domains has come, what our predecessor has said still holds.
  const partial =
    list.partial || (state.vmsSampledMs === never && peerAt(state, state.config.self).slot?.partial === true);
  if (partial !== state.partial) {
    state.partial = partial;
    const decision = partial ? 'has more VMs than its slot can name' : 'has VMs that its slot can name again';
    because(step, nameOf(state, state.config.self), decision, `${String(entries.length)} VMs`);
  }
  return { vms: list.vms, partial };
}

/** Has the disk not been told of a VM for longer than a write takes? */
export function hasUnlisted(state: NodeState): boolean {
  const { written } = state.ownSlot;
  const isMute = state.nowMs - state.slotWrittenMs >= 3 * state.config.timing.periodMs;
  if (!isMute || !isMember(state.role)) return false;
  const named = new Set(written.vms.map(({ name }) => name));
  return ownEntries(state).some(({ name }) => !named.has(name));
}

/** Why no further VM may be claimed here, if so. */
export function noRoomFor(state: NodeState, vm: string): string | undefined {
  const entries = ownEntries(state);
  const needed = listBytes(entries) + entryBytes({ name: vm, phase: 'starting' });
  if (needed <= vmRoomBytes && !state.partial) return undefined;
  const name = nameOf(state, state.config.self);
  return `${name} has ${String(entries.length)} VMs, and its slot on the heartbeat disk has no room for another one`;
}

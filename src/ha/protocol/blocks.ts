/**
 * What nodes tell each other: the slot of a node and the lease, which are blocks of the heartbeat disk, and the datagram.
 *
 * Guarantees: each of them only ever grows in the order (incarnation, sequence), slots and datagrams of a node share one
 * counter, and what several nodes may say (ledger, switches) merges to the same result in whatever order it arrives.
 */

/** Place in ALLOWED_NODES, and number of the slot on the heartbeat disk. */
export type NodeIndex = number;

export type Role = 'alone' | 'joining' | 'passive' | 'active' | 'voting' | 'leaving';

export type ClusterState = 'normal' | 'recovery' | 'panic';

/** A setting of the whole cluster. The higher version wins; of equal ones the one that is on. */
export interface Switch {
  readonly version: number;
  readonly on: boolean;
}

export interface Switches {
  readonly panic: Switch;
  /** Nobody is fenced while it is on: an administrator works. */
  readonly disarmed: Switch;
}

/**
 * By node: which incarnation of it is off for certain, of which the VMs have been dealt with, and so on. All only grow.
 * A slot with an incarnation not above `fenced` holds no VM.
 */
export interface Ledger {
  readonly fenced: readonly number[];
  readonly recovered: readonly number[];
  /** A person took the node out of the cluster: no member, no failover; its VMs stay claimed. */
  readonly excluded: readonly number[];
}

/** A VM that a node runs, or has claimed: nobody else starts it while it stands in a slot that isn't void. */
export interface VmEntry {
  readonly name: string;
  readonly phase: 'running' | 'starting' | 'incoming';
}

/** The block that only its node writes. */
export interface Slot {
  readonly index: NodeIndex;
  readonly name: string;
  readonly incarnation: number;
  readonly sequence: number;
  /** The highest epoch that the node has seen. */
  readonly epoch: number;
  /** `alone` is the last word of a node that left; VMs it left behind stay claimed. */
  readonly role: Role;
  readonly maintenance: boolean;
  /** After so long its watchdog resets the node when nobody feeds it; 0: it has none. */
  readonly watchdogMs: number;
  readonly vms: readonly VmEntry[];
  /** It has more VMs than it could name. */
  readonly partial: boolean;
  readonly ledger: Ledger;
  readonly switches: Switches;
}

/** The block that the master writes. */
export interface Lease {
  readonly epoch: number;
  readonly owner: NodeIndex;
  readonly incarnation: number;
  /** 1 is a claim, which another one may still replace; who writes a higher one was master in this epoch. */
  readonly sequence: number;
  /** The owner has stopped acting before it wrote this: whoever is next needn't wait. */
  readonly released: boolean;
  readonly ledger: Ledger;
}

/** A block as it was read: `empty` has never been written, `torn` has a wrong checksum and says nothing. */
export type Read<T> = T | 'empty' | 'torn';

/** One heartbeat. Authenticated by the shell before it becomes an event. */
export interface Datagram {
  readonly from: NodeIndex;
  readonly incarnation: number;
  readonly sequence: number;
  readonly role: Role;
  readonly state: ClusterState;
  readonly epoch: number;
  readonly switches: Switches;
  /** By node: how long ago it was heard by the sender, by the sender's own clock; -1: not in this incarnation. */
  readonly heardAgeMs: readonly number[];
  /** How good a master the sender would be: see election. */
  readonly ballot: number;
  /** Counter of the sender's last slot that is on the disk for certain. */
  readonly slotSequence: number;
  /** The sender can't write its slot, and has VMs that do not stand there. */
  readonly unlisted: boolean;
  /** Identity of the heartbeat disk the sender uses. */
  readonly diskId: string;
}

/** Who gave an order. A lower epoch, or the same of another owner, is refused. */
export interface Token {
  readonly epoch: number;
  readonly owner: NodeIndex;
}

export function noSwitches(): Switches {
  return { panic: { version: 0, on: false }, disarmed: { version: 0, on: false } };
}

export function emptyLedger(size: number): Ledger {
  const none = new Array<number>(size).fill(0);
  return { fenced: none, recovered: none, excluded: none };
}

/** The same object when `other` has nothing new, as nearly always. */
export function mergeLedger(own: Ledger, other: Ledger): Ledger {
  if (own === other) return own;
  const fenced = mergeHighest(own.fenced, other.fenced);
  const recovered = mergeHighest(own.recovered, other.recovered);
  const excluded = mergeHighest(own.excluded, other.excluded);
  const same = fenced === own.fenced && recovered === own.recovered && excluded === own.excluded;
  return same ? own : { fenced, recovered, excluded };
}

function mergeHighest(own: readonly number[], other: readonly number[]): readonly number[] {
  if (own === other) return own;
  let merged: number[] | undefined;
  for (let at = 0; at < other.length; at += 1) {
    const value = other[at] ?? 0;
    if (value <= (own[at] ?? 0)) continue;
    merged ??= [...own];
    while (merged.length < at) merged.push(0);
    merged[at] = value;
  }
  return merged ?? own;
}

export function withEntry(list: readonly number[], index: NodeIndex, value: number): readonly number[] {
  const copy = [...list];
  while (copy.length < index) copy.push(0);
  copy[index] = Math.max(value, copy[index] ?? 0);
  return copy;
}

export function mergeSwitches(own: Switches, other: Switches): Switches {
  if (own === other) return own;
  const panic = mergeSwitch(own.panic, other.panic);
  const disarmed = mergeSwitch(own.disarmed, other.disarmed);
  return panic === own.panic && disarmed === own.disarmed ? own : { panic, disarmed };
}

function mergeSwitch(own: Switch, other: Switch): Switch {
  if (other.version > own.version) return other;
  return other.version === own.version && other.on && !own.on ? other : own;
}

/** Roles in which a node takes part: it may be lost, ordered about, and counts as a member. */
export function isMember(role: Role): boolean {
  return role === 'passive' || role === 'active' || role === 'voting';
}

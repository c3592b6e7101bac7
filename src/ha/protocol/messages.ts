/**
 * What goes into the protocol (events) and what comes out (effects): plain data, so that a dry run prints them, a
 * simulator applies them to a model and the shell carries them out.
 *
 * Obligations of whoever carries out effects: in the order of the list; each event with the time of the own monotonic
 * clock at its delivery; at most one write of a block under way, also after an error of which nobody knows whether the
 * write is still queued; every effect with an id ends in exactly one `done`. Each kind adds its own below.
 */
import type { Datagram, Lease, NodeIndex, Read, Slot, Token, VmEntry } from './blocks.ts';

/** One node asks another one's cxmd; authenticated by the shell. */
export type Request =
  | {
      readonly kind: 'join';
      readonly name: string;
      readonly incarnation: number;
      readonly nodes: readonly string[];
      readonly diskId: string;
      readonly timerMs: number;
    }
  | { readonly kind: 'ping'; readonly vms: readonly string[] }
  | { readonly kind: 'survey' }
  | { readonly kind: 'start'; readonly vm: string; readonly token: Token }
  | { readonly kind: 'receive'; readonly vm: string; readonly source: NodeIndex; readonly token: Token };

/** `unknown`: the name doesn't resolve, or nothing could be sent. */
export type PingResult = 'answer' | 'silent' | 'unknown';

/** `unknown`: nobody can say whether the VM runs here now; its claim stays until that is settled. */
export type StartOutcome = 'running' | 'refused' | 'failed' | 'unknown';

export type Answer =
  /** `final`: asking again is of no use. */
  | {
      readonly kind: 'join';
      readonly accepted: boolean;
      readonly final: boolean;
      readonly reason: string;
      readonly minimumIncarnation: number;
    }
  | { readonly kind: 'ping'; readonly results: readonly PingResult[] }
  /** @param others domains of which it is not known that they are one of these VMs */
  | { readonly kind: 'survey'; readonly vms: readonly VmEntry[]; readonly others: boolean }
  | { readonly kind: 'start'; readonly outcome: StartOutcome; readonly reason: string };

/** What a person or a program on this node wants. */
export type Call =
  | { readonly kind: 'join' }
  | { readonly kind: 'leave' }
  /** On the master. `confirmedOff`: a person vouches that the node is powered off. */
  | { readonly kind: 'kill'; readonly node: NodeIndex; readonly confirmedOff: boolean }
  /** On the master: ends panic. */
  | { readonly kind: 'recover' }
  | { readonly kind: 'force-panic'; readonly reason: string }
  | { readonly kind: 'force-election' }
  | { readonly kind: 'lock'; readonly name: string; readonly holder: string }
  | { readonly kind: 'unlock'; readonly name: string; readonly holder: string }
  /** Of this node: to be emptied and left alone. */
  | { readonly kind: 'maintenance'; readonly on: boolean }
  /** Of the cluster: fence nobody. */
  | { readonly kind: 'disarm'; readonly on: boolean };

/** How an effect with an id has ended. */
export type Result =
  | { readonly kind: 'fence'; readonly ok: boolean; readonly reason: string }
  | { readonly kind: 'fence-status'; readonly power: 'off' | 'on' | 'unknown' }
  | { readonly kind: 'ping'; readonly results: readonly PingResult[] }
  | { readonly kind: 'start'; readonly outcome: StartOutcome; readonly reason: string }
  | { readonly kind: 'mend-slot'; readonly ok: boolean; readonly reason: string }
  | {
      readonly kind: 'plan';
      readonly placements: readonly { readonly vm: string; readonly node: NodeIndex }[];
      readonly left: readonly LeftVm[];
    };

/** A VM without a place. */
export interface LeftVm {
  readonly vm: string;
  readonly reason: string;
  /** There is not enough room in the cluster. */
  readonly panic: boolean;
  /** It is not to be tried again. */
  readonly final?: boolean;
}

interface Timed {
  readonly nowMs: number;
}

export type Event = Timed &
  (
    | {
        readonly kind: 'tick';
        /** For people who read the journal, and for counters that nothing else remembers; no time is measured by it. */
        readonly wallMs: number;
      }
    | { readonly kind: 'datagram'; readonly datagram: Datagram }
    /** The whole heartbeat disk: all slots that it has, also of nodes that aren't in our list, and the lease. */
    | {
        readonly kind: 'read';
        readonly issuedMs: number;
        readonly lease: Read<Lease>;
        readonly slots: readonly Read<Slot>[];
      }
    | { readonly kind: 'read-failed' }
    | { readonly kind: 'slot-written'; readonly sequence: number }
    /** It may still reach the disk. */
    | { readonly kind: 'slot-write-failed'; readonly sequence: number }
    | { readonly kind: 'lease-written' }
    /** It may still reach the disk. */
    | { readonly kind: 'lease-write-failed' }
    /**
     * The domains of this node (not those of a migration under way) as they were at sampledMs or later. After every
     * `list-vms`, and whenever a poll (once a second) finds another list than before.
     */
    | {
        readonly kind: 'vms';
        readonly sampledMs: number;
        readonly vms: readonly string[];
        /** There are domains besides: halves of a migration, one that is being saved, one without a name. */
        readonly others: boolean;
      }
    | { readonly kind: 'call'; readonly callId: number; readonly call: Call }
    | { readonly kind: 'asked'; readonly askId: number; readonly from: NodeIndex; readonly request: Request }
    | { readonly kind: 'answered'; readonly askId: number; readonly answer: Answer }
    /** The request may have been carried out. */
    | { readonly kind: 'ask-failed'; readonly askId: number }
    | { readonly kind: 'done'; readonly id: number; readonly result: Result }
  );

export type Effect =
  /** To all nodes. After the writes that stand before it in the list were issued; it need not wait for their end. */
  | { readonly kind: 'send'; readonly datagram: Datagram }
  /** Direct I/O, past every cache. Ends in `read` or `read-failed`. Lease first, then the slots. */
  | { readonly kind: 'read-disk' }
  /** Durable when it is reported written; replaces the block as a whole. */
  | { readonly kind: 'write-slot'; readonly slot: Slot }
  | { readonly kind: 'write-lease'; readonly lease: Lease }
  /**
   * Writes the slot of another node, which is off, over its damaged one: only if a look immediately before finds it
   * damaged yet, and not after notAfterMs. The write is never repeated.
   */
  | { readonly kind: 'mend-slot'; readonly id: number; readonly slot: Slot; readonly notAfterMs: number }
  /** A fresh list, sampled after this effect was issued. Ends in `vms`. */
  | { readonly kind: 'list-vms' }
  /** Ends in `answered` or `ask-failed`, the latter at the latest after the deadline. To ourselves as to others. */
  | {
      readonly kind: 'ask';
      readonly askId: number;
      readonly to: NodeIndex;
      readonly request: Request;
      readonly deadlineMs: number;
    }
  | { readonly kind: 'answer'; readonly askId: number; readonly to: NodeIndex; readonly answer: Answer }
  | { readonly kind: 'reply'; readonly callId: number; readonly ok: boolean; readonly text: string }
  /**
   * Irrevocable: compare the own monotonic clock with notAfterMs immediately before the program is executed, and report
   * a failure instead if it is later.
   */
  | {
      readonly kind: 'fence';
      readonly id: number;
      readonly node: NodeIndex;
      readonly token: Token;
      readonly notAfterMs: number;
    }
  | { readonly kind: 'fence-status'; readonly id: number; readonly node: NodeIndex }
  /** Each VM twice at least (fping -r1), all within the deadline. */
  | { readonly kind: 'ping'; readonly id: number; readonly vms: readonly string[]; readonly deadlineMs: number }
  /**
   * Start a VM here, or with a source, migrate it from there. Irrevocable, as `fence`. Ended after startDeadline at the
   * latest, with everything it has begun. `running` and `failed` only when the toolstack was asked and said so.
   */
  | {
      readonly kind: 'start';
      readonly id: number;
      readonly vm: string;
      readonly source: NodeIndex | -1;
      readonly token: Token | undefined;
      readonly notAfterMs: number;
    }
  /** Where VMs of so many nodes fit: best-fit decreasing. */
  | {
      readonly kind: 'plan';
      readonly id: number;
      readonly vms: readonly string[];
      readonly nodes: readonly NodeIndex[];
      /** Nodes where it was tried and didn't work. */
      readonly failed: readonly { readonly vm: string; readonly node: NodeIndex }[];
    }
  /** Feed the watchdog; without this effect it isn't fed. */
  | { readonly kind: 'feed-watchdog' }
  /** A person should know. */
  | { readonly kind: 'alarm'; readonly text: string }
  /**
   * This node has left, or was taken out: the process may end. `atRest`: a watchdog is put to rest; otherwise it isn't fed
   * any more, since others may come to believe that it has ended this node.
   */
  | { readonly kind: 'stopped'; readonly reason: string; readonly clean: boolean; readonly atRest: boolean };

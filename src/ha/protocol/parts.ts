/**
 * The parts of a node's state: what is known of a peer, a claim of the lease, a start under way, a recovery, and so on.
 * Plain data; the rule that nothing in it is ever changed in place is that of the state.
 */
import type { Datagram, Lease, Ledger, NodeIndex, Slot, Token } from './blocks.ts';
import type { Answer } from './messages.ts';
import type { Timing } from './timing.ts';

export interface NodeConfig {
  readonly self: NodeIndex;
  /** ALLOWED_NODES; a removed node leaves an empty name. */
  readonly nodes: readonly string[];
  readonly diskId: string;
  readonly timing: Timing;
  readonly fencing: 'disabled' | 'unconfirmed' | 'with-status';
  readonly watchdogArmed: boolean;
}

/** What is known of another node (and of ourselves, from our own slot before we joined). */
export interface Peer {
  /** The newest that was read. */
  readonly slot: Slot | undefined;
  readonly slotChangedMs: number;
  readonly netIncarnation: number;
  readonly netSequence: number;
  readonly netSeenMs: number;
  /** Since when it has been heard without a silence after which it would have been lost. */
  readonly heardSinceMs: number;
  /** Its last datagram in the order of its counter. */
  readonly datagram: Datagram | undefined;
  /** Has it shown life since we have been watching? */
  readonly seenAlive: boolean;
  /** Since when it has been a member by its own word, in this incarnation. */
  readonly enteredMs: number;
  /** Signs of life of an incarnation that was fenced. */
  readonly ghosts: number;
}

export interface Claiming {
  readonly phase: 'writing' | 'waiting';
  readonly epoch: number;
  readonly sequence: number;
  readonly readIssuedMs: number;
  readonly writeIssuedMs: number;
  readonly writtenMs: number;
}

export interface Held {
  readonly epoch: number;
  readonly sinceMs: number;
  /** When the last renewal that succeeded was issued. */
  readonly renewedMs: number;
  readonly sequence: number;
  /** The ledger that is on the disk for certain. */
  readonly writtenLedger: Ledger | undefined;
  /** We have stopped acting and give the lease back at the next chance. */
  readonly releasing: boolean;
}

/** Why a slot says nothing: a wrong checksum, older than what is known, or zeros where something was. */
export type Obscurity = 'torn' | 'behind' | 'emptied';

/** A slot that says nothing at the moment. */
export interface Obscure {
  readonly node: NodeIndex;
  readonly why: Obscurity;
  readonly sinceMs: number;
  /** It need not be read: its node is off for certain. */
  readonly isVoid: boolean;
  readonly isTold: boolean;
}

export interface ObscureSlots {
  /** Those that the last read could not make out. */
  readonly slots: readonly Obscure[];
  /** The slot of another node that we are writing anew. */
  readonly mending: { readonly id: number; readonly node: NodeIndex } | undefined;
}

/** A write of the lease that is under way. */
export interface LeaseWrite {
  readonly issuedMs: number;
  readonly lease: Lease;
}

/** A start or migration on this node, from the claim in our slot until it's settled what became of it. */
export interface Work {
  readonly id: number;
  readonly vm: string;
  readonly source: NodeIndex | -1;
  readonly token: Token | undefined;
  readonly origin:
    { readonly kind: 'ask'; readonly askId: number; readonly from: NodeIndex } | { readonly kind: 'former' };
  readonly phase: 'claiming' | 'checking' | 'running' | 'settling';
  /** The claim is on the disk when a slot with this counter or a higher one is. */
  readonly sequence: number;
  readonly claimedMs: number;
  /** Why the claim could not be decided at the last read. */
  readonly unclear: string;
  /** When the last read was issued by which the VM was claimed here and ran nowhere else. */
  readonly provenMs: number;
  /** Where it was found to run after that, and so must not be begun here. */
  readonly elsewhere: string;
  readonly deadlineMs: number;
  /** When settling: a list sampled after this decides. */
  readonly endedMs: number;
  /** It is certain that nothing goes on any more. */
  readonly certain: boolean;
  readonly answer: Answer | undefined;
}

/** Something asked of us by another node that is under way. */
export interface Errand {
  readonly kind: 'ping' | 'survey';
  readonly id: number;
  readonly askId: number;
  readonly from: NodeIndex;
  readonly askedMs: number;
}

export interface Target {
  readonly node: NodeIndex;
  readonly incarnation: number;
  /** `looking`: everything speaks for it, and a read that begins after decidedMs has the last word. */
  readonly phase: 'pinging' | 'looking' | 'fencing' | 'confirming' | 'recording' | 'off';
  readonly decidedMs: number;
  readonly vms: readonly string[];
  /** Those of them that don't run on another member: the answer of one would say nothing about this node. */
  readonly pinged: readonly string[];
  readonly round: number;
  readonly asks: readonly PendingAsk[];
  readonly effectId: number;
  /** Why fencing has failed of a node that its watchdog will end. */
  readonly failure: string;
  readonly startedMs: number;
}

/** A question to a node; `answer` is null when it failed. */
export interface PendingAsk {
  readonly askId: number;
  readonly to: NodeIndex;
  readonly sentMs: number;
  readonly answer: Answer | null | undefined;
}

export interface Todo {
  readonly vm: string;
  readonly origin: NodeIndex;
  readonly phase: 'pending' | 'planned' | 'ordered' | 'done' | 'failed';
  readonly to: NodeIndex | -1;
  readonly askId: number;
  readonly sentMs: number;
  readonly attempts: number;
  readonly reason: string;
}

export interface Recovery {
  readonly targets: readonly Target[];
  readonly survey: readonly PendingAsk[] | undefined;
  readonly surveyRound: number;
  readonly surveyedMs: number;
  readonly planId: number;
  /** What the plan under way was asked about. */
  readonly planVms: readonly string[];
  readonly todo: readonly Todo[];
  /** Why the recovery can't end well; panic once everything else is done. */
  readonly shortage: string;
}

/** Moving the VMs of a node away that still lives; at most one migration at a time. */
export interface Evacuation {
  readonly node: NodeIndex;
  readonly vm: string;
  readonly phase: 'planning' | 'moving' | 'checking' | 'fencing' | 'confirming';
  readonly effectId: number;
  readonly askId: number;
  readonly sentMs: number;
}

export interface Lock {
  readonly name: string;
  readonly holder: string;
  readonly untilMs: number;
}

/** Why something was decided. */
export interface Why {
  readonly nowMs: number;
  readonly wallMs: number;
  readonly epoch: number;
  readonly subject: string;
  readonly decision: string;
  readonly evidence: string;
}

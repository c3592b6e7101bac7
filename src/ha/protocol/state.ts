/**
 * What a node knows and is in the middle of: plain data that can be printed, stored and compared.
 *
 * Guarantees: `step` never changes a state or anything in it; what changes is replaced. Times are milliseconds of the own
 * monotonic clock; `never` stands for what has not happened.
 */
import {
  emptyLedger,
  noSwitches,
  type Datagram,
  type Lease,
  type Ledger,
  type NodeIndex,
  type Role,
  type Slot,
  type Switches,
  type Token,
  type VmEntry,
} from './blocks.ts';
import type { Answer, Effect } from './messages.ts';
import type { Channel, Rules } from './rules.ts';
import type { Timing } from './timing.ts';

/** Long before every clock began; small enough to be a small integer of the engine, as all times here are. */
export const never = -1e9;

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
  /** Its last datagram in the order of its counter. */
  readonly datagram: Datagram | undefined;
  /** Has it shown life since we have been watching? */
  readonly seenAlive: boolean;
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
    | { readonly kind: 'ask'; readonly askId: number; readonly from: NodeIndex }
    | { readonly kind: 'call'; readonly callId: number }
    | { readonly kind: 'former' };
  readonly phase: 'claiming' | 'checking' | 'running' | 'settling';
  /** The claim is on the disk when a slot with this counter or a higher one is. */
  readonly sequence: number;
  readonly claimedMs: number;
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
  readonly phase: 'pinging' | 'fencing' | 'confirming' | 'recording' | 'off';
  readonly vms: readonly string[];
  readonly round: number;
  readonly asks: readonly PendingAsk[];
  readonly effectId: number;
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

export interface NodeState {
  readonly config: NodeConfig;
  nowMs: number;
  wallMs: number;
  lastTickMs: number;
  /** Since when we have been listening without a gap. */
  listeningMs: number;
  role: Role;
  joinRefused: string;
  /** 0 until the own slot was read. */
  incarnation: number;
  minimumIncarnation: number;
  /** Of slots and datagrams. */
  sequence: number;
  /** The highest seen anywhere, and who held it, when known. */
  epoch: number;
  epochOwner: NodeIndex | -1;
  switches: Switches;
  ledger: Ledger;
  maintenance: boolean;
  /** We suspect that it is us whom nobody hears. */
  isolated: boolean;

  startedMs: number;
  readPending: boolean;
  /** Of the last read that succeeded. */
  readIssuedMs: number;
  readDoneMs: number;
  readWanted: boolean;
  slotPendingMs: number;
  slotWantedAgain: boolean;
  slotSequence: number;
  slotWrittenMs: number;
  slotFailedMs: number;
  /** Counter of the slot that says goodbye, while it is being written. */
  lastWord: number;
  writtenEpoch: number;
  pendingEpoch: number;

  peers: readonly Peer[];
  leaseSeen: Lease | undefined;
  leaseChangedMs: number;
  /** Since when it has been torn at every read. */
  leaseTornMs: number;
  leaseWrite: LeaseWrite | undefined;
  claiming: Claiming | undefined;
  held: Held | undefined;
  electionMs: number;

  vms: readonly string[];
  vmsSampledMs: number;
  works: readonly Work[];
  errands: readonly Errand[];

  joinAskId: number;
  joinAskedMs: number;
  joinCallId: number;
  leaveCallId: number;
  leaveMs: number;

  verdicts: readonly (readonly [Channel, Channel])[];
  recovery: Recovery | undefined;
  evacuation: Evacuation | undefined;
  /** By `node/incarnation` or `node/incarnation/vm`: nothing is tried before. */
  holds: Readonly<Record<string, number>>;
  locks: readonly Lock[];
  journal: readonly Why[];
  nextId: number;
}

/** A copy to work on. Written out, because copying by spreading costs ten times as much, and this is done for each event. */
export function copyState(state: NodeState): NodeState {
  return {
    config: state.config,
    nowMs: state.nowMs,
    wallMs: state.wallMs,
    lastTickMs: state.lastTickMs,
    listeningMs: state.listeningMs,
    role: state.role,
    joinRefused: state.joinRefused,
    incarnation: state.incarnation,
    minimumIncarnation: state.minimumIncarnation,
    sequence: state.sequence,
    epoch: state.epoch,
    epochOwner: state.epochOwner,
    switches: state.switches,
    ledger: state.ledger,
    maintenance: state.maintenance,
    isolated: state.isolated,
    startedMs: state.startedMs,
    readPending: state.readPending,
    readIssuedMs: state.readIssuedMs,
    readDoneMs: state.readDoneMs,
    readWanted: state.readWanted,
    slotPendingMs: state.slotPendingMs,
    slotWantedAgain: state.slotWantedAgain,
    slotSequence: state.slotSequence,
    slotWrittenMs: state.slotWrittenMs,
    slotFailedMs: state.slotFailedMs,
    lastWord: state.lastWord,
    writtenEpoch: state.writtenEpoch,
    pendingEpoch: state.pendingEpoch,
    peers: state.peers,
    leaseSeen: state.leaseSeen,
    leaseChangedMs: state.leaseChangedMs,
    leaseTornMs: state.leaseTornMs,
    leaseWrite: state.leaseWrite,
    claiming: state.claiming,
    held: state.held,
    electionMs: state.electionMs,
    vms: state.vms,
    vmsSampledMs: state.vmsSampledMs,
    works: state.works,
    errands: state.errands,
    joinAskId: state.joinAskId,
    joinAskedMs: state.joinAskedMs,
    joinCallId: state.joinCallId,
    leaveCallId: state.leaveCallId,
    leaveMs: state.leaveMs,
    verdicts: state.verdicts,
    recovery: state.recovery,
    evacuation: state.evacuation,
    holds: state.holds,
    locks: state.locks,
    journal: state.journal,
    nextId: state.nextId,
  };
}

/** One step under way: the new state, of which parts are replaced, and what is to be done. */
export interface Step {
  readonly state: NodeState;
  readonly effects: Effect[];
  readonly rules: Rules;
  readonly timing: Timing;
}

const unknownPeer: Peer = {
  slot: undefined,
  slotChangedMs: never,
  netIncarnation: 0,
  netSequence: 0,
  netSeenMs: never,
  datagram: undefined,
  seenAlive: false,
  ghosts: 0,
};

/** A daemon that has just started: alone. */
export function createNode(config: NodeConfig): NodeState {
  return {
    config,
    nowMs: 0,
    wallMs: 0,
    lastTickMs: never,
    listeningMs: never,
    role: 'alone',
    joinRefused: '',
    incarnation: 0,
    minimumIncarnation: 1,
    sequence: 0,
    epoch: 0,
    epochOwner: -1,
    switches: noSwitches(),
    ledger: emptyLedger(config.nodes.length),
    maintenance: false,
    isolated: false,
    startedMs: never,
    readPending: false,
    readIssuedMs: never,
    readDoneMs: never,
    readWanted: false,
    slotPendingMs: never,
    slotWantedAgain: false,
    slotSequence: 0,
    slotWrittenMs: never,
    slotFailedMs: never,
    lastWord: 0,
    writtenEpoch: 0,
    pendingEpoch: 0,
    peers: config.nodes.map(() => unknownPeer),
    leaseSeen: undefined,
    leaseChangedMs: never,
    leaseTornMs: never,
    leaseWrite: undefined,
    claiming: undefined,
    held: undefined,
    electionMs: never,
    vms: [],
    vmsSampledMs: never,
    works: [],
    errands: [],
    joinAskId: 0,
    joinAskedMs: never,
    joinCallId: 0,
    leaveCallId: 0,
    leaveMs: never,
    verdicts: config.nodes.map(() => ['unknown', 'unknown'] as const),
    recovery: undefined,
    evacuation: undefined,
    holds: {},
    locks: [],
    journal: [],
    nextId: 1,
  };
}

export function peerAt(state: NodeState, index: NodeIndex): Peer {
  return state.peers[index] ?? unknownPeer;
}

/** Replaces what is known of one peer; nodes beyond our own list are remembered too. */
export function setPeer(state: NodeState, index: NodeIndex, peer: Peer): void {
  const peers = [...state.peers];
  while (peers.length < index) peers.push(unknownPeer);
  peers[index] = peer;
  state.peers = peers;
}

export function takeId(state: NodeState): number {
  const id = state.nextId;
  state.nextId = id + 1;
  return id;
}

export function nameOf(state: NodeState, index: NodeIndex): string {
  const name = state.config.nodes[index] ?? '';
  return name === '' ? (peerAt(state, index).slot?.name ?? `slot ${String(index)}`) : name;
}

const journalLength = 200;

/** A decision about somebody, with what it rests on. */
export function because(step: Step, subject: string, decision: string, evidence: string): void {
  const { state } = step;
  const entry: Why = { nowMs: state.nowMs, wallMs: state.wallMs, epoch: state.epoch, subject, decision, evidence };
  state.journal = [...state.journal.slice(1 - journalLength), entry];
}

export function alarm(step: Step, subject: string, text: string): void {
  step.effects.push({ kind: 'alarm', text });
  because(step, subject, 'alarm', text);
}

/** What our slot says of VMs: those that run, and those that are claimed and don't run yet. */
export function ownEntries(state: NodeState): readonly VmEntry[] {
  const running = state.vms.map((name): VmEntry => ({ name, phase: 'running' }));
  if (state.works.length === 0) return running;
  const claimed = state.works
    .filter(({ vm }) => !state.vms.includes(vm))
    .map(({ vm, source }): VmEntry => ({ name: vm, phase: source === -1 ? 'starting' : 'incoming' }));
  return [...running, ...claimed];
}

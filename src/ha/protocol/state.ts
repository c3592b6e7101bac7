/**
 * What a node knows and is in the middle of: plain data that can be printed, stored and compared.
 *
 * Guarantees: `step` never changes a state or anything in it; what changes is replaced. Times are milliseconds of the own
 * monotonic clock; `never` stands for what has not happened.
 */
import {
  emptyLedger,
  noSwitches,
  type Lease,
  type Ledger,
  type NodeIndex,
  type Role,
  type Switches,
  type VmEntry,
} from './blocks.ts';
import type { Effect } from './messages.ts';
import type {
  Claiming,
  Errand,
  Evacuation,
  Held,
  LeaseWrite,
  Lock,
  NodeConfig,
  ObscureSlots,
  Peer,
  Recovery,
  Why,
  Work,
} from './parts.ts';
import type { Channel, Rules } from './rules.ts';
import type { Timing } from './timing.ts';

/** Long before every clock began; small enough to be a small integer of the engine, as all times here are. */
export const never = -1e9;

/** What the own slot says, as far as others need to have read it. */
interface SlotSaid {
  readonly epoch: number;
  readonly vms: readonly VmEntry[];
}

interface OwnSlot {
  /** On the disk for certain. */
  readonly written: SlotSaid;
  readonly pending: SlotSaid;
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
  ownSlot: OwnSlot;

  peers: readonly Peer[];
  obscure: ObscureSlots;
  leaseSeen: Lease | undefined;
  leaseChangedMs: number;
  /** Since when it was looked at so often that nobody can have become master unseen. */
  leaseWatchedMs: number;
  /** Since when it has been torn at every read. */
  leaseTornMs: number;
  leaseWrite: LeaseWrite | undefined;
  claiming: Claiming | undefined;
  held: Held | undefined;
  electionMs: number;

  vms: readonly string[];
  vmsSampledMs: number;
  /** Our slot does not name all of them. */
  partial: boolean;
  works: readonly Work[];
  errands: readonly Errand[];

  joinAskId: number;
  joinAskedMs: number;
  joinCallId: number;
  leaveCallId: number;
  leaveMs: number;
  /** Leaving before it was let in: its word over its former one is not written earlier; never: no such case. */
  farewellMs: number;

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
    ownSlot: state.ownSlot,
    peers: state.peers,
    obscure: state.obscure,
    leaseSeen: state.leaseSeen,
    leaseChangedMs: state.leaseChangedMs,
    leaseWatchedMs: state.leaseWatchedMs,
    leaseTornMs: state.leaseTornMs,
    leaseWrite: state.leaseWrite,
    claiming: state.claiming,
    held: state.held,
    electionMs: state.electionMs,
    vms: state.vms,
    vmsSampledMs: state.vmsSampledMs,
    partial: state.partial,
    works: state.works,
    errands: state.errands,
    joinAskId: state.joinAskId,
    joinAskedMs: state.joinAskedMs,
    joinCallId: state.joinCallId,
    leaveCallId: state.leaveCallId,
    leaveMs: state.leaveMs,
    farewellMs: state.farewellMs,
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
  heardSinceMs: never,
  datagram: undefined,
  seenAlive: false,
  enteredMs: never,
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
    ownSlot: { written: { epoch: 0, vms: [] }, pending: { epoch: 0, vms: [] } },
    peers: config.nodes.map(() => unknownPeer),
    obscure: { slots: [], mending: undefined },
    leaseSeen: undefined,
    leaseChangedMs: never,
    leaseWatchedMs: never,
    leaseTornMs: never,
    leaseWrite: undefined,
    claiming: undefined,
    held: undefined,
    electionMs: never,
    vms: [],
    vmsSampledMs: never,
    partial: false,
    works: [],
    errands: [],
    joinAskId: 0,
    joinAskedMs: never,
    joinCallId: 0,
    leaveCallId: 0,
    leaveMs: never,
    farewellMs: never,
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
  // Faster than by spreading, and this is done for each heartbeat.
  const peers = state.peers.slice();
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
  // Before the first list of domains has come, what our predecessor has said still holds.
  if (state.vmsSampledMs === never) return peerAt(state, state.config.self).slot?.vms ?? [];
  const running = state.vms.map((name): VmEntry => ({ name, phase: 'running' }));
  if (state.works.length === 0) return running;
  const claimed = state.works
    .filter(({ vm }) => !state.vms.includes(vm))
    .map(({ vm, source }): VmEntry => ({ name: vm, phase: source === -1 ? 'starting' : 'incoming' }));
  return [...running, ...claimed];
}

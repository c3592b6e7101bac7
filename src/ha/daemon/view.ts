/** What the daemon tells of its state: to people, to cxm, and to the starting of VMs. Functions of the state. */
import { isMember, type NodeIndex, type Role } from '../protocol/blocks.ts';
import { isOut } from '../protocol/election.ts';
import { diskChannel, netChannel } from '../protocol/evidence.ts';
import { clusterState } from '../protocol/panic.ts';
import { realRules, type Channel } from '../protocol/rules.ts';
import type { EventName } from './log.ts';
import { obscuritySentence, toldObscure } from '../protocol/readability.ts';
import { nameOf, peerAt, type NodeState, type Step } from '../protocol/state.ts';

export interface StatusReport {
  readonly node: string;
  readonly role: Role;
  readonly isMember: boolean;
  /** Undefined while there is none. */
  readonly master: string | undefined;
  readonly epoch: number;
  readonly state: 'normal' | 'recovery' | 'panic';
  readonly disarmed: boolean;
  readonly maintenance: boolean;
  /** Since when this daemon runs: an ISO date. */
  readonly since: string;
  /** Why the master does not let this node in; empty if it does. */
  readonly refusal: string;
  readonly recoveryOf: readonly string[];
  readonly version: string;
}

export interface NodeReport {
  readonly index: NodeIndex;
  readonly name: string;
  readonly role: Role | 'unknown' | 'off' | 'taken out';
  readonly isMaster: boolean;
  readonly isSelf: boolean;
  readonly net: Channel;
  readonly disk: Channel;
  readonly maintenance: boolean;
  readonly vms: readonly string[];
}

/** The state as the protocol's own functions take it, at a moment. They don't change it. */
function lookAt(state: NodeState, nowMs: number): Step {
  return { state: { ...state, nowMs }, effects: [], rules: realRules, timing: state.config.timing };
}

export function masterOf(state: NodeState, nowMs: number): NodeIndex | undefined {
  if (state.role === 'active') return state.config.self;
  const { leaseSeen, leaseChangedMs, config } = state;
  const isFresh = leaseSeen !== undefined && !leaseSeen.released && nowMs - leaseChangedMs < config.timing.leaseLostMs;
  return isFresh && leaseSeen.owner !== config.self ? leaseSeen.owner : undefined;
}

export function statusOf(state: NodeState, nowMs: number, started: Date, version: string): StatusReport {
  const master = masterOf(state, nowMs);
  return {
    node: nameOf(state, state.config.self),
    role: state.role,
    isMember: isMember(state.role),
    master: master === undefined ? undefined : nameOf(state, master),
    epoch: state.epoch,
    state: stateOfCluster(state, nowMs),
    disarmed: state.switches.disarmed.on,
    maintenance: state.maintenance,
    since: started.toISOString(),
    refusal: state.joinRefused,
    recoveryOf: state.recovery?.targets.map(({ node }) => nameOf(state, node)) ?? [],
    version,
  };
}

/** `master; recovery of node3` */
export function statusSentence(report: StatusReport): string {
  const { role, isMember: belongs, master, state, refusal, recoveryOf, disarmed, maintenance } = report;
  const recovered = state === 'recovery' && recoveryOf.length > 0 ? ` of ${recoveryOf.join(', ')}` : '';
  const member = `member, ${master === undefined ? 'without a master' : `${master} is master`}`;
  const outside = refusal === '' ? 'joining' : `not let in: ${refusal}`;
  return [
    role === 'active' ? 'master' : belongs ? member : outside,
    ...(state === 'normal' ? [] : [`${state}${recovered}`]),
    ...(disarmed ? ['disarmed: no fencing'] : []),
    ...(maintenance ? ['in maintenance'] : []),
  ].join('; ');
}

/** A recovery is known to the master alone, and to the others from what it says. */
export function stateOfCluster(state: NodeState, nowMs: number): StatusReport['state'] {
  const own = clusterState(state);
  const master = masterOf(state, nowMs);
  if (own !== 'normal' || master === undefined || master === state.config.self) return own;
  const { datagram, netSeenMs } = peerAt(state, master);
  return datagram !== undefined && nowMs - netSeenMs < state.config.timing.netLostMs ? datagram.state : own;
}

export function nodesOf(state: NodeState, nowMs: number): readonly NodeReport[] {
  const step = lookAt(state, nowMs);
  const { self, nodes } = state.config;
  const master = masterOf(state, nowMs);
  return nodes.flatMap((name, index): NodeReport[] => {
    if (name === '') return [];
    const { slot } = peerAt(state, index);
    const isSelf = index === self;
    const disk = slot === undefined ? 'unknown' : diskChannel(step, index);
    const channels = isSelf
      ? ({ net: 'ok', disk: ownDiskChannel(state, nowMs) } as const)
      : { net: netChannel(step, index), disk };
    const vms = isSelf ? state.vms : (slot?.vms.map((entry) => entry.name) ?? []);
    const maintenance = isSelf ? state.maintenance : slot?.maintenance === true;
    return [
      {
        index,
        name,
        role: roleOf(state, index, nowMs),
        isMaster: index === master,
        isSelf,
        ...channels,
        maintenance,
        vms,
      },
    ];
  });
}

/** What this node says reaches the disk; as long as it has nothing to say there, what it reads. */
function ownDiskChannel({ role, slotWrittenMs, readDoneMs, config }: NodeState, nowMs: number): 'ok' | 'lost' {
  return nowMs - (isMember(role) ? slotWrittenMs : readDoneMs) < config.timing.diskLostMs ? 'ok' : 'lost';
}

/** `off` lets others act as if nothing ran there: only by a look at the disk a moment ago, and if it was not heard since. */
function roleOf(state: NodeState, index: NodeIndex, nowMs: number): NodeReport['role'] {
  if (index === state.config.self) return state.role;
  const { slot, datagram } = peerAt(state, index);
  if (slot === undefined) return datagram?.role ?? 'unknown';
  const fenced = state.ledger.fenced[index] ?? 0;
  if (slot.incarnation <= fenced) {
    if (datagram !== undefined && datagram.incarnation > fenced) return datagram.role;
    return nowMs - state.readIssuedMs < state.config.timing.freshMs ? 'off' : 'unknown';
  }
  if (isOut(state, index)) return 'taken out';
  return datagram?.incarnation === slot.incarnation ? datagram.role : slot.role;
}

/** What does not pass by itself: told by the journal when it begins, and again while it lasts. */
export interface Trouble {
  readonly key: string;
  readonly event: EventName;
  readonly text: string;
}

export function lastingTroubles(state: NodeState): readonly Trouble[] {
  const own = nameOf(state, state.config.self);
  const full: Trouble = {
    key: 'full',
    event: 'slotFull',
    text: `${own} has ${state.vms.length} VMs, more than its slot can name: none is started here, and others can't know what runs here`,
  };
  const obscure = toldObscure(state).map(({ node, why }): Trouble => ({
    key: `slot ${node}`,
    event: 'slot',
    text: `${obscuritySentence(state, node, why)}; no VM is started here until it can`,
  }));
  return state.partial ? [full, ...obscure] : obscure;
}

/** This node, and the members that are heard: who is asked when a VM is to start or move. */
export function aliveNodes(state: NodeState, nowMs: number): readonly string[] {
  const step = lookAt(state, nowMs);
  return state.config.nodes.filter((name, index) => {
    if (name === '') return false;
    if (index === state.config.self) return true;
    const { slot } = peerAt(state, index);
    if (slot === undefined || !isMember(slot.role) || isOut(state, index)) return false;
    return netChannel(step, index) === 'ok';
  });
}

/**
 * All others: nodes that are no members, where a person may have started VMs that stand in no slot, and members that are
 * lost. Also those that were powered off, since their power may be back.
 */
export function bystandersOf(state: NodeState, nowMs: number): readonly string[] {
  const alive = new Set(aliveNodes(state, nowMs));
  return state.config.nodes.filter((name) => name !== '' && !alive.has(name));
}

/**
 * Why this node must not go on with a start, immediately before it can't be taken back; undefined if it may. Beyond what the
 * protocol has decided when it began: the claim is still ours and seen by the others, and we were not asleep meanwhile.
 *
 * What the order said of its own time (notAfterMs) holds for its beginning. Later a younger read has to speak for it: one in
 * which the claim stands, the VM runs nowhere else, and this node is not off for the others. None of them may believe that
 * before netLost has passed since this node wrote its slot, which is longer than the leaseStop that is asked for here.
 */
export function obstacleToWork(state: NodeState, nowMs: number, workId: number): string | undefined {
  const { timing } = state.config;
  const work = state.works.find(({ id, phase }) => id === workId && phase === 'running');
  if (work === undefined) return 'the order is over';
  if (!isMember(state.role)) return 'this node is no member';
  if (nowMs - state.lastTickMs > timing.gapMs + timing.periodMs) return 'this node was asleep';
  if (nowMs - state.slotWrittenMs >= timing.leaseStopMs) return 'this node can not write its slot';
  if (nowMs - state.readIssuedMs >= timing.leaseStopMs) return 'this node has not read the heartbeat disk for too long';
  if (work.elsewhere !== '') return work.elsewhere;
  if (nowMs - work.provenMs >= timing.leaseStopMs) return 'its claim was not seen on the heartbeat disk for too long';
  if (work.token !== undefined && state.switches.panic.on) return 'the cluster is in panic';
  return undefined;
}

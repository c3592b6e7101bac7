/**
 * The checkers: what must never be, looked at with the knowledge of the whole world whenever it could come about.
 * They use the real timing table, whatever rules the protocol was given.
 */
import { isMember, type Slot } from '../../src/ha/protocol/blocks.ts';
import { isLater, type Counters } from '../../src/ha/protocol/evidence.ts';
import type { Effect, PingResult } from '../../src/ha/protocol/messages.ts';
import type { NodeState } from '../../src/ha/protocol/state.ts';
import type { SimNode } from './node.ts';
import type { World } from './world.ts';

export class Violation extends Error {
  readonly guarantee: string;
  constructor(guarantee: string, text: string) {
    super(`${guarantee}: ${text}`);
    this.guarantee = guarantee;
  }
}

export class Checks {
  /** While nothing is wrong that could excuse it. */
  mayFence = true;
  private highestEpoch = 0;
  private highestOwner = -1;
  private readonly world: World;
  /** By receiver and sender: when a datagram last reached the machine. */
  private readonly heardMs: number[][] = [];
  /** The same of any, also of a life whose counters are below those of an earlier one that nobody remembers. */
  private readonly anyHeardMs: number[][] = [];
  /** The same of those that were not lost because the machine stood still: only these can have been told to others. */
  private readonly takenMs: number[][] = [];
  private readonly latest: (Counters | undefined)[][] = [];
  /** By receiver and sender: two moments at which it was heard, some seconds apart. */
  private readonly stages: (readonly [number, number])[][] = [];
  private readonly runningSince = new Map<string, number>();
  /** By asking node: pings that came back to it. */
  private readonly pings: { atMs: number; target: number; results: readonly PingResult[] }[][] = [];

  constructor(world: World) {
    this.world = world;
  }

  fail(guarantee: string, text: string): never {
    this.world.log(undefined, `VIOLATION ${guarantee}: ${text}`);
    throw new Violation(guarantee, `${text} (at ${this.world.seconds.toFixed(3)} s)`);
  }

  /** S1 */
  running(vm: string): void {
    this.runningSince.set(vm, this.world.queue.nowMs);
    const hosts = this.world.nodes.filter(({ vms }) => vms.has(vm));
    if (hosts.length > 1) this.fail('S1', `${vm} runs on ${hosts.map(({ name }) => name).join(' and ')}`);
  }

  /** By its own clock, whatever it believes. */
  isMaster({ alive, state, clockMs }: SimNode): boolean {
    const { held } = state;
    if (!alive || held === undefined || held.releasing || state.role !== 'active') return false;
    // By what it has written, and by what it has read back of that: storage may lose what it says it has.
    return clockMs < Math.min(held.renewedMs, state.leaseChangedMs) + this.world.timing.leaseStopMs;
  }

  /** S2: at every change of role, and before everything irrevocable. */
  private noOtherMaster(node: SimNode, what: string): void {
    const other = this.world.nodes.find((one) => one !== node && this.isMaster(one));
    if (other !== undefined) this.fail('S2', `${node.name} ${what} while ${other.name} is master`);
  }

  changed(node: SimNode, before: NodeState): void {
    const { state } = node;
    if (this.world.isTracing) {
      for (const why of state.journal) {
        if (!before.journal.includes(why)) this.world.log(node, `${why.subject}: ${why.decision} (${why.evidence})`);
      }
    }
    if (state.ownSlot.written.epoch !== before.ownSlot.written.epoch || state.role !== before.role)
      this.newMaster(node);
    if (state.role === 'active' && before.role !== 'active') this.noOtherMaster(node, 'becomes master');
  }

  /** The disk is another one: epochs and incarnations begin anew. */
  forgetEpochs(): void {
    this.latest.length = 0;
    this.highestEpoch = 0;
    this.highestOwner = -1;
  }

  /** Epochs of masters that act only rise, over restarts of all and a torn lease. */
  private risingEpoch(node: SimNode, epoch: number): void {
    const isLower = epoch < this.highestEpoch || (epoch === this.highestEpoch && node.index !== this.highestOwner);
    if (isLower) {
      this.fail('S2', `${node.name} acts in epoch ${String(epoch)}, and ${String(this.highestEpoch)} was there before`);
    }
    this.highestEpoch = epoch;
    this.highestOwner = node.index;
  }

  /** A master has reached the state in which it may act. */
  private newMaster(node: SimNode): void {
    const { state } = node;
    const { held } = state;
    if (held === undefined || state.role !== 'active') return;
    if (this.world.rules.persistedEpoch(held.epoch) <= state.ownSlot.written.epoch) this.risingEpoch(node, held.epoch);
  }

  /** S2 already when it is decided; when it is carried out, others look. */
  decided(node: SimNode, effect: Effect): void {
    const isOrder = effect.kind === 'ask' && (effect.request.kind === 'start' || effect.request.kind === 'receive');
    if (!isOrder && effect.kind !== 'fence') return;
    if (!this.isMaster(node)) this.fail('S2', `${node.name} decides as master (${effect.kind}) without a valid lease`);
    if (effect.kind === 'fence' && node.state.evacuation?.node !== effect.node) {
      this.bothLost(node, this.world.node(effect.node));
      this.pinged(node, this.world.node(effect.node));
    }
  }

  startBegins(node: SimNode, { vm, token }: Extract<Effect, { kind: 'start' }>): void {
    if (token === undefined) return;
    const newer = this.world.nodes.find((one) => this.isMaster(one) && (one.state.held?.epoch ?? 0) > token.epoch);
    if (newer !== undefined) {
      this.fail(
        'S2',
        `${node.name} starts ${vm} by an order of epoch ${String(token.epoch)} under master ${newer.name}`,
      );
    }
  }

  /** S1: a slot is its node's own; another one writes it only when its node can't. */
  mendBegins(node: SimNode, { index, incarnation }: Slot): void {
    const owner = this.world.node(index);
    const isInUse = owner.alive && isMember(owner.state.role) && owner.state.incarnation >= incarnation;
    if (isInUse) this.fail('S1', `${node.name} writes the slot of ${owner.name}, which is a member`);
    const hasWritten = owner.state.slotSequence > 0;
    if (owner.vms.size > 0 && hasWritten && incarnation < owner.state.incarnation) {
      this.fail('S1', `${node.name} writes an old slot of ${owner.name}, which runs ${[...owner.vms].join(' ')}`);
    }
  }

  /** What is older than something heard before is no sign of life. */
  heard(from: number, to: number, counters?: Counters, isTaken = true): void {
    const { nowMs } = this.world.queue;
    (this.anyHeardMs[to] ??= [])[from] = nowMs;
    const latest = (this.latest[to] ??= []);
    const before = latest[from];
    if (counters !== undefined && before !== undefined && !isLater(counters, before)) return;
    if (counters !== undefined) latest[from] = counters;
    const row = (this.heardMs[to] ??= []);
    row[from] = nowMs;
    if (!isTaken) return;
    const taken = (this.takenMs[to] ??= []);
    taken[from] = nowMs;
    const stages = (this.stages[to] ??= []);
    const stage = stages[from];
    if (stage === undefined) stages[from] = [nowMs, -1e9];
    else if (nowMs - stage[0] > 3100) stages[from] = [nowMs, stage[0]];
  }

  /** The last time but some seconds: old enough to have been told to others. */
  private heardBeforeMs(from: number, to: number): number {
    return this.stages[to]?.[from]?.[1] ?? -1e9;
  }

  private lastTakenMs(from: number, to: number): number {
    return this.takenMs[to]?.[from] ?? -1e9;
  }

  private lastHeardMs(from: number, to: number): number {
    return this.heardMs[to]?.[from] ?? -1e9;
  }

  pingKnown(node: SimNode, askId: number, results: readonly PingResult[]): void {
    const target = node.state.recovery?.targets.find(({ asks }) => asks.some((ask) => ask.askId === askId));
    if (target === undefined) return;
    const list = (this.pings[node.index] ??= []);
    list.push({ atMs: node.clockMs, target: target.node, results });
    if (list.length > 100) list.shift();
  }

  /** S2 and S3 */
  fenceBegins(node: SimNode, { node: victim, token }: Extract<Effect, { kind: 'fence' }>): void {
    const { world } = this;
    const target = world.node(victim);
    if (!this.isMaster(node) || node.state.held?.epoch !== token.epoch) {
      this.fail('S2', `${node.name} fences ${target.name} and is not master of epoch ${String(token.epoch)}`);
    }
    this.noOtherMaster(node, `fences ${target.name}`);
    if (!this.mayFence) this.fail('L2', `${node.name} fences ${target.name} although nothing bad has happened`);
    // What a person sends there past cxm, while the node is asked or just before, nobody can know of.
    const known = [...target.vms].filter(
      (vm) => world.queue.nowMs - (this.runningSince.get(vm) ?? 0) > world.timing.gapMs,
    );
    if (node.state.evacuation?.node === victim && known.length > 0)
      this.fail('S3', `${target.name} is fenced as empty and runs ${known.join(' ')}`);
  }

  private bothLost(node: SimNode, target: SimNode): void {
    const { world } = this;
    const { timing, queue } = world;
    const netBoundMs = timing.netLostMs * 0.98 - 50;
    for (const other of world.nodes) {
      if (other === target || !other.alive || this.isDeaf(other)) continue;
      // A master must notice itself that it was not listening. What was lost on others nobody can know.
      const isSelf = other === node;
      const lastMs = isSelf ? this.lastHeardMs(target.index, other.index) : this.lastTakenMs(target.index, other.index);
      const toldMs = this.lastTakenMs(other.index, node.index) - 2 * timing.periodMs - 1000;
      // What another node heard is known here when a heartbeat of it came later.
      const known = [lastMs, this.heardBeforeMs(target.index, other.index)].filter((ms) => isSelf || ms < toldMs);
      const silentMs = queue.nowMs - Math.max(-1e9, ...known);
      if (silentMs < netBoundMs) {
        this.fail('S3', `${target.name} is fenced, ${other.name} heard it ${String(Math.round(silentMs))} ms ago`);
      }
    }
    const landedMs = world.disk.landedMs[target.index] ?? -1e9;
    if (Math.max(landedMs, this.anyHeardMs[node.index]?.[target.index] ?? -1e9) < node.bootedMs) {
      this.fail('S3', `${target.name} is fenced by ${node.name}, which has never seen it alive`);
    }
    const readMs = (node.state.readIssuedMs - node.clockBaseMs) / node.clockRate;
    const readAgoMs = node.clockMs - node.state.readDoneMs;
    if (readAgoMs > 50) {
      this.fail('S3', `${target.name} is fenced, and the disk was last looked at ${String(readAgoMs)} ms ago`);
    }
    const isReadable = (world.disk.tornMs[target.index] ?? -1e9) < landedMs;
    if (isReadable && landedMs < readMs && queue.nowMs - landedMs < timing.diskLostMs * 0.98 - 50) {
      this.fail(
        'S3',
        `${target.name} is fenced, its slot was written ${String(Math.round(queue.nowMs - landedMs))} ms ago`,
      );
    }
  }

  /** Stopped just now: what it received, it has not taken in. */
  private isDeaf(node: SimNode): boolean {
    return node.paused || node.clockMs - node.state.nowMs > 3000 || node.state.role === 'alone';
  }

  private pinged(node: SimNode, target: SimNode): void {
    const round = node.state.recovery?.targets.find((one) => one.node === target.index);
    if (round === undefined) return;
    const results = (this.pings[node.index] ?? [])
      .filter((one) => one.target === target.index && one.atMs >= round.startedMs)
      .flatMap((one) => one.results);
    if (results.includes('answer')) this.fail('S3', `${target.name} is fenced, and one of its VMs has answered`);
    if (round.pinged.length > 0 && !results.includes('silent'))
      this.fail('S3', `${target.name} is fenced without information`);
  }
}

/**
 * VMs as the library of the cluster starts and moves them (src/cluster), for administrators and for orders of cxmd: under
 * the VM's lock on every node that counts, after all of these have said what they have. A lock is lost some time after the
 * way to its node; what xl has begun goes on, and keeps the VM locked where it works.
 */
import { aliveNodes, nodesOf } from '../../src/ha/daemon/view.ts';
import { isMember } from '../../src/ha/protocol/blocks.ts';
import type { SimNode } from './node.ts';
import type { World } from './world.ts';

export type Outcome = 'running' | 'failed' | 'refused' | 'unknown';

export interface Job {
  readonly vm: string;
  /** Where it is to run, and who works on it. */
  readonly at: SimNode;
  /** -1: it runs nowhere. */
  readonly source: number;
  /** Ends with the process cxmd; a person's with the machine. */
  readonly isOrder: boolean;
  /** Why not, asked immediately before xl is called. */
  obstacle(): string | undefined;
  end(outcome: Outcome, reason: string): void;
}

interface Held {
  readonly vm: string;
  readonly at: SimNode;
  /** Nodes where the lock is held, by the power cycle in which that began. */
  readonly locks: Map<SimNode, number>;
  /** When the way to a node was lost. */
  readonly lost: Map<SimNode, number>;
  /** xl works there. */
  isBusy: boolean;
  /** Whether whoever took it is still there. */
  readonly isOwned: () => boolean;
}

const lockWaitMs = 5000;
/** sshd gives a dead client up: ClientAliveInterval 5, ClientAliveCountMax 3. */
const deadClientMs = 15_000;

export class Library {
  private held: Held[] = [];
  private readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  /** `cxm create` and `cxm migrate` on the node where the VM is to run. */
  byHand(at: SimNode, vm: string, source: number): void {
    const { world } = this;
    if (!at.powered) return;
    const job: Job = {
      ...{ vm, at, source, isOrder: false },
      obstacle: () => (this.isFenced(at) ? 'it was powered off and is not back in the cluster' : undefined),
      end: (outcome, reason) => {
        if (outcome !== 'running') world.log(at, `cxm: ${vm} does not run here: ${reason}`);
      },
    };
    this.work(job, this.turnout(at));
  }

  /** As cxmd calls it. */
  ordered(job: Job): void {
    const { at, source } = job;
    const alive = new Set(aliveNodes(at.state, at.clockMs));
    this.work(
      job,
      this.world.nodes.filter(({ name, index }) => alive.has(name) || index === source),
    );
  }

  /** All but those that the daemon here calls off, and that don't answer. */
  private turnout(at: SimNode): readonly SimNode[] {
    const hasDaemon = at.alive && !at.paused;
    const reports = hasDaemon ? nodesOf(at.state, at.clockMs) : [];
    const off = new Set(reports.filter(({ role }) => role === 'off').map(({ name }) => name));
    return this.world.nodes.filter((node) => !off.has(node.name) || this.reaches(at, node));
  }

  /** As the disk tells who is no member by the word of its own daemon, if it can be read. */
  private isFenced({ index, alive, paused, state }: SimNode): boolean {
    if (alive && !paused && isMember(state.role)) return false;
    const { lease, slots } = this.world.disk;
    const slot = slots[index];
    if (typeof lease !== 'object' || typeof slot !== 'object' || this.world.disk.path(index).mode !== 'fine')
      return false;
    return slot.incarnation <= (lease.ledger.fenced[index] ?? 0);
  }

  private reaches(from: SimNode, to: SimNode): boolean {
    if (from === to) return true;
    const { network } = this.world;
    return to.powered && !to.deaf && !network.isCut(from.index, to.index) && !network.isCut(to.index, from.index);
  }

  private work(job: Job, nodes: readonly SimNode[]): void {
    const { random, queue } = this.world;
    const { at } = job;
    const { generation, powerCycle } = at;
    const isOwned = (): boolean =>
      at.powerCycle === powerCycle && at.powered && (!job.isOrder || (at.alive && at.generation === generation));
    const later = (delayMs: number, go: () => void): void => {
      queue.after(delayMs, () => {
        if (!isOwned()) return;
        // A machine that stands still does nothing, and a process that was stopped neither.
        if (at.deaf || (job.isOrder && at.paused)) later(100, go);
        else go();
      });
    };
    const giveUpMs = queue.nowMs + lockWaitMs;
    const lock = (): void => {
      const silent = nodes.find((node) => !this.reaches(at, node));
      if (silent !== undefined) return job.end('refused', `${silent.name} does not answer`);
      if (!this.held.some(({ vm, locks }) => vm === job.vm && nodes.some((node) => locks.has(node)))) {
        const locks = new Map(nodes.map((node) => [node, node.powerCycle]));
        const held: Held = { vm: job.vm, at, locks, lost: new Map(), isBusy: false, isOwned };
        this.held.push(held);
        this.watch(held);
        return later(random.between(150, 1200), () => this.look(job, nodes, held, later));
      }
      if (queue.nowMs >= giveUpMs) return job.end('refused', 'another one works on it');
      later(500, lock);
    };
    later(random.between(50, 300), lock);
  }

  private look(
    job: Job,
    nodes: readonly SimNode[],
    held: Held,
    later: (delayMs: number, go: () => void) => void,
  ): void {
    const { random } = this.world;
    const refuse = (reason: string): void => {
      this.release(held);
      job.end('refused', reason);
    };
    const first = this.obstacle(job, nodes);
    if (first !== undefined) return refuse(first);
    later(random.between(100, 800), () => {
      const last = this.obstacle(job, nodes) ?? job.obstacle();
      if (last !== undefined) return refuse(last);
      // Its lock may be lost by now without its knowing.
      if (!held.locks.has(job.at)) return refuse('the lock is lost');
      held.isBusy = true;
      this.go(job, (outcome, reason) => {
        held.isBusy = false;
        this.release(held);
        job.end(outcome, reason);
      });
    });
  }

  /** What the nodes say. */
  private obstacle({ vm, at, source }: Job, nodes: readonly SimNode[]): string | undefined {
    for (const node of nodes) {
      if (!this.reaches(at, node)) return `${node.name} does not answer`;
      const has = node.vms.has(vm) || node.building.has(vm) || node.arriving.has(vm);
      if (node.index !== source && has) return `${node.name} has it`;
      if (node.index === source && !node.vms.has(vm)) return `${node.name} has it no more`;
    }
    return undefined;
  }

  private go({ vm, at, source }: Job, end: Job['end']): void {
    const { guests } = this.world;
    if (source === -1) guests.create(at, vm, end);
    else guests.migrate(at, vm, source, end);
  }

  private release(held: Held): void {
    this.held = this.held.filter((one) => one !== held);
  }

  /** Each second, as long as it is held anywhere. */
  private watch(held: Held): void {
    const { queue } = this.world;
    queue.after(1000, () => {
      if (!this.held.includes(held)) return;
      for (const [node, powerCycle] of held.locks) {
        const keeps = held.isBusy && node === held.at;
        if (node.powerCycle !== powerCycle) held.locks.delete(node);
        else if (!keeps && this.isGivenUp(held, node)) held.locks.delete(node);
      }
      if (held.locks.size === 0) this.release(held);
      else this.watch(held);
    });
  }

  private isGivenUp({ at, lost, isOwned }: Held, node: SimNode): boolean {
    const { nowMs } = this.world.queue;
    // A process that ends closes its connections; a machine that is gone does not.
    if (at.powered && this.reaches(node, at)) {
      lost.delete(node);
      return !isOwned();
    }
    const sinceMs = lost.get(node) ?? nowMs;
    lost.set(node, sinceMs);
    return nowMs - sinceMs >= deadClientMs;
  }
}

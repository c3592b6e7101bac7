/** Everything of a simulated cluster, by one seed: machines, network, disk, fence devices, VMs, and who watches them. */
import type { Answer, Effect } from '../../src/ha/protocol/messages.ts';
import type { Datagram } from '../../src/ha/protocol/blocks.ts';
import { realRules, type Rules } from '../../src/ha/protocol/rules.ts';
import type { NodeConfig } from '../../src/ha/protocol/parts.ts';
import { deriveTiming, driftBound, type Timing } from '../../src/ha/protocol/timing.ts';
import { Checks } from './checks.ts';
import { Disk } from './disk.ts';
import type { Fault } from './faults.ts';
import { Guests } from './guests.ts';
import { Library } from './library.ts';
import { Network } from './network.ts';
import { SimNode } from './node.ts';
import { Power } from './power.ts';
import { EventQueue } from './queue.ts';
import { Random, Steady } from './random.ts';

export interface WorldOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly vmsPerNode: number;
  readonly timerSeconds?: number;
  readonly fencing?: NodeConfig['fencing'];
  readonly watchdogMs?: number;
  readonly rules?: Rules;
  /** Called with every line of the trace. */
  readonly trace?: (line: string) => void;
  /** The same, in parts. */
  readonly tell?: (atMs: number, node: string, text: string) => void;
  /** Nothing is drawn at random. */
  readonly isSteady?: boolean;
  /** The shell asks nobody over ssh who is not alive to it. */
  readonly asksNoBystander?: boolean;
}

export class World {
  readonly queue = new EventQueue();
  readonly random: Random;
  readonly rules: Rules;
  readonly timing: Timing;
  readonly names: readonly string[];
  readonly network: Network;
  readonly disk: Disk;
  readonly checks: Checks;
  readonly power: Power;
  readonly guests: Guests;
  readonly cxm: Library;
  readonly nodes: readonly SimNode[];
  readonly watchdogMs: number;
  /** Of each node, instead of the names: a list that is being changed. */
  readonly lists = new Map<number, readonly string[]>();
  readonly diskIds = new Map<number, string>();
  readonly fencing: NodeConfig['fencing'];
  readonly asksNoBystander: boolean;
  /** Snaps at the next effect of its kind. */
  trap: Extract<Fault, { kind: 'trap' }> | undefined;
  /** Of each node: the key it signs with, and those it accepts. */
  readonly keys = new Map<number, { readonly own: string; readonly accepted: readonly string[] }>();
  private readonly isSteady: boolean;
  private readonly trace: ((line: string) => void) | undefined;
  private readonly tell: ((atMs: number, node: string, text: string) => void) | undefined;
  private readonly calls = new Map<number, (answer: Answer) => void>();
  private nextCall = 1;

  constructor(options: WorldOptions) {
    this.isSteady = options.isSteady === true;
    this.random = this.isSteady ? new Steady() : new Random(options.seed, 1);
    this.tell = options.tell;
    this.rules = options.rules ?? realRules;
    this.trace = options.trace;
    this.watchdogMs = options.watchdogMs ?? 0;
    this.fencing = options.fencing ?? 'with-status';
    this.asksNoBystander = options.asksNoBystander === true;
    this.timing = deriveTiming(options.timerSeconds ?? 3, {
      watchdogMs: this.watchdogMs,
      startDeadlineMs: 30_000,
      migrateDeadlineMs: 30_000,
    });
    this.names = Array.from({ length: options.nodes }, (_, index) => `node${String(index)}`);
    this.network = new Network(options.nodes, this.queue, this.random);
    this.disk = new Disk(options.nodes, this.queue, this.random, this.timing.claimDelayMs * 0.8);
    this.checks = new Checks(this);
    this.power = new Power(this);
    this.guests = new Guests(this);
    this.cxm = new Library(this);
    this.nodes = this.names.map((_, index) => {
      const rate = 1 + driftBound * 0.49 * this.random.between(-1, 1);
      return new SimNode(this, index, rate, this.random.integer(1, 1e7));
    });
    for (const node of this.nodes) {
      for (let at = 0; at < options.vmsPerNode; at += 1) {
        const vm = `vm${String(node.index)}-${String(at)}`;
        this.guests.wanted.add(vm);
        node.vms.add(vm);
      }
    }
  }

  get seconds(): number {
    return this.queue.nowMs / 1000;
  }

  node(index: number): SimNode {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`no node ${String(index)}`);
    return node;
  }

  configOf(index: number): NodeConfig {
    return {
      self: index,
      nodes: this.lists.get(index) ?? this.names,
      diskId: this.diskIds.get(index) ?? 'disk',
      timing: this.timing,
      fencing: this.fencing,
      watchdogArmed: this.watchdogMs > 0,
    };
  }

  get isTracing(): boolean {
    return this.trace !== undefined || this.tell !== undefined;
  }

  log(node: SimNode | undefined, text: string): void {
    this.tell?.(this.queue.nowMs, node?.name ?? '-', text);
    this.trace?.(`${this.seconds.toFixed(3).padStart(10)} ${(node?.name ?? '-').padEnd(6)} ${text}`);
  }

  /** When in a period a node ticks. */
  tickPhaseMs(index: number): number {
    return this.timing.periodMs * (this.isSteady ? (index * 0.37) % 1 : this.random.next());
  }

  private knowsKey(from: number, to: number): boolean {
    if (this.keys.size === 0) return true;
    return this.keys.get(to)?.accepted.includes(this.keys.get(from)?.own ?? '') === true;
  }

  received(from: number, to: number, datagram: Datagram): void {
    const node = this.node(to);
    if (!node.alive || !this.knowsKey(from, to)) return;
    this.checks.heard(from, to, datagram, !node.deaf);
    if (node.deaf) return;
    node.happen({ kind: 'datagram', datagram });
  }

  /** A call from one cxmd to another: to whatever process listens there when it arrives. */
  ask(
    from: SimNode,
    { to, request }: Extract<Effect, { kind: 'ask' }>,
    fail: () => void,
    answered: (answer: Answer) => void,
  ): void {
    this.network.call(from.index, to, () => {
      const node = this.node(to);
      if (!node.alive || !this.knowsKey(from.index, to)) {
        this.queue.after(5, fail);
        return;
      }
      // Who asks to be let in is alive.
      if (request.kind === 'join') this.checks.heard(from.index, to);
      const askId = this.nextCall;
      this.nextCall += 1;
      this.calls.set(askId, (answer) => {
        this.network.call(to, from.index, () => {
          answered(answer);
        });
      });
      node.happen({ kind: 'asked', askId, from: from.index, request });
    });
  }

  answer(askId: number, answer: Answer): void {
    this.calls.get(askId)?.(answer);
    this.calls.delete(askId);
  }

  /** The node whose lease is valid by its own clock. */
  master(): SimNode | undefined {
    return this.nodes.find((node) => this.checks.isMaster(node));
  }

  bootAll(): void {
    for (const node of this.nodes) {
      if (node.alive || !node.powered) continue;
      this.queue.after(this.random.between(0, 500), () => {
        node.boot();
      });
    }
  }

  run(durationMs: number): void {
    this.queue.runUntil(this.queue.nowMs + durationMs);
  }
}

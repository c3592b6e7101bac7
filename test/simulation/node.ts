/**
 * One machine: a hypervisor with its VMs, a clock, and the process cxmd, which is the protocol with a model of its shell.
 * The machine goes on when the process is paused, crashed or stopped; a paused process gets what came meanwhile when it
 * wakes, and what it had begun to do at that moment is done only then.
 */
import type { Answer, Call, Effect, Event, Result } from '../../src/ha/protocol/messages.ts';
import { createNode, type NodeState } from '../../src/ha/protocol/state.ts';
import { step } from '../../src/ha/protocol/step.ts';
import type { Lease, Read, Slot } from '../../src/ha/protocol/blocks.ts';
import { springs } from './faults.ts';
import { noTroubles } from './troubles.ts';
import type { World } from './world.ts';

export interface Reply {
  readonly ok: boolean;
  readonly text: string;
}

/** `midway`: what the next step decides is carried out only on waking. `deaf`: what arrives is lost. */
interface PauseKind {
  readonly midway: boolean;
  readonly deaf?: boolean;
}

type Timeless<T> = T extends unknown ? Omit<T, 'nowMs'> : never;
export type Happening = Timeless<Event>;

export class SimNode {
  readonly index: number;
  readonly name: string;
  powered = true;
  /** Counts power-ons; what was begun before the last one is gone. */
  powerCycle = 1;
  state: NodeState;
  alive = false;
  /** Counts processes. */
  generation = 0;
  /** Left or was taken out: systemd doesn't start it again by itself. */
  stopped = false;
  leftCleanly = false;
  bootedMs = 0;
  paused = false;
  /** Stopped as a machine: what arrives is lost. */
  deaf = false;
  stallForMs = 0;
  private stallDeaf = false;
  readonly clockRate: number;
  readonly clockBaseMs: number;
  wallOffsetMs = 0;
  readonly vms = new Set<string>();
  /** Domains that xl is making: they are in the list. */
  readonly building = new Set<string>();
  /** Migrations under way: they count as no VM in the list of this node. */
  readonly arriving = new Set<string>();
  watchdogFedMs = 0;
  troubles = noTroubles();
  private backlog: (() => void)[] = [];
  private tickMissed = false;
  private replies = new Map<number, (reply: Reply) => void>();
  private asks = new Map<number, boolean>();
  private callId = 0;
  private readonly world: World;

  constructor(world: World, index: number, clockRate: number, clockBaseMs: number) {
    this.world = world;
    this.index = index;
    this.name = world.names[index] ?? '';
    this.clockRate = clockRate;
    this.clockBaseMs = clockBaseMs;
    this.state = createNode(world.configOf(index));
  }

  /** The own monotonic clock. */
  get clockMs(): number {
    return Math.floor(this.clockBaseMs + this.world.queue.nowMs * this.clockRate);
  }

  /** Starts cxmd and lets it join. */
  boot(): void {
    if (!this.powered || this.alive) return;
    this.generation += 1;
    this.bootedMs = this.world.queue.nowMs;
    this.alive = true;
    this.stopped = false;
    this.paused = false;
    this.deaf = false;
    this.stallForMs = 0;
    this.backlog = [];
    this.tickMissed = false;
    this.replies = new Map();
    this.asks = new Map();
    this.state = createNode(this.world.configOf(this.index));
    this.world.log(this, 'cxmd starts');
    this.call({ kind: 'join' });
    this.scheduleTick(this.generation, this.world.tickPhaseMs(this.index));
  }

  crash(): void {
    if (this.alive) this.world.log(this, 'cxmd is gone');
    this.alive = false;
    this.generation += 1;
    this.backlog = [];
  }

  powerOff(): void {
    if (!this.powered) return;
    this.world.log(this, `power off, with ${[...this.vms].join(' ')}`);
    this.crash();
    this.powered = false;
    // A machine that comes up has not started its watchdog.
    this.watchdogFedMs = 0;
    this.powerCycle += 1;
    this.vms.clear();
    this.building.clear();
    this.arriving.clear();
  }

  powerOn(): void {
    if (this.powered) return;
    this.powered = true;
    this.powerCycle += 1;
    this.world.log(this, 'power on');
  }

  /** Like SIGSTOP, or like an NMI of the firmware. */
  pause(durationMs: number, { midway, deaf }: PauseKind): void {
    if (!this.alive || this.paused) return;
    this.stallDeaf = deaf === true;
    if (midway) this.stallForMs = durationMs;
    else this.freeze(durationMs);
  }

  private freeze(durationMs: number): void {
    this.paused = true;
    this.deaf = this.stallDeaf;
    this.world.log(this, `${this.deaf ? 'stands still' : 'paused'} for ${String(Math.round(durationMs))} ms`);
    const { generation } = this;
    this.world.queue.after(durationMs, () => {
      if (this.generation === generation) this.wake();
    });
  }

  wake(): void {
    if (!this.paused) return;
    this.paused = false;
    this.deaf = false;
    this.world.log(this, 'wakes');
    const backlog = this.backlog.splice(0);
    const tickFirst = this.world.random.chance(0.5);
    if (this.tickMissed && tickFirst) this.tick();
    for (const go of backlog) go();
    if (this.tickMissed && !tickFirst) this.tick();
    this.tickMissed = false;
  }

  call(call: Call, answered?: (reply: Reply) => void): void {
    this.callId += 1;
    if (answered !== undefined) this.replies.set(this.callId, answered);
    this.happen({ kind: 'call', callId: this.callId, call });
  }

  /** For the process that runs now; one started later doesn't get it. */
  private later(go: () => void): () => void {
    const { generation } = this;
    return () => {
      if (this.generation === generation) this.whenRunning(go);
    };
  }

  private whenRunning(go: () => void): void {
    if (!this.alive) return;
    if (this.paused) this.backlog.push(go);
    else go();
  }

  happen(happening: Happening): void {
    if (!this.alive) return;
    if (this.paused) {
      if (this.backlog.length < 400) this.backlog.push(() => this.run(happening));
      return;
    }
    this.run(happening);
  }

  private run(happening: Happening): void {
    const { world } = this;
    // Each one happens once, so the time is written into it: a copy would cost as much as the step.
    const event = happening as Event & { nowMs: number };
    event.nowMs = this.clockMs;
    const before = this.state;
    const { state, effects } = step(before, event, world.rules);
    this.state = state;
    if (
      state.role !== before.role ||
      state.journal !== before.journal ||
      state.ownSlot.written.epoch !== before.ownSlot.written.epoch
    )
      world.checks.changed(this, before);
    if (effects.length === 0) return;
    for (const effect of effects) world.checks.decided(this, effect);
    const { trap } = world;
    if (trap !== undefined && effects.some((effect) => springs(trap.effect, effect))) {
      world.trap = undefined;
      if (this.spring(trap.action, trap.forMs)) return;
    }
    if (this.stallForMs > 0) {
      const durationMs = this.stallForMs;
      this.stallForMs = 0;
      this.freeze(durationMs);
      this.backlog.unshift(() => {
        for (const effect of effects) this.perform(effect);
      });
      return;
    }
    for (const effect of effects) this.perform(effect);
  }

  /** True if nothing of what was decided is carried out. */
  private spring(action: 'pause' | 'crash' | 'power-loss', forMs: number): boolean {
    this.world.log(this, `trapped: ${action}`);
    if (action === 'pause') {
      this.stallForMs = forMs;
      this.stallDeaf = false;
      return false;
    }
    const { world, powerCycle } = this;
    if (action === 'power-loss') this.powerOff();
    else {
      this.crash();
      world.queue.after(forMs, () => {
        if (this.powerCycle === powerCycle) this.boot();
      });
    }
    return true;
  }

  private scheduleTick(generation: number, delayMs: number): void {
    this.world.queue.after(delayMs, () => {
      if (this.generation !== generation) return;
      if (this.paused) this.tickMissed = true;
      else this.tick();
      this.scheduleTick(generation, this.world.timing.periodMs / this.clockRate);
    });
  }

  private tick(): void {
    this.happen({ kind: 'tick', wallMs: this.clockMs + this.wallOffsetMs });
  }

  private perform(effect: Effect): void {
    const { world, index } = this;
    switch (effect.kind) {
      case 'send':
        world.network.broadcast(index, (to) => {
          world.received(index, to, effect.datagram);
        });
        return;
      case 'read-disk':
        return this.readDisk();
      case 'write-slot':
        return this.writeSlot(effect.slot);
      case 'write-lease':
        return this.writeLease(effect.lease);
      case 'mend-slot':
        return this.mendSlot(effect);
      case 'list-vms':
        return this.listVms(world.random.between(20, 150));
      case 'ask':
        return this.ask(effect);
      case 'answer':
        world.answer(effect.askId, effect.answer);
        return;
      case 'reply':
        this.replies.get(effect.callId)?.({ ok: effect.ok, text: effect.text });
        this.replies.delete(effect.callId);
        return;
      case 'fence':
        // The shell begins the program before it takes in anything else.
        return world.power.fence(this, effect);
      case 'fence-status':
        world.power.status(this, effect);
        return;
      case 'ping':
        return world.guests.ping(this, effect);
      case 'start':
        world.queue.after(
          world.random.between(1, 30),
          this.later(() => world.guests.start(this, effect)),
        );
        return;
      case 'plan':
        return world.guests.plan(this, effect);
      case 'feed-watchdog':
        if (!this.troubles.watchdogUnfed) this.watchdogFedMs = world.queue.nowMs;
        return;
      case 'alarm':
        world.log(this, `alarm: ${effect.text}`);
        return;
      case 'stopped':
        this.crash();
        this.stopped = true;
        this.leftCleanly = effect.atRest;
        return;
    }
  }

  /** The end of an effect with an id, for the process that began it. */
  finisher(id: number): (result: Result) => void {
    const { generation } = this;
    return (result) => {
      if (this.generation === generation) this.happen({ kind: 'done', id, result });
    };
  }

  private readDisk(): void {
    const { world, generation } = this;
    const issuedMs = this.clockMs;
    const isOurs = (): boolean => this.generation === generation;
    world.disk.read(
      this.index,
      (lease: Read<Lease>, slots: readonly Read<Slot>[]) => {
        if (isOurs()) this.happen({ kind: 'read', issuedMs, lease, slots });
      },
      () => {
        if (isOurs()) this.happen({ kind: 'read-failed' });
      },
    );
  }

  private writeSlot(slot: Slot): void {
    const { powerCycle, world } = this;
    const tell = (kind: 'slot-written' | 'slot-write-failed'): (() => void) =>
      this.told(() => this.happen({ kind, sequence: slot.sequence }));
    const isOn = (): boolean => this.powerCycle === powerCycle;
    world.disk.writeSlot(this.index, slot, tell('slot-written'), tell('slot-write-failed'), isOn);
  }

  private writeLease(lease: Lease): void {
    const { powerCycle, world } = this;
    const tell = (kind: 'lease-written' | 'lease-write-failed'): (() => void) => this.told(() => this.happen({ kind }));
    const isOn = (): boolean => this.powerCycle === powerCycle;
    world.disk.writeLease(this.index, lease, tell('lease-written'), tell('lease-write-failed'), isOn);
  }

  private mendSlot({ id, slot, notAfterMs }: Extract<Effect, { kind: 'mend-slot' }>): void {
    const { powerCycle, world } = this;
    const finish = this.finisher(id);
    const end = (ok: boolean): void => finish({ kind: 'mend-slot', ok, reason: ok ? '' : 'not written' });
    world.queue.after(
      world.random.between(1, 30),
      this.later(() => {
        if (this.clockMs > notAfterMs || world.disk.slots[slot.index] !== 'torn') return end(false);
        world.checks.mendBegins(this, slot);
        world.log(this, `mends the slot of ${slot.name}`);
        const isOn = (): boolean => this.powerCycle === powerCycle;
        world.disk.mendSlot(
          this.index,
          slot,
          this.told(() => end(true)),
          this.told(() => end(false)),
          isOn,
        );
      }),
    );
  }

  private told(go: () => void): () => void {
    const { generation } = this;
    return () => {
      if (this.generation === generation) go();
    };
  }

  /** Sampled at once, reported after a moment; later lists say that they are later. */
  listVms(delayMs: number): void {
    const { world, generation } = this;
    world.queue.after(delayMs, () => {
      if (this.generation !== generation || !this.powered) return;
      if (this.troubles.toolstackHung) return this.listVms(1000);
      this.happen({ kind: 'vms', others: false, sampledMs: this.clockMs, vms: [...this.vms, ...this.building] });
    });
  }

  private ask(effect: Extract<Effect, { kind: 'ask' }>): void {
    const { world, generation } = this;
    this.asks.set(effect.askId, true);
    const fail = (): void => {
      if (this.generation === generation && this.asks.delete(effect.askId)) {
        this.happen({ kind: 'ask-failed', askId: effect.askId });
      }
    };
    world.queue.after(effect.deadlineMs, fail);
    world.ask(this, effect, fail, (answer: Answer) => {
      if (this.generation === generation && this.asks.delete(effect.askId)) {
        if (answer.kind === 'ping') world.checks.pingKnown(this, effect.askId, answer.results);
        this.happen({ kind: 'answered', askId: effect.askId, answer });
      }
    });
  }
}

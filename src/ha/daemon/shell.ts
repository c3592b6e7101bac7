/**
 * The shell around the protocol: gives it what happens, one event after the other, and carries out what it decides.
 *
 * Guarantees (the obligations in protocol/messages.ts): effects in the order of the list; every event with the own clock's
 * time of its delivery; every effect with an id ends once; no write is reported as over before the storage has said so. An
 * event that comes while another one is dealt with waits for its turn.
 */
import { asCxmError, CxmError } from '../../errors.ts';
import type { BootClock } from '../effects/boot-clock.ts';
import type { Datagram, NodeIndex } from '../protocol/blocks.ts';
import type { Answer, Call, Effect, Event, Request, Result } from '../protocol/messages.ts';
import type { NodeConfig, Why } from '../protocol/parts.ts';
import { createNode, nameOf, type NodeState } from '../protocol/state.ts';
import { step } from '../protocol/step.ts';
import type { DiskContents } from '../disk/heartbeat-disk.ts';
import type { Lease, Slot } from '../protocol/blocks.ts';
import type { FenceOutcome, Power } from '../effects/fencing.ts';
import type { Hypervisor } from '../effects/hypervisor.ts';
import type { PingResult } from '../protocol/messages.ts';
import { entryOf, type Journal } from './journal.ts';
import { eventOf, type Logger } from './log.ts';
import { Reminders } from './reminders.ts';
import { lastingTroubles } from './view.ts';
import { VmPoll } from './vm-poll.ts';
import { VmWork } from './vm-work.ts';

/** What the shell works on; real bodies in run.ts. */
export interface ShellParts {
  readonly clock: BootClock;
  readonly disk: {
    read(): Promise<DiskContents>;
    writeSlot(slot: Slot): Promise<void>;
    writeLease(lease: Lease): Promise<void>;
    mendSlot(slot: Slot, notAfterMs: number): Promise<void>;
  };
  send(datagram: Datagram): void;
  /** @throws CxmError; by the deadline at the latest */
  askPeer(node: string, request: Request, deadlineMs: number): Promise<Answer>;
  fence(node: string, notAfterMs: number): Promise<FenceOutcome>;
  powerOf(node: string): Promise<Power>;
  ping(vms: readonly string[], deadlineMs: number): Promise<readonly PingResult[]>;
  readonly hypervisor: Hypervisor;
  feedWatchdog(): void;
  /** RESTART_FIRST and NO_RESTART, as they are at the moment. */
  restartRules(): { readonly first: readonly string[]; readonly never: readonly string[] };
  stopped(reason: string, end: { readonly clean: boolean; readonly atRest: boolean }): void;
  readonly journal: Journal;
  readonly log: Logger;
}

export interface Reply {
  readonly ok: boolean;
  readonly text: string;
}

type Timeless<T> = T extends unknown ? Omit<T, 'nowMs'> : never;
export type Happening = Timeless<Event>;

export class Shell {
  state: NodeState;
  private readonly queue: Happening[] = [];
  private isBusy = false;
  private isOver = false;
  private ticking: NodeJS.Timeout | undefined;
  private lastWhy: Why | undefined;
  private lastCallId = 0;
  private readonly replies = new Map<number, (reply: Reply) => void>();
  private lastAskedId = 0;
  private readonly asked = new Map<number, (answer: Answer) => void>();
  private readonly poll: VmPoll;
  private readonly work: VmWork;
  private readonly reminders: Reminders;
  /** Effects of a kind that have failed and were told, until one succeeds. */
  private readonly failing = new Set<string>();

  constructor(
    config: NodeConfig,
    private readonly parts: ShellParts,
  ) {
    this.state = createNode(config);
    this.reminders = new Reminders(parts.log);
    this.poll = new VmPoll(parts.hypervisor, parts.clock, {
      listed: (found, sampledMs) => this.happen({ kind: 'vms', ...found, sampledMs }),
      outcome: (error) => this.tellFailure('hypervisor', 'list of VMs', error),
    });
    this.work = new VmWork({
      hypervisor: parts.hypervisor,
      clock: parts.clock,
      state: () => this.state,
      rules: () => parts.restartRules(),
      done: (id, result) => this.happen({ kind: 'done', id, result }),
    });
  }

  /** Begins to tick, and to look at the VMs. */
  start(): void {
    const { periodMs } = this.state.config.timing;
    const tick = (): void => this.happen({ kind: 'tick', wallMs: Date.now() });
    tick();
    this.ticking = setInterval(tick, periodMs);
    this.poll.start();
  }

  /** Nothing happens any more. */
  end(): void {
    this.isOver = true;
    clearInterval(this.ticking);
    this.poll.end();
    for (const reply of this.replies.values()) reply({ ok: false, text: 'cxmd has ended' });
  }

  /** What a person or a program of this node wants. */
  call(call: Call): Promise<Reply> {
    const callId = (this.lastCallId += 1);
    return new Promise((resolve) => {
      this.replies.set(callId, resolve);
      this.happen({ kind: 'call', callId, call });
    });
  }

  /** What another node asks. Never settles if the protocol has no answer. */
  answer(from: NodeIndex, request: Request): Promise<Answer> {
    // Numbers of our own: an asker that was restarted begins to count anew.
    const askId = (this.lastAskedId += 1);
    return new Promise((resolve) => {
      // Nobody waits for an answer any longer.
      const limitMs = 3 * this.state.config.timing.migrateDeadlineMs;
      const limit = setTimeout(() => this.asked.delete(askId), limitMs).unref();
      this.asked.set(askId, (answer) => {
        clearTimeout(limit);
        resolve(answer);
      });
      this.happen({ kind: 'asked', askId, from, request });
    });
  }

  /** Of cxm.conf what may change while the daemon runs. */
  reconfigure(change: Partial<Pick<NodeConfig, 'nodes' | 'fencing'>>): void {
    this.state = { ...this.state, config: { ...this.state.config, ...change } };
  }

  happen(happening: Happening): void {
    this.queue.push(happening);
    if (this.isBusy) return;
    this.isBusy = true;
    try {
      for (let next = this.queue.shift(); next !== undefined; next = this.queue.shift()) this.take(next);
    } finally {
      this.isBusy = false;
    }
  }

  private take(happening: Happening): void {
    if (this.isOver) return;
    const event = { ...happening, nowMs: this.parts.clock() } as Event;
    const { state, effects } = step(this.state, event);
    this.state = state;
    this.record();
    if (event.kind === 'tick') this.reminders.look(lastingTroubles(state), event.nowMs);
    for (const effect of effects) {
      this.parts.log('trace', `${event.kind}: ${JSON.stringify(effect)}`);
      this.perform(effect);
    }
  }

  private record(): void {
    const { journal } = this.state;
    const last = journal.at(-1);
    if (last === this.lastWhy) return;
    const known = this.lastWhy === undefined ? -1 : journal.lastIndexOf(this.lastWhy);
    this.lastWhy = last;
    for (const why of journal.slice(known + 1)) {
      this.parts.journal.add(entryOf(why));
      if (why.decision === 'alarm') continue;
      this.parts.log(eventOf(why.decision), `${why.subject}: ${why.decision} (${why.evidence})`);
    }
  }

  private perform(effect: Effect): void {
    const { parts } = this;
    // An effect before this one may have ended it, as a watchdog that can't be had does.
    if (this.isOver) return;
    switch (effect.kind) {
      case 'send':
        return parts.send(effect.datagram);
      case 'read-disk':
        return this.readDisk();
      case 'write-slot':
        return this.writeSlot(effect.slot);
      case 'write-lease':
        return this.writeLease(effect.lease);
      case 'mend-slot':
        return this.finish(effect.id, this.mendSlot(effect));
      case 'list-vms':
        return this.poll.look();
      case 'ask':
        return this.ask(effect);
      case 'answer':
        this.asked.get(effect.askId)?.(effect.answer);
        this.asked.delete(effect.askId);
        return;
      case 'reply':
        this.replies.get(effect.callId)?.({ ok: effect.ok, text: effect.text });
        this.replies.delete(effect.callId);
        return;
      case 'fence':
        return this.finish(effect.id, this.fence(effect));
      case 'fence-status':
        return this.finish(
          effect.id,
          parts.powerOf(nameOf(this.state, effect.node)).then((power) => ({ kind: 'fence-status', power })),
        );
      case 'ping':
        return this.finish(
          effect.id,
          parts.ping(effect.vms, effect.deadlineMs).then((results) => ({ kind: 'ping', results })),
        );
      case 'start':
        return this.work.start(effect);
      case 'plan':
        return this.work.plan(effect);
      case 'feed-watchdog':
        return parts.feedWatchdog();
      case 'alarm':
        return parts.log('alarm', effect.text);
      case 'stopped':
        return parts.stopped(effect.reason, effect);
    }
  }

  private readDisk(): void {
    const issuedMs = this.parts.clock();
    this.parts.disk.read().then(
      ({ lease, slots }) => {
        this.tellFailure('disk', 'read', undefined);
        this.happen({ kind: 'read', issuedMs, lease, slots });
      },
      (error: unknown) => {
        this.tellFailure('disk', 'read', error);
        this.happen({ kind: 'read-failed' });
      },
    );
  }

  private writeSlot(slot: Slot): void {
    this.parts.disk.writeSlot(slot).then(
      () => {
        this.tellFailure('disk', 'write of the slot', undefined);
        this.happen({ kind: 'slot-written', sequence: slot.sequence });
      },
      (error: unknown) => {
        this.tellFailure('disk', 'write of the slot', error);
        this.happen({ kind: 'slot-write-failed', sequence: slot.sequence });
      },
    );
  }

  private writeLease(lease: Lease): void {
    this.parts.disk.writeLease(lease).then(
      () => this.happen({ kind: 'lease-written' }),
      (error: unknown) => {
        this.tellFailure('disk', 'write of the lease', error);
        this.happen({ kind: 'lease-write-failed' });
      },
    );
  }

  private ask({ askId, to, request, deadlineMs }: Extract<Effect, { kind: 'ask' }>): void {
    const isSelf = to === this.state.config.self;
    const answer = isSelf
      ? withDeadline(this.answer(to, request), deadlineMs)
      : this.parts.askPeer(nameOf(this.state, to), request, deadlineMs);
    answer.then(
      (value) => this.happen({ kind: 'answered', askId, answer: value }),
      (error: unknown) => {
        this.parts.log('trace', `asking ${nameOf(this.state, to)}: ${asCxmError(error).message}`);
        this.happen({ kind: 'ask-failed', askId });
      },
    );
  }

  private async fence(effect: Extract<Effect, { kind: 'fence' }>): Promise<Result> {
    const { ok, reason } = await this.parts.fence(nameOf(this.state, effect.node), effect.notAfterMs);
    return { kind: 'fence', ok, reason };
  }

  private mendSlot({ slot, notAfterMs }: Extract<Effect, { kind: 'mend-slot' }>): Promise<Result> {
    return this.parts.disk.mendSlot(slot, notAfterMs).then(
      () => ({ kind: 'mend-slot', ok: true, reason: '' }),
      (error: unknown) => ({ kind: 'mend-slot', ok: false, reason: asCxmError(error).message }),
    );
  }

  /** Of functions that don't throw; should one do so, its effect has failed. */
  private finish(id: number, result: Promise<Result>): void {
    result.then(
      (value) => this.happen({ kind: 'done', id, result: value }),
      (error: unknown) => {
        this.parts.log('alarm', `an effect of cxmd has failed: ${asCxmError(error).message}`);
        this.happen({ kind: 'done', id, result: { kind: 'fence', ok: false, reason: 'an error of cxmd' } });
      },
    );
  }

  /** Once when it begins to fail, and once when it works again. */
  private tellFailure(event: 'disk' | 'hypervisor', what: string, error: unknown): void {
    if (error === undefined) {
      if (this.failing.delete(what)) this.parts.log(event, `${what} works again`);
      return;
    }
    if (this.failing.has(what)) return;
    this.failing.add(what);
    this.parts.log(event, `${what} fails: ${asCxmError(error).message}`);
  }
}

function withDeadline<T>(promise: Promise<T>, deadlineMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new CxmError('TIMEOUT', 'no answer in time')), deadlineMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/**
 * Starting, receiving and placing VMs as the protocol orders it.
 *
 * Guarantees: an order that comes too late is refused before anything is done; what waits for its turn, or was prepared for
 * long, is looked at again immediately before the VM is made (view.ts); every order ends once, by the deadline of starts at
 * the latest, with `unknown` if the toolstack has not said how.
 */
import { asCxmError } from '../../errors.ts';
import type { BootClock } from '../effects/boot-clock.ts';
import type { Hypervisor, Started, StartOrder } from '../effects/hypervisor.ts';
import type { Effect, Result } from '../protocol/messages.ts';
import { nameOf, type NodeState } from '../protocol/state.ts';
import { aliveNodes, bystandersOf, obstacleToWork } from './view.ts';

type StartEffect = Extract<Effect, { kind: 'start' }>;
type PlanEffect = Extract<Effect, { kind: 'plan' }>;

export interface VmWorkParts {
  readonly hypervisor: Hypervisor;
  readonly clock: BootClock;
  state(): NodeState;
  rules(): { readonly first: readonly string[]; readonly never: readonly string[] };
  done(id: number, result: Result): void;
}

/** More than these at once would only make dom0 slow. */
const startsAtOnce = 4;

export class VmWork {
  private waiting: StartEffect[] = [];
  private running = 0;

  constructor(private readonly parts: VmWorkParts) {}

  start(effect: StartEffect): void {
    if (this.parts.clock() > effect.notAfterMs) {
      return this.end(effect, { outcome: 'refused', reason: 'it was too late to begin' });
    }
    const place = this.waiting.findIndex((other) => this.rank(other) > this.rank(effect));
    this.waiting.splice(place < 0 ? this.waiting.length : place, 0, effect);
    // Orders of one decision come one after the other: the first ones must not overtake the most important ones.
    setImmediate(() => this.next());
  }

  plan({ id, vms, nodes, failed }: PlanEffect): void {
    const state = this.parts.state();
    const isRecovery = state.recovery?.planId === id;
    const never = new Set(isRecovery ? this.parts.rules().never : []);
    const wanted = vms.filter((vm) => !never.has(vm));
    const left = vms
      .filter((vm) => never.has(vm))
      .map((vm) => ({ vm, reason: 'NO_RESTART of cxm.conf names it', panic: false, final: true }));
    const name = (node: number): string => nameOf(state, node);
    const order = {
      vms: wanted,
      nodes: nodes.map(name),
      failed: failed.map(({ vm, node }) => ({ vm, node: name(node) })),
      first: this.parts.rules().first,
    };
    const planning =
      wanted.length === 0 ? Promise.resolve({ placements: [], left: [] }) : this.parts.hypervisor.plan(order);
    planning.then(
      (planned) => {
        const found = planned.placements.flatMap(({ vm, node }) => {
          const index = state.config.nodes.indexOf(node);
          return index < 0 ? [] : [{ vm, node: index }];
        });
        const placements = found.sort((one, other) => this.rank(one) - this.rank(other));
        this.parts.done(id, { kind: 'plan', placements, left: [...left, ...planned.left] });
      },
      (error: unknown) => {
        const reason = `no place could be looked for: ${asCxmError(error).message}`;
        const all = wanted.map((vm) => ({ vm, reason, panic: true }));
        this.parts.done(id, { kind: 'plan', placements: [], left: [...left, ...all] });
      },
    );
  }

  /** Those of RESTART_FIRST before all others, in its order. */
  private rank({ vm }: { readonly vm: string }): number {
    const place = this.parts.rules().first.indexOf(vm);
    return place < 0 ? Number.MAX_SAFE_INTEGER : place;
  }

  private next(): void {
    if (this.running >= startsAtOnce) return;
    const effect = this.waiting.shift();
    if (effect === undefined) return;
    this.running += 1;
    void this.carryOut(effect).then((started) => {
      this.running -= 1;
      this.end(effect, started);
      this.next();
    });
  }

  private async carryOut({ id, vm, source }: StartEffect): Promise<Started> {
    const { hypervisor, clock, state } = this.parts;
    const obstacle = (): string | undefined => obstacleToWork(state(), clock(), id);
    const first = obstacle();
    if (first !== undefined) return { outcome: 'refused', reason: first };
    const from = source < 0 ? undefined : nameOf(state(), source);
    const alive = aliveNodes(state(), clock());
    // A node that is cut off from the network may yet be reached over ssh.
    const nodes = from === undefined || alive.includes(from) ? alive : [...alive, from];
    const bystanders = bystandersOf(state(), clock()).filter((name) => !nodes.includes(name));
    const order: StartOrder = { vm, nodes, bystanders, obstacle };
    const work = from === undefined ? hypervisor.start(order) : hypervisor.receive(order, from);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Started>((resolve) => {
      const { startDeadlineMs, migrateDeadlineMs } = state().config.timing;
      const limitMs = source < 0 ? startDeadlineMs : migrateDeadlineMs;
      timer = setTimeout(() => resolve({ outcome: 'unknown', reason: 'the toolstack has not come back' }), limitMs);
    });
    return Promise.race([work, late]).finally(() => clearTimeout(timer));
  }

  private end({ id }: StartEffect, { outcome, reason }: Started): void {
    this.parts.done(id, { kind: 'start', outcome, reason });
  }
}

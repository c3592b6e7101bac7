/** A node of the protocol for tests that put single events before it: events in, effects out, time by hand. */
import type { Answer, Effect, Event } from '../../../src/ha/protocol/messages.ts';
import { createNode, type NodeState } from '../../../src/ha/protocol/state.ts';
import { step } from '../../../src/ha/protocol/step.ts';
import {
  emptyLedger,
  noSwitches,
  type Datagram,
  type Lease,
  type Read,
  type Slot,
  type Token,
} from '../../../src/ha/protocol/blocks.ts';
import { deriveTiming } from '../../../src/ha/protocol/timing.ts';

type Timeless<T> = T extends unknown ? Omit<T, 'nowMs'> : never;

export class Member {
  nowMs = 1000;
  state: NodeState;
  /** What stands on the disk, for tests that write it there. */
  lease: Lease | undefined;
  slot: Slot | undefined;
  /** Since the last `take`. */
  private effects: Effect[] = [];

  constructor(self: number, nodes: readonly string[], watchdogArmed = false) {
    this.state = createNode({
      self,
      nodes,
      diskId: 'disk',
      timing: deriveTiming(3, watchdogArmed ? { watchdogMs: 30_000 } : {}),
      fencing: 'with-status',
      watchdogArmed,
    });
  }

  happen(event: Timeless<Event>): void {
    const { state, effects } = step(this.state, { ...event, nowMs: this.nowMs } as Event);
    this.state = state;
    this.effects.push(...effects);
  }

  take<K extends Effect['kind']>(kind: K): Extract<Effect, { kind: K }>[] {
    const found = this.effects.filter((effect): effect is Extract<Effect, { kind: K }> => effect.kind === kind);
    this.effects = this.effects.filter((effect) => effect.kind !== kind);
    return found;
  }

  /** All kinds in their order, of which none was taken yet. */
  all(): readonly Effect[] {
    return this.effects;
  }

  /** A heartbeat of another node. */
  hear(from: number, said: Partial<Datagram>): void {
    const datagram: Datagram = {
      ...{ from, incarnation: 1, sequence: 1, role: 'passive', state: 'normal', epoch: 1, switches: noSwitches() },
      ...{ heardAgeMs: [-1, -1, -1], ballot: 0, slotSequence: 0, unlisted: false, diskId: 'disk' },
      ...said,
    };
    this.happen({ kind: 'datagram', datagram });
  }

  /** A second, with a tick. */
  tick(): void {
    this.nowMs += 1000;
    this.happen({ kind: 'tick', wallMs: this.nowMs });
  }

  /** The master wants a VM to be started here. */
  order(vm: string, token: Token): void {
    this.happen({ kind: 'asked', askId: 9, from: token.owner, request: { kind: 'start', vm, token } });
  }

  read(lease: Read<Lease>, slots: readonly Read<Slot>[] = []): void {
    this.happen({ kind: 'read', issuedMs: this.nowMs, lease, slots });
  }

  /** Lets it join under a master, whose lease is given. */
  join(lease: Lease): void {
    this.happen({ kind: 'call', callId: 1, call: { kind: 'join' } });
    this.happen({ kind: 'vms', others: false, sampledMs: this.nowMs, vms: [] });
    this.tick();
    this.read(lease);
    this.tick();
    const [ask] = this.take('ask');
    const answer: Answer = { kind: 'join', accepted: true, final: false, reason: '', minimumIncarnation: 1 };
    this.happen({ kind: 'answered', askId: ask?.askId ?? 0, answer });
  }
}

export function leaseOf(owner: number, epoch: number, sequence: number): Lease {
  return { epoch, owner, incarnation: 1, sequence, released: false, ledger: emptyLedger(3) };
}

export function slotOf(index: number, name: string, sequence: number, epoch: number): Slot {
  return {
    index,
    name,
    incarnation: 1,
    sequence,
    epoch,
    role: 'passive',
    maintenance: false,
    watchdogMs: 0,
    vms: [],
    partial: false,
    ledger: emptyLedger(3),
    switches: noSwitches(),
  };
}

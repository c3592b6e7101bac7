/** A member that has become master of a cluster of two, beside one whose heartbeats a test lets go on or stand still. */
import type { Lease, Read, Slot } from '../../../src/ha/protocol/blocks.ts';
import { Member, slotOf } from './member.ts';

interface BetaDoes {
  readonly speaks?: boolean;
  readonly writes?: boolean;
  /** It says that it has VMs that do not stand in its slot. */
  readonly unlisted?: boolean;
  /** Its slot has a wrong checksum whenever it is read. */
  readonly torn?: boolean;
  /** What is read instead of alpha's own lease. */
  readonly lease?: Read<Lease>;
}

export class Master extends Member {
  /** Counters of the other one: on the network, and in its slot. */
  private heard = 0;
  private written = 0;

  /** @param betaWatchdogMs time-out of beta's watchdog; alpha has one of 30 s */
  constructor(
    private readonly betaWatchdogMs = 0,
    private readonly betaVms: Slot['vms'] = [],
  ) {
    super(0, ['alpha', 'beta'], true);
    this.happen({ kind: 'call', callId: 1, call: { kind: 'join' } });
    this.happen({ kind: 'vms', others: false, sampledMs: this.nowMs, vms: [] });
    while (this.state.held === undefined && this.nowMs < 60_000) this.live(1, { writes: false });
    this.live(3);
  }

  /** Seconds with a tick and a read each; all of alpha's writes reach the disk. */
  live(seconds: number, beta: BetaDoes = {}): void {
    for (let at = 0; at < seconds; at += 1) {
      this.tick();
      if (beta.speaks ?? true)
        this.hear(1, { sequence: (this.heard += 1), epoch: 0, unlisted: beta.unlisted ?? false });
      if (beta.writes ?? true) this.written += 1;
      for (const { slot } of this.take('write-slot')) {
        this.slot = slot;
        this.happen({ kind: 'slot-written', sequence: slot.sequence });
      }
      const slot =
        this.written === 0
          ? 'empty'
          : { ...slotOf(1, 'beta', this.written, 0), watchdogMs: this.betaWatchdogMs, vms: this.betaVms };
      this.read(beta.lease ?? this.lease ?? 'empty', [this.slot ?? 'empty', beta.torn === true ? 'torn' : slot]);
      for (const { lease } of this.take('write-lease')) {
        this.lease = lease;
        this.happen({ kind: 'lease-written' });
      }
    }
  }
}

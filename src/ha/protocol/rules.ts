/**
 * The sentences on which safety rests, one small predicate each, in a record that `step` is given. The real ones are the
 * default; the tests put a false one in its place, one at a time, and the simulator has to notice.
 */
import type { Lease, NodeIndex, Token, VmEntry } from './blocks.ts';
import type { PingResult } from './messages.ts';
import type { Timing } from './timing.ts';

export type Channel = 'ok' | 'lost' | 'unknown';

export interface Rules {
  /** Which of the two times an event carries is the clock. */
  readonly clock: (nowMs: number, wallMs: number) => number;
  /** A master acts only so long after the last renewal that succeeded was issued. */
  readonly mayAct: (renewedMs: number, nowMs: number, timing: Timing) => boolean;
  /** Until when the carrying out of an order may begin that was checked against what is known since seenMs. */
  readonly notAfter: (seenMs: number, durationMs: number) => number;
  /** A lease that could not be renewed in time is lost for good. */
  readonly leaseExpired: (renewedMs: number, nowMs: number, timing: Timing) => boolean;
  /** Does a renewal find its own lease, or somebody else's at the same or a higher epoch? */
  readonly leaseTaken: (read: Lease, epoch: number, self: NodeIndex) => boolean;
  /** A higher epoch was seen, wherever: somebody else has claimed since. */
  readonly overtaken: (epoch: number, own: number) => boolean;
  /** The write of a claim must have ended soon after the read it rests on. */
  readonly claimInTime: (readIssuedMs: number, writtenMs: number, timing: Timing) => boolean;
  /** A claim is confirmed by a read that began long enough after its write. */
  readonly claimSettled: (writtenMs: number, readIssuedMs: number, timing: Timing) => boolean;
  /** The lease may be claimed when it was released, or seen unchanged for long enough. */
  readonly leaseLost: (changedMs: number, readIssuedMs: number, timing: Timing) => boolean;
  /** The fencing token: no lower epoch than the highest seen, and of the same one no other owner. */
  readonly acceptsToken: (token: Token, epoch: number, owner: NodeIndex | -1) => boolean;
  /** The epoch a slot carries, and which survives a restart through it. */
  readonly persistedEpoch: (epoch: number) => number;
  /** Only a node that is lost on both channels is presumed dead. */
  readonly presumedDead: (net: Channel, disk: Channel) => boolean;
  /** A VM that answers forbids to fence its node. */
  readonly forbidsFencing: (results: readonly PingResult[]) => boolean;
  /** Exit status 0, and where the power state can be asked, `off`. */
  readonly fenceConfirmed: (ok: boolean, power: 'off' | 'on' | 'unknown' | 'not-asked') => boolean;
  /** A higher epoch, wherever it was seen, means that the lease has changed. */
  readonly higherEpochIsChange: boolean;
  /** A block with a wrong checksum was not read. */
  readonly tornIsChange: boolean;
  /** A master acts only while it reads back what it has written: what the others can't see renews nothing. */
  readonly readsBack: boolean;
  /** A lease that was not looked at for a while was not seen unchanged. */
  readonly noticesLookAway: boolean;
  /** After an own pause the silence of others is counted anew. */
  readonly noticesOwnPause: boolean;
  /** What the other members hear counts as heard. */
  readonly believesOthersHear: boolean;
  /** A VM that stands in the slot of another node is not started. */
  readonly respectsClaim: (entry: VmEntry) => boolean;
  /**
   * The damaged slot of another node is written anew only if its node is off for certain, and this stands on the disk: no
   * life of it that was read or heard of is above the one that is written down as off.
   */
  readonly mayMend: (isVoid: boolean, latest: number, writtenOff: number) => boolean;
  /** After the VMs were pinged, the evidence is looked at again. */
  readonly looksAgain: boolean;
  /** Before a node is fenced, the disk is read once more. */
  readonly readsBeforeFencing: boolean;
  /** Only who has been seen alive by us can have died. */
  readonly judgesUnseen: boolean;
  /** The watchdog is fed only by who is seen on the disk or heard by the master. */
  readonly mayFeed: (isSeen: boolean, isMember: boolean) => boolean;
}

export const realRules: Rules = {
  clock: (nowMs) => nowMs,
  mayAct: (renewedMs, nowMs, timing) => nowMs < renewedMs + timing.leaseStopMs,
  notAfter: (seenMs, durationMs) => seenMs + durationMs,
  leaseExpired: (renewedMs, nowMs, timing) => nowMs >= renewedMs + timing.leaseStopMs,
  leaseTaken: (read, epoch, self) => read.epoch > epoch || (read.epoch === epoch && read.owner !== self),
  overtaken: (epoch, own) => epoch > own,
  claimInTime: (readIssuedMs, writtenMs, timing) => writtenMs - readIssuedMs <= timing.claimDelayMs / 2,
  claimSettled: (writtenMs, readIssuedMs, timing) => readIssuedMs - writtenMs >= timing.claimSettleMs,
  leaseLost: (changedMs, readIssuedMs, timing) => readIssuedMs - changedMs >= timing.leaseLostMs,
  acceptsToken: (token, epoch, owner) =>
    token.epoch > epoch || (token.epoch === epoch && (owner === -1 || owner === token.owner)),
  persistedEpoch: (epoch) => epoch,
  presumedDead: (net, disk) => net === 'lost' && disk === 'lost',
  forbidsFencing: (results) => results.includes('answer'),
  fenceConfirmed: (ok, power) => ok && (power === 'off' || power === 'not-asked'),
  higherEpochIsChange: true,
  tornIsChange: false,
  readsBack: true,
  noticesLookAway: true,
  noticesOwnPause: true,
  believesOthersHear: true,
  respectsClaim: () => true,
  mayMend: (isVoid, latest, writtenOff) => isVoid && latest <= writtenOff,
  looksAgain: true,
  readsBeforeFencing: true,
  judgesUnseen: false,
  mayFeed: (isSeen) => isSeen,
};

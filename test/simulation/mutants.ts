/** Deliberate breakages of the protocol: each replaces one rule by a false one, and the simulator has to notice. */
import { realRules, type Rules } from '../../src/ha/protocol/rules.ts';

export interface Mutant {
  readonly name: string;
  readonly rules: Rules;
  /** Whoever starts a VM asks no node over ssh that is not alive to it: in all but rare seeds that hides what claims are for. */
  readonly asksNoBystander: boolean;
}

function mutant(name: string, changed: Partial<Rules>, more: { readonly asksNoBystander?: boolean } = {}): Mutant {
  return { name, rules: { ...realRules, ...changed }, asksNoBystander: more.asksNoBystander ?? false };
}

const afterEverythingMs = 1e9;

/**
 * A lease that must be watched before it is claimed hides what the rules of claims beside it are for, in all but rare seeds.
 * test/ha/protocol/lease.test.ts breaks this rule by itself.
 */
const unwatched: Partial<Rules> = { noticesLookAway: false };

export const mutants: readonly Mutant[] = [
  mutant('acts without a look at the lease', {
    mayAct: () => true,
    notAfter: (seenMs) => seenMs + afterEverythingMs,
  }),
  mutant('carries out what was decided before it was stopped', { notAfter: (seenMs) => seenMs + afterEverythingMs }),
  mutant('counts the wall clock', { clock: (_nowMs, wallMs) => wallMs }),
  mutant('accepts an old epoch', { acceptsToken: () => true }),
  mutant('fences on one lost channel', { presumedDead: (net, disk) => net === 'lost' || disk === 'lost' }),
  mutant('ignores a VM that answers', { forbidsFencing: () => false }),
  mutant('claims the lease without delay', { claimSettled: () => true }),
  mutant('claims a lease that is alive', { leaseLost: (changedMs, readIssuedMs) => readIssuedMs - changedMs >= 2000 }),
  mutant('takes a slow claim for a good one', { claimInTime: () => true, ...unwatched }),
  mutant('renews without reading first, however late', {
    leaseTaken: () => false,
    overtaken: () => false,
    leaseExpired: () => false,
    mayAct: () => true,
  }),
  mutant('ignores leaseStop', { leaseExpired: () => false, mayAct: () => true }),
  mutant('starts VMs before the fence is confirmed', { fenceConfirmed: () => true }),
  mutant('does not persist the epoch', { persistedEpoch: () => 0 }),
  mutant('claims over a lease of which it has only heard', { higherEpochIsChange: false, ...unwatched }),
  mutant('takes a torn block for a change', { tornIsChange: true }),
  mutant('counts its own pause as silence of the others', { noticesOwnPause: false }),
  mutant('believes nobody else', { believesOthersHear: false }),
  mutant('starts what another node has claimed', { respectsClaim: () => false }, { asksNoBystander: true }),
  mutant('writes the damaged slot of a node that is not off', { mayMend: () => true }),
  mutant('does not look again after the pings', { looksAgain: false }),
  mutant('fences without a last look at the disk', { readsBeforeFencing: false }),
  mutant('judges nodes it has never seen', { judgesUnseen: true }),
  mutant('feeds the watchdog while it wants in', { mayFeed: (isSeen, isMember) => isSeen || !isMember }),
];

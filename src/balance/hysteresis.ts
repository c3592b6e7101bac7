/**
 * Balancing without a person: from what was seen so far and what is seen now to a plan or the reason to wait. A step
 * function: it has no clock and remembers nothing; the caller gives the time and keeps the history, which is plain data.
 *
 * Guarantees: a VM that was moved, by a plan or by anybody, is in no plan for cooldownSeconds, so that none goes back and
 * forth within it; a peak shorter than holdSeconds moves nothing; between two plans there are settleSeconds.
 */
import { scoreOf } from './model.ts';
import { planBalance, type BalanceOptions, type BalancePlan } from './plan.ts';
import { checkState, type BalanceLimits, type BalanceVm, type ClusterState } from './state.ts';

export interface HysteresisSettings {
  /** Below this score nothing is done. */
  readonly thresholdScore: number;
  /** The score must have been above it for so long, at every call. */
  readonly holdSeconds: number;
  /** After a plan, no other for so long: it has to be carried out, and measured. */
  readonly settleSeconds: number;
  /** After a VM's migration, none of it for so long. */
  readonly cooldownSeconds: number;
  /** CPU use is smoothed with this time constant; 0: taken as it is. */
  readonly smoothingSeconds: number;
  /** When nobody has looked for longer, holdSeconds begin anew. */
  readonly gapSeconds: number;
}

export const defaultHysteresis: HysteresisSettings = {
  thresholdScore: 15,
  holdSeconds: 600,
  settleSeconds: 300,
  cooldownSeconds: 3600,
  smoothingSeconds: 300,
  gapSeconds: 600,
};

/** Times are the caller's, in seconds. JSON keeps it whole. */
export interface BalanceHistory {
  readonly seenAt: number | null;
  /** Since when the score has been above the threshold without a plan. */
  readonly unevenSince: number | null;
  readonly plannedAt: number | null;
  /** By name; VMs that are gone stay as long as their cooldown. */
  readonly vms: Readonly<Record<string, SeenVm>>;
}

export interface SeenVm {
  readonly node: string | null;
  readonly movedAt: number | null;
  readonly cpuPercent: number;
}

export const emptyHistory: BalanceHistory = { seenAt: null, unevenSince: null, plannedAt: null, vms: {} };

export type Waiting =
  | { readonly kind: 'even-enough'; readonly score: number; readonly thresholdScore: number }
  | { readonly kind: 'settling'; readonly remainingSeconds: number }
  | { readonly kind: 'holding'; readonly score: number; readonly remainingSeconds: number }
  /** The plan is empty; it tells why. */
  | { readonly kind: 'no-plan'; readonly result: BalancePlan; readonly coolingVms: readonly string[] };

export interface Decision {
  /** Only one of the two is there. */
  readonly plan: BalancePlan | undefined;
  readonly wait: Waiting | undefined;
  /** To be given to the next call. */
  readonly history: BalanceHistory;
}

export interface AutomaticOptions extends BalanceOptions {
  readonly limits?: Partial<BalanceLimits>;
  readonly settings?: Partial<HysteresisSettings>;
}

/**
 * @param nowSeconds of a clock that never jumps. If it is behind the history's (the clock began anew), what the history
 *   knows counts as having happened now.
 * @throws CxmError INVALID_INPUT if the state or a rule can't be
 */
export function decide(
  previous: BalanceHistory,
  state: ClusterState,
  nowSeconds: number,
  options: AutomaticOptions = {},
): Decision {
  checkState(state);
  const settings = { ...defaultHysteresis, ...options.settings };
  const { thresholdScore, holdSeconds, settleSeconds, cooldownSeconds } = settings;
  const seen = observe(withoutGap(previous, nowSeconds, settings), state, nowSeconds, settings);
  const smooth: ClusterState = {
    nodes: state.nodes,
    vms: state.vms.map((vm) => ({ ...vm, cpuPercent: seen.vms[vm.name]?.cpuPercent ?? vm.cpuPercent })),
  };
  const { score } = scoreOf(smooth);
  if (score < thresholdScore) {
    return wait({ kind: 'even-enough', score, thresholdScore }, { ...seen, unevenSince: null });
  }
  const history = { ...seen, unevenSince: seen.unevenSince ?? nowSeconds };
  const settled = (seen.plannedAt ?? -Infinity) + settleSeconds;
  if (nowSeconds < settled) return wait({ kind: 'settling', remainingSeconds: settled - nowSeconds }, history);
  const held = history.unevenSince + holdSeconds;
  if (nowSeconds < held) return wait({ kind: 'holding', score, remainingSeconds: held - nowSeconds }, history);
  const coolingVms = state.vms.flatMap(({ name }) => {
    const movedAt = seen.vms[name]?.movedAt ?? null;
    return movedAt !== null && nowSeconds < movedAt + cooldownSeconds ? [name] : [];
  });
  const rules = { ...options.rules, ignored: [...new Set([...(options.rules?.ignored ?? []), ...coolingVms])] };
  const result = planBalance(smooth, options.limits, { ...options, rules });
  if (result.plan.length === 0) return wait({ kind: 'no-plan', result, coolingVms }, history);
  return { plan: result, wait: undefined, history: remember(history, result, nowSeconds) };
}

function wait(waiting: Waiting, history: BalanceHistory): Decision {
  return { plan: undefined, wait: waiting, history };
}

/** How uneven it was while nobody looked, nobody knows. */
function withoutGap(history: BalanceHistory, now: number, { gapSeconds }: HysteresisSettings): BalanceHistory {
  const isGap = history.seenAt !== null && now - history.seenAt > gapSeconds;
  return isGap ? { ...history, unevenSince: null } : history;
}

/** The history with what is seen now: migrations that somebody made, and smoothed CPU use. */
function observe(
  previous: BalanceHistory,
  state: ClusterState,
  now: number,
  { cooldownSeconds, smoothingSeconds }: HysteresisSettings,
): BalanceHistory {
  const past = (time: number | null): number | null => (time === null ? null : Math.min(time, now));
  const elapsed = previous.seenAt === null ? 0 : Math.max(0, now - previous.seenAt);
  const weight = smoothingSeconds === 0 ? 1 : 1 - Math.exp(-elapsed / smoothingSeconds);
  const known = new Map(Object.entries(previous.vms));
  const gone = [...known].filter(([, { movedAt }]) => movedAt !== null && now < movedAt + cooldownSeconds);
  const vms = new Map(gone.map(([name, vm]) => [name, { ...vm, movedAt: past(vm.movedAt) }]));
  for (const vm of state.vms) vms.set(vm.name, seeVm(vm, known.get(vm.name), now, weight));
  return {
    seenAt: now,
    unevenSince: past(previous.unevenSince),
    plannedAt: past(previous.plannedAt),
    vms: Object.fromEntries(vms),
  };
}

function seeVm(vm: BalanceVm, before: SeenVm | undefined, now: number, weight: number): SeenVm {
  const node = vm.node ?? before?.node ?? null;
  if (before === undefined) return { node, movedAt: null, cpuPercent: vm.cpuPercent };
  const moved = before.node !== null && node !== before.node;
  return {
    node,
    movedAt: moved ? now : before.movedAt === null ? null : Math.min(before.movedAt, now),
    cpuPercent: before.cpuPercent + weight * (vm.cpuPercent - before.cpuPercent),
  };
}

function remember(history: BalanceHistory, { plan }: BalancePlan, now: number): BalanceHistory {
  const vms = new Map(Object.entries(history.vms));
  for (const { vm, cpuPercent } of plan) {
    const before = vms.get(vm) ?? { node: null, movedAt: null, cpuPercent };
    vms.set(vm, { ...before, movedAt: now });
  }
  return { ...history, unevenSince: null, plannedAt: now, vms: Object.fromEntries(vms) };
}

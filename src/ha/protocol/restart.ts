/**
 * The second half of a recovery: all its nodes are off for certain; whose VMs are to start where?
 *
 * Guarantees: nothing is ordered before every other member has said, after the fence, what runs there; a VM found anywhere
 * isn't started; one that is coming up or arriving somewhere is waited for; an order without an answer is repeated to the
 * same node only, until that node answers or is itself off. A VM that can't be started doesn't keep the others from it.
 */
import { withEntry, type NodeIndex } from './blocks.ts';
import { areOver, askAll, askOne, unanswered } from './asks.ts';
import { actUntilMs } from './lease.ts';
import type { Result } from './messages.ts';
import type { Recovery, Todo } from './parts.ts';
import { alarm, because, nameOf, peerAt, takeId, type NodeState, type Step } from './state.ts';
import { hasUnlistedVms, isSilent, judge, otherMembers, raisePanicOnce } from './verdict.ts';

const attemptLimit = 3;
/** Of one node. It carries out four at a time, each with a deadline from its claim on, and has room for so many calls. */
const ordersAtOnce = 6;
const surveyLimit = 40;

export function advanceStarts(step: Step): void {
  const { state } = step;
  const { recovery } = state;
  if (recovery === undefined) return;
  if (recovery.survey === undefined) return beginSurvey(step, recovery);
  if (recovery.surveyedMs === 0 && !takeSurvey(step, recovery)) return;
  planStarts(step);
  orderStarts(step);
  finish(step);
}

/**
 * After the fence: who runs what now? Slots are a second old, and an administrator may have been at work. Those that are
 * lost and left alone can't say; what stands in their slots counts, if those name all.
 */
function beginSurvey(step: Step, recovery: Recovery): void {
  const off = new Set(recovery.targets.map(({ node }) => node));
  const canSay = (node: NodeIndex): boolean => !isSilent(step, node) || hasUnlistedVms(step, node);
  const others = otherMembers(step).filter((node) => !off.has(node) && canSay(node));
  const members = [step.state.config.self, ...others];
  const survey = askAll(step, members, { kind: 'survey' });
  step.state.recovery = { ...recovery, survey, surveyedMs: 0, surveyRound: recovery.surveyRound + 1 };
}

function takeSurvey(step: Step, recovery: Recovery): boolean {
  const { state, timing } = step;
  const survey = recovery.survey ?? [];
  if (!areOver(step, survey)) return false;
  const missing = unanswered(survey);
  if (missing.length > 0) {
    // Silent ones either answer, or become targets themselves.
    const names = missing.map((node) => nameOf(state, node)).join(' ');
    const lastMs = Math.max(...survey.map(({ sentMs }) => sentMs));
    if (recovery.surveyRound > surveyLimit) raisePanicOnce(step, `${names} can't say which VMs run there`);
    else if (state.nowMs - lastMs >= timing.periodMs) beginSurvey(step, recovery);
    return false;
  }
  const todo = wanted(recovery).map((one) => placed(step, recovery, one));
  state.recovery = { ...recovery, todo, surveyedMs: state.nowMs };
  return true;
}

/**
 * Every VM that one of the nodes had, once: two have it when one was starting what the other had run, or could not tell any
 * more that it had left.
 */
function wanted({ targets, todo }: Recovery): readonly Todo[] {
  const known = new Map(todo.map((one) => [one.vm, one]));
  const origins = new Map(targets.flatMap(({ node, vms }) => vms.map((vm) => [vm, node] as const)));
  return [...origins].map(([vm, origin]) => {
    const before = known.get(vm);
    if (before === undefined) return fresh(vm, origin);
    if (before.origin === origin) return before;
    // Who was to have it, or had it in the end, is off now, too.
    const isOver = before.phase === 'done' || before.phase === 'failed';
    return isOver ? fresh(vm, origin) : { ...before, origin };
  });
}

function fresh(vm: string, origin: NodeIndex): Todo {
  return { vm, origin, phase: 'pending', to: -1, askId: 0, sentMs: 0, attempts: 0, reason: '' };
}

/** What the survey says about a VM that is to be started. */
function placed(step: Step, recovery: Recovery, todo: Todo): Todo {
  if (todo.phase === 'done' || todo.phase === 'failed') return todo;
  const { state, rules } = step;
  for (const { to, answer } of recovery.survey ?? []) {
    if (answer?.kind !== 'survey') continue;
    const entry = answer.vms.find(({ name }) => name === todo.vm);
    if (entry === undefined || !rules.respectsClaim(entry)) continue;
    if (entry.phase !== 'running') return { ...todo, phase: 'ordered', to, askId: 0, reason: 'is coming up there' };
    because(step, todo.vm, 'not started', `it runs on ${nameOf(state, to)}`);
    return { ...todo, phase: 'done', to, reason: `runs on ${nameOf(state, to)}` };
  }
  const claimant = claimantOf(state, todo, recovery);
  if (claimant !== undefined && rules.respectsClaim({ name: todo.vm, phase: 'running' })) {
    return { ...todo, phase: 'failed', reason: `${claimant} has it` };
  }
  const isOff = recovery.targets.some(({ node }) => node === todo.to);
  if (todo.phase !== 'ordered' || isOff) return { ...todo, phase: 'pending', askId: 0 };
  // The order may still be on its way: nobody else gets it. Without an answer it is repeated.
  if (todo.askId !== 0) return todo;
  const attempts = todo.attempts + 1;
  return attempts < attemptLimit ? { ...todo, phase: 'planned', attempts } : { ...todo, phase: 'failed', attempts };
}

/** A node that isn't asked, for instance one that left with its VMs, may still have it, and not by our own order. */
function claimantOf(state: NodeState, { vm, origin, phase, to }: Todo, recovery: Recovery): string | undefined {
  const asked = new Set(recovery.survey?.map((ask) => ask.to));
  const node = state.peers.findIndex(({ slot }, at) => {
    if (slot === undefined || at === origin || asked.has(at) || (phase === 'ordered' && at === to)) return false;
    return slot.incarnation > (state.ledger.fenced[at] ?? 0) && slot.vms.some(({ name }) => name === vm);
  });
  return node < 0 ? undefined : nameOf(state, node);
}

function planStarts(step: Step): void {
  const { state, effects, timing } = step;
  const { recovery } = state;
  if (recovery === undefined || recovery.planId !== 0) return;
  const exhausted = (one: Todo): boolean => one.phase === 'pending' && one.attempts >= attemptLimit;
  const todo = recovery.todo.map((one) => (exhausted(one) ? { ...one, phase: 'failed' as const } : one));
  // What was refused a moment ago may have been for a reason that passes.
  const isDue = ({ attempts, sentMs }: Todo): boolean => attempts === 0 || state.nowMs - sentMs >= 2 * timing.periodMs;
  const vms = todo.filter((one) => one.phase === 'pending' && isDue(one)).map(({ vm }) => vm);
  state.recovery = { ...recovery, todo };
  if (vms.length === 0) return;
  const nodes = [state.config.self, ...otherMembers(step)].filter((node) => mayReceive(step, node));
  const failed = todo.filter(({ attempts, to }) => attempts > 0 && to >= 0).map(({ vm, to }) => ({ vm, node: to }));
  const planId = takeId(state);
  state.recovery = { ...recovery, todo, planId, planVms: vms };
  effects.push({ kind: 'plan', id: planId, vms, nodes, failed });
}

/** Only to nodes that are in good health, and not to be emptied. */
export function mayReceive(step: Step, node: number): boolean {
  const { state, timing } = step;
  if (node === state.config.self) return !state.maintenance && state.nowMs - state.slotWrittenMs < timing.leaseStopMs;
  return judge(step, node) === 'alive' && peerAt(state, node).slot?.maintenance !== true;
}

export function planDone(step: Step, id: number, result: Extract<Result, { kind: 'plan' }>): void {
  const { state } = step;
  const { recovery } = state;
  if (recovery?.planId !== id) return;
  const where = new Map(result.placements.map(({ vm, node }) => [vm, node]));
  const why = new Map(result.left.map((one) => [one.vm, one]));
  const planned = recovery.todo.map((one): Todo => {
    // A later survey may have added VMs that the plan knows nothing of.
    if (one.phase !== 'pending' || !recovery.planVms.includes(one.vm)) return one;
    const to = where.get(one.vm);
    if (to !== undefined) return { ...one, phase: 'planned', to };
    // A look that failed for a moment is no reason to leave a VM down.
    const { reason = 'no place was found', final = false } = why.get(one.vm) ?? {};
    const attempts = one.attempts + 1;
    const phase = final || attempts >= attemptLimit ? 'failed' : 'pending';
    return { ...one, phase, attempts, sentMs: state.nowMs, reason };
  });
  const isFailed = (vm: string): boolean => planned.some((one) => one.vm === vm && one.phase === 'failed');
  const shortage = result.left.find(({ vm, panic }) => panic && isFailed(vm))?.reason ?? recovery.shortage;
  // In the order of the plan, which has the most important ones first.
  const rank = new Map(result.placements.map(({ vm }, at) => [vm, at]));
  const placeOf = ({ vm }: Todo): number => rank.get(vm) ?? -1;
  const todo = planned.sort((one, other) => placeOf(one) - placeOf(other));
  state.recovery = { ...recovery, planId: 0, planVms: [], todo, shortage };
}

function orderStarts(step: Step): void {
  const { state, timing } = step;
  const { recovery } = state;
  if (recovery === undefined) return;
  const token = { epoch: state.held?.epoch ?? 0, owner: state.config.self };
  if (state.nowMs >= actUntilMs(step)) return;
  let resurvey = false;
  const busy = new Map<number, number>();
  const count = (to: number): number => busy.get(to) ?? 0;
  for (const { phase, to } of recovery.todo) if (phase === 'ordered') busy.set(to, count(to) + 1);
  const todo = recovery.todo.map((one): Todo => {
    const isUnheard = one.phase === 'ordered' && one.askId === 0;
    if (isUnheard && state.nowMs - Math.max(one.sentMs, recovery.surveyedMs) >= timing.periodMs) resurvey = true;
    if (one.phase !== 'planned' || count(one.to) >= ordersAtOnce) return one;
    busy.set(one.to, count(one.to) + 1);
    const { askId } = askOne(step, one.to, { kind: 'start', vm: one.vm, token }, 2 * timing.startDeadlineMs);
    because(step, one.vm, `ordered to start on ${nameOf(state, one.to)}`, `${nameOf(state, one.origin)} is off`);
    return { ...one, phase: 'ordered', askId, sentMs: state.nowMs };
  });
  state.recovery = { ...recovery, todo };
  if (resurvey) state.recovery = { ...recovery, todo, survey: undefined };
}

function finish(step: Step): void {
  const { state } = step;
  const { recovery } = state;
  if (recovery?.survey === undefined || recovery.planId !== 0) return;
  if (!recovery.todo.every(({ phase }) => phase === 'done' || phase === 'failed')) return;
  let { recovered } = state.ledger;
  for (const { node, incarnation } of recovery.targets) recovered = withEntry(recovered, node, incarnation);
  state.ledger = { ...state.ledger, recovered };
  state.slotWantedAgain = true;
  for (const { vm, reason } of recovery.todo.filter(({ phase }) => phase === 'failed')) {
    alarm(step, vm, `${vm} was not started: ${reason}`);
  }
  const names = recovery.targets.map(({ node }) => nameOf(state, node)).join(' ');
  const ends = recovery.todo.map((one) =>
    one.phase === 'done' ? `${one.vm} on ${nameOf(state, one.to)}` : `${one.vm} not started`,
  );
  because(step, names, 'recovered', ends.length === 0 ? 'nothing ran there' : ends.join(', '));
  state.recovery = undefined;
  if (recovery.shortage !== '') raisePanicOnce(step, recovery.shortage);
}

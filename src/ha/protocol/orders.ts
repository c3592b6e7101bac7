/**
 * The node that carries an order out: it starts or receives a VM only under a claim.
 *
 * A claim is mutual exclusion by registers of one writer each: the VM is written into the own slot; after that write has
 * ended the whole disk is read; if no other slot that isn't void names the VM, it is ours. Of two nodes that claim the
 * same VM at once at least one reads the other's claim, and who reads one withdraws. What stands in a slot stays claimed
 * until the toolstack says that the VM is gone, the node has left without it, or the node is off for certain.
 *
 * Guarantees: S1 rests on this alone, whoever gives orders, however late they arrive, and whether or not there is a master.
 * The fencing token is checked when an order arrives and again after the read.
 */
import { isMember, type NodeIndex, type Read, type Slot, type Token, type VmEntry } from './blocks.ts';
import type { Answer, StartOutcome } from './messages.ts';
import type { Work } from './parts.ts';
import { because, nameOf, never, ownEntries, takeId, type NodeState, type Step } from './state.ts';
import { noRoomFor } from './slot-room.ts';
import { obscuritySentence, slotWord } from './readability.ts';

export interface OrderedStart {
  readonly vm: string;
  readonly source: NodeIndex | -1;
  readonly token: Token;
  readonly origin: Work['origin'];
}

/** Takes an order; the answer comes when it is done. */
export function takeOrder(step: Step, order: OrderedStart): void {
  const { state, timing } = step;
  const obstacle = obstacleTo(step, order.token);
  if (obstacle !== undefined) {
    because(step, order.vm, 'order refused', obstacle);
    return answerOrigin(step, order.origin, started('refused', obstacle));
  }
  if (state.vms.includes(order.vm)) return answerOrigin(step, order.origin, started('running', 'runs here already'));
  const other = state.works.find(({ vm }) => vm === order.vm);
  if (other !== undefined) {
    const isSame =
      order.origin.kind === 'ask' && other.origin.kind === 'ask' && other.origin.from === order.origin.from;
    if (!isSame) return answerOrigin(step, order.origin, started('unknown', 'is being started or received here'));
    state.works = state.works.map((work) => (work === other ? { ...work, origin: order.origin } : work));
    return;
  }
  const noRoom = noRoomFor(state, order.vm);
  if (noRoom !== undefined) {
    because(step, order.vm, 'order refused', noRoom);
    return answerOrigin(step, order.origin, started('refused', noRoom));
  }
  state.works = [
    ...state.works,
    {
      ...order,
      id: takeId(state),
      phase: 'claiming',
      sequence: state.sequence + 1,
      claimedMs: state.nowMs,
      unclear: '',
      provenMs: never,
      elsewhere: '',
      deadlineMs: state.nowMs + (order.source === -1 ? timing.startDeadlineMs : timing.migrateDeadlineMs),
      endedMs: never,
      certain: false,
      answer: undefined,
    },
  ];
  state.slotWantedAgain = true;
}

function obstacleTo({ state, rules, timing }: Step, token: Token | undefined): string | undefined {
  if (!isMember(state.role)) return 'this node is no member';
  if (token === undefined) return undefined;
  if (!rules.acceptsToken(token, state.epoch, state.epochOwner)) {
    return `epoch ${String(token.epoch)} of ${nameOf(state, token.owner)} is over: ${String(state.epoch)} was seen`;
  }
  if (state.switches.panic.on) return 'the cluster is in panic';
  if (state.nowMs - state.readIssuedMs >= timing.leaseStopMs) return 'this node has not read the lease for too long';
  return undefined;
}

/** A slot with this counter is on the disk: the claims in it are visible to everybody. */
export function claimsWritten(step: Step, sequence: number): void {
  const { state } = step;
  if (!state.works.some((work) => work.phase === 'claiming' && work.sequence <= sequence)) return;
  state.works = state.works.map((work) =>
    work.phase === 'claiming' && work.sequence <= sequence
      ? { ...work, phase: 'checking', claimedMs: state.nowMs }
      : work,
  );
  state.readWanted = true;
}

/** After a read: claims that were on the disk before it began are decided, and what is under way is looked at again. */
export function checkClaims(step: Step, slots: readonly Read<Slot>[], issuedMs: number): void {
  const { state } = step;
  for (const work of state.works) {
    if (work.phase === 'running') proveAgain(step, work, slots, issuedMs);
    if (work.phase !== 'checking' || issuedMs < work.claimedMs) continue;
    // A write that failed may still be queued, and would take the claim off the disk again for a moment.
    if (state.nowMs - state.slotFailedMs < state.config.timing.claimDelayMs) {
      state.readWanted = true;
      continue;
    }
    decideClaim(step, work, slots, issuedMs);
  }
}

function decideClaim(step: Step, work: Work, slots: readonly Read<Slot>[], issuedMs: number): void {
  const { state, rules, timing, effects } = step;
  const own = slots[state.config.self];
  if (typeof own !== 'object' || own.incarnation !== state.incarnation || own.sequence < work.sequence) return;
  const finding = otherClaim(step, work, slots);
  const obstacle = obstacleTo(step, work.token) ?? (finding.kind === 'taken' ? finding.why : undefined);
  if (obstacle === undefined && finding.kind === 'unclear') {
    if (finding.why !== work.unclear) replaceWork(state, { ...work, unclear: finding.why });
    return;
  }
  if (obstacle !== undefined) {
    because(step, work.vm, 'not started here', obstacle);
    return endWork(step, work, 'refused', obstacle);
  }
  because(
    step,
    work.vm,
    work.source === -1 ? 'may start here' : `may come from ${nameOf(state, work.source)}`,
    'claimed in our slot, and in no other one',
  );
  replaceWork(state, { ...work, phase: 'running', provenMs: issuedMs });
  const notAfterMs = rules.notAfter(issuedMs, timing.claimDelayMs * 0.9);
  effects.push({ kind: 'start', id: work.id, vm: work.vm, source: work.source, token: work.token, notAfterMs });
}

/**
 * What was granted may wait for its turn, or be prepared for long: whoever carries it out looks at this just before
 * it can't be taken back. Claims of others don't count here, since they withdraw; a VM that runs there does.
 */
function proveAgain(step: Step, work: Work, slots: readonly Read<Slot>[], issuedMs: number): void {
  const { state } = step;
  const own = slots[state.config.self];
  if (typeof own !== 'object' || own.incarnation !== state.incarnation || own.sequence < work.sequence) return;
  const finding = otherClaim(step, work, slots, 'running');
  if (finding.kind === 'free') replaceWork(state, { ...work, provenMs: issuedMs, elsewhere: '' });
  else if (finding.kind === 'taken') replaceWork(state, { ...work, elsewhere: finding.why });
}

type Finding = { readonly kind: 'free' } | { readonly kind: 'taken' | 'unclear'; readonly why: string };

/** Does any other slot name the VM? Unclear while one that might can't be read. */
function otherClaim(step: Step, work: Work, slots: readonly Read<Slot>[], only?: VmEntry['phase']): Finding {
  const { state, rules } = step;
  const isClaim = ({ name, phase }: VmEntry): boolean => name === work.vm && (only === undefined || phase === only);
  let unclear: string | undefined;
  const count = Math.max(slots.length, state.peers.length);
  for (let node = 0; node < count; node += 1) {
    if (node === state.config.self || node === work.source) continue;
    const slot = slotWord(state, node, slots[node] ?? 'empty');
    if (slot === 'void') continue;
    if (typeof slot !== 'object') unclear ??= obscuritySentence(state, node, slot);
    else if (slot.vms.some((entry) => isClaim(entry) && rules.respectsClaim(entry))) {
      return { kind: 'taken', why: `${nameOf(state, node)} has it` };
    } else if (slot.partial) {
      unclear ??= `${nameOf(state, node)} has more VMs than its slot can name`;
    }
  }
  return unclear === undefined ? { kind: 'free' } : { kind: 'unclear', why: unclear };
}

/** The toolstack is done with it, or was never begun. Its word counts once a list of domains agrees. */
export function endWork(step: Step, work: Work, outcome: StartOutcome, reason: string): void {
  const { state, effects, timing } = step;
  const answer = started(outcome, reason);
  const certain = outcome !== 'unknown';
  const deadlineMs = Math.min(work.deadlineMs, state.nowMs + timing.startDeadlineMs);
  replaceWork(state, { ...work, phase: 'settling', endedMs: state.nowMs, deadlineMs, certain, answer });
  effects.push({ kind: 'list-vms' });
}

/** A list of the domains has come: what was settling may be settled. */
export function settleWorks(step: Step, vms: readonly string[], sampledMs: number): void {
  const { state } = step;
  for (const work of state.works) {
    if (work.phase !== 'settling' || sampledMs < work.endedMs) continue;
    const runs = vms.includes(work.vm);
    if (!runs && !work.certain && state.nowMs < work.deadlineMs) continue;
    state.works = state.works.filter(({ id }) => id !== work.id);
    state.slotWantedAgain = true;
    const said = work.answer?.kind === 'start' ? work.answer : started('unknown', 'nobody said how it ended');
    answerOrigin(step, work.origin, runs ? started('running', '') : gone(said));
  }
}

function gone(answer: Extract<Answer, { kind: 'start' }>): Answer {
  return answer.outcome === 'refused' ? answer : started('failed', answer.reason);
}

/** Orders that can't be checked are given up; what doesn't end is looked at again and again. */
export function expireWorks(step: Step): void {
  const { state, timing } = step;
  for (const work of state.works) {
    const isWaiting = work.phase === 'claiming' || work.phase === 'checking';
    if (isWaiting && state.nowMs - work.claimedMs >= 4 * timing.timerMs) {
      const why = work.unclear === '' ? 'the claim could not be written and checked' : work.unclear;
      because(step, work.vm, 'not started here', why);
      endWork(step, work, 'refused', why);
    } else if (work.phase === 'running' && state.nowMs >= work.deadlineMs) {
      endWork(step, work, 'unknown', 'the toolstack has not come back');
    } else if (work.phase === 'settling' && state.nowMs - state.vmsSampledMs > 2 * timing.periodMs) {
      step.effects.push({ kind: 'list-vms' });
    }
  }
}

/** Claims of the daemon that ran here before: what it was starting may still come up. */
export function adoptFormerClaims(step: Step, entries: readonly VmEntry[]): void {
  const { state, timing } = step;
  const former = entries.filter(({ phase, name }) => phase !== 'running' && !state.works.some(({ vm }) => vm === name));
  if (former.length === 0) return;
  const works = former.map(({ name, phase }): Work => ({
    id: takeId(state),
    vm: name,
    source: phase === 'starting' ? -1 : state.config.self,
    token: undefined,
    origin: { kind: 'former' },
    phase: 'settling',
    sequence: 0,
    claimedMs: state.nowMs,
    unclear: '',
    provenMs: never,
    elsewhere: '',
    deadlineMs: state.nowMs + timing.startDeadlineMs,
    endedMs: state.nowMs,
    certain: false,
    answer: undefined,
  }));
  state.works = [...state.works, ...works];
}

function replaceWork(state: NodeState, work: Work): void {
  state.works = state.works.map((one) => (one.id === work.id ? work : one));
}

export function started(outcome: StartOutcome, reason: string): Extract<Answer, { kind: 'start' }> {
  return { kind: 'start', outcome, reason };
}

export function reply(step: Step, callId: number, ok: boolean, text: string): void {
  step.effects.push({ kind: 'reply', callId, ok, text });
}

function answerOrigin(step: Step, origin: Work['origin'], answer: Answer): void {
  if (origin.kind === 'ask') step.effects.push({ kind: 'answer', askId: origin.askId, to: origin.from, answer });
}

/** A survey of this node: what runs here, and what is claimed. */
export function surveyAnswer(state: NodeState, others: boolean): Answer {
  return { kind: 'survey', vms: ownEntries(state), others };
}

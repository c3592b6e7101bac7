/** The master's orders to start the VMs of a lost node: how many at once, in which order, and what is tried again. */
import { expect, test } from 'vitest';
import type { LeftVm, Effect } from '../../../src/ha/protocol/messages.ts';
import type { Todo } from '../../../src/ha/protocol/parts.ts';
import { advanceRecovery, recoveryAnswered } from '../../../src/ha/protocol/recovery.ts';
import { advanceStarts, planDone } from '../../../src/ha/protocol/restart.ts';
import { realRules } from '../../../src/ha/protocol/rules.ts';
import type { NodeState, Step } from '../../../src/ha/protocol/state.ts';
import { leaseOf, Member, slotOf } from './member.ts';

const nowMs = 100_000;

/** Alpha is master; gamma is off for certain and its VMs are to be planned, everybody has said what runs there. */
function recovering(vms: readonly string[]): Step & { readonly effects: Effect[] } {
  const { state } = new Member(0, ['alpha', 'beta', 'gamma']);
  const pending = (vm: string): Todo => {
    return { vm, origin: 2, phase: 'pending', to: -1, askId: 0, sentMs: 0, attempts: 0, reason: '' };
  };
  Object.assign(state, {
    ...{ role: 'active', nowMs, incarnation: 1, readIssuedMs: nowMs, slotWrittenMs: nowMs, leaseChangedMs: nowMs },
    held: {
      ...{ epoch: 1, sinceMs: 0, renewedMs: nowMs, sequence: 1 },
      ...{ writtenLedger: undefined, releasing: false },
    },
    recovery: {
      targets: [],
      survey: [],
      ...{ surveyRound: 1, surveyedMs: nowMs, planId: 7, planVms: vms, shortage: '' },
      todo: vms.map(pending),
    },
  });
  return { state, effects: [], rules: realRules, timing: state.config.timing };
}

function place(step: Step, vms: readonly string[], left: readonly LeftVm[] = []): void {
  planDone(step, 7, { kind: 'plan', placements: vms.map((vm) => ({ vm, node: 1 })), left });
  advanceStarts(step);
}

function ordered(step: Step): readonly string[] {
  return step.effects.flatMap((effect) =>
    effect.kind === 'ask' && effect.request.kind === 'start' ? [effect.request.vm] : [],
  );
}

const names = Array.from({ length: 30 }, (_, index) => `vm${index}`);

test.each([
  ['all its VMs is not asked what runs there', {}, [0]],
  ['not all of its VMs is waited for', { partial: true }, [0, 1]],
])('a member that is lost, and whose slot names %s', (_, change, asked) => {
  const alpha = new Member(0, ['alpha', 'beta', 'gamma']);
  alpha.join(leaseOf(1, 1, 5));
  alpha.hear(1, {});
  for (const sequence of [9, 10])
    alpha.read(leaseOf(1, 1, 6), ['empty', { ...slotOf(1, 'beta', sequence, 1), ...change }]);
  for (let second = 0; second < 12; second += 1) {
    alpha.tick();
    alpha.read(leaseOf(1, 1, 6), ['empty', { ...slotOf(1, 'beta', 10, 1), ...change }]);
  }
  const step = { ...recovering([]), state: alpha.state };
  step.state.recovery = { ...recovering([]).state.recovery, survey: undefined } as NonNullable<NodeState['recovery']>;
  advanceStarts(step);
  expect(step.state.recovery?.survey?.map(({ to }) => to)).toEqual(asked);
});

test.each([
  ['unknown', []],
  ['silent', [2]],
] as const)('when no VM of one lost node could be pinged (%s) the next one is fenced: %j', (word, fenced) => {
  const rules = { ...realRules, judgesUnseen: true, presumedDead: () => true, persistedEpoch: () => 0 };
  const step = { ...recovering([]), rules };
  step.state.readDoneMs = nowMs;
  const target = { incarnation: 1, decidedMs: 0, vms: ['web'], pinged: ['web'], round: 1, effectId: 0, failure: '' };
  const answer = { kind: 'ping', results: [word] } as const;
  const asks = [{ askId: 1, to: 0, sentMs: nowMs, answer }];
  step.state.recovery = {
    ...(step.state.recovery as NonNullable<NodeState['recovery']>),
    targets: [
      { ...target, node: 1, phase: 'pinging', asks, startedMs: nowMs },
      { ...target, node: 2, phase: 'looking', asks: [], startedMs: nowMs },
    ],
  };
  advanceRecovery(step);
  expect(step.state.switches.panic.on).toBe(word === 'unknown');
  expect(step.effects.flatMap((effect) => (effect.kind === 'fence' ? [effect.node] : []))).toEqual(fenced);
});

test('a node is ordered a few VMs at a time, and the next one whenever one has started, until all have', () => {
  const step = recovering(names);
  place(step, names);
  expect(ordered(step)).toEqual(names.slice(0, 6));
  for (let count = 0; count < names.length; count += 1) {
    const ask = step.effects.flatMap((effect) => (effect.kind === 'ask' ? [effect] : []))[count];
    recoveryAnswered(step, ask?.askId ?? 0, { kind: 'start', outcome: 'running', reason: '' });
    if (step.state.recovery !== undefined) advanceStarts(step);
  }
  expect(ordered(step)).toEqual(names);
  expect(step.state.recovery).toBeUndefined();
});

test('VMs are ordered as the plan has them, which has the most important ones first', () => {
  const step = recovering(names);
  place(step, [...names].reverse());
  expect(ordered(step)).toEqual([...names].reverse().slice(0, 6));
});

test('what found no place for a moment is planned again, and is a shortage only when it never does', () => {
  const step = recovering(['web', 'db']);
  const short = [{ vm: 'web', reason: 'not enough RAM', panic: true }];
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    place(step, attempt === 1 ? ['db'] : [], short);
    const web = step.state.recovery?.todo.find(({ vm }) => vm === 'web');
    expect(web).toMatchObject({ phase: attempt < 3 ? 'pending' : 'failed', attempts: attempt });
    expect(step.state.recovery?.shortage).toBe(attempt < 3 ? '' : 'not enough RAM');
    step.state.nowMs += 10_000;
    step.state.slotWrittenMs = step.state.nowMs;
    if (attempt < 3) {
      advanceStarts(step);
      const plan = step.effects.filter(({ kind }) => kind === 'plan').at(-1);
      expect(plan).toMatchObject({ vms: ['web'] });
      if (step.state.recovery !== undefined) step.state.recovery = { ...step.state.recovery, planId: 7 };
    }
  }
});

test('what is not to be restarted is not planned again', () => {
  const step = recovering(['web']);
  place(step, [], [{ vm: 'web', reason: 'NO_RESTART', panic: false, final: true }]);
  expect(step.effects.filter(({ kind }) => kind === 'plan')).toEqual([]);
  expect(step.state.recovery).toBeUndefined();
});

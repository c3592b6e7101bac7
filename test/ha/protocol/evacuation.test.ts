/** An empty node without the disk is fenced for what it has said a moment ago, and for nothing older. */
import { expect, test } from 'vitest';
import type { VmEntry } from '../../../src/ha/protocol/blocks.ts';
import type { Answer } from '../../../src/ha/protocol/messages.ts';
import { Master } from './master.ts';

function says(...vms: readonly VmEntry[]): Answer {
  return { kind: 'survey', vms, others: false };
}

/** Lives on until beta, whose slot stands still and which is heard, is asked whether anything runs on it. */
function untilAsked(alpha: Master): { readonly alpha: Master; readonly askId: number } {
  for (let second = 0; second < 40; second += 1) {
    alpha.live(1, { writes: false });
    const ask = alpha.take('ask').find(({ request }) => request.kind === 'survey');
    if (ask !== undefined) return { alpha, askId: ask.askId };
  }
  throw new Error('beta was not asked');
}

/** Beta has said once that it is empty, and is asked again. */
function asking(): ReturnType<typeof untilAsked> {
  const { alpha, askId } = untilAsked(new Master());
  alpha.happen({ kind: 'answered', askId, answer: says() });
  return untilAsked(alpha);
}

test('a node that says for the first time that nothing runs on it is asked again, after a reboot could have ended', () => {
  const { alpha, askId } = untilAsked(new Master());
  alpha.happen({ kind: 'answered', askId, answer: says() });
  expect(alpha.take('fence')).toEqual([]);
  const saidMs = alpha.nowMs;
  untilAsked(alpha);
  expect(alpha.nowMs - saidMs).toBeGreaterThanOrEqual(6000);
});

test('what it has said once does not count when something ran on it since', () => {
  const { alpha, askId } = asking();
  alpha.happen({ kind: 'answered', askId, answer: says({ name: 'web', phase: 'running' }) });
  const again = untilAsked(alpha);
  alpha.happen({ kind: 'answered', askId: again.askId, answer: says() });
  expect(alpha.take('fence')).toEqual([]);
});

test('the fence is carried out within a period of the answer, or not at all', () => {
  const { alpha, askId } = asking();
  alpha.happen({ kind: 'answered', askId, answer: says() });
  const [fence] = alpha.take('fence');
  expect(fence?.node).toBe(1);
  expect(fence?.notAfterMs).toBeLessThanOrEqual(alpha.nowMs + 1000);
});

test('an answer that waited while the master slept fences nobody', () => {
  const { alpha, askId } = asking();
  alpha.nowMs += 4000;
  alpha.happen({ kind: 'answered', askId, answer: says() });
  expect(alpha.take('fence')).toEqual([]);
  expect(alpha.take('alarm').map(({ text }) => text)).toContain('beta is not fenced: we were asleep meanwhile');
});

test('nor does one that came after the master had woken', () => {
  const { alpha, askId } = asking();
  alpha.nowMs += 3000;
  alpha.live(1, { writes: false });
  alpha.happen({ kind: 'answered', askId, answer: says() });
  expect(alpha.take('fence')).toEqual([]);
});

test('a node on which something runs is not fenced', () => {
  const { alpha, askId } = asking();
  alpha.happen({ kind: 'answered', askId, answer: says({ name: 'web', phase: 'running' }) });
  expect(alpha.take('fence')).toEqual([]);
});

test('nor is one with a domain of which nobody knows what it is: one that arrives, leaves or is saved', () => {
  const { alpha, askId } = asking();
  alpha.happen({ kind: 'answered', askId, answer: { kind: 'survey', vms: [], others: true } });
  expect(alpha.take('fence')).toEqual([]);
});

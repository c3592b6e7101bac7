/** An empty node without the disk is fenced for what it has said a moment ago, and for nothing older. */
import { expect, test } from 'vitest';
import type { VmEntry } from '../../../src/ha/protocol/blocks.ts';
import type { Answer } from '../../../src/ha/protocol/messages.ts';
import { Master } from './master.ts';

function says(...vms: readonly VmEntry[]): Answer {
  return { kind: 'survey', vms };
}

/** Beta's slot stands still, it is heard, and asked whether anything runs on it. */
function asking(): { readonly alpha: Master; readonly askId: number } {
  const alpha = new Master();
  for (let second = 0; second < 20; second += 1) {
    alpha.live(1, { writes: false });
    const ask = alpha.take('ask').find(({ request }) => request.kind === 'survey');
    if (ask !== undefined) return { alpha, askId: ask.askId };
  }
  throw new Error('beta was not asked');
}

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

/**
 * The master's questions to members: one to each, asked again when it fails, complete when everybody has answered.
 *
 * Guarantees: a question that failed is never an answer; who is asked and doesn't answer is named, so that the caller can
 * tell "all say no" from "one says nothing".
 */
import type { NodeIndex } from './blocks.ts';
import type { Answer, Request } from './messages.ts';
import type { PendingAsk } from './parts.ts';
import { takeId, type Step } from './state.ts';

export function askAll(step: Step, nodes: readonly NodeIndex[], request: Request): readonly PendingAsk[] {
  return nodes.map((to) => askOne(step, to, request, step.timing.askDeadlineMs));
}

export function askOne({ state, effects }: Step, to: NodeIndex, request: Request, deadlineMs: number): PendingAsk {
  const askId = takeId(state);
  effects.push({ kind: 'ask', askId, to, request, deadlineMs });
  return { askId, to, sentMs: state.nowMs, answer: undefined };
}

/** The list with an answer filled in, null for a question that failed; the same list if it isn't among them. */
export function withAnswer(asks: readonly PendingAsk[], askId: number, answer: Answer | null): readonly PendingAsk[] {
  if (!asks.some((ask) => ask.askId === askId && ask.answer === undefined)) return asks;
  return asks.map((ask) => (ask.askId === askId ? { ...ask, answer } : ask));
}

/** Nobody is waited for any more. A question whose end the shell forgot is over, too. */
export function areOver({ state, timing }: Step, asks: readonly PendingAsk[]): boolean {
  return asks.every(({ answer, sentMs }) => answer !== undefined || state.nowMs - sentMs > 2 * timing.askDeadlineMs);
}

export function unanswered(asks: readonly PendingAsk[]): readonly NodeIndex[] {
  return asks.filter(({ answer }) => answer === undefined || answer === null).map(({ to }) => to);
}

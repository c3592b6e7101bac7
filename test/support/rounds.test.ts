import { expect, test } from 'vitest';
import { describeRound, drawRounds } from './rounds.ts';

test('a seed gives the same rounds again, and another seed others', () => {
  expect(drawRounds(7, 10)).toEqual(drawRounds(7, 10));
  expect(drawRounds(7, 10)).not.toEqual(drawRounds(8, 10));
});

test('every kind of fault comes up once before any comes up twice, and hits the master as well as members', () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    const kinds = drawRounds(seed, 16).map(({ kind }) => kind);
    for (const part of [kinds.slice(0, 8), kinds.slice(8)]) expect(new Set(part).size).toBe(8);
  }
  const roles = drawRounds(1, 100).filter(({ role }) => role === 'master').length;
  expect(roles).toBeGreaterThan(30);
  expect(roles).toBeLessThan(70);
});

test('faults that end by themselves last for some time, all others until the node is fenced', () => {
  for (const round of drawRounds(3, 200)) {
    const endsByFence = ['power', 'freeze', 'isolation'].includes(round.kind);
    expect(round.seconds === 0).toBe(endsByFence);
    expect(round.seconds).toBeLessThanOrEqual(60);
    expect(describeRound(round)).toMatch(endsByFence ? /, until it is fenced$/ : /, \d+ s$/);
  }
});

/** What a master does only while it sees everybody on both channels, and whom it lets in. */
import { expect, test } from 'vitest';
import { obstacleToRounds } from '../../../src/ha/daemon/master-rounds.ts';
import type { PingResult } from '../../../src/ha/protocol/messages.ts';
import { nodesOf } from '../../../src/ha/daemon/view.ts';
import { Master } from './master.ts';

const obstacle = ({ state, nowMs }: Master): string | undefined => obstacleToRounds(state, nowMs);

test('a master that sees all nodes may', () => {
  const alpha = new Master();
  expect(obstacle(alpha)).toBeUndefined();
});

test('not beside a node that is heard but does not reach the disk, where the cluster would not see what runs', () => {
  const alpha = new Master();
  alpha.live(10, { writes: false });
  expect(obstacle(alpha)).toBe('beta is not seen on the heartbeat disk');
  alpha.live(1);
  expect(obstacle(alpha)).toBeUndefined();
});

test('not while it empties a node itself: one migration at a time', () => {
  const alpha = new Master();
  alpha.happen({ kind: 'vms', others: false, sampledMs: alpha.nowMs, vms: ['web'] });
  alpha.happen({ kind: 'call', callId: 2, call: { kind: 'maintenance', on: true } });
  alpha.live(1);
  expect(alpha.take('plan')).toHaveLength(1);
  expect(obstacle(alpha)).toBe('alpha is being emptied');
});

test('a node says of itself when its slot does not reach the disk', () => {
  const own = ({ state, nowMs }: Master): string | undefined =>
    nodesOf(state, nowMs).find(({ isSelf }) => isSelf)?.disk;
  const alpha = new Master();
  expect(own(alpha)).toBe('ok');
  for (let second = 0; second < 10; second += 1) alpha.tick();
  expect(own(alpha)).toBe('lost');
});

test('nobody is let in whose TIMER is another one: what both believe of each other depends on it', () => {
  const alpha = new Master();
  const join = { kind: 'join', name: 'beta', incarnation: 9, nodes: ['alpha', 'beta'], diskId: 'disk' } as const;
  alpha.happen({ kind: 'asked', askId: 3, from: 1, request: { ...join, timerMs: 5000 } });
  const reason = 'TIMER is 5 here, and 3 on the master';
  expect(alpha.take('answer').at(-1)?.answer).toMatchObject({ accepted: false, final: true, reason });
});

test('who was lost, was left alone because a VM answered, came back and died is found dead as soon as anybody', () => {
  const secondsToFence = (alpha: Master, answers: PingResult): number => {
    const begunMs = alpha.nowMs;
    for (let second = 0; second < 40; second += 1) {
      alpha.live(1, { speaks: false, writes: false });
      for (const { askId, request } of alpha.take('ask')) {
        if (request.kind !== 'ping') continue;
        alpha.happen({ kind: 'answered', askId, answer: { kind: 'ping', results: request.vms.map(() => answers) } });
        if (answers === 'answer') return (alpha.nowMs - begunMs) / 1000;
      }
      if (alpha.take('fence').length > 0) return (alpha.nowMs - begunMs) / 1000;
    }
    return Infinity;
  };
  const alpha = new Master(0, [{ name: 'web', phase: 'running' }]);
  const first = secondsToFence(alpha, 'answer');
  alpha.live(2);
  expect(secondsToFence(alpha, 'silent')).toBeLessThanOrEqual(first + 1);
});

test.each([
  ['whose slot stands still is off when its watchdog must have ended it', false, { off: true, panic: false }],
  ['whose slot is damaged may be writing it: panic', true, { off: false, panic: true }],
])('a node behind a watchdog that could not be fenced and %s', (_, torn, { off, panic }) => {
  const alpha = new Master(10_000, []);
  for (let second = 0; second < 60; second += 1) {
    alpha.live(1, { speaks: false, writes: false, torn });
    for (const { id } of alpha.take('fence')) {
      alpha.happen({ kind: 'done', id, result: { kind: 'fence', ok: false, reason: 'no answer' } });
    }
  }
  expect(alpha.state.ledger.fenced[1] === 1).toBe(off);
  expect(alpha.state.switches.panic.on).toBe(panic);
});

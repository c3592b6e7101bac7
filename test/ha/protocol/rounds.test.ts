/** When the master may work on the cluster without being asked: only while it sees everybody on both channels. */
import { expect, test } from 'vitest';
import { obstacleToRounds } from '../../../src/ha/daemon/master-rounds.ts';
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

test('a node says of itself when its slot does not reach the disk', () => {
  const own = ({ state, nowMs }: Master): string | undefined =>
    nodesOf(state, nowMs).find(({ isSelf }) => isSelf)?.disk;
  const alpha = new Master();
  expect(own(alpha)).toBe('ok');
  for (let second = 0; second < 10; second += 1) alpha.tick();
  expect(own(alpha)).toBe('lost');
});

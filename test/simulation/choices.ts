/** Single faults with their particulars, drawn at random. */
import { theMaster, type Fault } from './faults.ts';
import type { FenceMode } from './power.ts';
import type { Random } from './random.ts';
import { range } from './combinations.ts';

/** Nothing of which may fence anybody (L2). */
export function benignFault(random: Random, nodes: number): Fault {
  const node = random.integer(0, nodes - 1);
  const choices: (() => Fault)[] = [
    () => ({ kind: 'leave', node, forMs: random.between(2000, 30_000) }),
    () => ({ kind: 'crash', node, forMs: random.between(200, 5000) }),
    () => ({
      kind: 'noise',
      loss: random.between(0, 0.2),
      spreadMs: random.between(3, 800),
      duplicates: 0.2,
      forMs: 40_000,
    }),
    () => ({ kind: 'wall-clock', node, byMs: random.pick([-1, 1]) * random.between(1000, 3_600_000) }),
    () => ({ kind: 'san-all', mode: 'slow', slowMs: random.between(100, 1500), forMs: 40_000 }),
    () => ({
      kind: 'pause',
      node,
      forMs: random.between(500, 5000),
      midway: random.chance(0.5),
      deaf: random.chance(0.5),
    }),
    () => ({ kind: 'election' }),
  ];
  return random.pick(choices)();
}

export function anyFault(random: Random, nodes: number): Fault {
  const node = random.integer(0, nodes - 1);
  const other = (node + random.integer(1, nodes - 1)) % nodes;
  const forMs = random.pick([random.between(1000, 15_000), random.between(5000, 90_000)]);
  const pings = random.chance(0.5);
  const ghosts = random.chance(0.4);
  const mode = random.pick(['hung', 'failing', 'slow'] as const);
  const choices: (() => Fault)[] = [
    () => ({ kind: 'power-loss', node, forMs: random.between(5000, 120_000) }),
    () => ({ kind: 'power-loss', node, forMs: random.between(20_000, 120_000) }),
    () => ({ kind: 'crash', node, forMs: random.between(200, 40_000) }),
    () => ({ kind: 'pause', node, forMs, midway: random.chance(0.6), deaf: random.chance(0.5) }),
    () => ({ kind: 'pause', node, forMs: random.between(5000, 20_000), midway: random.chance(0.6) }),
    () => ({ kind: 'cut', from: node, to: other, forMs }),
    () => ({ kind: 'isolate', node, forMs, pings }),
    () => ({ kind: 'partition', nodes: range(nodes).filter(() => random.chance(0.5)), forMs, pings }),
    () => ({ kind: 'lan-gone', forMs, pings }),
    () => ({
      kind: 'noise',
      loss: random.between(0, 0.7),
      spreadMs: random.between(3, 4000),
      duplicates: random.next() / 2,
      forMs,
    }),
    () => ({ kind: 'san-cut', node, mode, slowMs: random.between(500, 8000), ghosts, forMs }),
    () => ({ kind: 'san-cut', node, mode, slowMs: random.between(500, 8000), ghosts, forMs }),
    () => ({ kind: 'san-all', mode, slowMs: random.between(500, 8000), forMs }),
    () => ({ kind: 'stuck-write', node, count: random.integer(1, 3), forMs: random.between(1000, 40_000), ghosts }),
    () => ({ kind: 'lost-renewals', forMs }),
    () => ({ kind: 'torn', block: random.integer(-1, nodes - 1), forMs: random.between(0, 20_000) }),
    () => ({ kind: 'wall-clock', node, byMs: random.pick([-1, 1]) * random.between(1000, 3_600_000) }),
    () => ({
      kind: 'fence-mode',
      mode: random.pick<FenceMode>(['fails', 'late', 'lies', 'unconfirmed', 'misreports']),
    }),
    () => ({
      kind: 'starts',
      fails: random.between(0, 0.5),
      unknown: random.between(0, 0.3),
      startMs: random.between(500, 15_000),
    }),
    () => ({ kind: 'unresolved', node, forMs }),
    () => ({ kind: 'toolstack-hung', node, forMs }),
    () => ({ kind: 'shortage', count: random.integer(1, 2) }),
    () => ({ kind: 'late-pings', node, byMs: random.between(200, 4000), forMs }),
    () => ({ kind: 'watchdog-unfed', node, forMs }),
    () => ({
      kind: 'stutter',
      node: random.pick([node, theMaster]),
      times: random.integer(2, 8),
      deafMs: random.between(2000, 5500),
      awakeMs: random.between(100, 1500),
    }),
    () => ({ kind: 'leave', node, forMs: random.between(1000, 60_000) }),
    () => ({ kind: 'election' }),
    () => ({ kind: 'maintenance', node, forMs }),
    () => ({ kind: 'disarm', node, forMs }),
    () => ({ kind: 'panic', node }),
    () => ({ kind: 'raw-migrate', from: node, to: other }),
    () => ({ kind: 'managed-migrate', from: node, to: other }),
    () => ({ kind: 'restart-vm', from: node, to: other }),
    () => ({ kind: 'kill', node }),
    () => ({ kind: 'wipe-disk' }),
  ];
  return random.pick(choices)();
}

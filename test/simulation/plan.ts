/** From a seed: what cluster it is, and when what goes wrong with it. */
import type { Fault, Trapped } from './faults.ts';
import type { FenceMode } from './power.ts';
import { Random } from './random.ts';

/**
 * `chaos`: anything at once. `death`: one node loses power and nothing else happens, so L1 must hold. `benign`: things that must
 * not fence anybody (L2).
 */
export interface Episode {
  readonly kind: 'chaos' | 'death' | 'benign';
  /** When it would begin if nothing before it took longer. */
  readonly atMs: number;
  readonly lengthMs: number;
  readonly faults: readonly { readonly afterMs: number; readonly fault: Fault }[];
}

export interface Plan {
  readonly seed: number;
  readonly nodes: number;
  readonly vmsPerNode: number;
  readonly fencing: 'disabled' | 'unconfirmed' | 'with-status';
  readonly watchdogMs: number;
  readonly hoursMs: number;
  readonly episodes: readonly Episode[];
}

export function makePlan(seed: number, hours: number): Plan {
  const random = new Random(seed, 2);
  const nodes = random.pick([2, 2, 2, 3, 3, 3, 4, 5, 6, 8]);
  const hoursMs = hours * 3_600_000;
  const count = Math.max(1, Math.round(hours * 2));
  const episodes = Array.from({ length: count }, (_, at) => makeEpisode(random, nodes, ((at + 0.3) * hoursMs) / count));
  return {
    seed,
    nodes,
    vmsPerNode: random.integer(1, 3),
    fencing: random.pick(['with-status', 'with-status', 'with-status', 'unconfirmed', 'disabled']),
    watchdogMs: random.chance(0.15) ? 10_000 : 0,
    hoursMs,
    episodes,
  };
}

function makeEpisode(random: Random, nodes: number, atMs: number): Episode {
  const dice = random.next();
  if (dice < 0.15) {
    const fault: Fault = { kind: 'power-loss', node: random.integer(0, nodes - 1), forMs: 120_000 };
    return { kind: 'death', atMs, lengthMs: 75_000, faults: [{ afterMs: random.between(0, 1000), fault }] };
  }
  if (dice < 0.3) {
    const faults = Array.from({ length: random.integer(1, 3) }, () => ({
      afterMs: random.between(0, 20_000),
      fault: benignFault(random, nodes),
    }));
    return { kind: 'benign', atMs, lengthMs: 60_000, faults };
  }
  const faults = Array.from({ length: random.integer(1, 7) }, () => ({
    afterMs: random.between(0, 45_000),
    fault: anyFault(random, nodes),
  }));
  if (random.chance(0.5)) faults.push(...combination(random, nodes));
  return { kind: 'chaos', atMs, lengthMs: random.between(60_000, 130_000), faults };
}

function benignFault(random: Random, nodes: number): Fault {
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
    () => ({ kind: 'pause', node, forMs: random.between(500, 5000), midway: random.chance(0.5) }),
    () => ({ kind: 'election' }),
  ];
  return random.pick(choices)();
}

function anyFault(random: Random, nodes: number): Fault {
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
    () => ({ kind: 'pause', node, forMs, midway: random.chance(0.6) }),
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

const traps: readonly Trapped[] = ['fence', 'start', 'ask', 'plan', 'write-lease', 'write-slot', 'fence-status'];

/** Faults that are harmless one by one and dangerous together, closely one after the other. */
function combination(random: Random, nodes: number): { afterMs: number; fault: Fault }[] {
  const node = random.integer(0, nodes - 1);
  const other = (node + random.integer(1, nodes - 1)) % nodes;
  const third = random.integer(0, nodes - 1);
  const atMs = random.between(0, 10_000);
  const at = (afterMs: number, fault: Fault): { afterMs: number; fault: Fault } => ({ afterMs: atMs + afterMs, fault });
  const forMs = random.between(15_000, 80_000);
  return random.pick<() => { afterMs: number; fault: Fault }[]>([
    // Caught between deciding and doing, by sleep or death, with a recovery under way.
    () => [
      at(0, { kind: 'power-loss', node, forMs: 200_000 }),
      at(2000, {
        kind: 'trap',
        effect: random.pick(traps),
        action: random.pick(['pause', 'pause', 'crash', 'power-loss']),
        forMs,
      }),
    ],
    () => [
      at(0, { kind: 'power-loss', node, forMs: 200_000 }),
      at(2000, { kind: 'trap', effect: random.pick(['fence', 'start', 'ask']), action: 'pause', forMs }),
    ],
    // Both of two, or all, claim at once, with writes that take their time.
    () => [
      at(0, { kind: 'lan-gone', pings: false, forMs }),
      at(500, {
        kind: 'stuck-write',
        node,
        count: 1,
        leaseOnly: true,
        forMs: random.between(100, 1500),
        ghosts: false,
      }),
      at(600, { kind: 'election' }),
      at(random.between(2000, 9000), {
        kind: 'san-cut',
        node: other,
        mode: 'hung',
        slowMs: 0,
        ghosts: false,
        forMs: 8000,
      }),
    ],
    () => [
      at(0, { kind: 'lan-gone', pings: false, forMs }),
      at(500, {
        kind: 'stuck-write',
        node,
        count: 1,
        leaseOnly: true,
        forMs: random.between(1500, 9000),
        ghosts: false,
      }),
      at(600, { kind: 'election' }),
      at(random.between(3000, 9000), {
        kind: 'san-cut',
        node: other,
        mode: 'hung',
        slowMs: 0,
        ghosts: false,
        forMs: 8000,
      }),
    ],
    () => [
      at(0, { kind: 'lan-gone', pings: false, forMs }),
      at(500, {
        kind: 'stuck-write',
        node: 0,
        count: 1,
        leaseOnly: true,
        forMs: random.between(900, 1450),
        ghosts: false,
      }),
      at(500, {
        kind: 'stuck-write',
        node: 1,
        count: 1,
        leaseOnly: true,
        forMs: random.between(900, 1450),
        ghosts: false,
      }),
      at(501, { kind: 'election' }),
    ],
    () => [
      at(0, { kind: 'lan-gone', pings: false, forMs }),
      at(500, {
        kind: 'stuck-write',
        node: 0,
        count: 2,
        leaseOnly: true,
        forMs: random.between(1500, 6000),
        ghosts: false,
      }),
      at(500, {
        kind: 'stuck-write',
        node: 1,
        count: 2,
        leaseOnly: true,
        forMs: random.between(900, 6000),
        ghosts: false,
      }),
      at(501, { kind: 'election' }),
    ],
    // Silent, alive, and the fence does not work.
    () => [
      at(0, { kind: 'fence-mode', mode: random.pick<FenceMode>(['fails', 'lies', 'late', 'misreports']) }),
      at(0, { kind: 'isolate', node, forMs: 60_000, pings: true }),
      at(random.between(0, 2000), { kind: 'san-cut', node, mode: 'hung', slowMs: 0, ghosts: false, forMs: 60_000 }),
    ],
    // Moved behind the back of a daemon that could not tell.
    () => [
      at(0, { kind: 'san-cut', node, mode: 'hung', slowMs: 0, ghosts: false, forMs: 100_000 }),
      at(500, { kind: 'raw-migrate', from: node, to: other }),
      at(7000, { kind: 'power-loss', node, forMs: 200_000 }),
    ],
    () => [
      at(0, { kind: 'crash', node, forMs: 100_000 }),
      at(500, { kind: 'raw-migrate', from: node, to: other }),
      at(7000, { kind: 'power-loss', node, forMs: 200_000 }),
    ],
    // Heard by some.
    () => [
      ...range(nodes)
        .filter((one) => one !== node && one !== third)
        .map((to) => at(0, { kind: 'cut', from: node, to, forMs })),
      at(0, { kind: 'pings-cut', node, forMs }),
      at(random.between(0, 2000), { kind: 'san-cut', node, mode: 'hung', slowMs: 0, ghosts: false, forMs }),
    ],
    () => [
      at(0, {
        kind: 'cold-boot',
        off: range(nodes).filter((one) => one !== node && random.chance(0.5)),
        tornLease: random.chance(0.5),
        forMs: random.between(1000, 20_000),
      }),
    ],
    () => [at(0, { kind: 'cold-boot', off: [], tornLease: true, forMs: 1000 })],
    // Master and recovery under way die together, or one after the other.
    () => [
      at(0, { kind: 'power-loss', node, forMs: 200_000 }),
      at(random.between(9000, 25_000), { kind: 'power-loss', node: other, forMs }),
    ],
    () => [
      at(0, { kind: 'power-loss', node, forMs: 200_000 }),
      at(random.between(9000, 25_000), { kind: 'pause', node: other, forMs, midway: true }),
    ],
    () => [
      at(0, { kind: 'power-loss', node, forMs: 200_000 }),
      at(random.between(9000, 25_000), { kind: 'crash', node: other, forMs }),
    ],
    // Silent on both channels, and alive.
    () => [
      at(0, { kind: 'isolate', node, forMs, pings: random.chance(0.7) }),
      at(random.between(0, 3000), { kind: 'san-cut', node, mode: 'hung', slowMs: 0, ghosts: false, forMs }),
    ],
    () => [
      at(0, { kind: 'san-cut', node, mode: 'failing', slowMs: 0, ghosts: true, forMs }),
      at(random.between(0, 8000), { kind: 'isolate', node, forMs: random.between(5000, 15_000), pings: true }),
    ],
    () => [at(0, { kind: 'crash', node, forMs }), at(0, { kind: 'unresolved', node: other, forMs })],
    // A VM has just moved when its former node dies.
    () => [
      at(0, { kind: 'raw-migrate', from: node, to: other }),
      at(random.between(1000, 8000), { kind: 'power-loss', node, forMs: 200_000 }),
    ],
    () => [
      at(0, { kind: 'managed-migrate', from: node, to: other }),
      at(random.between(500, 8000), { kind: 'power-loss', node: random.pick([node, other]), forMs: 200_000 }),
    ],
    () => [
      at(0, { kind: 'power-loss', node, forMs: 200_000 }),
      at(random.between(12_000, 22_000), { kind: 'raw-migrate', from: other, to: third }),
    ],
    // One sleeps, and another one takes its place.
    () => [
      at(0, { kind: 'pause', node, forMs: random.between(6000, 30_000), midway: true }),
      at(random.between(0, 20_000), { kind: 'power-loss', node: other, forMs: 200_000 }),
    ],
    () => [
      at(0, { kind: 'power-loss', node, forMs: 200_000 }),
      at(random.between(8000, 16_000), {
        kind: 'stuck-write',
        node: other,
        count: 2,
        forMs,
        ghosts: random.chance(0.5),
      }),
    ],
    () => [
      at(0, { kind: 'election' }),
      at(random.between(0, 3000), {
        kind: 'stuck-write',
        node,
        count: 1,
        forMs: random.between(1000, 12_000),
        ghosts: random.chance(0.5),
      }),
    ],
    () => [
      at(0, { kind: 'san-cut', node, mode: 'hung', slowMs: 0, ghosts: false, forMs: random.between(6000, 25_000) }),
      at(random.between(0, 4000), { kind: 'noise', loss: 0.4, spreadMs: 3000, duplicates: 0.3, forMs }),
    ],
    () => [
      at(0, { kind: 'power-loss', node, forMs: 200_000 }),
      at(random.between(9000, 14_000), { kind: 'fence-mode', mode: 'lies' }),
    ],
    () => [
      at(0, { kind: 'power-loss', node, forMs: 200_000 }),
      at(random.between(9000, 20_000), { kind: 'noise', loss: 0.5, spreadMs: 4000, duplicates: 0.3, forMs }),
    ],
    // One way, and the disk too.
    () => [
      at(0, { kind: 'cut', from: node, to: other, forMs }),
      at(random.between(0, 2000), { kind: 'san-cut', node, mode: 'hung', slowMs: 0, ghosts: false, forMs }),
    ],
    () => [
      at(0, { kind: 'san-cut', node, mode: 'hung', slowMs: 0, ghosts: false, forMs }),
      at(random.between(0, 12_000), { kind: 'pause', node: other, forMs: random.between(6000, 30_000), midway: false }),
    ],
  ])();
}

function range(size: number): readonly number[] {
  return Array.from({ length: size }, (_, index) => index);
}

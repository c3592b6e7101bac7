/** Faults that are harmless one by one and dangerous together, closely one after the other. */
import { notTheMaster, theMaster, type Fault, type Trapped } from './faults.ts';
import type { FenceMode } from './power.ts';
import type { Random } from './random.ts';

export interface TimedFault {
  readonly afterMs: number;
  readonly fault: Fault;
}

const traps: readonly Trapped[] = ['fence', 'start', 'ask', 'plan', 'write-lease', 'write-slot', 'fence-status'];

/**
 * Two halves that don't hear each other claim a vacant lease at once, with writes that take their time, and perhaps the
 * one that succeeds loses the disk right after.
 */
export function duel(random: Random, nodes: number): TimedFault[] {
  const halves = [range(nodes).filter((one) => one % 2 === 0), range(nodes).filter((one) => one % 2 === 1)] as const;
  const [slow, quick] = random.chance(0.5) ? halves : [halves[1], halves[0]];
  const stuck = (node: number, forMs: number): TimedFault => ({
    afterMs: 500,
    fault: { kind: 'stuck-write', node, count: 1, only: 'claim', forMs, ghosts: false },
  });
  const begin: TimedFault[] = [
    { afterMs: 0, fault: { kind: 'partition', nodes: slow, pings: false, forMs: 40_000 } },
    { afterMs: 501, fault: { kind: 'election' } },
  ];
  if (random.chance(0.35)) {
    const [slowMs, quickMs] = [random.between(900, 1450), random.between(10, 900)];
    return [...begin, ...slow.map((node) => stuck(node, slowMs)), ...quick.map((node) => stuck(node, quickMs))];
  }
  // Read while it was vacant, told when somebody else has become master of it.
  const forMs = random.between(4600, 6000);
  return [
    ...begin,
    ...slow.map((node): TimedFault => ({
      afterMs: 500,
      fault: { kind: 'stuck-read', node, count: 1, only: 'vacant', forMs },
    })),
    ...quick.map((node): TimedFault => ({ afterMs: 500, fault: { kind: 'hung-when-master', node, forMs: 9000 } })),
  ];
}

/** One dies, and the master can't renew its lease just when it is to act. */
export function masterWithoutLease(random: Random, nodes: number): TimedFault[] {
  const node = random.integer(0, nodes - 1);
  return [
    { afterMs: 0, fault: { kind: 'power-loss', node, forMs: 200_000 } },
    {
      afterMs: random.between(2000, 14_000),
      fault: {
        kind: 'stuck-write',
        node: theMaster,
        only: 'lease',
        count: random.integer(1, 3),
        forMs: random.between(5000, 20_000),
        ghosts: random.chance(0.3),
      },
    },
  ];
}

/** Without the disk, its VMs silent, and the master is the only one that doesn't hear it. */
export function heardByOthers(random: Random, nodes: number): TimedFault[] {
  const node = random.integer(0, nodes - 1);
  const forMs = random.between(20_000, 60_000);
  return [
    { afterMs: 0, fault: { kind: 'cut', from: node, to: theMaster, forMs } },
    { afterMs: 0, fault: { kind: 'pings-cut', node, forMs } },
    {
      afterMs: random.between(0, 4000),
      fault: { kind: 'san-cut', node, mode: random.pick(['hung', 'failing']), slowMs: 0, ghosts: false, forMs },
    },
  ];
}

/** The master gets hardly any time and hears little, while a node of which nothing else is wrong is without the disk. */
export function sleepyMaster(random: Random): TimedFault[] {
  const node = notTheMaster;
  const at = (afterMs: number, fault: Fault): TimedFault => ({ afterMs, fault });
  const forMs = 45_000;
  return [
    at(0, { kind: 'san-cut', node, mode: random.pick(['hung', 'failing']), slowMs: 0, ghosts: false, forMs }),
    at(0, { kind: 'pings-cut', node, forMs }),
    at(0, { kind: 'heard-by-master-only', node, forMs }),
    at(0, { kind: 'noise', loss: random.between(0, 0.6), spreadMs: random.between(3, 500), duplicates: 0, forMs }),
    at(random.between(1000, 9000), {
      kind: 'stutter',
      node: theMaster,
      times: random.integer(3, 8),
      deafMs: random.between(2500, 5200),
      awakeMs: random.between(100, 1200),
    }),
  ];
}

/** Silent on both channels, and back on the disk just when it is to be fenced. */
export function backAtTheLastMoment(random: Random, nodes: number): TimedFault[] {
  const node = random.integer(0, nodes - 1);
  const forMs = random.between(8500, 13_500);
  return [
    { afterMs: 0, fault: { kind: 'isolate', node, forMs: 60_000, pings: true } },
    { afterMs: 0, fault: { kind: 'san-cut', node, mode: 'failing', slowMs: 0, ghosts: false, forMs } },
  ];
}

/** Silent, alive, and the fence command does not do what it says. */
export function badFence(random: Random, nodes: number): TimedFault[] {
  const node = random.integer(0, nodes - 1);
  const forMs = random.between(40_000, 80_000);
  return [
    {
      afterMs: 0,
      fault: { kind: 'fence-mode', mode: random.pick<FenceMode>(['fails', 'lies', 'late', 'misreports']) },
    },
    { afterMs: 0, fault: { kind: 'isolate', node, forMs, pings: true } },
    {
      afterMs: random.between(0, 2000),
      fault: { kind: 'san-cut', node, mode: 'hung', slowMs: 0, ghosts: false, forMs },
    },
  ];
}

/** A VM was moved behind the back of a daemon that could not tell, and does not answer where it is now. */
export function movedUnseen(random: Random, nodes: number): TimedFault[] {
  const node = random.integer(0, nodes - 1);
  const to = (node + random.integer(1, nodes - 1)) % nodes;
  const silence: Fault = random.chance(0.5)
    ? { kind: 'crash', node, forMs: 100_000 }
    : { kind: 'san-cut', node, mode: 'hung', slowMs: 0, ghosts: false, forMs: 100_000 };
  return [
    { afterMs: 0, fault: silence },
    { afterMs: 0, fault: { kind: 'pings-cut', node: to, forMs: 100_000 } },
    { afterMs: 500, fault: { kind: 'raw-migrate', from: node, to } },
    { afterMs: 7000, fault: { kind: 'power-loss', node, forMs: 200_000 } },
  ];
}

/** The master falls asleep when it has decided who is to start the VMs, and wakes when another one is master. */
export function lateOrder(random: Random, nodes: number): TimedFault[] {
  const node = random.integer(0, nodes - 1);
  return [
    { afterMs: 0, fault: { kind: 'power-loss', node, forMs: 200_000 } },
    { afterMs: 0, fault: { kind: 'starts', fails: 0.3, unknown: 0, startMs: random.between(500, 15_000) } },
    { afterMs: 2000, fault: { kind: 'trap', effect: 'order', action: 'pause', forMs: random.between(11_000, 20_000) } },
  ];
}

/** The master falls asleep when it has decided to fence, and wakes when another one is master. */
export function lateFence(random: Random, nodes: number): TimedFault[] {
  const node = random.integer(0, nodes - 1);
  return [
    { afterMs: 0, fault: { kind: 'power-loss', node, forMs: 200_000 } },
    { afterMs: 2000, fault: { kind: 'trap', effect: 'fence', action: 'pause', forMs: random.between(11_000, 25_000) } },
  ];
}

/** A renewal that was stuck in a sleeping master lands over the lease of the next one, who just can't look. */
export function lateRenewal(random: Random, nodes: number): TimedFault[] {
  const asleepMs = random.between(13_500, 22_000);
  const node = random.integer(0, nodes - 1);
  return [
    { afterMs: 0, fault: { kind: 'trap', effect: 'write-lease', action: 'pause', forMs: asleepMs } },
    { afterMs: asleepMs - 200, fault: { kind: 'lan-gone', pings: false, forMs: 20_000 } },
    {
      afterMs: asleepMs + random.between(-500, 800),
      fault: { kind: 'san-cut', node, mode: 'hung', slowMs: 0, ghosts: false, forMs: 9000 },
    },
  ];
}

/**
 * A slot is damaged while its node is off, all daemons start anew, and a person has to say what nobody knows. Or its node only
 * does not get at the disk, and nobody may write there.
 */
export function damagedAndForgotten(random: Random, nodes: number): TimedFault[] {
  const node = random.integer(0, nodes - 1);
  const at = (afterMs: number, fault: Fault): TimedFault => ({ afterMs, fault });
  const forgets = random.chance(0.7);
  const forMs = random.between(60_000, 130_000);
  const trouble: Fault = random.chance(0.7)
    ? { kind: 'power-loss', node, forMs }
    : { kind: 'san-cut', node, mode: 'hung', slowMs: 0, ghosts: false, forMs };
  return [
    at(0, trouble),
    at(random.between(0, 15_000), { kind: 'torn', block: node, forMs: 0 }),
    ...(forgets ? range(nodes).filter((one) => one !== node) : []).map((one) =>
      at(random.between(14_000, 20_000), { kind: 'crash', node: one, forMs: random.between(500, 3000) }),
    ),
    at(random.between(36_000, 50_000), { kind: 'kill', node }),
    at(random.between(36_000, 62_000), { kind: 'restart-vm', from: (node + 1) % nodes, to: (node + 2) % nodes }),
    at(random.between(36_000, 62_000), { kind: 'managed-migrate', from: (node + 1) % nodes, to: node }),
  ];
}

/** Its daemon is killed and comes back while nobody hears it, and it can't be fenced: only its watchdog can end it. */
export function killedUnheard(random: Random, nodes: number): TimedFault[] {
  const node = random.integer(0, nodes - 1);
  const forMs = random.between(60_000, 100_000);
  return [
    { afterMs: 0, fault: { kind: 'fence-mode', mode: 'fails' } },
    { afterMs: 0, fault: { kind: 'isolate', node, forMs, pings: true } },
    { afterMs: random.between(0, 10_000), fault: { kind: 'crash', node, forMs: random.between(200, 3000) } },
  ];
}

/** A node that was fenced has power again and no cxmd yet; somebody starts a VM there, and somebody else starts it elsewhere. */
export function startedBehind(random: Random, nodes: number): TimedFault[] {
  const node = random.integer(0, nodes - 1);
  const other = (node + random.integer(1, nodes - 1)) % nodes;
  const at = (afterMs: number, fault: Fault): TimedFault => ({ afterMs, fault });
  const forMs = random.between(17_000, 30_000);
  const blind: Fault = { kind: 'san-cut', node: other, mode: 'hung', slowMs: 0, ghosts: false, forMs: 30_000 };
  return [
    at(0, { kind: 'power-loss', node, forMs }),
    ...(random.chance(0.4) ? [at(forMs - 1000, blind)] : []),
    at(forMs + random.between(500, 4000), { kind: 'restart-vm', from: other, to: node }),
    at(forMs + random.between(5000, 25_000), { kind: 'create', node: other, vm: `vm${String(other)}-0` }),
  ];
}

/** A master is cut off while it starts what it has ordered itself to start, and the next one finds the same VMs to be started. */
export function orderedTwice(random: Random, nodes: number): TimedFault[] {
  const node = random.integer(0, nodes - 1);
  return [
    { afterMs: 0, fault: { kind: 'power-loss', node, forMs: 200_000 } },
    { afterMs: 0, fault: { kind: 'starts', fails: 0, unknown: 0, startMs: random.between(10_000, 18_000) } },
    {
      afterMs: random.between(10_500, 17_000),
      fault: { kind: 'isolate', node: theMaster, forMs: random.between(25_000, 60_000), pings: true },
    },
  ];
}

type Recipe = readonly [share: number, fewestNodes: number, make: (random: Random, nodes: number) => TimedFault[]];

const recipes: readonly Recipe[] = [
  [8, 1, mixture],
  [4, 2, duel],
  [3, 2, sleepyMaster],
  [3, 2, masterWithoutLease],
  [3, 3, heardByOthers],
  [3, 2, backAtTheLastMoment],
  [2, 2, badFence],
  [2, 2, movedUnseen],
  [3, 3, lateOrder],
  [2, 3, lateFence],
  [3, 2, lateRenewal],
  [2, 2, damagedAndForgotten],
  [2, 2, killedUnheard],
  [2, 2, startedBehind],
  [2, 3, orderedTwice],
];

export function combination(random: Random, nodes: number): TimedFault[] {
  const possible = recipes.filter(([, fewest]) => nodes >= fewest);
  let dice = random.between(
    0,
    possible.reduce((sum, [share]) => sum + share, 0),
  );
  const [, , make] = possible.find(([share]) => (dice -= share) < 0) ?? ([1, 1, mixture] satisfies Recipe);
  return make(random, nodes);
}

/** One of many short ones. */
export function mixture(random: Random, nodes: number): TimedFault[] {
  const node = random.integer(0, nodes - 1);
  const other = (node + random.integer(1, nodes - 1)) % nodes;
  const third = random.integer(0, nodes - 1);
  const atMs = random.between(0, 10_000);
  const at = (afterMs: number, fault: Fault): TimedFault => ({ afterMs: atMs + afterMs, fault });
  const forMs = random.between(15_000, 80_000);
  return random.pick<() => TimedFault[]>([
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
      at(2000, { kind: 'trap', effect: random.pick(['fence', 'start', 'order', 'order']), action: 'pause', forMs }),
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

export function range(size: number): readonly number[] {
  return Array.from({ length: size }, (_, index) => index);
}

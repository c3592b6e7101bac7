/** From a seed: what cluster it is, and when what goes wrong with it. */
import { anyFault, benignFault } from './choices.ts';
import { combination, type TimedFault } from './combinations.ts';
import type { Fault } from './faults.ts';
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
  /** Of a death: a node in maintenance that was switched off a while before, and is in nobody's way. */
  readonly resting?: number;
  readonly faults: readonly TimedFault[];
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

/** Of 9 to 32 nodes: an hour of 32 takes as long as some fifty of three. */
const shareOfLarge = 0.01;
const largest = 32;

/** @param size of the cluster, instead of what the seed gives */
export function makePlan(seed: number, hours: number, size?: number): Plan {
  const random = new Random(seed, 2);
  const usual = random.pick([2, 2, 2, 3, 3, 3, 4, 5, 6, 8]);
  const drawn = random.chance(shareOfLarge) ? random.integer(9, largest) : usual;
  const nodes = size ?? drawn;
  const hoursMs = hours * 3_600_000;
  // Large ones live through less.
  const count = Math.max(1, Math.round((hours * 2 * 8) / Math.max(8, nodes)));
  const drawnEpisodes = Array.from({ length: count }, (_, at) =>
    makeEpisode(random, nodes, ((at + 0.3) * hoursMs) / count),
  );
  const rests = new Random(seed, 3);
  const episodes = drawnEpisodes.map((episode) => withRest(rests, nodes, episode));
  return {
    seed,
    nodes,
    vmsPerNode: random.pick([0, 1, 1, 2, 2, 3]),
    fencing: random.pick(['with-status', 'with-status', 'with-status', 'unconfirmed', 'disabled']),
    watchdogMs: random.chance(0.15) ? 20_000 : 0,
    hoursMs,
    episodes,
  };
}

/** Drawn by themselves, so that the rest of a seed stays what it was. */
function withRest(random: Random, nodes: number, episode: Episode): Episode {
  const [first] = episode.faults;
  if (episode.kind !== 'death' || first?.fault.kind !== 'power-loss' || nodes < 3 || !random.chance(0.3))
    return episode;
  return { ...episode, resting: (first.fault.node + random.integer(1, nodes - 1)) % nodes };
}

/** Two short silences of one node, one right after the other, are a long one, of which it may be fenced. */
function withoutLongSilence(faults: readonly TimedFault[]): readonly TimedFault[] {
  const silent = new Set<number>();
  return faults.filter(({ fault }) => {
    if (fault.kind !== 'crash' && fault.kind !== 'pause') return true;
    const isFirst = !silent.has(fault.node);
    silent.add(fault.node);
    return isFirst;
  });
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
    return { kind: 'benign', atMs, lengthMs: 60_000, faults: withoutLongSilence(faults) };
  }
  const isCombined = random.chance(0.7);
  const faults: TimedFault[] = Array.from({ length: isCombined ? random.integer(0, 3) : random.integer(1, 7) }, () => ({
    afterMs: random.between(0, 45_000),
    fault: anyFault(random, nodes),
  }));
  if (isCombined) faults.push(...combination(random, nodes));
  return { kind: 'chaos', atMs, lengthMs: random.between(60_000, 130_000), faults };
}

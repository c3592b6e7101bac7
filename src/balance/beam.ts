/**
 * The search for clusters of any size: keeps the best placements for each number of migrations and extends them by one
 * relocation. A third of the places goes to those with the best score, the rest to those that are most even all over, since
 * the score sees the highest and lowest node only and says nothing about the next ones: a third by the sum of both
 * resources' variances, which looks at the worse one, a third by the sum of their standard deviations, which looks at both.
 *
 * How much it does depends on the cluster's size and the number of migrations, never on a clock.
 */
import { newExtremes, readExtremes, type Extremes } from './extremes.ts';
import { copyPlacement, move, placementScore, unitAt, type Model, type Placement } from './model.ts';
import { forEachNeighbour, residentsOf } from './neighbours.ts';
import type { Costs, Relocation, Solution } from './solution.ts';

interface Unevenness {
  readonly memory: number;
  readonly cpu: number;
}

interface Entry {
  readonly parent: Entry | undefined;
  readonly relocation: Relocation | undefined;
  readonly placement: Placement;
  readonly score: number;
  /** Score plus the costs of the migrations. */
  readonly objective: number;
  /** Sums of the squares of all nodes' deviations from the mean, in percent of the total. */
  readonly unevenness: Unevenness;
  /** Of the set of relocations, whatever their order. */
  readonly hash: number;
}

/** A relocation of a kept placement, not yet made. */
interface Candidate {
  readonly parent: Entry;
  readonly unit: number;
  readonly node: number;
  readonly score: number;
  readonly hash: number;
}

/** The candidates with the lowest keys, sorted; of equal ones the first that came. */
interface Pool {
  readonly width: number;
  readonly candidates: Candidate[];
  readonly keys: number[];
  readonly hashes: Set<number>;
  /** What the next one must be below. */
  worst: number;
}

interface Layer {
  readonly byScore: Pool;
  readonly byVariance: Pool;
  readonly byDeviation: Pool;
}

export interface BeamOptions {
  readonly maxMigrations: number;
  readonly costs: Costs;
  /** About how many placements are looked at. */
  readonly evaluations: number;
}

const widest = 512;
/** Up to so many pairs of unit and node, all relocations are looked at; above, those that touch an extreme node. */
const smallNeighbourhood = 2500;

/** The best solution found for each number of migrations that has one. */
export function beamSearch(model: Model, start: Placement, options: BeamOptions): readonly Solution[] {
  const { maxMigrations, costs } = options;
  const score = placementScore(model, start);
  const unevenness = unevennessOf(model, start);
  const root = {
    parent: undefined,
    relocation: undefined,
    placement: start,
    score,
    objective: score,
    unevenness,
    hash: 0,
  };
  const width = Math.ceil(beamWidth(model, options) / 3);
  const layers = Array.from({ length: maxMigrations + 1 }, () => newLayer(width));
  const found: Solution[] = [];
  let entries: readonly Entry[] = [root];
  for (let migrations = 0; migrations <= maxMigrations; migrations += 1) {
    const layer = layers[migrations];
    if (migrations > 0 && layer !== undefined) entries = realise(model, layer, costs);
    layers[migrations] = newLayer(0);
    const best = entries[0];
    if (best !== undefined && migrations > 0) found.push(solutionOf(model, best));
    for (const entry of entries) extend(model, entry, costs, layers.slice(migrations));
  }
  return found;
}

function beamWidth({ nodes, units }: Model, { maxMigrations, evaluations }: BeamOptions): number {
  const all = nodes.length * units.length;
  const neighbours = all <= smallNeighbourhood ? all : Math.min(all, 16 * units.length);
  return Math.max(2, Math.min(widest, Math.floor(evaluations / (neighbours * maxMigrations + 1))));
}

/** Offers all relocations of units still at home to the layers ahead; `layers[n]` is n migrations further. */
function extend(model: Model, entry: Entry, costs: Costs, layers: readonly Layer[]): void {
  const { placement, unevenness } = entry;
  const extremes = newExtremes();
  readExtremes(model, placement, extremes);
  const residents = residentsOf(model, placement, (unit) => unitAt(model, unit).home === placement.where[unit]);
  const wanted = focus(model, placement, extremes);
  const paid = entry.objective - entry.score;
  const { memory, cpu, where } = placement;
  const [memorySquared, cpuSquared] = [2 * model.memoryScale ** 2, 2 * model.cpuScale ** 2];
  const neighbourhood = { model, placement, extremes, residents, firstUnit: 0, wanted, below: () => Infinity };
  forEachNeighbour(neighbourhood, (unit, node, score) => {
    const moved = unitAt(model, unit);
    const layer = layers[moved.vms.length];
    if (layer === undefined) return;
    const source = where[unit] ?? 0;
    const { memoryMib, cpu: cpuOfUnit } = moved;
    const memoryVariance = Math.max(
      0,
      unevenness.memory + memorySquared * memoryMib * (memoryMib + (memory[node] ?? 0) - (memory[source] ?? 0)),
    );
    const cpuVariance = Math.max(
      0,
      unevenness.cpu + cpuSquared * cpuOfUnit * (cpuOfUnit + (cpu[node] ?? 0) - (cpu[source] ?? 0)),
    );
    const objective = score + paid + (costs[unit] ?? 0);
    const variance = memoryVariance + cpuVariance;
    const deviation = Math.sqrt(memoryVariance) + Math.sqrt(cpuVariance);
    const { byScore, byVariance, byDeviation } = layer;
    if (objective >= byScore.worst && variance >= byVariance.worst && deviation >= byDeviation.worst) return;
    const candidate = { parent: entry, unit, node, score, hash: entry.hash ^ mix(unit, node) };
    offer(byScore, objective, candidate);
    offer(byVariance, variance, candidate);
    offer(byDeviation, deviation, candidate);
  });
}

/** In large clusters: pairs with one of the two highest or lowest nodes of either resource. */
function focus(
  model: Model,
  { where }: Placement,
  { memoryHigh, memoryLow, cpuHigh, cpuLow }: Extremes,
): (source: number, destination: number) => boolean {
  if (model.nodes.length * where.length <= smallNeighbourhood) return () => true;
  const sources = new Set([...memoryHigh.node.slice(0, 2), ...cpuHigh.node.slice(0, 2)]);
  const destinations = new Set([...memoryLow.node.slice(0, 2), ...cpuLow.node.slice(0, 2)]);
  const isSource = model.nodes.map((_, node) => sources.has(node));
  const isDestination = model.nodes.map((_, node) => destinations.has(node));
  return (source, destination) => isSource[source] === true || isDestination[destination] === true;
}

function newLayer(width: number): Layer {
  const pool = (): Pool => ({
    width,
    candidates: [],
    keys: [],
    hashes: new Set(),
    worst: width === 0 ? -Infinity : Infinity,
  });
  return { byScore: pool(), byVariance: pool(), byDeviation: pool() };
}

function offer(pool: Pool, key: number, candidate: Candidate): void {
  const { candidates, keys, hashes, width } = pool;
  if (key >= pool.worst || hashes.has(candidate.hash)) return;
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] ?? 0) <= key) low = middle + 1;
    else high = middle;
  }
  candidates.splice(low, 0, candidate);
  keys.splice(low, 0, key);
  hashes.add(candidate.hash);
  if (candidates.length > width) {
    hashes.delete(candidates.pop()?.hash ?? 0);
    keys.pop();
  }
  if (candidates.length === width) pool.worst = keys[width - 1] ?? Infinity;
}

/** Makes the relocations of a layer's candidates; the entry with the lowest objective comes first. */
function realise(model: Model, { byScore, byVariance, byDeviation }: Layer, costs: Costs): readonly Entry[] {
  const all = [byScore, byVariance, byDeviation].flatMap(({ candidates }) => candidates);
  const chosen = new Map([...all].reverse().map((candidate) => [candidate.hash, candidate]));
  const kept = all.filter((candidate) => chosen.get(candidate.hash) === candidate);
  return kept.map(({ parent, unit, node, score, hash }) => {
    const placement = copyPlacement(parent.placement);
    move(model, placement, unit, node);
    const objective = score + (parent.objective - parent.score) + (costs[unit] ?? 0);
    const unevenness = unevennessOf(model, placement);
    return { parent, relocation: { unit, node }, placement, score, objective, unevenness, hash };
  });
}

function unevennessOf({ memoryScale, cpuScale }: Model, { memory, cpu }: Placement): Unevenness {
  const squares = (sums: Float64Array, scale: number): number => {
    const mean = sums.reduce((sum, value) => sum + value, 0) / sums.length;
    return sums.reduce((sum, value) => sum + ((value - mean) * scale) ** 2, 0);
  };
  return { memory: squares(memory, memoryScale), cpu: squares(cpu, cpuScale) };
}

function solutionOf(model: Model, entry: Entry): Solution {
  const relocations: Relocation[] = [];
  for (let at: Entry | undefined = entry; at !== undefined; at = at.parent) {
    if (at.relocation !== undefined) relocations.unshift(at.relocation);
  }
  const migrations = relocations.reduce((sum, { unit }) => sum + unitAt(model, unit).vms.length, 0);
  return { relocations, migrations, score: entry.score, objective: entry.objective };
}

/** 32 bits that look random, for sets of relocations: the same set has the same exclusive or. */
function mix(unit: number, node: number): number {
  let bits = Math.imul(unit + 1, 0x9e3779b1) ^ Math.imul(node + 1, 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 15), 0x2c1b3c6d);
  bits = Math.imul(bits ^ (bits >>> 12), 0x297a2d39);
  return bits ^ (bits >>> 15);
}

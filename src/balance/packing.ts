/**
 * Finding a place for each of some VMs: the engine of emptying nodes, placing new VMs, mending rules and of the question
 * whether a node may fail.
 *
 * First best-fit decreasing: VMs by RAM, largest first, each to the fitting node with the least free RAM; one that fits
 * nowhere doesn't stop the rest. If that leaves VMs over, all other assignments are tried within a bound, and then, if the
 * caller allows it, VMs that stand in the way are moved. Nothing here is better than best-fit by luck: the first answer
 * that leaves nothing over is taken, in a fixed order.
 */
import { copyPlacement, fits, move, placementScore, unitAt, type Model, type Placement } from './model.ts';
import type { Relocation } from './solution.ts';

export interface PackingOptions {
  /** `tight`: least free RAM. `even`: lowest score, which keeps nodes alike. */
  readonly fit: 'tight' | 'even';
  /** May VMs that were not asked for be moved to make room? */
  readonly mayDisplace: boolean;
  /** So many partial assignments are tried before the search for a better one is given up; each takes some 10 µs. */
  readonly mostTries?: number;
}

export interface Packing {
  /** In order; each is allowed when its turn comes. */
  readonly relocations: readonly Relocation[];
  /** Units that fit nowhere, the largest first. */
  readonly left: readonly number[];
  /** What it took: best-fit, another assignment of the same VMs, or moving others out of the way. */
  readonly method: 'first' | 'reassigned' | 'displaced';
  /** With units left: is it proven that they can't all be placed without moving others? */
  readonly certain: boolean;
  /** After all relocations. */
  readonly placement: Placement;
}

const defaultTries = 100_000;

export function pack(model: Model, start: Placement, units: readonly number[], options: PackingOptions): Packing {
  const ordered = largestFirst(model, units);
  const first = fitEach(model, start, ordered, options.fit);
  if (first.left.length === 0) return { ...first, method: 'first', certain: true };
  const other = reassign(model, start, ordered, options.mostTries ?? defaultTries);
  if (other.relocations !== undefined) {
    const placement = apply(model, start, other.relocations);
    return { relocations: other.relocations, left: [], method: 'reassigned', certain: true, placement };
  }
  if (options.mayDisplace) {
    const displaced = displace(model, start, first, new Set(units));
    if (displaced.left.length < first.left.length) return { ...displaced, method: 'displaced', certain: other.certain };
  }
  return { ...first, method: 'first', certain: other.certain };
}

/** By RAM, the largest first; of equal ones the first by name. */
export function largestFirst(model: Model, units: readonly number[]): readonly number[] {
  return [...units].sort((one, other) => unitAt(model, other).memoryMib - unitAt(model, one).memoryMib || one - other);
}

export function apply(model: Model, start: Placement, relocations: readonly Relocation[]): Placement {
  const placement = copyPlacement(start);
  for (const { unit, node } of relocations) move(model, placement, unit, node);
  return placement;
}

type Fitted = Pick<Packing, 'relocations' | 'left' | 'placement'>;

function fitEach(model: Model, start: Placement, units: readonly number[], fit: PackingOptions['fit']): Fitted {
  const placement = copyPlacement(start);
  const relocations: Relocation[] = [];
  const left: number[] = [];
  for (const unit of units) {
    const node = bestNode(model, placement, unit, fit);
    if (node === undefined) {
      left.push(unit);
      continue;
    }
    move(model, placement, unit, node);
    relocations.push({ unit, node });
  }
  return { relocations, left, placement };
}

function bestNode(
  model: Model,
  placement: Placement,
  unit: number,
  fit: PackingOptions['fit'],
  except = -1,
): number | undefined {
  let best: number | undefined;
  let lowest = Infinity;
  for (let node = 0; node < model.nodes.length; node += 1) {
    if (node === except || !fits(model, placement, unit, node)) continue;
    const value = fit === 'tight' ? freeOf(model, placement, node) : scoreAfter(model, placement, unit, node);
    if (value < lowest) [best, lowest] = [node, value];
  }
  return best;
}

function freeOf({ nodes }: Model, { memory }: Placement, node: number): number {
  return (nodes[node]?.memoryMib ?? 0) - (memory[node] ?? 0);
}

function scoreAfter(model: Model, placement: Placement, unit: number, node: number): number {
  const home = placement.where[unit] ?? -1;
  move(model, placement, unit, node);
  const score = placementScore(model, placement);
  move(model, placement, unit, home);
  return score;
}

/** Any assignment that leaves nothing over. `certain`: there is none, and not merely none found. */
function reassign(
  model: Model,
  start: Placement,
  units: readonly number[],
  mostTries: number,
): { relocations: readonly Relocation[] | undefined; certain: boolean } {
  const placement = copyPlacement(start);
  const relocations: Relocation[] = [];
  const needed = units.map((_, at) => units.slice(at).reduce((sum, unit) => sum + unitAt(model, unit).memoryMib, 0));
  let free = model.nodes.reduce((sum, _, node) => {
    return sum + (model.accepting[node] === true ? Math.max(0, freeOf(model, placement, node)) : 0);
  }, 0);
  let tried = 0;
  const place = (at: number): boolean => {
    const unit = units[at];
    if (unit === undefined) return true;
    if ((needed[at] ?? 0) > free) return false;
    const { memoryMib } = unitAt(model, unit);
    const home = placement.where[unit] ?? -1;
    for (const node of tightestFirst(model, placement, unit)) {
      if (tried >= mostTries) return false;
      tried += 1;
      move(model, placement, unit, node);
      relocations.push({ unit, node });
      free -= memoryMib;
      if (place(at + 1)) return true;
      free += memoryMib;
      relocations.pop();
      move(model, placement, unit, home);
    }
    return false;
  };
  const found = place(0);
  return { relocations: found ? relocations : undefined, certain: found || tried < mostTries };
}

/** Fitting nodes by free RAM; of nodes alike in everything, only the first, unless a rule may tell them apart. */
function tightestFirst(model: Model, placement: Placement, unit: number): readonly number[] {
  const fitting = model.nodes.flatMap((_, node) => (fits(model, placement, unit, node) ? [node] : []));
  const sorted = fitting.sort(
    (one, other) => freeOf(model, placement, one) - freeOf(model, placement, other) || one - other,
  );
  if (model.units.some(({ allowed, apart }) => allowed !== undefined || apart.length > 0)) return sorted;
  const seen = new Set<string>();
  return sorted.filter((node) => {
    const kind = `${freeOf(model, placement, node)} ${placement.count[node] ?? 0}`;
    if (seen.has(kind)) return false;
    seen.add(kind);
    return true;
  });
}

/** Makes room for what is left by moving one or two other units of a node elsewhere. */
function displace(model: Model, start: Placement, first: Fitted, asked: ReadonlySet<number>): Fitted {
  const placement = copyPlacement(first.placement);
  const others: Relocation[] = [];
  const made = [...first.relocations];
  const left: number[] = [];
  for (const unit of first.left) {
    const way = makeRoom(model, placement, unit);
    if (way === undefined) {
      left.push(unit);
      continue;
    }
    for (const step of way) move(model, placement, step.unit, step.node);
    made.push(...way);
    others.push(...way.filter((step) => !asked.has(step.unit)));
  }
  const own = largestFirst(model, [...asked]).flatMap((unit) => {
    const node = placement.where[unit] ?? -1;
    return node === start.where[unit] ? [] : [{ unit, node }];
  });
  // Better is that those asked for go last and once, to where they end. That is possible unless another one needs the
  // room that one of them leaves; then in the order in which the way was found.
  const once = [...others, ...own];
  return { relocations: isPossible(model, start, once) ? once : made, left, placement };
}

function isPossible(model: Model, start: Placement, relocations: readonly Relocation[]): boolean {
  const placement = copyPlacement(start);
  return relocations.every(({ unit, node }) => {
    if (!fits(model, placement, unit, node)) return false;
    move(model, placement, unit, node);
    return true;
  });
}

/** The cheapest way by RAM moved: one unit out of the way if that suffices, else two. */
function makeRoom(model: Model, placement: Placement, unit: number): readonly Relocation[] | undefined {
  let best: { way: readonly Relocation[]; memoryMib: number } | undefined;
  const consider = (node: number, movers: readonly number[]): void => {
    const memoryMib = movers.reduce((sum, mover) => sum + unitAt(model, mover).memoryMib, 0);
    if (best !== undefined && memoryMib >= best.memoryMib) return;
    const trial = copyPlacement(placement);
    const way: Relocation[] = [];
    for (const mover of movers) {
      const to = bestNode(model, trial, mover, 'tight', node);
      if (to === undefined) return;
      move(model, trial, mover, to);
      way.push({ unit: mover, node: to });
    }
    if (fits(model, trial, unit, node)) best = { way: [...way, { unit, node }], memoryMib };
  };
  const onNode = (node: number): readonly number[] =>
    model.units.flatMap(({ movable }, other) => (movable && placement.where[other] === node ? [other] : []));
  const candidates = model.nodes.flatMap((_, node) =>
    model.accepting[node] === true ? [{ node, others: onNode(node) }] : [],
  );
  for (const { node, others } of candidates) for (const other of others) consider(node, [other]);
  if (best === undefined) {
    for (const { node, others } of candidates) {
      for (const [at, one] of others.entries())
        for (const other of others.slice(at + 1)) consider(node, largestFirst(model, [one, other]));
    }
  }
  return best?.way;
}

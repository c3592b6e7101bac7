/**
 * What comes before balance: VMs on nodes that shall be empty, away from the nodes they are pinned to, apart from the group
 * they belong to, or beside one they must not be with. Moves them to where the cluster stays even; if some fit nowhere
 * that way, to where they fit tightest.
 */
import { copyPlacement, unitAt, type Model, type Placement } from './model.ts';
import { apply, pack, type Packing } from './packing.ts';
import type { Relocation } from './solution.ts';

export type BrokenRule = 'empty' | 'pin' | 'together' | 'apart';

/** The first rule that a unit breaks where it is; undefined if none, or if it runs nowhere. */
export function brokenRule(model: Model, placement: Placement, unit: number): BrokenRule | undefined {
  const node = placement.where[unit] ?? -1;
  if (node < 0) return undefined;
  const { allowed, apart, gathering } = unitAt(model, unit);
  if (model.emptying[node] === true) return 'empty';
  if (allowed !== undefined && allowed[node] !== true) return gathering ? 'together' : 'pin';
  const size = model.nodes.length;
  const crowded = apart.filter((group) => (placement.apart[group * size + node] ?? 0) > 1);
  return crowded.some((group) => !isFirstOf(model, placement, unit, group, node)) ? 'apart' : undefined;
}

/** Of those of a group on a node the largest may stay. */
function isFirstOf(model: Model, placement: Placement, unit: number, group: number, node: number): boolean {
  const { memoryMib } = unitAt(model, unit);
  return model.units.every(
    (other, at) =>
      placement.where[at] !== node ||
      !other.apart.includes(group) ||
      other.memoryMib < memoryMib ||
      (other.memoryMib === memoryMib && at >= unit),
  );
}

export function brokenUnits(model: Model, placement: Placement): readonly number[] {
  return model.units.flatMap((_, unit) => (brokenRule(model, placement, unit) === undefined ? [] : [unit]));
}

/** Relocations that mend as much as `maxMigrations` allow, in order. */
export function repair(
  model: Model,
  start: Placement,
  maxMigrations: number,
): { relocations: readonly Relocation[]; placement: Placement } {
  const broken = brokenUnits(model, start).filter((unit) => unitAt(model, unit).movable);
  if (broken.length === 0) return { relocations: [], placement: copyPlacement(start) };
  const trials: readonly Packing[] = [
    pack(model, start, broken, { fit: 'even', mayDisplace: false }),
    pack(model, start, broken, { fit: 'tight', mayDisplace: true }),
  ];
  const chosen = trials
    .map(({ relocations }) => prefix(model, relocations, maxMigrations))
    .map((relocations) => ({ relocations, placement: apply(model, start, relocations) }))
    .map((trial) => ({ ...trial, broken: brokenUnits(model, trial.placement).length }))
    .reduce((one, other) => (other.broken < one.broken ? other : one));
  return chosen;
}

function prefix(model: Model, relocations: readonly Relocation[], maxMigrations: number): readonly Relocation[] {
  let migrations = 0;
  const end = relocations.findIndex(({ unit }) => {
    migrations += unitAt(model, unit).vms.length;
    return migrations > maxMigrations;
  });
  return end < 0 ? relocations : relocations.slice(0, end);
}

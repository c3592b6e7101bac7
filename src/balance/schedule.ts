/**
 * In which order relocations are made so that each of them is allowed when its turn comes. Two VMs that swap nodes without
 * room for both, for instance, need a third node: one of them makes a detour.
 *
 * For few relocations the answer is certain; for many, an order may exist that isn't found.
 */
import { copyPlacement, fits, move, placementScore, unitAt, type Model, type Placement } from './model.ts';
import type { Relocation } from './solution.ts';

/** So many steps are tried in all; enough for every order and detour of five relocations on eight nodes. */
const stepBound = 50_000;

/**
 * An order of at most `maxMigrations`, detours included; undefined if there is none. Among the relocations possible at a
 * time the one that leads to the lowest score comes first.
 */
export function schedule(
  model: Model,
  start: Placement,
  targets: readonly Relocation[],
  maxMigrations: number,
): readonly Relocation[] | undefined {
  const sizeOf = ({ unit }: Relocation): number => unitAt(model, unit).vms.length;
  const direct = targets.reduce((sum, target) => sum + sizeOf(target), 0);
  if (direct > maxMigrations) return undefined;
  const quick = lowestFirst(model, start, targets);
  if (quick !== undefined) return quick;
  for (let limit = direct; limit <= maxMigrations; limit += 1) {
    const found = searchOrder(model, start, targets, limit - direct);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Without looking ahead: the possible relocation that leads to the lowest score. */
function lowestFirst(
  model: Model,
  start: Placement,
  targets: readonly Relocation[],
): readonly Relocation[] | undefined {
  const placement = copyPlacement(start);
  const pending = [...targets];
  const order: Relocation[] = [];
  while (pending.length > 0) {
    let best = -1;
    let lowest = Infinity;
    pending.forEach(({ unit, node }, at) => {
      if (!fits(model, placement, unit, node)) return;
      const from = placement.where[unit] ?? -1;
      move(model, placement, unit, node);
      const score = placementScore(model, placement);
      move(model, placement, unit, from);
      if (score < lowest) [best, lowest] = [at, score];
    });
    const [next] = best < 0 ? [] : pending.splice(best, 1);
    if (next === undefined) return undefined;
    move(model, placement, next.unit, next.node);
    order.push(next);
  }
  return order;
}

/** Every order, with detours of together at most `spare` migrations. */
function searchOrder(
  model: Model,
  start: Placement,
  targets: readonly Relocation[],
  spare: number,
): readonly Relocation[] | undefined {
  const placement = copyPlacement(start);
  const order: Relocation[] = [];
  let steps = 0;
  const attempt = (unit: number, node: number, left: number): boolean => {
    if (steps >= stepBound || !fits(model, placement, unit, node)) return false;
    steps += 1;
    const from = placement.where[unit] ?? -1;
    move(model, placement, unit, node);
    order.push({ unit, node });
    if (proceed(left)) return true;
    order.pop();
    move(model, placement, unit, from);
    return false;
  };
  const proceed = (left: number): boolean => {
    const pending = targets.filter(({ unit, node }) => placement.where[unit] !== node);
    if (pending.length === 0) return true;
    if (pending.some(({ unit, node }) => attempt(unit, node, left))) return true;
    return pending.some(({ unit, node }) => {
      const size = unitAt(model, unit).vms.length;
      if (size > left || order.at(-1)?.unit === unit) return false;
      return model.nodes.some((_, other) => other !== node && attempt(unit, other, left - size));
    });
  };
  return proceed(spare) ? order : undefined;
}

/**
 * A plan for people and programs: relocations as one step a VM, with the score before and after and the reasons. Data only;
 * explain.ts makes sentences of it.
 */
import { copyPlacement, fits, move, placementScore, unitAt, type Model, type Placement } from './model.ts';
import { toCpuUnits } from './score.ts';
import { brokenRule, type BrokenRule } from './repair.ts';
import type { Relocation } from './solution.ts';

export type Resource = 'memory' | 'cpu';

/** Why a step is in the plan. */
export type StepReason =
  /** Its node shall have no VM. */
  | { readonly kind: 'empties'; readonly node: string }
  /** A rule about this VM is kept only by moving it. */
  | { readonly kind: 'rule'; readonly rule: Exclude<BrokenRule, 'empty'> }
  /** The source had the highest sum. */
  | { readonly kind: 'from-highest'; readonly resource: Resource; readonly node: string }
  /** The destination had the lowest sum. */
  | { readonly kind: 'to-lowest'; readonly resource: Resource; readonly node: string }
  /** Without it, this VM, which moves later, would not fit where it goes. */
  | { readonly kind: 'makes-room'; readonly vm: string }
  /** It goes on later, to this node: there is no room for it yet. */
  | { readonly kind: 'detour'; readonly node: string }
  /** Nothing of this by itself: it pays with the steps that follow. */
  | { readonly kind: 'prepares' };

export interface PlanStep {
  readonly vm: string;
  readonly source: string;
  readonly destination: string;
  readonly memoryMib: number;
  readonly cpuPercent: number;
  readonly scoreBefore: number;
  readonly scoreAfter: number;
  /** At least one. */
  readonly why: readonly StepReason[];
}

/** Relocations of running VMs only. */
export function describeSteps(model: Model, start: Placement, relocations: readonly Relocation[]): readonly PlanStep[] {
  const placement = copyPlacement(start);
  const steps: PlanStep[] = [];
  relocations.forEach(({ unit, node }, at) => {
    const why = reasons(model, placement, relocations, at);
    const source = placement.where[unit] ?? -1;
    const before = copyPlacement(placement);
    for (const vm of unitAt(model, unit).vms) {
      const scoreBefore = placementScore(model, before);
      shiftVm(before, vm.memoryMib, vm.cpuPercent, source, node);
      steps.push({
        vm: vm.name,
        source: nameOf(model, source),
        destination: nameOf(model, node),
        memoryMib: vm.memoryMib,
        cpuPercent: vm.cpuPercent,
        scoreBefore,
        scoreAfter: placementScore(model, before),
        why,
      });
    }
    move(model, placement, unit, node);
  });
  return steps;
}

function shiftVm({ memory, cpu }: Placement, memoryMib: number, cpuPercent: number, from: number, to: number): void {
  const units = toCpuUnits(cpuPercent);
  memory[from] = (memory[from] ?? 0) - memoryMib;
  memory[to] = (memory[to] ?? 0) + memoryMib;
  cpu[from] = (cpu[from] ?? 0) - units;
  cpu[to] = (cpu[to] ?? 0) + units;
}

export function nameOf({ nodes }: Model, node: number): string {
  return nodes[node]?.name ?? '';
}

function reasons(model: Model, placement: Placement, relocations: readonly Relocation[], at: number): StepReason[] {
  const relocation = relocations[at];
  if (relocation === undefined) return [];
  const { unit, node } = relocation;
  const source = placement.where[unit] ?? -1;
  const found: StepReason[] = [];
  const rule = brokenRule(model, placement, unit);
  if (rule === 'empty') found.push({ kind: 'empties', node: nameOf(model, source) });
  else if (rule !== undefined) found.push({ kind: 'rule', rule });
  const later = relocations.slice(at + 1).find((other) => other.unit === unit);
  if (later !== undefined) found.push({ kind: 'detour', node: nameOf(model, later.node) });
  for (const vm of servedBy(model, placement, relocations.slice(at), source)) found.push({ kind: 'makes-room', vm });
  for (const resource of ['memory', 'cpu'] as const) {
    const sums = placement[resource];
    if (isExtreme(sums, model.ready, source, 1)) {
      found.push({ kind: 'from-highest', resource, node: nameOf(model, source) });
    }
    if (isExtreme(sums, model.accepting, node, -1)) {
      found.push({ kind: 'to-lowest', resource, node: nameOf(model, node) });
    }
  }
  return found.length > 0 ? found : [{ kind: 'prepares' }];
}

function isExtreme(sums: Float64Array, mask: readonly boolean[], node: number, sign: 1 | -1): boolean {
  if (mask[node] !== true) return false;
  return sums.every((sum, other) => mask[other] !== true || sign * sum <= sign * (sums[node] ?? 0));
}

/** VMs that later come to `source` and could not if the first of these relocations had not been made. */
function servedBy(
  model: Model,
  placement: Placement,
  [, ...later]: readonly Relocation[],
  source: number,
): readonly string[] {
  const without = copyPlacement(placement);
  const names: string[] = [];
  for (const { unit, node } of later) {
    if (node === source && !fits(model, without, unit, node)) {
      names.push(...unitAt(model, unit).vms.map(({ name }) => name));
    }
    move(model, without, unit, node);
  }
  return names;
}

/**
 * Makes a failing plan smaller, as long as it breaks the same guarantee: fewer episodes, faults, nodes, VMs.
 *
 * Guarantees: what it returns is a plan that fails, replayed exactly as it is; no more than `attempts` runs are made. Another
 * number of nodes is another run from its first moment, so a few seeds are tried for each.
 */
import type { Fault } from './faults.ts';
import type { Episode, Plan } from './plan.ts';
import { runPlan, type RunOptions } from './run.ts';

export interface ShrinkOptions extends RunOptions {
  readonly attempts?: number;
}

/** For each size of the cluster. */
const seedsTried = 4;

export function shrink(plan: Plan, guarantee: string, { attempts = 400, ...options }: ShrinkOptions = {}): Plan {
  let best = plan;
  let left = attempts;
  const attempt = (smaller: Plan): boolean => {
    if (left === 0) return false;
    left -= 1;
    if (runPlan(smaller, options).violation?.guarantee !== guarantee) return false;
    best = smaller;
    return true;
  };
  for (let before: Plan | undefined; before !== best && left > 0;) {
    before = best;
    withoutEpisodes(best, attempt, () => best);
    withoutFaults(attempt, () => best);
    withFewerNodes(best, attempt);
    withLess(best, attempt);
  }
  return best;
}

type Attempt = (smaller: Plan) => boolean;

function withoutEpisodes(plan: Plan, attempt: Attempt, best: () => Plan): void {
  for (let keep = 1; keep < plan.episodes.length; keep += 1) {
    if (attempt({ ...plan, episodes: plan.episodes.slice(0, keep) })) break;
  }
  for (let at = best().episodes.length - 2; at >= 0; at -= 1) {
    attempt({ ...best(), episodes: best().episodes.filter((_, index) => index !== at) });
  }
}

function withoutFaults(attempt: Attempt, best: () => Plan): void {
  for (let at = best().episodes.length - 1; at >= 0; at -= 1) {
    // Halves first, then quarters, at last one by one: a large cluster may have dozens.
    const count = (): number => best().episodes[at]?.faults.length ?? 0;
    for (let size = Math.ceil(count() / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let from = count() - size; from > -size; from -= size) {
        const isLeft = (_: unknown, index: number): boolean => index < from || index >= from + size;
        attempt(withFaults(best(), at, (episode) => episode.faults.filter(isLeft)));
      }
    }
  }
}

function withFaults(plan: Plan, at: number, faultsOf: (episode: Episode) => Episode['faults']): Plan {
  const episodes = plan.episodes.map((one, index) => (index === at ? { ...one, faults: faultsOf(one) } : one));
  return { ...plan, episodes };
}

function withFewerNodes(plan: Plan, attempt: Attempt): void {
  const sizes = [2, 3, 4, 5, 6, 8, 12, 16, 24].filter((size) => size < plan.nodes);
  for (const nodes of sizes) {
    const smaller = onNodes(plan, nodes);
    for (let variant = 0; variant < seedsTried; variant += 1) {
      if (attempt({ ...smaller, seed: plan.seed + variant })) return;
    }
  }
}

/** The nodes of which something is said keep their order and become the first ones; what is said of too many is left out. */
export function onNodes(plan: Plan, nodes: number): Plan {
  const faults = plan.episodes.flatMap((episode) => episode.faults.map(({ fault }) => fault));
  const resting = plan.episodes.flatMap((episode) => episode.resting ?? []);
  const named = [...new Set([...faults.flatMap(singleNodesOf), ...resting])]
    .filter((node) => node >= 0)
    .sort((one, other) => one - other);
  const place = new Map(named.map((node, at) => [node, at]));
  const others = Array.from({ length: plan.nodes }, (_, node) => node).filter((node) => !place.has(node));
  for (const node of others) place.set(node, place.size);
  const map = (node: number): number => (node < 0 ? node : (place.get(node) ?? nodes));
  return {
    ...plan,
    nodes,
    episodes: plan.episodes.map(({ resting: restedNode, faults: allFaults, ...episode }) => ({
      ...episode,
      ...(restedNode !== undefined && map(restedNode) < nodes && { resting: map(restedNode) }),
      faults: allFaults.flatMap(({ afterMs, fault }) => {
        const moved = movedTo(fault, map, nodes);
        return moved === undefined ? [] : [{ afterMs, fault: moved }];
      }),
    })),
  };
}

const singleKeys = ['node', 'from', 'to', 'block'] as const;
const listKeys = ['nodes', 'off'] as const;

function singleNodesOf(fault: Fault): readonly number[] {
  const said: Partial<Record<string, unknown>> = { ...fault };
  return singleKeys.flatMap((key) => (typeof said[key] === 'number' ? [said[key]] : []));
}

function movedTo(fault: Fault, map: (node: number) => number, nodes: number): Fault | undefined {
  const said: Record<string, unknown> = { ...fault };
  for (const key of singleKeys) {
    const node = said[key];
    if (typeof node !== 'number') continue;
    if (map(node) >= nodes) return undefined;
    said[key] = map(node);
  }
  for (const key of listKeys) {
    const list = said[key];
    if (Array.isArray(list)) said[key] = (list as readonly number[]).map(map).filter((node) => node < nodes);
  }
  return said as unknown as Fault;
}

function withLess(plan: Plan, attempt: Attempt): void {
  if (plan.watchdogMs > 0) attempt({ ...plan, watchdogMs: 0 });
  for (let vms = 0; vms < plan.vmsPerNode; vms += 1) if (attempt({ ...plan, vmsPerNode: vms })) return;
}

/** `3 nodes, 1 VM each, 1 episode, 2 faults` */
export function sizeOf({ nodes, vmsPerNode, episodes }: Plan): string {
  const faults = episodes.reduce((sum, episode) => sum + episode.faults.length, 0);
  return `${String(nodes)} nodes, VMs on each: ${String(vmsPerNode)}, episodes: ${String(episodes.length)}, faults: ${String(faults)}`;
}

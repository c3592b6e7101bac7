/** Makes a failing plan smaller: without later episodes, then without earlier ones, then fault by fault. */
import type { Plan } from './plan.ts';
import { runPlan, type RunOptions } from './run.ts';

export function shrink(plan: Plan, guarantee: string, options: RunOptions = {}): Plan {
  const fails = (one: Plan): boolean => runPlan(one, options).violation?.guarantee === guarantee;
  let best = plan;
  const attempt = (smaller: Plan): boolean => {
    if (!fails(smaller)) return false;
    best = smaller;
    return true;
  };
  for (let keep = 1; keep < plan.episodes.length; keep += 1) {
    if (attempt({ ...plan, episodes: plan.episodes.slice(0, keep) })) break;
  }
  for (let at = best.episodes.length - 2; at >= 0; at -= 1) {
    attempt({ ...best, episodes: best.episodes.filter((_, index) => index !== at) });
  }
  for (let at = best.episodes.length - 1; at >= 0; at -= 1) {
    for (let fault = (best.episodes[at]?.faults.length ?? 0) - 1; fault >= 0; fault -= 1) {
      const episodes = best.episodes.map((episode, index) =>
        index === at ? { ...episode, faults: episode.faults.filter((_, other) => other !== fault) } : episode,
      );
      attempt({ ...best, episodes });
    }
  }
  return best;
}

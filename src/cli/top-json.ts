/** One line of `cxm top --json`: everything that is known of the nodes at one moment. Pure; the shape is in docs/cxm.md. */
import { plainError } from '../cluster/survey.ts';
import type { WatchedNode } from '../cluster/metrics-watch.ts';
import { viewOf, type ViewChoice } from './top-view.ts';

export function topJson(watched: readonly WatchedNode[], choice: ViewChoice, time: Date): object {
  const { nodes, vms, totals } = viewOf(watched, choice);
  return rounded({
    time: time.toISOString(),
    nodes: nodes.map(({ node, figures }, index) => {
      const { rates, silence } = watched[index] ?? {};
      if (silence !== undefined) return { node, error: plainError(silence.error) };
      if (figures === undefined) return { node };
      if (rates === undefined) return { node, ...figures };
      const { elapsedSeconds, domainZeroCpuPercent, groups, physicalVolumes, bridges, vlans } = rates;
      return { node, ...figures, elapsedSeconds, domainZeroCpuPercent, groups, physicalVolumes, bridges, vlans };
    }),
    vms,
    totals,
  });
}

/** Rates have more digits than meaning. */
function rounded<T>(value: T): T {
  const text = JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'number' ? Math.round(part * 100) / 100 : part,
  );
  return JSON.parse(text) as T;
}

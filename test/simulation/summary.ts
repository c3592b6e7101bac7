/** The figures of many runs, and how they are told. */
import type { Outcome } from './run.ts';

export interface Figures {
  readonly seeds: number;
  readonly violations: number;
  readonly totalMs: number;
  readonly steppedMs: number;
  readonly events: number;
  readonly fences: number;
  readonly slaveMs: readonly number[];
  readonly masterMs: readonly number[];
}

export function noFigures(): Figures {
  return { seeds: 0, violations: 0, totalMs: 0, steppedMs: 0, events: 0, fences: 0, slaveMs: [], masterMs: [] };
}

export function addOutcome(figures: Figures, outcome: Outcome): Figures {
  const of = (wasMaster: boolean): number[] =>
    outcome.failoversMs.filter((one) => one.wasMaster === wasMaster).map(({ ms }) => ms);
  return {
    seeds: figures.seeds + 1,
    violations: figures.violations + (outcome.violation === undefined ? 0 : 1),
    totalMs: figures.totalMs + outcome.totalMs,
    steppedMs: figures.steppedMs + outcome.steppedMs,
    events: figures.events + outcome.events,
    fences: figures.fences + outcome.fences,
    slaveMs: figures.slaveMs.concat(of(false)),
    masterMs: figures.masterMs.concat(of(true)),
  };
}

export function tell(figures: Figures, seconds: number): string {
  const hours = figures.totalMs / 3_600_000;
  const stepped = figures.steppedMs / 3_600_000;
  const spread = (list: readonly number[]): string => {
    if (list.length === 0) return 'none';
    const sorted = [...list].sort((one, other) => one - other);
    const at = (part: number): string => ((sorted[Math.floor(part * (sorted.length - 1))] ?? 0) / 1000).toFixed(1);
    return `median ${at(0.5)} s, worst ${at(1)} s of ${String(list.length)}`;
  };
  return [
    `${String(figures.seeds)} seeds, ${hours.toFixed(0)} cluster-hours (${stepped.toFixed(0)} h of them event by event, ` +
      `the rest quiet), ${String(figures.events)} events, ${String(figures.fences)} fences: ` +
      `${String(figures.violations)} violations`,
    `${seconds.toFixed(1)} s: ${(hours / seconds).toFixed(0)} hours/s, ${(stepped / seconds).toFixed(1)} stepped hours/s, ` +
      `${(figures.events / seconds / 1000).toFixed(0)} thousand events/s`,
    `death of a node to first start, without the fence command: ${spread(figures.slaveMs)}`,
    `death of the master: ${spread(figures.masterMs)}`,
  ].join('\n');
}

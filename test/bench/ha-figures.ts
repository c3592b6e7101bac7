/**
 * What the benchmark of the cluster says: figures with their samples and targets, as tables for a terminal and for
 * docs/ha-benchmarks.md. Pure. A target holds for the worst sample, not for the median.
 */
import { median } from './results.ts';

export type Unit = 'seconds' | 'failovers' | 'VMs' | 'percent' | 'megabytes';

export interface Figure {
  readonly group: string;
  readonly what: string;
  readonly unit: Unit;
  readonly samples: readonly number[];
  readonly atMost?: number;
}

/** What one round of a fault has measured, by the words of the table. */
export interface Measured {
  readonly group: string;
  readonly what: string;
  readonly unit: Unit;
  readonly value: number;
  readonly atMost?: number;
}

/** One figure for all that was measured under the same words, in the order in which these came first. */
export function figuresOf(measured: readonly Measured[]): readonly Figure[] {
  const figures = new Map<string, Figure>();
  for (const { value, ...rest } of measured) {
    const key = `${rest.group}/${rest.what}`;
    const known = figures.get(key);
    figures.set(key, { ...rest, samples: [...(known?.samples ?? []), value] });
  }
  return [...figures.values()];
}

export function isMet({ samples, atMost }: Figure): boolean {
  return atMost === undefined || Math.max(...samples) <= atMost;
}

const units: Readonly<Record<Unit, (value: number) => string>> = {
  seconds: (value) => `${value.toFixed(1)} s`,
  failovers: String,
  VMs: String,
  percent: (value) => `${value.toFixed(2)} %`,
  megabytes: (value) => `${value.toFixed(0)} MB`,
};

const headings = ['', 'median', 'worst', 'rounds', 'target', 'met'] as const;

function cells(figure: Figure): readonly string[] {
  const { what, unit, samples, atMost } = figure;
  const text = units[unit];
  return [
    what,
    text(median(samples)),
    text(Math.max(...samples)),
    String(samples.length),
    atMost === undefined ? '' : atMost === 0 ? '0' : `≤ ${text(atMost).replace('.0 ', ' ').replace('.00 ', ' ')}`,
    atMost === undefined ? '' : isMet(figure) ? 'yes' : 'NO',
  ];
}

/** Markdown, which a terminal shows well enough. @param failures sentences about rounds that came to no end */
export function renderFigures(figures: readonly Figure[], failures: readonly string[]): string {
  const groups = [...new Set(figures.map(({ group }) => group))];
  const line = (words: readonly string[]): string => `| ${words.join(' | ')} |`;
  const tables = groups.flatMap((group) => [
    `### ${group}`,
    '',
    line(headings),
    line(headings.map(() => '---')),
    ...figures.filter((figure) => figure.group === group).map((figure) => line(cells(figure))),
    '',
  ]);
  const failed = failures.length === 0 ? [] : ['### Rounds that failed', '', ...failures.map((one) => `- ${one}`), ''];
  return [...tables, ...failed].join('\n').trimEnd();
}

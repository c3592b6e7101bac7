/**
 * The closing table of the tour: a row a step, with the size of its disks set against what travelled for it. Pure.
 */
import { formatSize } from '../../config/size.ts';
import { columns } from './terminal.ts';

export interface StepResult {
  readonly title: string;
  readonly calls: number;
  readonly durationMs: number;
  /** Size of the disks that it was about; undefined when sizes say nothing. */
  readonly diskBytes: number | undefined;
  /** What crossed the network for it. */
  readonly sentBytes: number;
}

/** Below this width there is no room for calls and time. */
const narrow = 72;
const shortestTitle = 12;

/** Head, one line a step, and the sum; no line is longer than `width` unless the figures alone are. */
export function closingTable(results: readonly StepResult[], width: number): readonly string[] {
  const wide = width >= narrow;
  const figures = (calls: string, time: string, ...rest: readonly string[]): readonly string[] =>
    wide ? [calls, time, ...rest] : rest;
  const rows = [
    { number: '', title: 'step', figures: figures('calls', 'time', 'disks', 'sent', 'of disks') },
    ...results.map((result, index) => ({
      number: String(index + 1).padStart(2),
      title: result.title,
      figures: figures(
        String(result.calls),
        seconds(result.durationMs),
        result.diskBytes === undefined ? '' : formatSize(result.diskBytes),
        formatSize(result.sentBytes),
        shareOf(result.sentBytes, result.diskBytes),
      ),
    })),
    {
      number: '',
      title: 'all',
      figures: figures(
        String(sumOf(results, ({ calls }) => calls)),
        seconds(sumOf(results, ({ durationMs }) => durationMs)),
        '',
        formatSize(sumOf(results, ({ sentBytes }) => sentBytes)),
        '',
      ),
    },
  ];
  const taken = Math.max(
    ...columns(
      rows.map((row) => row.figures),
      0,
    ).map((line) => line.length),
  );
  const room = Math.max(shortestTitle, width - taken - '12    '.length);
  return columns(
    rows.map(({ number, title, figures: cells }) => [number, cut(title, room), ...cells]),
    2,
  );
}

/** Share of the disks' size that travelled. */
function shareOf(sentBytes: number, diskBytes: number | undefined): string {
  if (diskBytes === undefined || diskBytes === 0) return '';
  const percent = (sentBytes / diskBytes) * 100;
  return percent < 0.01 ? '< 0.01 %' : `${percent.toFixed(percent < 10 ? 2 : 0)} %`;
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`;
}

function sumOf(results: readonly StepResult[], figure: (result: StepResult) => number): number {
  return results.reduce((sum, result) => sum + figure(result), 0);
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 2).trimEnd()}..`;
}

/** The figures for readers: a table for the terminal, and docs/benchmarks.md with how they were taken. Pure. */
import type { Options } from './options.ts';
import { isMet, ratioOf, type Row, type Side } from './results.ts';

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  /** Release of the machine's kernel. */
  readonly kernel: string;
  readonly node: string;
  /** Load average of the last minute before anything was measured. */
  readonly loadBefore: number;
}

const headings = ['what', 'rival', 'cxm', 'ratio', 'target', 'met'] as const;

function value({ value: number }: Side, unit: Row['unit']): string {
  if (unit === 'bytes') return `${number.toLocaleString('en').replaceAll(',', ' ')} bytes`;
  return number < 1 ? `${(number * 1000).toFixed(0)} ms` : `${number.toFixed(1)} s`;
}

function cells(row: Row): readonly string[] {
  const { target, rival, ours, unit } = row;
  const goal = target.kind === 'atMost' ? `≤ ${target.ratio} ×` : `≥ ${target.ratio ?? ''} × faster`;
  return [
    row.what,
    `${value(rival, unit)} (${rival.label})`,
    `${value(ours, unit)} (${ours.label})`,
    `${ratioOf(row).toFixed(unit === 'bytes' ? 4 : 2)}`,
    target.kind === 'none' ? '' : goal,
    target.kind === 'none' ? '' : isMet(row) ? 'yes' : 'NO',
  ];
}

function describeMachine({ processor, cores, kernel, node, loadBefore }: Machine): string {
  return `${cores} cores (${processor}), Linux ${kernel}, Node ${node}, load average ${loadBefore.toFixed(2)} before`;
}

function groups(rows: readonly Row[]): readonly (readonly [string, readonly Row[]])[] {
  const parts = [...new Set(rows.map(({ part }) => part))];
  return parts.map((part) => [part, rows.filter((row) => row.part === part)]);
}

export function renderTable(rows: readonly Row[], machine: Machine): string {
  const table = [headings, ...rows.map(cells)];
  const widths = headings.map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0)));
  const line = (words: readonly string[]): string =>
    words
      .map((word, column) => word.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  const blocks = groups(rows).map(([part, members]) => [part, ...members.map((row) => `  ${line(cells(row))}`)]);
  return [describeMachine(machine), `  ${line(headings)}`, ...blocks.flat(), ...notes(rows), ''].join('\n');
}

function notes(rows: readonly Row[]): readonly string[] {
  return rows.flatMap(({ what, note }) => (note === undefined ? [] : [`${what}: ${note}.`]));
}

/** docs/benchmarks.md. */
export function renderDocument(rows: readonly Row[], machine: Machine, { rounds, full }: Options): string {
  const command = [
    'npm run bench -- transfer --write',
    ...(full ? ['--full'] : []),
    ...(rounds === 3 ? [] : [`--rounds ${rounds}`]),
  ];
  const markdown = (words: readonly string[]): string =>
    `| ${words.join(' | ').replaceAll('dd bs=64k | ssh', 'dd bs=64k \\| ssh')} |`;
  const tables = groups(rows).flatMap(([part, members]) => [
    `### ${capital(part)}`,
    '',
    markdown(headings),
    markdown(headings.map(() => '---')),
    ...members.map((row) => markdown(cells(row))),
    '',
    ...notes(members).flatMap((note) => [note, '']),
  ]);
  return [introduction(command.join(' '), rounds), describeMachine(machine) + '.', '', ...tables].join('\n');
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function introduction(command: string, rounds: number): string {
  return `# Benchmarks

Written by \`${command}\`; run it as root on Debian to get your own figures (it takes less than ten minutes, needs about
10 GB of memory and leaves nothing behind).
`;
}

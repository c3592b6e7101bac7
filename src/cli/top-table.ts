/**
 * The two tables of `cxm top`. On a screen that is too narrow for all columns the less needed ones go, and the first one is
 * cut; no line is ever wider than asked for. Cells are made printable, since names come from outside. Pure.
 */
import type { DiskRates, NetworkRates } from '../cluster/metrics.ts';
import { printable } from './printable.ts';
import type { Colour, Style } from './style.ts';
import { stateWord, type NodeFigures, type TopNode, type TopVm, type TopView } from './top-view.ts';

interface Column<Row> {
  readonly title: string;
  readonly align: 'left' | 'right';
  /** The greater, the earlier it goes; 0 stays. */
  readonly spare: number;
  text(row: Row): string;
}

const gap = 2;
const leastFirst = 8;

function right<Row>(title: string, spare: number, text: (row: Row) => string): Column<Row> {
  return { title, align: 'right', spare, text };
}

function left<Row>(title: string, spare: number, text: (row: Row) => string): Column<Row> {
  return { title, align: 'left', spare, text };
}

type NodeRow = TopNode & { readonly figures: NodeFigures };

const nodeColumns: readonly Column<NodeRow>[] = [
  left('NODE', 0, ({ node }) => node),
  right('CPU%', 0, ({ figures }) => percent(figures.cpuPercent)),
  right('CPUS', 3, ({ figures }) => String(figures.cpus)),
  right('USED', 2, ({ figures }) => mib(figures.usedMemoryMib)),
  right('MEMORY', 2, ({ figures }) => mib(figures.totalMemoryMib)),
  right('LOAD', 0, ({ figures }) => `${figures.loadPercent}%`),
  right('IRQS', 4, ({ figures }) => String(figures.irqs)),
  right('VMS', 0, ({ figures }) => String(figures.vms)),
  ...trafficColumns<NodeRow>(({ figures }) => figures),
];

const vmColumns: readonly Column<TopVm>[] = [
  left('VM', 0, ({ name }) => name),
  left('NODE', 0, ({ node }) => node),
  left('STATE', 2, ({ meaning }) => stateWord(meaning)),
  right('CPU%', 0, ({ cpuPercent }) => percent(cpuPercent)),
  right('VCPUS', 3, ({ vcpus }) => String(vcpus)),
  right('MEMORY', 0, ({ memoryMib }) => mib(memoryMib)),
  ...trafficColumns<TopVm>((vm) => vm),
];

interface Traffic {
  readonly network: NetworkRates | undefined;
  readonly disk: DiskRates | undefined;
}

function trafficColumns<Row>(of: (row: Row) => Traffic): readonly Column<Row>[] {
  return [
    right('NET-IN', 1, (row) => bytes(of(row).network?.receivedBytesPerSecond)),
    right('NET-OUT', 1, (row) => bytes(of(row).network?.sentBytesPerSecond)),
    right('READ', 1, (row) => bytes(of(row).disk?.readBytesPerSecond)),
    right('WRITE', 1, (row) => bytes(of(row).disk?.writtenBytesPerSecond)),
    right('REQ/S', 5, (row) => requests(of(row).disk)),
  ];
}

/** The header, and a line a node; a silent one has its reason instead of figures. */
export function nodeLines({ nodes }: TopView, width: number, style: Style): readonly string[] {
  const rows = nodes.filter((row): row is NodeRow => row.figures !== undefined);
  const least = Math.max(0, ...nodes.map(({ node }) => printable(node, 64).length));
  const [header = '', ...lines] = tableLines(nodeColumns, rows, width, style, { least });
  const filled = nodes.map((row) => {
    if (row.figures !== undefined) return painted(lines.shift() ?? '', row.figures.loadPercent > 90, style);
    const why = row.silence === undefined ? 'is being asked' : `SILENT: ${printable(row.silence, 300)}`;
    const line = `${printable(row.node, 64).padEnd(least)}  ${why}`;
    return style.paint(row.silence === undefined ? 'dim' : 'red', cut(line, width));
  });
  return [header, ...filled];
}

function painted(line: string, isHigh: boolean, style: Style): string {
  return isHigh ? style.paint('yellow', line) : line;
}

export function vmLines(vms: readonly TopVm[], width: number, style: Style): readonly string[] {
  const colour = ({ meaning }: TopVm): Colour | undefined => (meaning === 'running' ? undefined : 'yellow');
  return tableLines(vmColumns, vms, width, style, { colour });
}

interface TableOptions<Row> {
  /** Of the first column, for rows that are not in the table. */
  readonly least?: number;
  readonly colour?: (row: Row) => Colour | undefined;
}

function tableLines<Row>(
  all: readonly Column<Row>[],
  rows: readonly Row[],
  width: number,
  style: Style,
  { least = 0, colour }: TableOptions<Row>,
): readonly string[] {
  const measured = all.map((column) => {
    const texts = rows.map((row) => printable(column.text(row), 300));
    return { ...column, texts, width: Math.max(column.title.length, ...texts.map((text) => text.length)) };
  });
  const [first, ...rest] = measured;
  if (first === undefined) return [];
  const wanted = Math.max(leastFirst, first.width, least);
  const widthOf = (columns: typeof rest): number => columns.reduce((sum, column) => sum + gap + column.width, 0);
  let kept = rest;
  for (const column of rest.toReversed().sort((one, other) => other.spare - one.spare)) {
    if (column.spare > 0 && widthOf(kept) + wanted > width) kept = kept.filter((other) => other !== column);
  }
  const firstWidth = Math.max(leastFirst, Math.min(wanted, width - widthOf(kept)));
  const shown = [{ ...first, width: firstWidth }, ...kept];
  const line = (text: (column: (typeof shown)[number]) => string): string =>
    cut(shown.map((column) => pad(cut(text(column), column.width), column)).join(' '.repeat(gap)), width).trimEnd();
  const lines = rows.map((row, index) => {
    const text = line(({ texts }) => texts[index] ?? '');
    const paint = colour?.(row);
    return paint === undefined ? text : style.paint(paint, text);
  });
  return [
    style.paint(
      'bold',
      line(({ title }) => title),
    ),
    ...lines,
  ];
}

function pad(text: string, { align, width }: { readonly align: 'left' | 'right'; readonly width: number }): string {
  return align === 'left' ? text.padEnd(width) : text.padStart(width);
}

/** The beginning, with a mark that something is missing. */
export function cut(text: string, width: number): string {
  if (text.length <= width) return text;
  return width < 2 ? text.slice(0, Math.max(0, width)) : `${text.slice(0, width - 1)}~`;
}

const unknown = '-';

function percent(value: number | undefined): string {
  return value === undefined ? unknown : value.toFixed(1);
}

function mib(value: number): string {
  return bytes(value * 1024 * 1024);
}

function requests(disk: DiskRates | undefined): string {
  return disk === undefined ? unknown : String(Math.round(disk.readsPerSecond + disk.writesPerSecond));
}

const letters = ['K', 'M', 'G', 'T', 'P', 'E'] as const;

/** At most five characters: `0`, `999`, `1.2K`, `34M`; powers of 1024. */
export function bytes(value: number | undefined): string {
  if (value === undefined) return unknown;
  let rest = value;
  let letter = '';
  for (const next of letters) {
    if (Math.round(rest) < 1000) break;
    rest /= 1024;
    letter = next;
  }
  return letter !== '' && rest < 9.95 ? `${rest.toFixed(1)}${letter}` : `${Math.round(rest)}${letter}`;
}

/**
 * One screen of `cxm top`, as lines: never more than the terminal has, never wider. Nodes come first; what does not fit of
 * them leaves room for some VMs. Pure.
 */
import type { Style } from './style.ts';
import { cut, nodeLines, vmLines } from './top-table.ts';
import type { SortKey, TopView } from './top-view.ts';

export interface TopScreen {
  readonly sort: SortKey;
  /** Only this node's VMs. */
  readonly node: string | undefined;
  readonly intervalSeconds: number;
  /** How many VMs are scrolled over. */
  readonly skipped: number;
  readonly help: boolean;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** VMs that nodes leave room for, with their header. */
const leastVmLines = 5;

/** @param time as it is to be shown */
export function frameOf(view: TopView, screen: TopScreen, size: Size, time: string, style: Style): readonly string[] {
  const { columns, rows } = size;
  const title = titleLine(view, screen, time, columns, style);
  if (screen.help) return [title, '', ...helpLines.map((line) => cut(line, columns))].slice(0, rows);
  const nodes = nodeLines(view, columns, style);
  const room = Math.max(2, rows - 3 - Math.min(leastVmLines, view.vms.length + 1));
  const shown = nodes.length <= room ? nodes : [...nodes.slice(0, room - 1), hidden(nodes.length - room + 1, 'nodes')];
  const vms = vmLines(view.vms, columns, style);
  const top = [title, ...shown, ''];
  const foot = footLine(screen, columns, style);
  const forVms = rows - top.length - 1;
  return [...top, ...window(vms, screen.skipped, forVms), foot].slice(0, rows);
}

/** How far the VMs can be scrolled at all. */
export function lastSkip(view: TopView, size: Size): number {
  return Math.max(0, view.vms.length - Math.max(1, size.rows - Math.min(view.nodes.length, size.rows) - 6));
}

/** The header and as many lines as fit, with what is missing below. */
function window([header = '', ...lines]: readonly string[], skipped: number, room: number): readonly string[] {
  if (room < 1) return [];
  const rest = lines.slice(skipped);
  const body =
    lines.length === 0
      ? ['no VMs']
      : rest.length <= room - 1
        ? rest
        : [...rest.slice(0, room - 2), hidden(rest.length - room + 2, 'VMs')];
  return [header, ...body, ...Array.from({ length: room }, () => '')].slice(0, room);
}

function hidden(count: number, what: string): string {
  return `... ${count} more ${what}`;
}

function titleLine(view: TopView, screen: TopScreen, time: string, width: number, style: Style): string {
  const { answering, runningVms, loadPercent } = view.totals;
  const nodes = `${answering} of ${view.nodes.length} node${view.nodes.length === 1 ? '' : 's'}`;
  const load = answering === 0 ? '' : `, load ${loadPercent}%`;
  const vms = `${runningVms} VM${runningVms === 1 ? '' : 's'}`;
  const line = `cxm top  ${time}  ${nodes}, ${vms}${load}  every ${screen.intervalSeconds} s`;
  return style.paint('bold', cut(line, width));
}

function footLine({ sort, node }: TopScreen, width: number, style: Style): string {
  const only = node === undefined ? 'all nodes' : `only ${node}`;
  return style.paint('dim', cut(`by ${sort}, ${only}   q quit  h help  c m d n a sort  f node  + - interval`, width));
}

const helpLines: readonly string[] = [
  'q  Esc  Ctrl-C     leave',
  'c  m  d  n  a      sort VMs by CPU, memory, disk, network, name (alphabet)',
  'f  F               only the VMs of the next node; of all nodes',
  '+  -               longer or shorter interval',
  'up down PgUp PgDn  scroll through the VMs',
  'Space              ask the nodes now',
  'h  ?               this help; any key leaves it',
  '',
  'CPU% 100 is one full CPU. It is the mean of the last 10 s, because xl counts',
  'tenths of a second; all other rates are those since the last reading.',
  'NET-IN is what VMs received, READ what they read, in bytes per second;',
  'K, M, G are powers of 1024. REQ/S are requests to disks.',
  'LOAD of a node is the share of its memory or of its interrupts in use; of the',
  'cluster, over 100% the biggest node must not fail. A node that does not answer',
  'is SILENT, and its VMs are not shown: nobody knows what they do.',
];

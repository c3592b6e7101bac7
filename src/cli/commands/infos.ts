/** `cxm infos`: a line a node, the cluster's totals, and which node must not fail. */
import type { NodeFailure } from '../../balance/redundancy.ts';
import { infosOf, type ClusterInfos, type NodeInfos } from '../../cluster/metrics-infos.ts';
import { readNodes } from '../../cluster/metrics-read.ts';
import type { CommandBody } from '../context.ts';
import { silentJson, tellSilent } from '../look.ts';
import type { Cell } from '../table.ts';
import { count } from '../words.ts';

const columns = [
  { title: 'NODE' },
  ...['VMS', 'CPUS', 'IRQS', 'MEMORY MIB', 'FREE MIB', 'LOAD'].map((title) => ({ title, align: 'right' as const })),
];

export const infos: CommandBody = async (context) => {
  const cluster = await context.open();
  const reading = readNodes(cluster.nodes, { usage: false, physicalVolumes: false });
  const { nodes, totals, silent, failures } = infosOf(
    await context.progress.during(() => 'waiting for the nodes', reading),
  );
  if (context.options.json) {
    context.json({ nodes, totals, silent: silentJson(silent), failures });
    return tellSilent(context, silent);
  }
  const rows: Cell[][] = nodes.map((node: NodeInfos) => [node.node, ...cellsOf(node)]);
  rows.push(...silent.map(({ node }): Cell[] => [{ text: node, colour: 'red' }, ...columns.slice(1).map(() => '-')]));
  if (nodes.length > 1) rows.push(['total', ...cellsOf(totals)]);
  context.table(columns, rows);
  if (silent.length === 0 && nodes.length > 1) {
    for (const failure of failures.filter(({ left }) => left.length > 0))
      context.progress.note('WARN', wordsOf(failure));
  }
  return tellSilent(context, silent);
};

const mostNamed = 3;

function wordsOf({ node, left, certain }: NodeFailure): string {
  const named = left.slice(0, mostNamed).map(({ vm, memoryMib }) => `${vm} (${memoryMib} MiB)`);
  const more = left.length > mostNamed ? ` and ${count(left.length - mostNamed, 'further VM')}` : '';
  return `if ${node} fails, the others have ${certain ? '' : 'perhaps '}no memory for ${named.join(', ')}${more}`;
}

function cellsOf({ vms, cpus, irqs, totalMemoryMib, freeMemoryMib, loadPercent }: ClusterInfos): Cell[] {
  const load = `${Math.round(loadPercent)} %`;
  return [vms, cpus, irqs, totalMemoryMib, freeMemoryMib, loadPercent > 100 ? { text: load, colour: 'red' } : load];
}

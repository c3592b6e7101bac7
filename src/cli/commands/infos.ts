/** `cxm infos`: a line a node, and the cluster's totals. */
import { infosOf, type ClusterInfos, type NodeInfos } from '../../cluster/metrics-infos.ts';
import { readNodes } from '../../cluster/metrics-read.ts';
import type { CommandBody } from '../context.ts';
import { silentJson, tellSilent } from '../look.ts';
import type { Cell } from '../table.ts';

const columns = [
  { title: 'NODE' },
  ...['VMS', 'CPUS', 'IRQS', 'MEMORY MIB', 'FREE MIB', 'LOAD'].map((title) => ({ title, align: 'right' as const })),
];

export const infos: CommandBody = async (context) => {
  const cluster = await context.open();
  const reading = readNodes(cluster.nodes, { usage: false, physicalVolumes: false });
  const { nodes, totals, silent } = infosOf(await context.progress.during(() => 'waiting for the nodes', reading));
  if (context.options.json) {
    context.json({ nodes, totals, silent: silentJson(silent) });
    return tellSilent(context, silent);
  }
  const rows: Cell[][] = nodes.map((node: NodeInfos) => [node.node, ...cellsOf(node)]);
  rows.push(...silent.map(({ node }): Cell[] => [{ text: node, colour: 'red' }, ...columns.slice(1).map(() => '-')]));
  if (nodes.length > 1) rows.push(['total', ...cellsOf(totals)]);
  context.table(columns, rows);
  if (silent.length === 0 && nodes.length > 1 && totals.loadPercent > 100) {
    const text = 'the load is over 100 %: the other nodes can not take over the VMs of the largest one';
    context.progress.note('WARN', text);
  }
  return tellSilent(context, silent);
};

function cellsOf({ vms, cpus, irqs, totalMemoryMib, freeMemoryMib, loadPercent }: ClusterInfos): Cell[] {
  const load = `${Math.round(loadPercent)} %`;
  return [vms, cpus, irqs, totalMemoryMib, freeMemoryMib, loadPercent > 100 ? { text: load, colour: 'red' } : load];
}

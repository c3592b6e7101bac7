/** `cxm infos`: a line a node, and the cluster's totals. */
import type { ClusterNode } from '../../cluster/node.ts';
import { clusterLoadPercent, nodeLoadPercent } from '../../cluster/load.ts';
import { runsHere } from '../../xen/domain-list.ts';
import type { CommandBody } from '../context.ts';
import { look, silentJson, tellSilent } from '../look.ts';
import type { Cell } from '../table.ts';

interface NodeFigures {
  readonly name: string;
  readonly vms: number;
  readonly cpus: number;
  readonly dynamicIrqs: number;
  readonly totalMemoryMib: number;
  readonly freeMemoryMib: number;
  readonly loadPercent: number;
}

export const infos: CommandBody = async (context) => {
  const cluster = await context.open();
  const { answers, silent } = await look(context, cluster, figuresOf);
  const nodes = answers.map(({ value }) => value);
  const total = totalOf(nodes);
  if (context.options.json) {
    context.json({ nodes, total, silent: silentJson(silent) });
    return tellSilent(context, silent);
  }
  const columns = [
    { title: 'NODE' },
    ...['VMS', 'CPUS', 'IRQS', 'MEMORY MIB', 'FREE MIB', 'LOAD'].map((title) => ({ title, align: 'right' as const })),
  ];
  const rows: Cell[][] = nodes.map((node) => [node.name, node.vms, node.cpus, node.dynamicIrqs, ...memoryCells(node)]);
  rows.push(...silent.map(({ node }): Cell[] => [{ text: node, colour: 'red' }, ...columns.slice(1).map(() => '-')]));
  if (nodes.length > 1) rows.push(['total', total.vms, total.cpus, total.dynamicIrqs, ...memoryCells(total)]);
  context.table(columns, rows);
  if (silent.length === 0 && total.loadPercent > 100 && nodes.length > 1) {
    context.progress.note(
      'WARN',
      'the load is over 100 %: the other nodes can not take over the VMs of the largest one',
    );
  }
  return tellSilent(context, silent);
};

async function figuresOf({ name, toolstack, system }: ClusterNode): Promise<NodeFigures> {
  const [info, rows, dynamicIrqs] = await Promise.all([toolstack.info(), toolstack.list(), system.dynamicIrqs()]);
  const { cpus, totalMemoryMib, freeMemoryMib } = info;
  return {
    name,
    vms: rows.filter(runsHere).length,
    cpus,
    dynamicIrqs,
    totalMemoryMib,
    freeMemoryMib,
    loadPercent: nodeLoadPercent({ totalMemoryMib, freeMemoryMib, dynamicIrqs }),
  };
}

function totalOf(nodes: readonly NodeFigures[]): Omit<NodeFigures, 'name'> {
  const sum = (pick: (node: NodeFigures) => number): number => nodes.reduce((all, node) => all + pick(node), 0);
  return {
    vms: sum(({ vms }) => vms),
    cpus: sum(({ cpus }) => cpus),
    dynamicIrqs: sum(({ dynamicIrqs }) => dynamicIrqs),
    totalMemoryMib: sum(({ totalMemoryMib }) => totalMemoryMib),
    freeMemoryMib: sum(({ freeMemoryMib }) => freeMemoryMib),
    loadPercent: clusterLoadPercent(nodes),
  };
}

function memoryCells({ totalMemoryMib, freeMemoryMib, loadPercent }: Omit<NodeFigures, 'name'>): Cell[] {
  const load = `${loadPercent} %`;
  return [totalMemoryMib, freeMemoryMib, loadPercent > 100 ? { text: load, colour: 'red' } : load];
}

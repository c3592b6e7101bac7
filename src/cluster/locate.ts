/** Finding the one VM that is meant, on the one node where it is; everything else is refused with what was found. */
import { CxmError } from '../errors.ts';
import { meaningOf, type DomainRow } from '../xen/domain-list.ts';
import { askNodes, nodeNamed, requireAll, type Answers, type Cluster } from './cluster.ts';
import { definitionOf, type VmDefinition } from './definition.ts';
import type { ClusterNode } from './node.ts';
import { checkedName } from './node-files.ts';
import { whereabouts, type RowsOfNode, type Whereabouts } from './survey.ts';

export interface RunningVm {
  readonly node: ClusterNode;
  readonly row: DomainRow;
}

/** The rows of all nodes. */
export async function listNodes(cluster: Cluster): Promise<Answers<readonly DomainRow[]>> {
  return askNodes(cluster.nodes, (node) => node.toolstack.list());
}

/** Where the VM is. @throws CxmError HOST_UNREACHABLE when a node can't say */
export async function findVm(cluster: Cluster, vm: string): Promise<Whereabouts> {
  checkedName(vm);
  const answers = requireAll(await listNodes(cluster));
  const sights: RowsOfNode[] = answers.map(({ node, value }) => ({ node, rows: value }));
  return whereabouts(sights, vm);
}

/**
 * The node on which the VM runs, also when other nodes are silent: a shutdown must not depend on these.
 * @throws CxmError NOT_FOUND, REFUSED (it runs on several)
 */
export async function requireRunning(cluster: Cluster, vm: string): Promise<RunningVm> {
  checkedName(vm);
  const { answers, silent } = await listNodes(cluster);
  const { running, traces } = whereabouts(
    answers.map(({ node, value }) => ({ node, rows: value })),
    vm,
  );
  const [found, another] = running;
  if (found !== undefined && another === undefined) return { node: nodeNamed(cluster, found.node), row: found.row };
  if (found !== undefined) throw runsOnSeveral(vm, running);
  const [trace] = traces;
  const unheard = silent.map(({ node }) => node).join(', ');
  const elsewhere = unheard === '' ? '' : ` (${unheard} did not answer)`;
  if (trace === undefined) {
    const hint = `\`cxm list\` has the VMs that run, \`cxm search '*'\` all that are configured`;
    throw new CxmError('NOT_FOUND', `${vm} runs on no node${elsewhere}`, { hint });
  }
  throw new CxmError('NOT_FOUND', `${vm} does not run${elsewhere}: on ${trace.node} it is ${wordsOf(trace.row)}`, {
    hint: `look at it with \`xl list\` on ${trace.node}; \`cxm destroy ${vm}\` removes what is left`,
  });
}

export function runsOnSeveral(vm: string, running: Whereabouts['running']): CxmError {
  const names = running.map(({ node, row }) => `${node} (domain ${row.id})`).join(' and ');
  return new CxmError('REFUSED', `${vm} runs on ${names}`, {
    hint: 'two domains on the same disks ruin these: destroy the wrong one with `xl destroy` on its node at once',
  });
}

/** The VM's definition as a node has it. @throws CxmError NOT_FOUND, CONFIG */
export async function requireDefinition(node: ClusterNode, vm: string): Promise<VmDefinition> {
  const config = await node.files.readConfig(checkedName(vm));
  if (config !== undefined) return definitionOf(config);
  throw new CxmError('NOT_FOUND', `there is no configuration of ${vm} on ${node.name}`, {
    hint: `the name is that of a file in VMCONF_DIR, without .cfg; \`cxm search '*'\` has those of all nodes`,
  });
}

const words: Readonly<Record<ReturnType<typeof meaningOf>, string>> = {
  running: 'running',
  paused: 'paused',
  building: 'being built',
  incoming: 'arriving by a migration',
  leaving: 'leaving by a migration or save',
  shutDown: 'shut down, but not removed',
  dying: 'being torn down',
};

/** What a row says, for a sentence. */
export function wordsOf(row: DomainRow): string {
  return words[meaningOf(row)];
}

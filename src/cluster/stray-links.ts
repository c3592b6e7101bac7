/**
 * Autostart links that stayed where a VM is not any more: on a node that was dead while its VM was started elsewhere, and
 * after a cxm that was killed. A link is only taken for that while the VM runs on one other node, which has a link to the
 * same configuration; what silent nodes have changes nothing.
 */
import { asCxmError } from '../errors.ts';
import { tidyUp } from './carry-out.ts';
import { askNodes, nodeNamed, type Cluster } from './cluster.ts';
import type { ClusterNode } from './node.ts';
import { whereabouts, type NodeSight } from './survey.ts';
import { withVmLock } from './vm-lock.ts';

type LinkSight = Pick<NodeSight, 'node' | 'rows' | 'links'>;

export interface StrayLink {
  readonly node: string;
  readonly vm: string;
  /** Where the VM runs. */
  readonly home: string;
  /** Where the link there leads to. */
  readonly configPath: string;
}

/** Pure. */
export function strayLinksOf(sights: readonly LinkSight[], vm: string): readonly StrayLink[] {
  const { running, traces } = whereabouts(sights, vm);
  const [place, another] = running;
  const configPath = sights.find(({ node }) => node === place?.node)?.links.get(vm);
  if (place === undefined || another !== undefined || traces.length > 0 || configPath === undefined) return [];
  return sights
    .filter(({ node, links }) => node !== place.node && links.has(vm))
    .map(({ node }) => ({ node, vm, home: place.node, configPath }));
}

async function look(nodes: readonly ClusterNode[]): Promise<readonly LinkSight[]> {
  const { answers } = await askNodes(nodes, async ({ name, toolstack, files }) => {
    const [rows, links] = await Promise.all([toolstack.list(), files.links()]);
    return { node: name, rows, links };
  });
  return answers.map(({ value }) => value);
}

/** Removes those of a VM wherever they are; a failure is told. Where there are none, nobody is waited for. */
export async function removeStrayLinks(cluster: Cluster, vm: string): Promise<void> {
  if (strayLinksOf(await look(cluster.nodes), vm).length === 0) return;
  await withVmLock(cluster, vm, async (lock) => {
    const strays = strayLinksOf(await look(cluster.nodes), vm);
    await tidyUp(
      cluster,
      strays.map(({ node, configPath }) => ({ kind: 'unlink', node, vm, configPath })),
      lock,
    );
  });
}

/**
 * Removes those of one node, of whatever VM: for its boot. A failure is told.
 * @returns the VMs
 */
export async function removeOwnStrayLinks(cluster: Cluster, node: string): Promise<readonly string[]> {
  const own = nodeNamed(cluster, node);
  const links = await own.files.links();
  if (links.size === 0) return [];
  const sights = await look(cluster.nodes);
  const strays = [...links.keys()].flatMap((vm) => strayLinksOf(sights, vm)).filter((stray) => stray.node === node);
  const removed: string[] = [];
  for (const { vm, home } of strays) {
    try {
      // Nobody brings the VM from there to here without these two.
      await removeStrayLinks({ ...cluster, nodes: [own, nodeNamed(cluster, home)] }, vm);
      if (!(await own.files.links()).has(vm)) removed.push(vm);
    } catch (error) {
      const why = asCxmError(error).message;
      cluster.reporter.note('WARN', `the autostart link of ${vm}, which runs on ${home}, stays on ${node}: ${why}`);
    }
  }
  return removed;
}

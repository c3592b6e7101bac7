/**
 * Where each VM can be: on nodes that have its configuration, its bridges and the very volumes it uses, and, while it runs,
 * CPUs with all features of those it runs on. The balancer takes the rest of the world to be open, so what is not is told as
 * a rule. Whoever starts or migrates looks again.
 */
import type { Pin } from '../balance/state.ts';
import { CxmError } from '../errors.ts';
import type { CheckedNode } from './check.ts';
import { askNodes, type Cluster } from './cluster.ts';
import { definitionOf, type VmDefinition } from './definition.ts';
import { boundBySnapshots, lookAt, volumeIdentity, whereabouts, type NodeSight } from './survey.ts';

export interface Homes {
  /** VMs that can't be everywhere, and where they can. */
  readonly pinned: readonly Pin[];
  /** Every VM of which there is a configuration. */
  readonly configured: ReadonlySet<string>;
}

/** Of the nodes that answer; the others get no VMs anyway. */
export async function findHomes(cluster: Cluster): Promise<Homes> {
  const { answers } = await askNodes(cluster.nodes, async (node) => {
    const [sight, configs] = await Promise.all([lookAt(node), node.files.readConfigs()]);
    return { sight, configs };
  });
  const nodes = answers.map(({ value }) => value);
  const configured = new Set(nodes.flatMap(({ configs }) => configs.map(({ vm }) => vm)));
  return { pinned: homesOf(nodes), configured };
}

/** Only VMs that can't be everywhere. Where one runs now is always among its nodes. Pure. */
export function homesOf(nodes: readonly CheckedNode[]): readonly Pin[] {
  const sights = nodes.map(({ sight }) => sight);
  return definitionsOf(nodes).flatMap((definition) => {
    const [place] = whereabouts(sights, definition.vm).running;
    const source = sights.find(({ node }) => node === place?.node);
    const homes = nodes.filter(({ sight, configs }) => {
      if (sight === source) return true;
      return configs.some(({ vm }) => vm === definition.vm) && canHold(sight, definition, source);
    });
    if (homes.length === 0 || homes.length === nodes.length) return [];
    return [{ vm: definition.vm, nodes: homes.map(({ sight }) => sight.node) }];
  });
}

function canHold(sight: NodeSight, { volumes, bridges }: VmDefinition, source: NodeSight | undefined): boolean {
  if (!bridges.every((bridge) => sight.bridges.includes(bridge))) return false;
  if (source?.cpuFlags.every((flag) => sight.cpuFlags.includes(flag)) === false) return false;
  return volumes.every((volume) => {
    // A migration is refused as long as there is the snapshot of a backup.
    if (source !== undefined && boundBySnapshots([source], volume).length > 0) return false;
    const identity = volumeIdentity(sight, volume);
    return identity !== undefined && (source === undefined || identity === volumeIdentity(source, volume));
  });
}

/** One a VM, of the first node that has a readable one. */
function definitionsOf(nodes: readonly CheckedNode[]): readonly VmDefinition[] {
  const definitions = new Map<string, VmDefinition>();
  for (const config of nodes.flatMap(({ configs }) => configs)) {
    if (definitions.has(config.vm)) continue;
    try {
      definitions.set(config.vm, definitionOf(config));
    } catch (error) {
      // `check` tells of it; the VM may be moved as if it had no needs, and is looked at again then.
      if (!(error instanceof CxmError)) throw error;
    }
  }
  return [...definitions.values()];
}

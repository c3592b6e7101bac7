/**
 * VMs as cxmd handles them: by the library of the cluster, beside those who call `cxm`, under the same locks and rules.
 *
 * Guarantees: only nodes that are alive are asked, since the library refuses to work beside a silent one; the daemon has its
 * word immediately before a domain is made or sent; what a failure says of the VM is no more than what was seen.
 */
import { planPlacement } from '../balance/place.ts';
import { stateOf, withNewVms } from '../cluster/balancing.ts';
import { nodeNamed, type Cluster } from '../cluster/cluster.ts';
import type { VmDefinition } from '../cluster/definition.ts';
import { findHomes } from '../cluster/homes.ts';
import { requireDefinition } from '../cluster/locate.ts';
import { leftBehind } from '../cluster/many.ts';
import { migrateVm } from '../cluster/migrate.ts';
import type { ClusterNode } from '../cluster/node.ts';
import { startVm } from '../cluster/start.ts';
import { surveyNodes } from '../cluster/survey.ts';
import { asCxmError, CxmError } from '../errors.ts';
import type { Hypervisor, PlanOrder, Planned, Started, StartOrder } from '../ha/effects/hypervisor.ts';
import { meaningOf, type DomainRow } from '../xen/domain-list.ts';

export interface HypervisorParts {
  readonly localName: string;
  /** The cluster of these nodes only; opened for each piece of work, over connections that are kept. */
  open(nodes: readonly string[]): Cluster;
}

export function clusterHypervisor({ localName, open }: HypervisorParts): Hypervisor {
  return {
    async list() {
      const rows = await nodeNamed(open([localName]), localName).toolstack.list();
      return rows.flatMap((row) => (holdsVm(row) ? (row.name ?? []) : []));
    },
    start: (order) =>
      outcomeOf(async () => {
        await startVm(guarded(open(order.nodes), order), order.vm, {
          node: localName,
          localNode: localName,
          setLink: true,
        });
      }),
    receive: (order, source) =>
      outcomeOf(async () => {
        const cluster = guarded(open(order.nodes), order);
        const { source: found, alreadyThere } = await migrateVm(cluster, { vm: order.vm, destination: localName });
        if (!alreadyThere && found !== source) throw new CxmError('REFUSED', `${order.vm} came from ${found}`);
      }),
    plan: (order) => planOn(open(order.nodes), order),
  };
}

/** Domain 0 and the two halves of a migration hold none; what is shut down or torn down may hold its disks yet. */
function holdsVm(row: DomainRow): boolean {
  const meaning = meaningOf(row);
  return row.id !== 0 && meaning !== 'incoming' && meaning !== 'leaving';
}

/** The cluster, whose toolstacks ask the daemon before they make or send a domain. */
export function guarded(cluster: Cluster, { obstacle }: Pick<StartOrder, 'obstacle'>): Cluster {
  const require = (): void => {
    const reason = obstacle();
    if (reason !== undefined) throw new CxmError('REFUSED', `it was given up before it was begun: ${reason}`);
  };
  const guard = (node: ClusterNode): ClusterNode => {
    const { toolstack } = node;
    // The methods of a toolstack are those of its class, which a copy would lose.
    const asking: ClusterNode['toolstack'] = Object.create(toolstack, {
      create: {
        value: async (...args: Parameters<typeof toolstack.create>) => {
          require();
          return toolstack.create(...args);
        },
      },
      migrate: {
        value: async (...args: Parameters<typeof toolstack.migrate>) => {
          require();
          return toolstack.migrate(...args);
        },
      },
    }) as ClusterNode['toolstack'];
    return { ...node, toolstack: asking, under: (vm) => guard(node.under(vm)) };
  };
  return { ...cluster, nodes: cluster.nodes.map(guard) };
}

async function outcomeOf(work: () => Promise<void>): Promise<Started> {
  try {
    await work();
    return { outcome: 'running', reason: '' };
  } catch (error) {
    const { code, message, changed } = asCxmError(error);
    if (changed === 'maybe') return { outcome: 'unknown', reason: message };
    const isRefusal = changed === 'nothing' && code !== 'XEN';
    return { outcome: isRefusal ? 'refused' : 'failed', reason: message };
  }
}

/** Best-fit decreasing, without the nodes where it was tried in vain. */
async function planOn(cluster: Cluster, { vms, failed }: PlanOrder): Promise<Planned> {
  const survey = await surveyNodes(cluster);
  const names = survey.sights.map(({ node }) => node);
  const definitions: VmDefinition[] = [];
  const left: Planned['left'][number][] = [];
  for (const vm of vms) {
    const definition = await definitionOn(cluster, names, vm);
    if (definition instanceof CxmError) left.push({ vm, reason: definition.message, panic: false });
    else definitions.push(definition);
  }
  const state = withNewVms(withoutVms(stateOf(survey.sights), vms), definitions);
  const homes = new Map((await findHomes(cluster)).pinned.map(({ vm, nodes }) => [vm, nodes]));
  const tried = new Map(vms.map((vm) => [vm, failed.filter((one) => one.vm === vm).map(({ node }) => node)]));
  const pinned = definitions.flatMap(({ vm }) => {
    const nodes = (homes.get(vm) ?? names).filter((node) => tried.get(vm)?.includes(node) !== true);
    return nodes.length === names.length ? [] : [{ vm, nodes: nodes.filter((node) => names.includes(node)) }];
  });
  // Where it failed everywhere, the first failures are as good a reason as any: no node is left to try.
  const hopeless = new Set(pinned.filter(({ nodes }) => nodes.length === 0).map(({ vm }) => vm));
  for (const vm of hopeless)
    left.push({ vm, reason: 'no node can have it, or it failed on all that can', panic: false });
  const placeable = definitions.map(({ vm }) => vm).filter((vm) => !hopeless.has(vm));
  const rules = { pinned: pinned.filter(({ vm }) => !hopeless.has(vm)) };
  const placement = planPlacement(state, placeable, { rules });
  const short = placement.left.map(leftBehind);
  return {
    placements: placement.starts.map(({ vm, destination }) => ({ vm, node: destination })),
    left: [...left, ...short.map(({ vm, error }) => ({ vm, reason: error.message, panic: true }))],
  };
}

/** Those that run on one of the nodes are placed by what they will need, as if they ran nowhere. */
function withoutVms(state: ReturnType<typeof stateOf>, vms: readonly string[]): ReturnType<typeof stateOf> {
  const moved = new Set(vms);
  return { ...state, vms: state.vms.filter(({ name }) => !moved.has(name)) };
}

/** The first node that has one. */
async function definitionOn(cluster: Cluster, names: readonly string[], vm: string): Promise<VmDefinition | CxmError> {
  let failure = new CxmError('NOT_FOUND', `there is no configuration of ${vm}`);
  for (const name of names) {
    try {
      return await requireDefinition(nodeNamed(cluster, name), vm);
    } catch (error) {
      failure = asCxmError(error);
    }
  }
  return failure;
}

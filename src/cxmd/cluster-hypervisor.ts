/**
 * VMs as cxmd handles them: by the library of the cluster, beside those who call `cxm`, under the same locks and rules.
 *
 * Guarantees: the library gets the nodes that are alive, since it refuses to work beside a silent one; others may say
 * that they have the VM, and are not waited for; the daemon has its word immediately before a domain is made or sent; what a
 * failure says of the VM is no more than what was seen.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BalanceRules } from '../balance/state.ts';
import { nodeNamed, type Cluster } from '../cluster/cluster.ts';
import { migrateVm } from '../cluster/migrate.ts';
import type { ClusterNode } from '../cluster/node.ts';
import { startVm } from '../cluster/start.ts';
import { asCxmError, CxmError } from '../errors.ts';
import type { Hypervisor, Started, StartOrder } from '../ha/effects/hypervisor.ts';
import { meaningOf, rowsOf, type DomainRow } from '../xen/domain-list.ts';
import { placesFor } from './places.ts';

export interface HypervisorParts {
  readonly localName: string;
  /** Of cxm.conf, as they are at the moment. */
  rules(): BalanceRules;
  /** The cluster of these nodes only; opened for each piece of work, over connections that are kept. */
  open(nodes: readonly string[]): Cluster;
}

/** So long a bystander may take to say what it has: it may well have no power. */
const bystanderMs = 2000;
/** No machine comes up and has a VM running in so short a time; cxm on a bystander needs the VM's lock here. */
const recentMs = 5000;

export function clusterHypervisor({ localName, rules, open }: HypervisorParts): Hypervisor {
  const clusterFor = (order: StartOrder): Cluster => {
    const look = recent(() => requireNotAt(open(order.bystanders), order.vm));
    // Machines without power take their time to be silent, in which the others can be looked at.
    void look();
    return guarded(open(order.nodes), order, look);
  };
  return {
    async list() {
      const rows = await nodeNamed(open([localName]), localName).toolstack.list();
      const vms = rows.flatMap((row) => (holdsVm(row) ? (row.name ?? []) : []));
      return { vms, others: rows.filter(({ id }) => id !== 0).length > vms.length };
    },
    start: (order) =>
      outcomeOf(async () => {
        await startVm(clusterFor(order), order.vm, {
          node: localName,
          localNode: localName,
          setLink: true,
        });
      }),
    receive: (order, source) =>
      outcomeOf(async () => {
        const { source: found, alreadyThere } = await migrateVm(clusterFor(order), {
          vm: order.vm,
          destination: localName,
        });
        if (!alreadyThere && found !== source) throw new CxmError('REFUSED', `${order.vm} came from ${found}`);
      }),
    plan: (order) => placesFor(open(order.nodes), order, rules()),
  };
}

/** What was looked at a moment ago is not looked at again. */
export function recent(look: () => Promise<void>, now: () => number = () => performance.now()): () => Promise<void> {
  let last: { readonly atMs: number; readonly finding: Promise<void> } | undefined;
  return () => {
    if (last === undefined || now() - last.atMs > recentMs) {
      last = { atMs: now(), finding: look() };
      last.finding.catch(() => undefined);
    }
    return last.finding;
  };
}

/** Domain 0 and the two halves of a migration hold none; what is shut down or torn down may hold its disks yet. */
function holdsVm(row: DomainRow): boolean {
  const meaning = meaningOf(row);
  return row.id !== 0 && meaning !== 'incoming' && meaning !== 'leaving';
}

/** @throws CxmError REFUSED when one of these nodes says that it has the VM, in whatever state */
export async function requireNotAt({ nodes }: Cluster, vm: string): Promise<void> {
  const look = async ({ name, toolstack }: ClusterNode): Promise<void> => {
    const silence = sleep(bystanderMs, [], { ref: false });
    const rows = await Promise.race([toolstack.list().catch(() => []), silence]);
    if (rowsOf(rows, vm).length > 0) throw new CxmError('REFUSED', `${name}, which is no member, has ${vm}`);
  };
  await Promise.all(nodes.map(look));
}

/**
 * The cluster, whose toolstacks ask the daemon before they make or send a domain.
 * @param look before that, what takes time
 */
export function guarded(
  cluster: Cluster,
  { obstacle }: Pick<StartOrder, 'obstacle'>,
  look: () => Promise<void> = () => Promise.resolve(),
): Cluster {
  const require = async (): Promise<void> => {
    await look();
    const reason = obstacle();
    if (reason !== undefined) throw new CxmError('REFUSED', `it was given up before it was begun: ${reason}`);
  };
  const guard = (node: ClusterNode): ClusterNode => {
    const { toolstack } = node;
    // The methods of a toolstack are those of its class, which a copy would lose.
    const asking: ClusterNode['toolstack'] = Object.create(toolstack, {
      create: {
        value: async (...args: Parameters<typeof toolstack.create>) => {
          await require();
          return toolstack.create(...args);
        },
      },
      migrate: {
        value: async (...args: Parameters<typeof toolstack.migrate>) => {
          await require();
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

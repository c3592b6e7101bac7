/**
 * One cxm at a time works on a VM, wherever it was called. The lock is taken on every node, in the order of the nodes'
 * names, so that any two meet on the first one and nobody waits in a circle. Who brings a VM to a node needs all of them;
 * who ends it needs those of the nodes where it may be, since the others can't get all without these. It is lost with the
 * connection to a node: what can't be taken back asks `check` first, and what a cxm has begun whose lock was lost or who
 * was killed is waited for, or refused if it only begins now (node.under).
 */
import { asCxmError, CxmError } from '../errors.ts';
import type { Cluster } from './cluster.ts';
import type { ClusterNode, NodeLock } from './node.ts';

export interface VmLock {
  readonly vm: string;
  /** @throws CxmError HOST_UNREACHABLE when a node's part is lost, INTERRUPTED when whoever asked has gone */
  check(): void;
}

export interface LockOptions {
  /** Nodes without which there is no lock; all when left out. Others that are silent are left out. */
  readonly needed?: readonly string[];
}

/** @throws CxmError IN_USE, HOST_UNREACHABLE, before anything is done */
export async function withVmLock<T>(
  cluster: Cluster,
  vm: string,
  work: (lock: VmLock) => Promise<T>,
  { needed }: LockOptions = {},
): Promise<T> {
  const held: Part[] = [];
  const ordered = [...cluster.nodes].sort((one, other) => (one.name < other.name ? -1 : 1));
  try {
    for (const node of ordered) {
      const lock = await lockOn(cluster, node, vm, needed === undefined || needed.includes(node.name));
      if (lock !== undefined) held.push({ node: node.name, lock });
    }
    return await work({ vm, check: () => check(cluster, vm, held) });
  } finally {
    // A connection that is lost has released it, and what was done is done.
    await Promise.allSettled(held.map(({ lock }) => lock.release()));
  }
}

interface Part {
  readonly node: string;
  readonly lock: NodeLock;
}

async function lockOn(cluster: Cluster, node: ClusterNode, vm: string, needed: boolean): Promise<NodeLock | undefined> {
  try {
    return await node.lock(vm, cluster.settings.lockTimeoutMs);
  } catch (error) {
    if (needed || asCxmError(error).code === 'IN_USE') throw error;
    return undefined;
  }
}

function check(cluster: Cluster, vm: string, held: readonly Part[]): void {
  const lost = held.find(({ lock }) => !lock.held);
  if (lost !== undefined) {
    throw new CxmError('HOST_UNREACHABLE', `the connection to ${lost.node}, and with it the lock of ${vm}, is lost`);
  }
  if (cluster.signal.aborted) throw new CxmError('INTERRUPTED', `the work on ${vm} was given up`);
}

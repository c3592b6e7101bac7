/**
 * One cxm at a time works on a VM, wherever it was called. The lock is taken on every node, in the order of the nodes'
 * names, so that any two meet on the first one and nobody waits in a circle. It is lost with the connection to a node: what
 * can't be taken back asks `check` first. A domain that is being created by a cxm that was killed keeps its node's lock
 * until its xl has ended (node.under).
 */
import { CxmError } from '../errors.ts';
import type { Cluster } from './cluster.ts';
import type { NodeLock } from './node.ts';

export interface VmLock {
  /** @throws CxmError HOST_UNREACHABLE when a node's part is lost, INTERRUPTED when whoever asked has gone */
  check(): void;
}

/** @throws CxmError IN_USE, HOST_UNREACHABLE, before anything is done */
export async function withVmLock<T>(cluster: Cluster, vm: string, work: (lock: VmLock) => Promise<T>): Promise<T> {
  const held: { readonly node: string; readonly lock: NodeLock }[] = [];
  const ordered = [...cluster.nodes].sort((one, other) => (one.name < other.name ? -1 : 1));
  try {
    for (const node of ordered) {
      held.push({ node: node.name, lock: await node.lock(vm, cluster.settings.lockTimeoutMs) });
    }
    return await work({ check: () => check(cluster, vm, held) });
  } finally {
    await Promise.all(held.map(({ lock }) => lock.release()));
  }
}

function check(cluster: Cluster, vm: string, held: readonly { node: string; lock: NodeLock }[]): void {
  const lost = held.find(({ lock }) => !lock.held);
  if (lost !== undefined) {
    throw new CxmError('HOST_UNREACHABLE', `the connection to ${lost.node}, and with it the lock of ${vm}, is lost`);
  }
  if (cluster.signal.aborted) throw new CxmError('INTERRUPTED', `the work on ${vm} was given up`);
}

/**
 * A running VM that a cluster must not move for a moment, because something is made beside its volumes that belongs to the
 * node it runs on.
 */
import { noCluster } from '../cluster-guard.ts';
import type { OperationContext } from '../operation.ts';
import { domainHost } from './domain-host.ts';
import { findDomain } from './domain-lookup.ts';

/**
 * What no domain of this host has can be moved by nobody.
 * @throws CxmError REFUSED when the VM does not run here any more, IN_USE when it is worked on; then `work` was not begun
 */
export async function whileStaying<T>(context: OperationContext, vmId: number, work: () => Promise<T>): Promise<T> {
  if (context.guard === noCluster) return work();
  const { name } = await findDomain(domainHost(context), vmId, undefined);
  return name === undefined ? work() : context.guard.staying(name, work);
}

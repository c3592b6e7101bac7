/**
 * Work on a domain where it is, in a cluster that moves VMs by itself: while it goes on the cluster holds the VM. What was
 * seen before may be out of date, so `work` looks for itself. A host of its own has nobody to ask.
 */
import { CxmError } from '../../errors.ts';
import { nameFault } from '../../xen/domain-name.ts';
import { noCluster } from '../cluster-guard.ts';
import type { DomainHost } from './domain-host.ts';
import { withDomainLock } from './domain-lock.ts';
import { findDomain } from './domain-lookup.ts';
import type { DomainParameters } from './domain-parameters.ts';

/** One operation at a time, and nobody in the cluster. @throws CxmError TIMEOUT, and those of `holding` */
export function withDomainHeld<T>(host: DomainHost, domain: DomainParameters, work: () => Promise<T>): Promise<T> {
  return withDomainLock(host, domain.vmId, () => holding(host, domain, work));
}

/** A VM of which nobody knows a name can't be moved by name either. @throws CxmError IN_USE, HOST_UNREACHABLE */
export async function holding<T>(host: DomainHost, domain: DomainParameters, work: () => Promise<T>): Promise<T> {
  if (host.guard === noCluster) return work();
  const { name = asName(domain.deployId) } = await findDomain(host, domain.vmId, domain.deployId);
  return name === undefined ? work() : host.guard.holding(name, work);
}

/** @throws CxmError XEN when another node of the cluster has the VM: OpenNebula takes the disks of one that has ended away */
export async function requireNotElsewhere(host: DomainHost, { vmId, deployId }: DomainParameters): Promise<void> {
  const named = asName(deployId);
  const names = new Set([...host.files.namesOf(vmId), ...(named === undefined ? [] : [named])]);
  const node = await host.guard.elsewhere([...names]);
  if (node === undefined) return;
  throw new CxmError('XEN', `VM ${vmId} is not on this host: ${node} has it`, {
    hint: `OpenNebula does not know yet that the cluster has moved it: run one-migrate for it, or \`onevm recover\``,
  });
}

function asName(deployId: string | undefined): string | undefined {
  return deployId === undefined || nameFault(deployId) !== undefined ? undefined : deployId;
}

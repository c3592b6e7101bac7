/**
 * From domains to VMs: which of a VM's domains speaks for it, what each version is to hear about its state, and which
 * domains are nobody's (wild). A VM may show as two domains while it moves, and a name may pretend to be a VM's.
 */
import type { MonitoredDomain } from '../../agent/operations/monitor.ts';
import type { DomainMeaning } from '../../xen/domain-list.ts';
import { isDeployId } from './values.ts';

/** A domain of a VM of OpenNebula. */
export interface MonitoredMachine {
  readonly vmId: number;
  readonly domain: MonitoredDomain;
}

/**
 * - `running`: it runs here. So does one that an administrator has paused: it holds its memory and its disks, and what
 *   oned calls suspended is a checkpoint, which does not exist.
 * - `ended`, `failed`: it has shut down or crashed, and its domain is still there.
 * - `changing`: it starts, restarts, is being saved or migrated away; who does that will tell oned what came of it. Or
 *   nobody does any more: that shows only when it lasts.
 * - `elsewhere`: it arrives here, and until then runs on its old host.
 */
export type MachineState = 'running' | 'ended' | 'failed' | 'changing' | 'elsewhere';

/** The most telling first. */
const precedence: readonly DomainMeaning[] = [
  'running',
  'paused',
  'leaving',
  'building',
  'shutDown',
  'incoming',
  'dying',
];
const evidence = ['marker', 'disks', 'name'] as const;

/** The VMs here, one domain each, by id. Domains that are being torn down are none any more. */
export function machinesOf(domains: readonly MonitoredDomain[]): readonly MonitoredMachine[] {
  const best = new Map<number, MonitoredDomain>();
  for (const domain of domains) {
    if (domain.vm === undefined || domain.meaning === 'dying' || !isDeployId(domain.name)) continue;
    const other = best.get(domain.vm.id);
    if (other === undefined || rank(domain) < rank(other)) best.set(domain.vm.id, domain);
  }
  return [...best].map(([vmId, domain]) => ({ vmId, domain })).sort((a, b) => a.vmId - b.vmId);
}

function rank({ vm, meaning }: MonitoredDomain): number {
  return (
    (vm === undefined ? evidence.length : evidence.indexOf(vm.by)) * precedence.length + precedence.indexOf(meaning)
  );
}

export function stateOf({ meaning, shutdown }: MonitoredDomain): MachineState {
  switch (meaning) {
    case 'running':
    case 'paused':
      return 'running';
    case 'building':
    case 'leaving':
      return 'changing';
    case 'incoming':
    case 'dying':
      return 'elsewhere';
    case 'shutDown':
      if (shutdown === 'reboot' || shutdown === 'softReset') return 'changing';
      return shutdown === 'crash' || shutdown === 'watchdog' ? 'failed' : 'ended';
  }
}

/** Domains that run and belong to no VM. One whose name oned could not carry can't be imported and is left out. */
export function wildDomains(domains: readonly MonitoredDomain[]): readonly MonitoredDomain[] {
  return domains.filter(
    (domain) => domain.vm === undefined && stateOf(domain) === 'running' && isDeployId(domain.name),
  );
}

/** The template that `onehost importvm` makes a VM of. */
export function importTemplate(domain: MonitoredDomain): readonly string[] {
  return [
    `NAME="${domain.name}"`,
    `CPU=${Math.max(1, domain.vcpus)}`,
    `VCPU=${Math.max(1, domain.vcpus)}`,
    `MEMORY=${Math.max(1, Math.ceil(domain.memoryKib / 1024))}`,
    'HYPERVISOR="xen"',
    // Up to 5.12 and from 6.0 on.
    `IMPORT_VM_ID="${domain.name}"`,
    `DEPLOY_ID="${domain.name}"`,
  ];
}

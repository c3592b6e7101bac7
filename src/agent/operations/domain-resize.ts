/**
 * Memory and CPUs of a running domain, within what it was started with room for, and a disk that has grown under it.
 */
import { asCxmError, CxmError } from '../../errors.ts';
import { formatSize } from '../../config/size.ts';
import { editConfiguration } from './domain-devices.ts';
import { withDomainHeld } from './domain-hold.ts';
import type { DomainHost } from './domain-host.ts';
import { requireRunning } from './domain-lookup.ts';
import type { DomainParameters } from './domain-parameters.ts';
import { requireVolume } from './domain-volumes.ts';

export interface ResizeParameters extends DomainParameters {
  readonly memoryMib: number;
  readonly vcpus: number;
  readonly cpuWeight: number;
}

/**
 * All of it or nothing: after a failure OpenNebula takes the old capacity for granted, and whoever has got more keeps it
 * without anybody counting it.
 * @throws CxmError UNSUPPORTED above the domain's maximum, before anything is changed
 */
export function resize(host: DomainHost, parameters: ResizeParameters): Promise<object> {
  const { vmId, deployId, memoryMib, vcpus, cpuWeight } = parameters;
  return withDomainHeld(host, { vmId, deployId }, async () => {
    const { name, row } = await requireRunning(host, vmId, deployId);
    const details = (await host.toolstack.details(name)).find((domain) => domain.name === name);
    const maximumMib = Math.floor((details?.maximumMemoryKib ?? 0) / 1024);
    requireRoom(name, 'MiB of memory', memoryMib, maximumMib);
    requireRoom(name, 'VCPUs', vcpus, details?.maximumVcpus ?? 0);
    const before = { memoryMib: Math.round((details?.targetMemoryKib ?? 0) / 1024), vcpus: row.vcpus };
    await allOrNothing(host, row.id, before, async () => {
      // First what xl may refuse: there may be room for more VCPUs than the host has CPUs.
      if (before.vcpus !== vcpus) await host.toolstack.setVcpus(row.id, vcpus);
      if (before.memoryMib !== memoryMib) await host.toolstack.setMemory(row.id, memoryMib);
      editConfiguration(host, vmId, name, (config) => {
        if (config.getNumber('cpu_weight') !== cpuWeight) {
          host.log('INFO', `the share of the CPUs changes when ${name} is started anew`);
        }
        // The maxima stay what they were, or a later growth within them would be refused.
        if (!config.has('maxmem')) config.set('maxmem', maximumMib);
        if (!config.has('maxvcpus')) config.set('maxvcpus', details?.maximumVcpus ?? vcpus);
        config.set('memory', memoryMib);
        config.set('vcpus', vcpus);
        config.set('cpu_weight', cpuWeight);
      });
    });
    return {};
  });
}

interface Capacity {
  readonly memoryMib: number;
  readonly vcpus: number;
}

/** Gives the domain back what it had when `change` fails, also where a failed step may have had its way. */
async function allOrNothing(
  host: DomainHost,
  domainId: number,
  before: Capacity,
  change: () => Promise<void>,
): Promise<void> {
  try {
    await change();
  } catch (error) {
    const { code, message, hint } = asCxmError(error);
    const left: string[] = [];
    const giveBack = (what: string, work: () => Promise<void>): Promise<void> =>
      work().catch((cause: unknown) => void left.push(`${what} (${asCxmError(cause).message})`));
    await giveBack('VCPUs', async () => {
      // Started on a host with fewer CPUs it has a number that xl would not set again.
      const now = await host.toolstack.find(domainId);
      if (now?.vcpus !== before.vcpus) await host.toolstack.setVcpus(domainId, before.vcpus);
    });
    await giveBack('memory', () => host.toolstack.setMemory(domainId, before.memoryMib));
    if (left.length === 0) throw new CxmError(code, message, { hint, cause: error, changed: 'rolled-back' });
    const what = `${message}; the domain may have kept its new ${left.join(' and ')}`;
    throw new CxmError(code, what, { hint, cause: error, changed: 'maybe' });
  }
}

function requireRoom(name: string, what: string, wanted: number, maximum: number): void {
  if (wanted <= maximum) return;
  throw new CxmError('UNSUPPORTED', `${name} can't get ${wanted} ${what}: it was started with room for ${maximum}`, {
    hint: 'power the VM off to resize it, or start it with MEMORY_MAX and VCPU_MAX',
  });
}

export interface ResizeDiskParameters extends DomainParameters {
  readonly diskId: number;
  readonly sizeMib: number;
}

/** The volume has grown already; Xen's block backend tells the guest by itself. */
export async function checkDiskSize(host: DomainHost, parameters: ResizeDiskParameters): Promise<object> {
  const { vmId, diskId, sizeMib } = parameters;
  const { name, sizeBytes } = await requireVolume(host, vmId, diskId);
  if (sizeBytes >= sizeMib * 1024 ** 2) {
    host.log('INFO', `${name} has ${formatSize(sizeBytes)}; the guest sees it with its next access to the disk`);
    return {};
  }
  throw new CxmError(
    'TOO_SMALL',
    `${name} has ${formatSize(sizeBytes)}, not the ${sizeMib} MiB that it should have grown to`,
    {
      hint: 'resize the disk again',
    },
  );
}

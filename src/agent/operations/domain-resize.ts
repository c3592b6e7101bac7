/**
 * Memory and CPUs of a running domain, within what it was started with room for, and a disk that has grown under it.
 */
import { CxmError } from '../../errors.ts';
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

/** @throws CxmError UNSUPPORTED above the domain's maximum, before anything is changed */
export function resize(host: DomainHost, parameters: ResizeParameters): Promise<object> {
  const { vmId, deployId, memoryMib, vcpus, cpuWeight } = parameters;
  return withDomainHeld(host, { vmId, deployId }, async () => {
    const { name, row } = await requireRunning(host, vmId, deployId);
    const details = (await host.toolstack.details(name)).find((domain) => domain.name === name);
    const maximumMib = Math.floor((details?.maximumMemoryKib ?? 0) / 1024);
    requireRoom(name, 'MiB of memory', memoryMib, maximumMib);
    requireRoom(name, 'VCPUs', vcpus, details?.maximumVcpus ?? 0);
    const memoryChanges = Math.round((details?.targetMemoryKib ?? 0) / 1024) !== memoryMib;
    if (memoryChanges) await host.toolstack.setMemory(row.id, memoryMib);
    if (row.vcpus !== vcpus) await host.toolstack.setVcpus(row.id, vcpus);
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
    return {};
  });
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

/** Readings made up for tests: a node with nothing on it, and rows of domains. */
import type { NodeReading } from '../../src/cluster/metrics-read.ts';
import type { DomainRow } from '../../src/xen/domain-list.ts';
import type { DomainUsage } from '../../src/xen/xentop.ts';

export function row(id: number, name: string | undefined, values: Partial<DomainRow> = {}): DomainRow {
  return {
    id,
    name,
    memoryMib: 256,
    vcpus: 2,
    state: { running: false, blocked: true, paused: false, shutdown: undefined, dying: false },
    cpuSeconds: 10,
    uuid: `00000000-0000-4000-8000-${String(id).padStart(12, '0')}`,
    ...values,
  };
}

export function usage(name: string, values: Partial<DomainUsage> = {}): DomainUsage {
  return {
    name,
    cpuSeconds: 10,
    cpuPercent: 0,
    memoryKib: 256 * 1024,
    maximumMemoryKib: undefined,
    vcpus: 2,
    networkSentKib: 0,
    networkReceivedKib: 0,
    diskReads: 0,
    diskWrites: 0,
    diskReadSectors: 0,
    diskWrittenSectors: 0,
    ...values,
  };
}

export function nodeReading(node: string, values: Partial<NodeReading> = {}, memory = [8192, 4096]): NodeReading {
  const [totalMemoryMib = 0, freeMemoryMib = 0] = memory;
  return {
    node,
    bootId: 'boot',
    uptimeSeconds: 1000,
    info: {
      host: node,
      cpus: 4,
      cpuMhz: 2000,
      totalMemoryMib,
      freeMemoryMib,
      xenVersion: '4.17.5',
      cpuFeatures: '',
      simulated: false,
      fields: {},
    },
    rows: [row(0, 'Domain-0', { memoryMib: 512, vcpus: 1 })],
    dynamicIrqs: 100,
    usage: [],
    blockDevices: [],
    interfaces: [],
    bridges: [],
    vlans: [],
    physicalVolumes: undefined,
    ...values,
  };
}

/**
 * What readings mean: how much memory a node has and uses and, between two readings of one start of it, how busy its VMs,
 * disks and networks were. A counter that went back counts as one that stood still; what has begun in between counts from
 * nothing. Pure.
 */
import { cpuPercent, cpuReading, domainKey, hostCpuPercent } from '../xen/metrics.ts';
import { meaningOf, runsHere, virtualMachineName, type DomainMeaning, type DomainRow } from '../xen/domain-list.ts';
import { countersOf, type DomainCounters } from '../xen/xentop.ts';
import type { BlockDevice, NetworkInterface } from './metrics-counters.ts';
import type { NodeReading } from './metrics-read.ts';

export interface NodeMemory {
  readonly totalMib: number;
  readonly freeMib: number;
  /** What is not free: domain 0, guests, and Xen itself. */
  readonly usedMib: number;
  /** What VMs can have here in all: what is free, and what VMs have. */
  readonly availableMib: number;
}

export function memoryOf({ info, rows }: NodeReading): NodeMemory {
  const [totalMib, freeMib] = [info.totalMemoryMib, info.freeMemoryMib];
  const vms = rows.filter(runsHere).reduce((sum, row) => sum + row.memoryMib, 0);
  return { totalMib, freeMib, usedMib: Math.max(0, totalMib - freeMib), availableMib: freeMib + vms };
}

export interface DiskRates {
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  readonly readBytesPerSecond: number;
  readonly writtenBytesPerSecond: number;
}

export interface NetworkRates {
  readonly receivedBytesPerSecond: number;
  readonly sentBytesPerSecond: number;
}

export interface VmFacts {
  readonly name: string;
  readonly id: number;
  readonly meaning: DomainMeaning;
  readonly memoryMib: number;
  readonly vcpus: number;
}

export interface VmRates extends VmFacts {
  /** 100 is one full CPU. */
  readonly cpuPercent: number;
  /** As the guest sees it. Undefined when there are no counters. */
  readonly network: NetworkRates | undefined;
  readonly disk: DiskRates | undefined;
}

export interface NodeRates {
  readonly node: string;
  readonly elapsedSeconds: number;
  /** Of all domains, domain 0 included; 100 is one full CPU. */
  readonly cpuPercent: number;
  readonly domainZeroCpuPercent: number;
  /** All domains but domain 0 that have a name, those of a migration under way included. */
  readonly vms: readonly VmRates[];
  /** By device, and summed up by volume group; empty when no reading had LVM's physical volumes. */
  readonly physicalVolumes: readonly (DiskRates & { readonly device: string; readonly group: string })[];
  readonly groups: readonly (DiskRates & { readonly name: string })[];
  /** What the node itself received and sent there; guests' traffic among each other is in their own rates. */
  readonly bridges: readonly (NetworkRates & { readonly name: string })[];
  readonly vlans: readonly (NetworkRates & { readonly name: string })[];
}

/** Both are of the same start of the same node, and the second was taken later. */
export function areConsecutive(earlier: NodeReading, later: NodeReading): boolean {
  return earlier.node === later.node && earlier.bootId === later.bootId && earlier.uptimeSeconds < later.uptimeSeconds;
}

/**
 * @param cpuSince the reading from which CPU time counts, if another one: xl counts tenths of a second, so short times
 *   give rough figures
 * @returns undefined when the readings are not consecutive
 */
export function ratesBetween(earlier: NodeReading, later: NodeReading, cpuSince = earlier): NodeRates | undefined {
  if (!areConsecutive(earlier, later)) return undefined;
  const elapsedSeconds = later.uptimeSeconds - earlier.uptimeSeconds;
  const since = areConsecutive(cpuSince, later) ? cpuSince : earlier;
  const baseline = cpuReading(since.rows, since.uptimeSeconds);
  const cpuOf = (row: DomainRow): number => cpuPercent(row, baseline, later.uptimeSeconds);
  const zero = later.rows.find(({ id }) => id === 0);
  const physicalVolumes = volumeRates(earlier, later, elapsedSeconds);
  const known = new Set(earlier.rows.map(domainKey));
  return {
    node: later.node,
    elapsedSeconds,
    cpuPercent: hostCpuPercent(later.rows, later.info.cpus, baseline, later.uptimeSeconds),
    domainZeroCpuPercent: zero === undefined ? 0 : cpuOf(zero),
    vms: vmRowsOf(later).map((row) => ({
      ...factsOf(row),
      cpuPercent: cpuOf(row),
      ...counterRates(earlier, later, row, known.has(domainKey(row)), elapsedSeconds),
    })),
    physicalVolumes,
    groups: groupRates(physicalVolumes),
    bridges: interfaceRates(earlier, later, later.bridges, elapsedSeconds),
    vlans: interfaceRates(earlier, later, later.vlans, elapsedSeconds),
  };
}

/** All domains but domain 0 that have a name. */
export function vmFactsOf(reading: NodeReading): readonly VmFacts[] {
  return vmRowsOf(reading).map(factsOf);
}

function vmRowsOf({ rows }: NodeReading): readonly DomainRow[] {
  return rows.filter(({ id, name }) => id !== 0 && name !== undefined);
}

function factsOf(row: DomainRow): VmFacts {
  const { id, memoryMib, vcpus } = row;
  return { name: virtualMachineName(row) ?? '', id, meaning: meaningOf(row), memoryMib, vcpus };
}

/** A domain that the earlier reading knew and did not count has no rates; one that it did not know began at nothing. */
function counterRates(
  earlier: NodeReading,
  later: NodeReading,
  row: DomainRow,
  wasThere: boolean,
  seconds: number,
): Pick<VmRates, 'network' | 'disk'> {
  const counters = later.usage && countersOf(row, later.usage);
  const before = !wasThere ? nothing : earlier.usage && countersOf(row, earlier.usage);
  const disk = counters && before && diskRates(before, counters, seconds);
  // The kernel counts bytes by the domain's id; xentop counts KiB by its name.
  const vifs = vifCounters(later.interfaces, row.id);
  if (vifs !== undefined) {
    const vifsBefore = (wasThere ? vifCounters(earlier.interfaces, row.id) : undefined) ?? nothing;
    return { network: networkRates(vifsBefore, vifs, seconds), disk };
  }
  return { network: counters && before && networkRates(before, counters, seconds), disk };
}

const nothing: DomainCounters = {
  sentBytes: 0,
  receivedBytes: 0,
  readBytes: 0,
  writtenBytes: 0,
  reads: 0,
  writes: 0,
};

type Traffic = Pick<DomainCounters, 'sentBytes' | 'receivedBytes'>;

/** Of all of a domain's interfaces, from the guest's side: the node receives what the guest sends. */
function vifCounters(interfaces: readonly NetworkInterface[], id: number): Traffic | undefined {
  const own = interfaces.filter(({ name }) => /^(?:vif|tap)(\d+)\.\d+(?:-emu)?$/.exec(name)?.[1] === String(id));
  if (own.length === 0) return undefined;
  return {
    sentBytes: sum(own.map(({ receivedBytes }) => receivedBytes)),
    receivedBytes: sum(own.map(({ sentBytes }) => sentBytes)),
  };
}

function networkRates(before: Traffic, after: Traffic, seconds: number): NetworkRates {
  return {
    receivedBytesPerSecond: rate(before.receivedBytes, after.receivedBytes, seconds),
    sentBytesPerSecond: rate(before.sentBytes, after.sentBytes, seconds),
  };
}

type Accesses = Omit<DomainCounters, keyof Traffic>;

function diskRates(before: Accesses, after: Accesses, seconds: number): DiskRates {
  return {
    readsPerSecond: rate(before.reads, after.reads, seconds),
    writesPerSecond: rate(before.writes, after.writes, seconds),
    readBytesPerSecond: rate(before.readBytes, after.readBytes, seconds),
    writtenBytesPerSecond: rate(before.writtenBytes, after.writtenBytes, seconds),
  };
}

function accessesOf({ reads, writes, readSectors, writtenSectors }: BlockDevice): Accesses {
  return { reads, writes, readBytes: readSectors * 512, writtenBytes: writtenSectors * 512 };
}

function volumeRates(earlier: NodeReading, later: NodeReading, seconds: number): NodeRates['physicalVolumes'] {
  const volumes = later.physicalVolumes ?? earlier.physicalVolumes ?? [];
  return volumes.flatMap(({ device, group, major, minor }) => {
    const find = ({ blockDevices }: NodeReading): BlockDevice | undefined =>
      blockDevices.find((candidate) => candidate.major === major && candidate.minor === minor);
    const [before, after] = [find(earlier), find(later)];
    if (after === undefined) return [];
    const rates = diskRates(before === undefined ? nothing : accessesOf(before), accessesOf(after), seconds);
    return [{ device, group, ...rates }];
  });
}

function groupRates(volumes: NodeRates['physicalVolumes']): NodeRates['groups'] {
  const names = [...new Set(volumes.map(({ group }) => group))].filter((name) => name !== '').sort();
  return names.map((name) => {
    const own = volumes.filter(({ group }) => group === name);
    return {
      name,
      readsPerSecond: sum(own.map((volume) => volume.readsPerSecond)),
      writesPerSecond: sum(own.map((volume) => volume.writesPerSecond)),
      readBytesPerSecond: sum(own.map((volume) => volume.readBytesPerSecond)),
      writtenBytesPerSecond: sum(own.map((volume) => volume.writtenBytesPerSecond)),
    };
  });
}

function interfaceRates(
  earlier: NodeReading,
  later: NodeReading,
  names: readonly string[],
  seconds: number,
): readonly (NetworkRates & { readonly name: string })[] {
  return names.flatMap((name) => {
    const after = later.interfaces.find((candidate) => candidate.name === name);
    const before = earlier.interfaces.find((candidate) => candidate.name === name);
    return after === undefined ? [] : [{ name, ...networkRates(before ?? nothing, after, seconds) }];
  });
}

function rate(before: number, after: number, seconds: number): number {
  return Math.max(0, after - before) / seconds;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

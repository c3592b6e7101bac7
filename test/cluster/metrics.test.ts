import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryOf, ratesBetween } from '../../src/cluster/metrics.ts';
import { stateBetween } from '../../src/cluster/metrics-balance.ts';
import { clusterLoadPercent } from '../../src/cluster/load.ts';
import { infosOf } from '../../src/cluster/metrics-infos.ts';
import type { NodeReading } from '../../src/cluster/metrics-read.ts';
import { CxmError } from '../../src/errors.ts';
import { nodeReading, row, usage } from './metrics-samples.ts';

const zero = row(0, 'Domain-0', { memoryMib: 512, vcpus: 1, cpuSeconds: 100 });

/** The same node later. */
function after(earlier: NodeReading, seconds: number, values: Partial<NodeReading> = {}): NodeReading {
  return { ...earlier, uptimeSeconds: earlier.uptimeSeconds + seconds, ...values };
}

describe('memory and load', () => {
  it('of a node: what VMs can have is what is free and what they have; domain 0 and what is no VM do not count', () => {
    const arriving = row(9, 'three--incoming', { memoryMib: 1024 });
    const rows = [zero, row(1, 'one', { memoryMib: 1000 }), row(2, 'two', { memoryMib: 24 }), arriving];
    const memory = memoryOf(nodeReading('node1', { rows }, [8192, 5000]));
    expect(memory).toEqual({ totalMib: 8192, freeMib: 5000, usedMib: 3192, availableMib: 6024 });
  });

  it('of a node is the larger one of memory and interrupts; of the cluster, what is left without the biggest node', () => {
    const node = (name: string, total: number, free: number): NodeReading =>
      nodeReading(name, { dynamicIrqs: 256 }, [total, free]);
    const loads = (...readings: NodeReading[]) => infosOf({ readings, silent: [] });
    expect(loads(node('node1', 1000, 900), node('node2', 1000, 250)).nodes.map((one) => one.loadPercent)).toEqual([
      25, 75,
    ]);
    expect(loads(node('node1', 8000, 8000)).totals.loadPercent).toBe(100);
    expect(loads(node('node1', 16_000, 12_000), node('node2', 8000, 6000)).totals.loadPercent).toBe(75);
    expect(loads(node('node1', 8000, 1000), node('node2', 8000, 6000)).totals.loadPercent).toBeGreaterThan(100);
  });

  it('of the cluster is never shown as 100 when it is more, by however little', () => {
    const load = (used: number) =>
      clusterLoadPercent([
        { totalMemoryMib: 1000, freeMemoryMib: 1000 - used },
        { totalMemoryMib: 1000, freeMemoryMib: 1000 },
      ]);
    expect([994, 996, 1000].map(load)).toEqual([99, 100, 100]);
    const large = 64 * 1024 * 1024;
    const over = [
      { totalMemoryMib: large, freeMemoryMib: 0 },
      { totalMemoryMib: large, freeMemoryMib: large - 1 },
    ];
    expect(clusterLoadPercent(over)).toBe(101);
  });

  it('infos count VMs that run, sum up what answered, and name who did not', () => {
    const paused = row(3, 'three', { state: { ...zero.state, blocked: false, running: false, paused: true } });
    const gone = row(4, 'four', { state: { ...zero.state, shutdown: 'crash' } });
    const one = nodeReading('node1', { rows: [zero, row(1, 'one'), paused, gone], dynamicIrqs: 30 }, [8000, 6000]);
    const two = nodeReading('node2', { rows: [zero], dynamicIrqs: 7 }, [4000, 3000]);
    const error = new CxmError('HOST_UNREACHABLE', 'no answer');
    const infos = infosOf({ readings: [one, two], silent: [{ node: 'node3', error }] });
    expect(infos.nodes.map(({ node, vms, irqs, loadPercent }) => [node, vms, irqs, loadPercent])).toEqual([
      ['node1', 2, 30, 25],
      ['node2', 0, 7, 25],
    ]);
    expect(infos.totals).toMatchObject({ vms: 2, irqs: 37, cpus: 8, totalMemoryMib: 12_000, freeMemoryMib: 9000 });
    expect(infos.totals.loadPercent).toBe(75);
    expect(infos.silent.map(({ node }) => node)).toEqual(['node3']);
  });
});

describe('rates between two readings', () => {
  const earlier = nodeReading('node1', { rows: [zero, row(1, 'one')], usage: [usage('one')] });

  it('are there only for two moments of one start of one node', () => {
    expect(ratesBetween(earlier, after(earlier, 5))).toBeDefined();
    expect(ratesBetween(earlier, earlier)).toBeUndefined();
    expect(ratesBetween(after(earlier, 5), earlier)).toBeUndefined();
    expect(ratesBetween(earlier, after(earlier, 5, { bootId: 'another' }))).toBeUndefined();
    expect(ratesBetween(earlier, after(earlier, 5, { node: 'node2' }))).toBeUndefined();
  });

  it('of CPU time: 100 is one CPU; domain 0 counts for the node and is no VM', () => {
    const rows = [{ ...zero, cpuSeconds: 102 }, row(1, 'one', { cpuSeconds: 15 })];
    const rates = ratesBetween(earlier, after(earlier, 10, { rows }));
    expect(rates).toMatchObject({ elapsedSeconds: 10, cpuPercent: 70, domainZeroCpuPercent: 20 });
    expect(rates?.vms).toMatchObject([{ name: 'one', cpuPercent: 50 }]);
  });

  it('of CPU time may count from an older reading, but from none of another start', () => {
    const rows = [zero, row(1, 'one', { cpuSeconds: 15 })];
    const later = after(earlier, 10, { rows });
    const older = { ...earlier, uptimeSeconds: 960, rows: [zero, row(1, 'one', { cpuSeconds: 5 })] };
    expect(ratesBetween(earlier, later, older)?.vms[0]?.cpuPercent).toBe(20);
    expect(ratesBetween(earlier, later, { ...older, bootId: 'another' })?.vms[0]?.cpuPercent).toBe(50);
  });

  it('of a VM that was rebooted or came here meanwhile count from nothing', () => {
    const rows = [zero, row(7, 'one', { cpuSeconds: 2, uuid: row(1, 'one').uuid ?? '' })];
    const counted = [usage('one', { networkSentKib: 10, diskWrites: 30, diskWrittenSectors: 40 })];
    const rates = ratesBetween(
      { ...earlier, usage: [usage('one', { networkSentKib: 1e6, diskWrites: 1e6 })] },
      after(earlier, 10, { rows, usage: counted }),
    );
    expect(rates?.vms).toEqual([
      expect.objectContaining({
        cpuPercent: 20,
        network: { receivedBytesPerSecond: 0, sentBytesPerSecond: 1024 },
        disk: { readsPerSecond: 0, writesPerSecond: 3, readBytesPerSecond: 0, writtenBytesPerSecond: 2048 },
      }),
    ]);
  });

  it('of a VM that xentop did not count before are missing, not huge', () => {
    const later = after(earlier, 10, { usage: [usage('one', { diskReads: 1e9, networkSentKib: 1e9 })] });
    for (const before of [undefined, [], [usage('one'), usage('one')]]) {
      const [vm] = ratesBetween({ ...earlier, usage: before }, later)?.vms ?? [];
      expect([vm?.disk, vm?.network]).toEqual([undefined, undefined]);
    }
    const [vm] = ratesBetween(earlier, after(later, 10, { usage: undefined }))?.vms ?? [];
    expect([vm?.disk, vm?.network]).toEqual([undefined, undefined]);
  });

  it("take a VM's traffic from the interfaces of its own id, from the guest's side", () => {
    const interfaces = (bytes: number) => [
      { name: 'vif1.0', receivedBytes: bytes, sentBytes: 2 * bytes },
      { name: 'vif1.1-emu', receivedBytes: bytes, sentBytes: 0 },
      { name: 'vif11.0', receivedBytes: 1e9 * bytes, sentBytes: 1e9 * bytes },
      { name: 'myvif1.0', receivedBytes: 1e9 * bytes, sentBytes: 1e9 * bytes },
    ];
    const rates = ratesBetween(
      { ...earlier, interfaces: interfaces(0) },
      after(earlier, 10, { interfaces: interfaces(1000), usage: [usage('one', { networkSentKib: 1e9 })] }),
    );
    expect(rates?.vms[0]?.network).toEqual({ sentBytesPerSecond: 200, receivedBytesPerSecond: 200 });
  });

  it('of volumes are summed up by group, whichever reading knew the devices', () => {
    const device = (minor: number, sectors: number) => ({
      major: 253,
      minor,
      name: `dm-${minor}`,
      reads: sectors / 8,
      writes: 0,
      readSectors: sectors,
      writtenSectors: 0,
    });
    const physicalVolumes = [
      { device: '/dev/mapper/a', major: 253, minor: 1, group: 'VG0' },
      { device: '/dev/mapper/b', major: 253, minor: 2, group: 'VG0' },
      { device: '/dev/mapper/c', major: 253, minor: 3, group: '' },
      { device: '/dev/mapper/gone', major: 253, minor: 4, group: 'VG1' },
    ];
    const before = { ...earlier, physicalVolumes, blockDevices: [device(1, 0), device(2, 800), device(3, 0)] };
    const later = after(earlier, 10, { blockDevices: [device(1, 80), device(2, 960), device(3, 8)] });
    const rates = ratesBetween(before, later);
    expect(rates?.physicalVolumes.map(({ device: name, readBytesPerSecond }) => [name, readBytesPerSecond])).toEqual([
      ['/dev/mapper/a', 4096],
      ['/dev/mapper/b', 8192],
      ['/dev/mapper/c', 409.6],
    ]);
    expect(rates?.groups).toEqual([
      { name: 'VG0', readsPerSecond: 3, writesPerSecond: 0, readBytesPerSecond: 12_288, writtenBytesPerSecond: 0 },
    ]);
  });

  it('of bridges and VLANs are those of the interfaces of that name', () => {
    const interfaces = (bytes: number) => [
      { name: 'xenbr0', receivedBytes: bytes, sentBytes: 3 * bytes },
      { name: 'eth0.7', receivedBytes: 0, sentBytes: bytes },
    ];
    const named = { bridges: ['xenbr0', 'gone'], vlans: ['eth0.7'] };
    const rates = ratesBetween(
      { ...earlier, interfaces: interfaces(100) },
      after(earlier, 10, { interfaces: interfaces(200), ...named }),
    );
    expect(rates?.bridges).toEqual([{ name: 'xenbr0', receivedBytesPerSecond: 10, sentBytesPerSecond: 30 }]);
    expect(rates?.vlans).toEqual([{ name: 'eth0.7', receivedBytesPerSecond: 0, sentBytesPerSecond: 10 }]);
  });

  it('are never negative, nor more CPU than there is, whatever the counters do', () => {
    const count = fc.integer({ min: 0, max: 1e12 });
    const counts = fc.record({
      cpu: fc.integer({ min: 0, max: 1e6 }),
      net: count,
      disk: count,
      id: fc.integer({ min: 1, max: 2 }),
    });
    const make = ({ cpu, net, disk, id }: { cpu: number; net: number; disk: number; id: number }) => ({
      rows: [zero, row(id, 'one', { cpuSeconds: cpu })],
      usage: [usage('one', { networkSentKib: net, diskReads: disk, diskWrittenSectors: disk })],
    });
    fc.assert(
      fc.property(counts, counts, fc.double({ min: 0.01, max: 1e5, noNaN: true }), (one, other, seconds) => {
        const rates = ratesBetween({ ...earlier, ...make(one) }, after(earlier, seconds, make(other)));
        const [vm] = rates?.vms ?? [];
        const all = [...Object.values(vm?.network ?? {}), ...Object.values(vm?.disk ?? {}), vm?.cpuPercent ?? -1];
        expect(all.length).toBe(7);
        for (const value of all) expect(value).toBeGreaterThanOrEqual(0);
        expect(vm?.cpuPercent).toBeLessThanOrEqual(200);
        expect(rates?.cpuPercent).toBeLessThanOrEqual(400);
      }),
    );
  });
});

describe('what the balancer is told', () => {
  const before = nodeReading('node1', { rows: [zero, row(1, 'one', { memoryMib: 1000 })] }, [8192, 5000]);
  const rows = [zero, row(1, 'one', { memoryMib: 1000, cpuSeconds: 13 }), row(2, 'two--incoming')];

  it('is each VM that runs, with its CPU between the readings, and what VMs can have on its node', () => {
    const { state, silent } = stateBetween(
      { readings: [before], silent: [] },
      { readings: [after(before, 7, { rows })], silent: [] },
    );
    expect(state).toEqual({
      nodes: [{ name: 'node1', memoryMib: 6000, cpus: 4, ready: true, accepting: true }],
      vms: [{ name: 'one', node: 'node1', memoryMib: 1000, cpuPercent: 42.857 }],
    });
    expect(silent).toEqual([]);
  });

  it('leaves out the VMs of a node that one of the readings lacks, and says that it is not ready', () => {
    const later = after(before, 7, { rows });
    const silent = [{ node: 'node1', error: new CxmError('TIMEOUT', 'no answer') }];
    const restarted = { ...later, bootId: 'another' };
    for (const [one, other] of [
      [
        { readings: [], silent },
        { readings: [later], silent: [] },
      ],
      [
        { readings: [before], silent: [] },
        { readings: [], silent },
      ],
      [
        { readings: [before], silent: [] },
        { readings: [restarted], silent: [] },
      ],
    ] as const) {
      const measured = stateBetween(one, other);
      expect(measured.state.vms).toEqual([]);
      expect(measured.state.nodes).toMatchObject([{ name: 'node1', ready: false, accepting: false }]);
      expect(measured.silent.map(({ node }) => node)).toEqual(['node1']);
    }
  });
});

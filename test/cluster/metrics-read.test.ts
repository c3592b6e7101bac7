import fc from 'fast-check';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  parseDiskstats,
  parseNetworkInterfaces,
  parsePhysicalVolumes,
  parseVlans,
} from '../../src/cluster/metrics-counters.ts';
import { ratesBetween } from '../../src/cluster/metrics.ts';
import { readNode, readNodes } from '../../src/cluster/metrics-read.ts';
import { recording } from '../xen/recording.ts';
import { NodeStandIn } from './node-stand-in.ts';

const all = { usage: true, physicalVolumes: true };
const network = [
  'Inter-|   Receive                                                |  Transmit',
  ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed',
];
const interrupts = [
  '           CPU0       CPU1',
  '  1:          9          0  xen-pirq    -ioapic-edge  i8042',
  ' 48:     123456          0  xen-percpu    -virq      timer0',
  ' 55:        312          0   xen-dyn    -event     xenbus',
  ' 60:        312          0   xen-dyn    -lateeoi     vif1.0-q0',
  '264:          3          0  Dynamic-irq-level     blkif-backend',
  'NMI:          0          0   Non-maskable interrupts',
];

let node: NodeStandIn;
beforeAll(async () => {
  node = await NodeStandIn.make();
  await node.prints('xentop', recording('xentop-4.17-b-i1-full').stdout);
  await node.program('xl', `case $1 in info) cat ${node.root}/info;; list) cat ${node.root}/list;; esac`);
  await node.file('info', recording('xl-4.17-info').stdout);
  await node.file('list', recording('xl-4.17-list-v').stdout);
  await node.prints('ovs-vsctl', 'ovsbr0\n');
  const report = '{"report": [{"pv": [{"pv_name":"/dev/vdb", "pv_major":"254", "pv_minor":"16", "vg_name":"VG0"}]}]}';
  await node.prints('pvs', report);
  await node.file('proc/uptime', '12345.67 4000.00\n');
  await node.file('proc/sys/kernel/random/boot_id', 'a-boot\n');
  await node.file('proc/diskstats', ' 254      16 vdb 100 0 800 5 200 0 1600 9 0 12 14 0 0 0 0 0 0\n');
  await node.file('proc/net/dev', `${[...network, 'vif1.0: 10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0'].join('\n')}\n`);
  await node.file('proc/net/vlan/config', 'VLAN Dev name    | VLAN ID\nName-Type: X\neth0.7         | 7  | eth0\n');
  await node.file('proc/interrupts', `${interrupts.join('\n')}\n`);
  await node.file('sys/class/net/xenbr0/bridge/bridge_id', 'x');
  await node.file('sys/class/net/eth0/address', 'x');
});
afterAll(() => node.remove());

function read(commands = node.commands, asked = all) {
  return readNode({ name: 'node1', programs: commands }, asked, node.root);
}

describe('a reading', () => {
  it('has everything of the node, by one program run', async () => {
    let runs = 0;
    const { commands } = node;
    const reading = await read({ run: (...args) => ((runs += 1), commands.run(...args)) });
    expect(runs).toBe(1);
    expect(reading).toMatchObject({
      node: 'node1',
      bootId: 'a-boot',
      uptimeSeconds: 12345.67,
      info: { totalMemoryMib: 1535, freeMemoryMib: 1004, cpus: 1 },
      dynamicIrqs: 3,
      blockDevices: [
        { name: 'vdb', major: 254, minor: 16, reads: 100, readSectors: 800, writes: 200, writtenSectors: 1600 },
      ],
      interfaces: [{ name: 'vif1.0', receivedBytes: 10, sentBytes: 20 }],
      bridges: ['ovsbr0', 'xenbr0'],
      vlans: ['eth0.7'],
      physicalVolumes: [{ device: '/dev/vdb', major: 254, minor: 16, group: 'VG0' }],
    });
    expect(reading.rows.map(({ name }) => name)).toContain('vm1');
    expect(reading.usage?.map(({ name }) => name)).toEqual(['Domain-0', 'vm1', 'vm2']);
  });

  it('asks neither xentop nor LVM when these are not wanted', async () => {
    const reading = await read(node.commands, { usage: false, physicalVolumes: false });
    expect([reading.usage, reading.physicalVolumes]).toEqual([undefined, undefined]);
  });

  it('lacks only the physical volumes when LVM fails', async () => {
    await node.program('pvs', 'echo "WARNING: no devices" >&2; exit 5');
    const reading = await read();
    expect(reading.physicalVolumes).toBeUndefined();
    expect(reading.rows.length).toBeGreaterThan(1);
  });

  it.each([
    ['fails', 'exit 1'],
    ['says something else', 'echo what'],
  ])('lacks only the counters when xentop %s', async (_, script) => {
    await node.program('xentop', script);
    const reading = await read();
    await node.prints('xentop', recording('xentop-4.17-b-i1-full').stdout);
    expect(reading.usage).toBeUndefined();
    expect(reading.rows.length).toBeGreaterThan(1);
  });

  it.each([
    [
      'xl',
      'echo "xencall: error: Could not obtain handle on privileged command interface" >&2; exit 1',
      'XEN',
      'privileged',
    ],
    ['xl', 'exit 127', 'COMMAND', 'xl is missing'],
    ['xl', 'exit 124', 'TIMEOUT', 'xl info did not end'],
    ['xl', `[ $1 = info ] && cat ${'ROOT'}/info || echo nonsense`, 'XEN', 'not understood'],
  ])('is none at all when %s does: %s', async (program, script, code, says) => {
    await node.program(program, script.replace('ROOT', node.root));
    const failure = await read().catch((error: unknown) => error);
    await node.program('xl', `case $1 in info) cat ${node.root}/info;; list) cat ${node.root}/list;; esac`);
    expect(failure).toMatchObject({ code });
    expect(String(failure)).toContain(says);
  });

  it('of many nodes names those that failed and has the others', async () => {
    const broken = { run: () => Promise.reject(new Error('the connection is lost')) };
    const asked = { usage: false, physicalVolumes: false };
    const local = { name: 'node1', programs: node.commands };
    const { readings, silent } = await readNodes([{ name: 'node2', programs: broken }, local], asked);
    expect(silent).toMatchObject([{ node: 'node2', error: { message: 'the connection is lost' } }]);
    expect(readings.map((reading) => reading.node)).toEqual(['node1']);
  });
});

describe('two recordings of a real dom0, 30.3 s apart', () => {
  const said = (name: string): string => recording(name).stdout;
  let dom0: NodeStandIn;
  beforeAll(async () => {
    dom0 = await NodeStandIn.make();
    await dom0.program('xl', `case $1 in info) cat ${dom0.root}/info;; list) cat ${dom0.root}/list;; esac`);
    await dom0.program('xentop', `cat ${dom0.root}/usage`);
    await dom0.file('info', said('xl-4.17-info-two'));
    await dom0.file('proc/sys/kernel/random/boot_id', 'a-boot\n');
    await dom0.file('proc/net/vlan/config', said('linux-6.1-xen-proc-net-vlan-config'));
    await dom0.file('sys/class/net/xenbr0/bridge/bridge_id', 'x');
    await dom0.prints('pvs', said('lvm-2.03.16-pvs'));
  });
  afterAll(() => dom0.remove());

  async function readAt(moment: 'a' | 'b') {
    await dom0.file('list', said(`xl-4.17-list-v-two-${moment}`));
    await dom0.file('usage', said(`xentop-4.17-b-i1-full-two-${moment}`));
    await dom0.file('proc/uptime', said(`linux-6.1-xen-proc-uptime-${moment}`));
    await dom0.file('proc/diskstats', said(`linux-6.1-xen-proc-diskstats-${moment}`));
    await dom0.file('proc/net/dev', said(`linux-6.1-xen-proc-net-dev-${moment}`));
    await dom0.file('proc/interrupts', said(`linux-6.1-xen-proc-interrupts-${moment}`));
    return readNode({ name: 'node1', programs: dom0.commands }, all, dom0.root);
  }

  it('give the rates that the counters in them say, and interrupts as Linux 6.1 writes them', async () => {
    const [earlier, later] = [await readAt('a'), await readAt('b')];
    expect(later.dynamicIrqs).toBe(16);
    const rates = ratesBetween(earlier, later);
    expect(rates?.elapsedSeconds).toBeCloseTo(30.3);
    const [one] = rates?.vms ?? [];
    expect(one?.name).toBe('one');
    expect(one?.network?.sentBytesPerSecond).toBeCloseTo((164_073 - 1401) / 30.3);
    expect(one?.network?.receivedBytesPerSecond).toBeCloseTo((169_262 - 4300) / 30.3);
    expect(one?.disk?.writesPerSecond).toBeCloseTo((274 - 166) / 30.3);
    expect(one?.disk?.writtenBytesPerSecond).toBeCloseTo(((738 - 450) * 512) / 30.3);
    expect(rates?.groups).toMatchObject([{ name: 'VG0' }]);
    expect(rates?.groups[0]?.readBytesPerSecond).toBeCloseTo(((55_380 - 21_076) * 512) / 30.3);
    expect(rates?.vlans).toMatchObject([{ name: 'xenbr0.7' }]);
    expect(rates?.bridges[0]?.receivedBytesPerSecond).toBeCloseTo((68_402_408 - 68_226_080) / 30.3);
  });

  it('show that xentop counts as domain 0 does: what it calls sent came to the guest', async () => {
    const { usage, interfaces } = await readAt('b');
    const vif = interfaces.find(({ name }) => name === 'vif1.0');
    const one = usage?.find(({ name }) => name === 'one');
    expect(one?.networkSentKib).toBe(Math.floor((vif?.receivedBytes ?? 0) / 1024));
    expect(one?.networkReceivedKib).toBe(Math.floor((vif?.sentBytes ?? 0) / 1024));
  });
});

describe('counters of the kernel', () => {
  it('are those of this machine, too', async () => {
    expect(parseDiskstats(await readFile('/proc/diskstats', 'utf8'))).toBeInstanceOf(Array);
    const names = parseNetworkInterfaces(await readFile('/proc/net/dev', 'utf8')).map(({ name }) => name);
    expect(names).toContain('lo');
  });

  it('of partitions before Linux 2.6.25 are told apart', () => {
    expect(parseDiskstats('   8    1 sda1 35486 38030 4 5\n')).toEqual([
      { major: 8, minor: 1, name: 'sda1', reads: 35486, readSectors: 38030, writes: 4, writtenSectors: 5 },
    ]);
  });

  it.each(['8 1 sda1 1 2 3', '8 1 sda1 1 2 3 4 5 6 7 8 9 10 x', '8 sda 1 2 3 4', 'nonsense'])(
    'are not made up from a line like %j',
    (line) => {
      expect(() => parseDiskstats(`${line}\n`)).toThrow(/not understood/);
      expect(() => parseNetworkInterfaces([...network, line].join('\n'))).toThrow(/not understood/);
      expect(() => parseNetworkInterfaces(line)).toThrow(/not understood/);
    },
  );

  it('come back as they were written', () => {
    const count = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
    const name = fc.stringMatching(/^[a-z][a-z0-9.@-]{0,14}$/);
    fc.assert(
      fc.property(name, fc.array(count, { minLength: 17, maxLength: 17 }), (device, counters) => {
        const [reads, , readSectors, , writes, , writtenSectors] = counters;
        expect(parseDiskstats(`253 7 ${device} ${counters.join(' ')}\n`)).toEqual([
          { major: 253, minor: 7, name: device, reads, readSectors, writes, writtenSectors },
        ]);
        const line = `${device.padStart(6)}:${counters.slice(0, 16).join(' ')}`;
        expect(parseNetworkInterfaces([...network, line, ''].join('\n'))).toEqual([
          { name: device, receivedBytes: counters[0], sentBytes: counters[8] },
        ]);
      }),
    );
  });

  it('of LVM that are no report are an error', () => {
    for (const text of ['', '{}', '{"report": []}', '[]', 'nothing']) {
      expect(() => parsePhysicalVolumes(text)).toThrow(/not understood/);
    }
    expect(parseVlans('')).toEqual([]);
  });
});

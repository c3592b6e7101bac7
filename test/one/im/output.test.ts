import { describe, expect, it } from 'vitest';
import { look, type MonitoredDomain, type MonitorResult } from '../../../src/agent/operations/monitor.ts';
import { modelName, traffic, type HostFacts } from '../../../src/one/im/host-facts.ts';
import {
  collectdLines,
  hostSystemLines,
  hostUsageLines,
  machineUsageLines,
  wildLines,
} from '../../../src/one/im/output.ts';
import { isDeployId, plain, textAttribute } from '../../../src/one/im/values.ts';
import { listOf, recordedAnswers, standIn } from './stand-in.ts';

const facts: HostFacts = {
  hostName: 'node1',
  modelName: 'Intel(R) Xeon(R) CPU E5-2620 v4 @ 2.10GHz',
  receivedBytes: 123456789012,
  sentBytes: 42,
  datastores: { totalMib: 1000, freeMib: 400 },
};

/** vm1 is VM 12, vm2 is wild; 30 s after a first look vm1 has used 2.7 s, domain 0 3 s. */
async function recordedLook(): Promise<MonitorResult> {
  const self = standIn(recordedAnswers, { vm1: 12 });
  await look(self.host, { host: false, usage: false });
  self.uptimeSeconds += 30;
  const list = String(self.answers['xl list -v']);
  self.answers['xl list -v'] = list.replace('  55.6 ', '  58.6 ').replace('   9.2 ', '  11.9 ');
  return look(self.host, { host: true, usage: true });
}

function decoded(text: string | undefined): string {
  return Buffer.from(text ?? '', 'base64').toString();
}

describe('the output for 7.x, from what xl 4.17 said', () => {
  it('host/system', async () => {
    const { host, domains } = await recordedLook();
    expect(hostSystemLines(host!, facts)).toEqual([
      'HYPERVISOR=xen',
      'ARCH="x86_64"',
      'MODELNAME="Intel(R) Xeon(R) CPU E5-2620 v4 @ 2.10GHz"',
      'HOSTNAME="node1"',
      'TOTALCPU=100',
      'CPUSPEED=2300',
      'TOTALMEMORY=1571840',
      'XEN_VERSION="4.17.5"',
      'DS_LOCATION_USED_MB=600',
      'DS_LOCATION_TOTAL_MB=1000',
      'DS_LOCATION_FREE_MB=400',
    ]);
    const [wild = '', ...more] = wildLines(domains);
    expect(more).toEqual([]);
    const match = /^VM = \[ ID="-1", DEPLOY_ID="vm2", VM_NAME="vm2", IMPORT_TEMPLATE="([A-Za-z0-9+/=]+)" \]$/.exec(
      wild,
    );
    expect(decoded(match?.[1])).toBe(
      'NAME="vm2"\nCPU=1\nVCPU=1\nMEMORY=128\nHYPERVISOR="xen"\nIMPORT_VM_ID="vm2"\nDEPLOY_ID="vm2"\n',
    );
  });

  it('host/monitor', async () => {
    const { host } = await recordedLook();
    expect(hostUsageLines(host!, facts)).toEqual([
      'USEDMEMORY=543744',
      'FREEMEMORY=1028096',
      'USEDCPU=19',
      'FREECPU=81',
      'NETRX=123456789012',
      'NETTX=42',
    ]);
  });

  it('vm/monitor', async () => {
    const { domains } = await recordedLook();
    const lines = machineUsageLines(domains);
    expect(lines).toHaveLength(1);
    const match =
      /^VM = \[ ID="12", UUID="0b5c7f52-5b0e-4e77-9f1e-000000000001", DEPLOY_ID="vm1", MONITOR="([A-Za-z0-9+/=]+)" \]$/.exec(
        lines[0] ?? '',
      );
    expect(decoded(match?.[1]).split('\n')).toEqual([
      'CPU="9"',
      'MEMORY="131072"',
      'NETRX="1024"',
      'NETTX="0"',
      'DISKRDBYTES="23552"',
      'DISKWRBYTES="4282368"',
      'DISKRDIOPS="14"',
      'DISKWRIOPS="82"',
      '',
    ]);
  });
});

describe('the output for 4.x to 5.10', () => {
  it('lists VMs and wild ones with both spellings of CPU and memory', async () => {
    const { domains } = await recordedLook();
    const [first, vm, wild, ...more] = collectdLines(domains);
    expect(first).toBe('VM_POLL=YES');
    expect(vm).toBe(
      'VM=[ ID=12, DEPLOY_ID="vm1", VM_NAME="vm1", POLL="STATE=a CPU=9 MEMORY=131072 NETRX=1024 NETTX=0 DISKRDBYTES=23552 DISKWRBYTES=4282368 DISKRDIOPS=14 DISKWRIOPS=82 USEDCPU=9 USEDMEMORY=131072" ]',
    );
    expect(wild).toMatch(
      /^VM=\[ ID=-1, DEPLOY_ID="vm2", VM_NAME="vm2", IMPORT_TEMPLATE="[A-Za-z0-9+/=]+", POLL="STATE=a CPU=0 /,
    );
    expect(more).toEqual([]);
  });

  it('says nothing against a VM that is being saved, restarted or on its way here', async () => {
    const domain = (meaning: MonitoredDomain['meaning'], more: Partial<MonitoredDomain> = {}): MonitoredDomain => ({
      id: 1,
      name: 'web',
      meaning,
      vm: { id: 5, by: 'marker' },
      vcpus: 1,
      memoryKib: 1024,
      ...more,
    });
    const stateOf = (one: MonitoredDomain) => /STATE=(.)/.exec(collectdLines([one])[1] ?? '')?.[1];
    expect(stateOf(domain('running'))).toBe('a');
    expect(stateOf(domain('paused'))).toBe('a');
    expect(stateOf(domain('leaving'))).toBe('-');
    expect(stateOf(domain('building'))).toBe('-');
    expect(stateOf(domain('shutDown', { shutdown: 'reboot' }))).toBe('-');
    expect(stateOf(domain('shutDown', { shutdown: 'powerOff' }))).toBe('d');
    expect(stateOf(domain('shutDown', { shutdown: 'crash' }))).toBe('e');
    expect(stateOf(domain('incoming'))).toBeUndefined();
  });
});

describe('the output for 3.8', () => {
  it('is made of KEY=value tokens of the host alone', async () => {
    const { host } = await recordedLook();
    const lines = [...hostSystemLines(host!, facts), ...hostUsageLines(host!, facts)];
    for (const line of lines) expect(line).toMatch(/^[A-Z_]+=(?:[0-9]+|xen|"[A-Za-z0-9 _.:@()+/#%-]+")$/);
    const keys = lines.map((line) => line.split('=')[0]);
    expect(new Set(keys).size).toBe(keys.length);
    for (const key of [
      'HYPERVISOR',
      'TOTALCPU',
      'CPUSPEED',
      'TOTALMEMORY',
      'FREEMEMORY',
      'USEDMEMORY',
      'USEDCPU',
      'FREECPU',
      'ARCH',
      'NETTX',
      'NETRX',
      'HOSTNAME',
      'MODELNAME',
    ]) {
      expect(keys).toContain(key);
    }
  });

  it('says 0 % before there is a rate', async () => {
    const { host } = await look(standIn(recordedAnswers).host, { host: true, usage: false });
    expect(hostUsageLines(host!, facts)).toContain('USEDCPU=0');
    expect(hostUsageLines(host!, facts)).toContain('FREECPU=100');
  });
});

describe('hostile values', () => {
  const hostile = [
    'a"b',
    "a'b",
    'a]b',
    'a[b',
    'a,b',
    'a=b',
    'a$(id)b',
    'a`id`b',
    'a;b',
    'a*b',
    'a?b',
    'a\\b',
    'a&b',
    'a b',
    'a<b',
    'ü',
    '-rf',
    '"',
    ' ',
    'a'.repeat(300),
  ];

  it.each(hostile)('a domain named %j is neither a VM nor wild in any output', async (name) => {
    const domain: MonitoredDomain = { id: 1, name, meaning: 'running', vcpus: 1, memoryKib: 1024 };
    const claimed: MonitoredDomain = { ...domain, vm: { id: 3, by: 'disks' } };
    expect(isDeployId(name)).toBe(false);
    expect(wildLines([domain])).toEqual([]);
    expect(machineUsageLines([claimed])).toEqual([]);
    expect(collectdLines([domain, claimed])).toEqual(['VM_POLL=YES']);
  });

  it('a real list with such names is read, and the other domains are reported', async () => {
    const names = ['a"b]', 'x, y', 'web'];
    const { host } = standIn({ ...recordedAnswers, 'xl list -v': listOf(names.map((name) => ({ name }))) });
    const { domains } = await look(host, { host: false, usage: false });
    expect(domains.map(({ name }) => name)).toEqual(names);
    expect(wildLines(domains)).toHaveLength(1);
  });

  it('text of the host can not leave its quotes, its line or the hands of a shell', () => {
    expect(textAttribute('MODELNAME', 'Evil" CPU\nTOTALCPU=9900 $(reboot) `id` [*] {a,b} \\ ~')).toBe(
      'MODELNAME="Evil CPU TOTALCPU 9900 (reboot) id a b"',
    );
    expect(plain('x'.repeat(500))).toHaveLength(128);
  });
});

describe('facts of the host', () => {
  it('count the traffic of the cards that count, whatever stands beside them', () => {
    const text = [
      'Inter-|   Receive                                                |  Transmit',
      ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed',
      '    lo: 5000 1 0 0 0 0 0 0 5000 1 0 0 0 0 0 0',
      '  eth0: 100 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0',
      'eth1:4294967297 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0',
      'vif1.0: 900 1 0 0 0 0 0 0 900 1 0 0 0 0 0 0',
      '',
    ].join('\n');
    expect(traffic(text, (name) => name.startsWith('eth'))).toEqual({ receivedBytes: 4294967397, sentBytes: 15 });
    expect(traffic('', () => true)).toEqual({ receivedBytes: 0, sentBytes: 0 });
  });

  it('take the model from /proc/cpuinfo, if it is there', () => {
    expect(modelName('processor\t: 0\nmodel name\t: AMD EPYC 7302\nprocessor\t: 1\nmodel name\t: Other\n')).toBe(
      'AMD EPYC 7302',
    );
    expect(modelName('CPU implementer : 0x41\n')).toBe('');
  });
});

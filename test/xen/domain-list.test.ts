import { describe, expect, it } from 'vitest';
import {
  isMigrationName,
  meaningOf,
  needsMonitor,
  parseBlockList,
  parseDomainDetails,
  parseDomainList,
  parseHostInfo,
  parseNetworkList,
  parseVcpuList,
  rowsOf,
  runsHere,
  vdevNumber,
  virtualMachineName,
} from '../../src/xen/domain-list.ts';
import type { DomainRow } from '../../src/xen/domain-list.ts';
import { parseXentop } from '../../src/xen/xentop.ts';
import { polledRows, recording } from './recording.ts';

function row(line: string): DomainRow {
  const [found] = parseDomainList(`Name  ID\n${line}\n`);
  if (found === undefined) throw new Error('no row');
  return found;
}

describe('xl list', () => {
  it('gives records of the rows', () => {
    const rows = parseDomainList(recording('xl-4.17-list-paused').stdout);
    expect(
      rows.map(({ id, name, memoryMib, vcpus, cpuSeconds }) => ({ id, name, memoryMib, vcpus, cpuSeconds })),
    ).toEqual([
      { id: 0, name: 'Domain-0', memoryMib: 512, vcpus: 1, cpuSeconds: 130.7 },
      { id: 1, name: 'vm1', memoryMib: 128, vcpus: 1, cpuSeconds: 19.4 },
      { id: 3, name: 'vm2', memoryMib: 128, vcpus: 1, cpuSeconds: 18.1 },
    ]);
    expect(rows[1]?.state).toEqual({ running: false, blocked: false, paused: true, shutdown: undefined, dying: false });
    expect(rows.map(runsHere)).toEqual([false, true, true]);
    expect(rows.map(meaningOf)).toEqual(['running', 'paused', 'running']);
  });

  it('gives uuids with -v', () => {
    const rows = parseDomainList(recording('xl-4.17-list-v').stdout);
    expect(rows[1]).toMatchObject({ name: 'vm1', uuid: '0b5c7f52-5b0e-4e77-9f1e-000000000001', cpuSeconds: 9.2 });
  });

  it('is understood in every recording', () => {
    for (const name of ['list', 'list-n', 'list-c', 'list-Z', 'list-one', 'list-just-created', 'list-after-failures']) {
      expect(parseDomainList(recording(`xl-4.17-${name}`).stdout).some((each) => each.name === 'vm1')).toBe(true);
    }
    expect(parseDomainList(recording('xl-4.17-list-dom0-only').stdout)).toHaveLength(1);
  });

  it('fails on a line that is not understood instead of overlooking a domain', () => {
    expect(() => parseDomainList('Name ID\nvm1 broken\n')).toThrow('not understood');
    expect(() => parseDomainList('')).toThrow('not understood');
  });

  it('keeps blanks and odd letters in names', () => {
    expect(row('my vm 7 3                                    4   128     1     -b----       9.1').name).toBe(
      'my vm 7 3',
    );
  });
});

describe('the meaning of a row', () => {
  it.each([
    ['vm1                                          1   128     1     ------      15.2', 'running', true],
    ['vm1                                          1   128     1     r-----      15.2', 'running', true],
    ['vm1                                          1   128     1     -b----      15.2', 'running', true],
    ['vm1                                          1   128     1     --p---      19.4', 'paused', true],
    ['vm2                                         15     0     0     --p---       0.0', 'building', false],
    ['vm2                                         15   128     1     --p---       0.0', 'building', false],
    ['vm1--incoming                                6     0     0     --p---       0.0', 'incoming', false],
    ['vm1--incoming                                6   115     0     --p---       0.0', 'incoming', false],
    ['vm1--migratedaway                           18   128     1     ---ss-       9.9', 'leaving', false],
    ['vm1                                         18   128     1     ---ss-       9.9', 'leaving', false],
    ['vm2                                         15   128     1     --ps--       5.6', 'shutDown', false],
    ['vm2                                         14   128     1     --psr-       5.7', 'shutDown', false],
    ['vm2                                         13   128     1     ---sr-       6.2', 'shutDown', false],
    ['vm2                                         13   128     1     ---sc-       6.2', 'shutDown', false],
    ['(null)                                      14   128     1     --psr-       5.7', 'dying', false],
    ['(null)                                      14     0     1     --ps-d       5.7', 'dying', false],
    ['vm2                                         14     0     1     -----d       5.7', 'dying', false],
  ] as const)('%s', (line, meaning, here) => {
    expect(meaningOf(row(line))).toBe(meaning);
    expect(runsHere(row(line))).toBe(here);
  });

  it('follows a migration as it was recorded: incoming at the target, running then leaving at the source', () => {
    const source = parseDomainList(polledRows('xl-4.17-list-poll-during-migrate-node1')).filter(
      (each) => virtualMachineName(each) === 'vm1',
    );
    const target = parseDomainList(polledRows('xl-4.17-list-poll-during-migrate-node2'));
    const phases = (rows: readonly DomainRow[]) =>
      rows.map(meaningOf).filter((each, index, all) => each !== all[index - 1]);
    expect(phases(source)).toEqual(['running', 'leaving']);
    expect(phases(target)[0]).toBe('incoming');
    expect(target.every((each) => virtualMachineName(each) === 'vm1')).toBe(true);
  });

  it('follows a reboot as it was recorded', () => {
    const rows = parseDomainList(polledRows('xl-4.17-reboot-list-poll')).filter((each) => each.id >= 14);
    const phases = rows.map(meaningOf).filter((each, index, all) => each !== all[index - 1]);
    expect(phases).toEqual(['shutDown', 'dying', 'building', 'running']);
  });

  it('follows a creation and a destruction as they were recorded; the latter begins like a pause', () => {
    const phases = (name: string) =>
      parseDomainList(polledRows(name))
        .map(meaningOf)
        .filter((each, index, all) => each !== all[index - 1]);
    expect(phases('xl-4.17-create-list-poll')).toEqual(['building', 'running']);
    expect(phases('xl-4.17-destroy-list-poll')).toEqual(['paused', 'dying']);
  });

  it('of a domain that was restored paused is building until it has run', () => {
    const [, restored] = parseDomainList(recording('xl-4.17-list-restored-paused').stdout);
    expect(restored).toMatchObject({ name: 'vm1', memoryMib: 96, vcpus: 1, cpuSeconds: 0 });
    expect(restored && meaningOf(restored)).toBe('building');
  });

  it('tells a domain that its monitor removes from one that nobody removes', () => {
    const stuck = parseDomainList(polledRows('xl-4.17-reboot-after-save-c-list-poll-stuck')).filter(
      (each) => each.id === 13,
    );
    expect(stuck.length).toBeGreaterThan(10);
    expect(stuck.every(needsMonitor)).toBe(true);
    const ending = parseDomainList(polledRows('xl-4.17-shutdown-list-poll')).filter((each) => each.id === 15);
    expect(ending.some(needsMonitor)).toBe(false);
    expect(needsMonitor(row('vm1   18   128     1     ---ss-       9.9'))).toBe(false);
  });

  it('finds all rows of a VM, under any name it has', () => {
    const rows = ['vm1', 'vm1--incoming', 'vm10', '(null)'].map((name) =>
      row(`${name}  5   1  1     ------       9.9`),
    );
    expect(rowsOf(rows, 'vm1').map((each) => each.name)).toEqual(['vm1', 'vm1--incoming']);
    expect(isMigrationName('vm1--incoming') && isMigrationName('x--migratedaway')).toBe(true);
    expect(isMigrationName('vm1')).toBe(false);
  });
});

describe('other lists', () => {
  it('xl list -l', () => {
    const [, vm1] = parseDomainDetails(recording('xl-4.17-list-l-json-full').stdout);
    expect(vm1).toMatchObject({
      id: 1,
      name: 'vm1',
      uuid: '0b5c7f52-5b0e-4e77-9f1e-000000000001',
      type: 'pv',
      maximumMemoryKib: 163840,
      targetMemoryKib: 131072,
      maximumVcpus: 2,
      disks: [{ target: '/dev/VG0/vm1', vdev: 'xvda', readOnly: false }],
    });
    expect(vm1?.nics).toContainEqual({ index: 2, mac: '00:16:3e:77:01:02', bridge: 'nobr' });
    expect(parseDomainDetails(recording('xl-4.17-list-l-one-json').stdout)).toHaveLength(1);
    expect(() => parseDomainDetails('nonsense')).toThrow('JSON');
    expect(parseDomainDetails('[{"domid": 3, "config": {"c_info": {"name": null}}}]')[0]?.name).toBeUndefined();
  });

  it('xl info', () => {
    expect(parseHostInfo(recording('xl-4.17-info').stdout)).toMatchObject({
      host: 'node1',
      cpus: 1,
      cpuMhz: 2299.999,
      totalMemoryMib: 1535,
      freeMemoryMib: 1004,
      xenVersion: '4.17.5',
      simulated: false,
    });
    expect(() => parseHostInfo('host : x')).toThrow('nr_cpus');
  });

  it('xl vcpu-list', () => {
    expect(parseVcpuList(recording('xl-4.17-vcpu-list').stdout).filter((each) => each.name === 'vm1')).toEqual([
      { name: 'vm1', id: 1, vcpu: 0, cpu: 0, state: '-b-', cpuSeconds: 8.8 },
      { name: 'vm1', id: 1, vcpu: 1, cpu: undefined, state: '--p', cpuSeconds: 0.6 },
    ]);
  });

  it('xl block-list and xl network-list', () => {
    expect(parseBlockList(recording('xl-4.17-block-list-2').stdout)).toEqual([
      { vdev: 51712, backendId: 0, handle: 1, state: 4, backendPath: '/local/domain/0/backend/vbd/1/51712' },
      { vdev: 51728, backendId: 0, handle: 1, state: 4, backendPath: '/local/domain/0/backend/vbd/1/51728' },
    ]);
    expect(parseNetworkList(recording('xl-4.17-network-list-2').stdout)[1]).toEqual({
      index: 1,
      backendId: 0,
      mac: '00:16:3e:77:01:01',
      handle: 1,
      state: 4,
      backendPath: '/local/domain/0/backend/vif/1/1',
    });
  });

  it('xentop', () => {
    const samples = parseXentop(recording('xentop-4.17-b-i2').stdout);
    expect(samples.map((each) => each.map((usage) => usage.name))).toEqual([
      ['Domain-0', 'vm1', 'vm2'],
      ['Domain-0', 'vm1', 'vm2'],
    ]);
    expect(samples[1]?.[1]).toEqual({
      name: 'vm1',
      cpuSeconds: 10,
      cpuPercent: 9,
      memoryKib: 131072,
      maximumMemoryKib: 132096,
      vcpus: 2,
      networkSentKib: 0,
      networkReceivedKib: 1,
      diskReads: 14,
      diskWrites: 82,
      diskReadSectors: 46,
      diskWrittenSectors: 8364,
    });
    expect(parseXentop(recording('xentop-4.17-b-i1-full').stdout)[0]).toHaveLength(3);
  });

  it('xentop of a domain 0 without a limit', () => {
    const text =
      '      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) MAXMEM(%) VCPUS NETS NETTX(k) NETRX(k) VBDS   VBD_OO   VBD_RD   VBD_WR  VBD_RSECT  VBD_WSECT SSID\n' +
      '  Domain-0 -----r     123456    9.8     524288   33.3   no limit       n/a     1    0        0        0    0        0        0        0          0          0    0\n';
    expect(parseXentop(text)[0]?.[0]).toMatchObject({ name: 'Domain-0', maximumMemoryKib: undefined, vcpus: 1 });
    expect(() => parseXentop('')).toThrow('no table');
  });

  it('numbers of guest devices', () => {
    expect(['xvda', 'xvdb', 'xvda1', 'sda', 'hda', 'hdc', 'xvdq'].map(vdevNumber)).toEqual([
      51712, 51728, 51713, 2048, 768, 5632, 268439552,
    ]);
    expect([vdevNumber('nvme0'), vdevNumber('hdz'), vdevNumber('')]).toEqual([undefined, undefined, undefined]);
  });
});

import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { look, monitor } from '../../../src/agent/operations/monitor.ts';
import { operations } from '../../../src/agent/operations/table.ts';
import { recording } from '../../xen/recording.ts';
import { listOf, recordedAnswers, standIn } from '../../one/im/stand-in.ts';

const everything = { host: true, usage: true };
const nothingMore = { host: false, usage: false };

describe('the operation monitor', () => {
  it('is in the table and takes two switches', () => {
    expect(operations).toContain(monitor);
    expect(monitor.parse({})).toEqual(nothingMore);
    expect(monitor.parse(everything)).toEqual(everything);
    expect(() => monitor.parse({ host: 'yes' })).toThrow(/host/);
  });

  it('tells what recorded xl and xentop said', async () => {
    const { host } = standIn(recordedAnswers, { vm1: 12 });
    expect(await look(host, everything)).toEqual({
      host: {
        cpus: 1,
        cpuMhz: 2299.999,
        totalMemoryKib: 1535 * 1024,
        freeMemoryKib: 1004 * 1024,
        xenVersion: '4.17.5',
        machine: 'x86_64',
      },
      domains: [
        {
          id: 1,
          name: 'vm1',
          uuid: '0b5c7f52-5b0e-4e77-9f1e-000000000001',
          meaning: 'running',
          vm: { id: 12, by: 'marker' },
          vcpus: 1,
          memoryKib: 131072,
          counters: {
            sentBytes: 0,
            receivedBytes: 1024,
            readBytes: 46 * 512,
            writtenBytes: 8364 * 512,
            reads: 14,
            writes: 82,
          },
        },
        {
          id: 3,
          name: 'vm2',
          uuid: '0b5c7f52-5b0e-4e77-9f1e-000000000002',
          meaning: 'running',
          vcpus: 1,
          memoryKib: 131072,
          counters: {
            sentBytes: 0,
            receivedBytes: 0,
            readBytes: 46 * 512,
            writtenBytes: 8326 * 512,
            reads: 14,
            writes: 74,
          },
        },
      ],
    });
  });

  it('looks once at 50 domains: one call of each command, and xl list -l only for domains without a marker', async () => {
    const names = Array.from({ length: 50 }, (_, index) => `vm${index}`);
    const marked = Object.fromEntries(names.map((name, index) => [name, index]));
    const answers = { ...recordedAnswers, 'xl list -v': listOf(names.map((name) => ({ name }))) };
    const { host, calls } = standIn(answers, marked);
    const { domains } = await look(host, everything);
    expect(domains.map(({ vm }) => vm?.id)).toEqual(Object.values(marked));
    expect([...calls].sort()).toEqual(['xentop -b -f -i 1', 'xl info', 'xl list -v']);
    const strangers = standIn(answers);
    await look(strangers.host, everything);
    expect([...strangers.calls].sort()).toEqual(['xentop -b -f -i 1', 'xl info', 'xl list -l', 'xl list -v']);
  });

  it('asks for no more than it needs', async () => {
    const { host, calls } = standIn(recordedAnswers, { vm1: 1, vm2: 2 });
    await look(host, nothingMore);
    expect(calls).toEqual(['xl list -v']);
  });

  it('fails when xl fails, instead of saying that there are no domains', async () => {
    const failed = { stderr: 'libxl: error: xc_domain_getinfolist failed', exitCode: 1 };
    for (const broken of ['xl list -v', 'xl info', 'xl list -l']) {
      const { host } = standIn({ ...recordedAnswers, [broken]: failed });
      await expect(look(host, everything)).rejects.toMatchObject({ code: 'XEN' });
    }
    for (const text of ['', 'nonsense\n', `${recording('xl-4.17-list-v').stdout}half a li`]) {
      const { host } = standIn({ ...recordedAnswers, 'xl list -v': text });
      await expect(look(host, everything)).rejects.toMatchObject({ code: 'XEN' });
    }
  });

  it('goes on without counters when xentop is missing or prints nonsense, and says so', async () => {
    for (const answer of [undefined, 'nonsense', { exitCode: 1 }]) {
      const answers = { ...recordedAnswers };
      delete answers['xentop -b -f -i 1'];
      const { host, log } = standIn(answer === undefined ? answers : { ...answers, 'xentop -b -f -i 1': answer });
      const { domains } = await look(host, everything);
      expect(domains).toHaveLength(2);
      expect(domains.every(({ counters }) => counters === undefined)).toBe(true);
      expect(log.join()).toMatch(/^WARN .*counters are missing/);
    }
  });
});

describe('whose a domain is', () => {
  const disks = (targets: readonly string[]): string =>
    JSON.stringify([
      {
        domid: 1,
        config: { c_info: { name: 'web' }, disks: targets.map((pdev_path) => ({ pdev_path, vdev: 'xvda' })) },
      },
    ]);

  async function identityOf(name: string, targets: readonly string[], marked: Record<string, number> = {}) {
    const { host } = standIn({ 'xl list -v': listOf([{ name }]), 'xl list -l': disks(targets) }, marked);
    return (await look(host, nothingMore)).domains[0]?.vm;
  }

  it('says first the marker, then the volumes, then the name', async () => {
    expect(await identityOf('one-7', ['/dev/VG0/lv-one-8-0'], { 'one-7': 9 })).toEqual({ id: 9, by: 'marker' });
    expect(await identityOf('one-7', ['/dev/VG0/lv-one-8-0', '/dev/VG0/lv-one-8-1'])).toEqual({ id: 8, by: 'disks' });
    expect(await identityOf('one-7', ['/dev/VG0/other'])).toEqual({ id: 7, by: 'name' });
    expect(await identityOf('web', ['/dev/VG0/other'])).toBeUndefined();
  });

  it('is not believed when volumes of several VMs or names that only look alike speak', async () => {
    expect(await identityOf('web', ['/dev/VG0/lv-one-8-0', '/dev/VG0/lv-one-9-0'])).toBeUndefined();
    for (const target of [
      '/dev/VG1/lv-one-8-0',
      '/dev/VG0/lv-one-8-0_snap1',
      '/dev/VG0/lv-one-08-0',
      '/tmp/lv-one-8-0',
    ]) {
      expect(await identityOf('web', [target])).toBeUndefined();
    }
    for (const name of ['one-07', 'one-', 'one-7x', 'xone-7', 'one-99999999999']) {
      expect(await identityOf(name, [])).toBeUndefined();
    }
  });

  it('is the same for the rows of a migration', async () => {
    expect(await identityOf('web--incoming', [], { web: 4 })).toEqual({ id: 4, by: 'marker' });
    expect(await identityOf('web--migratedaway', [], { web: 4 })).toEqual({ id: 4, by: 'marker' });
  });

  it('is not looked for in files that a name leads to elsewhere', async () => {
    expect(await identityOf('../../etc/passwd', [], {})).toBeUndefined();
  });

  it('is nobody for a domain that is being torn down: it is not listed', async () => {
    const { host } = standIn({ 'xl list -v': listOf([{ name: '(null)', state: '--ps-d' }]) });
    expect((await look(host, nothingMore)).domains).toEqual([]);
  });
});

describe('CPU rates', () => {
  it('come from the reading before, without waiting', async () => {
    const self = standIn({ ...recordedAnswers, 'xl list -v': listOf([{ name: 'web', cpuSeconds: 10 }]) }, { web: 1 });
    const first = await look(self.host, everything);
    expect(first.domains[0]).not.toHaveProperty('cpuPercent');
    expect(first.host).not.toHaveProperty('cpuPercent');
    self.uptimeSeconds += 30;
    self.answers['xl list -v'] = listOf([{ name: 'web', cpuSeconds: 25 }]);
    const second = await look(self.host, everything);
    expect(second.domains[0]?.cpuPercent).toBeCloseTo(50);
    expect(second.host?.cpuPercent).toBeCloseTo(50);
  });

  it('are kept in a file of root alone, and a file that is broken is begun anew', async () => {
    const self = standIn(recordedAnswers, { vm1: 1, vm2: 2 });
    await look(self.host, nothingMore);
    const path = join(self.host.runDirectory, 'cpu-history.json');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    writeFileSync(path, '[{"uptimeSeconds":');
    self.uptimeSeconds += 30;
    expect((await look(self.host, nothingMore)).domains[0]).not.toHaveProperty('cpuPercent');
    expect(JSON.parse(readFileSync(path, 'utf8'))).toHaveLength(1);
  });

  it('are left out when they can not be kept', async () => {
    const self = standIn(recordedAnswers, { vm1: 1, vm2: 2 });
    writeFileSync(self.host.runDirectory, 'in the way');
    expect((await look(self.host, nothingMore)).domains).toHaveLength(2);
    expect(self.log.join()).toContain('CPU rates are missing');
  });
});

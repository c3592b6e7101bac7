import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DomainHost } from '../../../src/agent/operations/domain-host.ts';
import { domainManager } from '../../../src/agent/operations/domain-manager.ts';
import { parseDiskSpec } from '../../../src/xen/disk.ts';
import { vdevNumber } from '../../../src/xen/domain-list.ts';
import type { DomainReference, Toolstack } from '../../../src/xen/toolstack.ts';
import { ToolstackError } from '../../../src/xen/toolstack-error.ts';
import { TestHosts, vmDocument } from './hosts.ts';

let hosts: TestHosts;
const vmId = 7;
const deployId = 'web-7';

beforeAll(async () => {
  hosts = await TestHosts.make();
});
afterAll(() => hosts.end());
beforeEach(async () => {
  await hosts.reset();
  await hosts.addDisks(vmId, 0, 1, 5);
  const template = '<MEMORY_MAX>256</MEMORY_MAX><VCPU_MAX>2</VCPU_MAX>';
  const deployment = vmDocument(vmId, 'web', { template });
  await hosts.manager('a').deploy({ vmId, directory: hosts.directory(vmId), deployment, document: undefined });
});

const line = "'phy:/dev/VG0/lv-one-7-5,xvdf,w'";
const disk = { diskId: 5, target: 'xvdf', readonly: false, cdrom: false };
const nic = { mac: '02:00:0a:63:00:0b', bridge: 'br0', ips: ['10.99.0.11'] };
const config = (): string => hosts.config('a', deployId) ?? '';
const details = async () => (await hosts.host('a').toolstack.details(deployId))[0];
const devices = async (): Promise<string[]> => (await details())?.disks.map(({ vdev }) => vdev) ?? [];
const macs = async () => (await details())?.nics.map(({ mac }) => mac);

describe('disks of a running VM', () => {
  it('one is plugged in, also after a restart, and taken out again; both can be repeated', async () => {
    const manager = hosts.manager('a');
    await manager.attachDisk({ vmId, deployId, disk });
    await manager.attachDisk({ vmId, deployId, disk });
    expect(await devices()).toEqual(['xvda', 'xvdb', 'xvdf']);
    expect(config().split(line)).toHaveLength(2);
    expect(await hosts.active('a')).toContain('lv-one-7-5');
    await manager.reset({ vmId, deployId });
    expect(await devices()).toEqual(['xvda', 'xvdb', 'xvdf']);
    await manager.detachDisk({ vmId, deployId, diskId: 5, target: 'xvdf' });
    await manager.detachDisk({ vmId, deployId, diskId: 5, target: 'xvdf' });
    expect(await devices()).toEqual(['xvda', 'xvdb']);
    expect(config()).not.toContain(line);
    expect(await hosts.active('a')).toEqual(['lv-one-7-0', 'lv-one-7-1']);
  });

  it('a target that another disk has is refused, and nothing is changed', async () => {
    const before = config();
    const taken = { ...disk, target: 'xvdb' };
    await expect(hosts.manager('a').attachDisk({ vmId, deployId, disk: taken })).rejects.toThrow(
      /another disk at xvdb/,
    );
    expect(config()).toBe(before);
    expect(await hosts.active('a')).not.toContain('lv-one-7-5');
  });

  it('a disk is only taken out from the target where it is', async () => {
    const wrong = { vmId, deployId, diskId: 5, target: 'xvdb' };
    await expect(hosts.manager('a').detachDisk(wrong)).rejects.toMatchObject({ code: 'FOREIGN' });
    expect(await devices()).toEqual(['xvda', 'xvdb']);
  });

  it('a disk without a volume is refused, and so is one for a VM that does not run here', async () => {
    const missing = { ...disk, diskId: 6 };
    await expect(hosts.manager('a').attachDisk({ vmId, deployId, disk: missing })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await expect(hosts.manager('b').attachDisk({ vmId, deployId, disk })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  /** A disk that another guest has: Xen's hotplug script refuses it, when libxl has written it down already. */
  const occupy = async (): Promise<void> => {
    await hosts.volumes('a').activate('lv-one-7-5');
    hosts.writeConfig(
      'a',
      'other',
      "name = 'other'\nmemory = 64\nkernel = '/k'\ndisk = ['phy:/dev/VG0/lv-one-7-5,xvda,w']\n",
    );
    await hosts.host('a').toolstack.create(join(hosts.configDirectory('a'), 'other'));
  };
  const attach = () => hosts.manager('a').attachDisk({ vmId, deployId, disk });
  const cutOffAttach = async (): Promise<void> => {
    const spec = parseDiskSpec('phy:/dev/VG0/lv-one-7-5,xvdf,w');
    await expect(hosts.host('a').toolstack.blockAttach(deployId, spec)).rejects.toMatchObject({ reason: 'diskInUse' });
  };
  const states = async () =>
    (await hosts.host('a').toolstack.blockList(deployId)).map(({ vdev, state }) => [vdev, state]);

  it('one whose attach fails is not left with the guest, which can still be moved', async () => {
    const before = config();
    await occupy();
    await expect(attach()).rejects.toMatchObject({ reason: 'diskInUse' });
    expect(await devices()).toEqual(['xvda', 'xvdb']);
    expect(config()).toBe(before);
    await hosts.xl('a', 'destroy', 'other');
    await hosts.volumes('a').deactivate('lv-one-7-5');
    await hosts.volumes('a').remove('lv-one-7-5');
    await hosts.manager('a').migrate({ vmId, deployId, destination: 'b' });
  });

  it('one that an attach which was cut off has left unconnected is taken out and plugged in anew', async () => {
    await occupy();
    await cutOffAttach();
    expect(await devices()).toContain('xvdf');
    await hosts.xl('a', 'destroy', 'other');
    await attach();
    expect(await states()).toContainEqual([vdevNumber('xvdf'), 4]);
    expect(config()).toContain(line);
    expect(hosts.logged.join('\n')).toContain('an earlier attach has left');
  });

  it('one that was left unconnected and whose volume is gone makes way for another disk', async () => {
    await occupy();
    await cutOffAttach();
    await hosts.xl('a', 'destroy', 'other');
    await hosts.addDisks(vmId, 6);
    const next = () => hosts.manager('a').attachDisk({ vmId, deployId, disk: { ...disk, diskId: 6 } });
    await expect(next()).rejects.toThrow(/another disk at xvdf/);
    await hosts.volumes('a').deactivate('lv-one-7-5');
    await hosts.volumes('a').remove('lv-one-7-5');
    await next();
    expect((await details())?.disks.at(-1)).toMatchObject({ vdev: 'xvdf', target: '/dev/VG0/lv-one-7-6' });
    expect(await states()).toContainEqual([vdevNumber('xvdf'), 4]);
  });

  it('moves along to another host', async () => {
    await hosts.manager('a').attachDisk({ vmId, deployId, disk });
    await hosts.manager('a').migrate({ vmId, deployId, destination: 'b' });
    expect(await hosts.active('b')).toEqual(['lv-one-7-0', 'lv-one-7-1', 'lv-one-7-5']);
    expect(hosts.config('b', deployId)).toContain(line);
  });
});

describe('network interfaces of a running VM', () => {
  it('one is plugged in, also after a restart, and taken out by its MAC; both can be repeated', async () => {
    const manager = hosts.manager('a');
    await manager.attachNic({ vmId, deployId, nic });
    await manager.attachNic({ vmId, deployId, nic });
    expect(await macs()).toEqual(['02:00:0a:63:00:01', nic.mac]);
    expect(config()).toContain("'mac=02:00:0a:63:00:0b, bridge=br0, ip=10.99.0.11'");
    await manager.reset({ vmId, deployId });
    expect(await macs()).toEqual(['02:00:0a:63:00:01', nic.mac]);
    await manager.detachNic({ vmId, deployId, mac: '02:00:0a:63:00:01' });
    await manager.detachNic({ vmId, deployId, mac: '02:00:0a:63:00:01' });
    expect(await macs()).toEqual([nic.mac]);
    expect(config()).not.toContain('02:00:0a:63:00:01');
  });

  it('a missing bridge is refused, and the configuration stays', async () => {
    const before = config();
    await expect(hosts.manager('a').attachNic({ vmId, deployId, nic: { ...nic, bridge: 'nobr' } })).rejects.toThrow(
      /nobr/,
    );
    expect(config()).toBe(before);
  });

  it('one whose attach fails is not left with the guest, where a second try would take it for attached', async () => {
    const before = config();
    const host = hosts.host('a');
    // The bridge looks fine, and Xen's hotplug script fails nevertheless.
    await host.toolstack.networkAttach(deployId, { mac: '02:00:0a:63:00:0c', bridge: 'nobr' }).catch(() => undefined);
    expect(await macs()).toContain('02:00:0a:63:00:0c');
    const attach = () => hosts.manager('a').attachNic({ vmId, deployId, nic: { ...nic, bridge: 'nobr' } });
    for (let times = 0; times < 2; times += 1)
      await expect(attach()).rejects.toMatchObject({ reason: 'missingBridge' });
    expect(await macs()).not.toContain(nic.mac);
    expect(config()).toBe(before);
  });
});

describe('capacity of a running VM', () => {
  it('changes within what it was started with room for, also for the next start', async () => {
    await hosts.manager('a').resize({ vmId, deployId, memoryMib: 200, vcpus: 2, cpuWeight: 512 });
    expect(await details()).toMatchObject({ targetMemoryKib: 200 * 1024 });
    expect((await hosts.host('a').toolstack.find(deployId))?.vcpus).toBe(2);
    expect(config()).toMatch(/^memory = 200$/m);
    expect(config()).toMatch(/^vcpus = 2$/m);
    expect(config()).toMatch(/^cpu_weight = 512$/m);
    expect(config()).toMatch(/^maxmem = 256$/m);
  });

  it('beyond that is refused before anything is changed', async () => {
    const before = config();
    const resize = (memoryMib: number, vcpus: number) =>
      hosts.manager('a').resize({ vmId, deployId, memoryMib, vcpus, cpuWeight: 256 });
    await expect(resize(300, 1)).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('256') as string,
    });
    await expect(resize(200, 3)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    expect(config()).toBe(before);
    expect(await details()).toMatchObject({ targetMemoryKib: 128 * 1024 });
  });

  it('is as it was when only one part of it can be changed, whichever', async () => {
    const before = config();
    const grow = async (host: DomainHost, expected: object) => {
      const wanted = { vmId, deployId, memoryMib: 200, vcpus: 2, cpuWeight: 256 };
      await expect(domainManager(host).resize(wanted)).rejects.toMatchObject(expected);
      expect(await details()).toMatchObject({ targetMemoryKib: 128 * 1024 });
      expect((await hosts.host('a').toolstack.find(deployId))?.vcpus).toBe(1);
      expect(config()).toBe(before);
    };
    // The guest has room for two VCPUs, its host has one CPU.
    await hosts.setCpus('a', 1);
    await grow(hosts.host('a'), { code: 'INVALID_INPUT', changed: 'rolled-back' });
    await hosts.setCpus('a', 4);
    const host = hosts.host('a');
    const real = host.toolstack;
    // It answers too late, and has had its way.
    const setMemory = async (id: DomainReference, memoryMib: number): Promise<void> => {
      await real.setMemory(id, memoryMib);
      if (memoryMib === 200) throw new ToolstackError('timeout', 'TIMEOUT', 'xl mem-set did not end within 60 s');
    };
    const toolstack = Object.assign(Object.create(real) as Toolstack, { setMemory });
    await grow({ ...host, toolstack }, { code: 'TIMEOUT', changed: 'rolled-back' });
  });

  it('says what could not be given back', async () => {
    const host = hosts.host('a');
    const broken = (what: string) => () => Promise.reject(new ToolstackError('other', 'XEN', `${what} failed`));
    const toolstack = Object.assign(Object.create(host.toolstack) as Toolstack, { setMemory: broken('mem-set') });
    const wanted = { vmId, deployId, memoryMib: 200, vcpus: 2, cpuWeight: 256 };
    await expect(domainManager({ ...host, toolstack }).resize(wanted)).rejects.toMatchObject({
      message: 'mem-set failed; the domain may have kept its new memory (mem-set failed)',
      changed: 'maybe',
    });
    expect((await host.toolstack.find(deployId))?.vcpus).toBe(1);
  });

  it('a disk that has grown is acknowledged, one that has not is an error', async () => {
    const check = (sizeMib: number) => hosts.manager('a').checkDiskSize({ vmId, deployId, diskId: 0, sizeMib });
    await check(8);
    await expect(check(9)).rejects.toMatchObject({ code: 'TOO_SMALL' });
    await hosts.volumes('a').extend('lv-one-7-0', 16 * 1024 ** 2);
    await check(16);
  });
});

describe('poll', () => {
  it('says what the VM uses while it runs, and that it is gone afterwards', async () => {
    const poll = (name: 'a' | 'b' = 'a') => hosts.manager(name).poll({ vmId, deployId });
    await expect
      .poll(() => poll(), { timeout: 20_000 })
      .toMatchObject({
        state: 'running',
        name: deployId,
        memoryKib: 128 * 1024,
        sentBytes: expect.any(Number) as number,
      });
    expect(await poll('b')).toEqual({ state: 'absent' });
    await hosts.xl('a', 'pause', deployId);
    expect(await poll()).toMatchObject({ state: expect.stringMatching(/paused|moving/) as string });
    await hosts.xl('a', 'destroy', deployId);
    expect(await poll()).toEqual({ state: 'absent' });
  });
});

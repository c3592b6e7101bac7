/**
 * The end of a domain when somebody else acts at the same time: a migration that was cut off, a resume, xl's monitor that
 * starts the guest again. Each of these is put exactly where it does harm by a toolstack or volume group of the test.
 */
import { copyFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { noCluster, type ClusterGuard, type StartingVm } from '../../../src/agent/cluster-guard.ts';
import type { DomainHost } from '../../../src/agent/operations/domain-host.ts';
import { domainManager, type DomainManager } from '../../../src/agent/operations/domain-manager.ts';
import { CxmError } from '../../../src/errors.ts';
import { markerText } from '../../../src/one/domain/marker.ts';
import type { ShutdownOutcome } from '../../../src/xen/toolstack.ts';
import { TestHosts, vmDocument, type HostName } from './hosts.ts';

let hosts: TestHosts;
const vmId = 7;
const deployId = 'web-7';
const disks = ['lv-one-7-0', 'lv-one-7-1'];

beforeAll(async () => {
  hosts = await TestHosts.make();
});
afterAll(() => hosts.end());
beforeEach(() => start());

async function start(options: { readonly sharedConfiguration?: boolean } = {}): Promise<void> {
  await hosts.reset(options);
  await hosts.addDisks(vmId, 0, 1);
  await deploy();
  // Where xl's monitor would have it: in its memory.
  copyFileSync(`${hosts.configDirectory('a')}/${deployId}`, `${hosts.base}/again.cfg`);
}

function deploy(name: HostName = 'a', deployment = vmDocument(vmId), settings: Record<string, string> = {}) {
  const directory = hosts.directory(vmId);
  return hosts.manager(name, settings).deploy({ vmId, directory, deployment, document: undefined });
}

/** What another `xl` of the host does. */
const xl = () => hosts.host('a').toolstack;
const startAgain = () => xl().create(`${hosts.base}/again.cfg`);

async function expectEnded(): Promise<void> {
  expect(await hosts.domains('a')).toEqual([]);
  expect(await hosts.active('a')).toEqual([]);
  expect(hosts.config('a', deployId)).toBeUndefined();
  expect(hosts.hasAutostart('a', deployId)).toBe(false);
}

async function expectRunning(name: HostName = 'a'): Promise<void> {
  expect(await hosts.domains(name)).toEqual(['web-7: running']);
  expect(await hosts.active(name)).toEqual(disks);
  expect(hosts.config(name, deployId)).toContain('# OpenNebula VM 7 (cxm)');
  expect(hosts.hasAutostart(name, deployId)).toBe(true);
}

/** Host a, where `end` is what happens while a shutdown waits for the guest. */
function waiting(end: () => Promise<ShutdownOutcome>, changes: Partial<DomainHost> = {}) {
  const host = hosts.host('a');
  const toolstack = new Proxy(host.toolstack, {
    get: (real, key) => (key === 'shutdown' ? end : (Reflect.get(real, key) as unknown)),
  });
  const manager = domainManager({ ...host, ...changes, toolstack });
  return { shutdown: () => manager.shutdown({ vmId, deployId }) };
}

/** The volume group of host a; `before` runs ahead of each of the first `times` looks at it. */
function volumesAfter(before: () => Promise<void>, times: number): Pick<DomainHost, 'volumes'> {
  let left = times;
  const volumes = new Proxy(hosts.volumes('a'), {
    get: (real, key) => {
      if (key !== 'list') return Reflect.get(real, key) as unknown;
      return async () => {
        left -= 1;
        if (left >= 0) await before();
        return real.list();
      };
    },
  });
  return { volumes };
}

/** What the cluster does by itself; it has not tidied up here yet. */
async function moveToOther(): Promise<void> {
  for (const disk of disks) await hosts.volumes('b').activate(disk);
  await hosts.migrateByHand('a', 'b', deployId);
}

async function gone(): Promise<ShutdownOutcome> {
  await xl().destroy(deployId);
  return 'gone';
}

describe('what a migration has left here', () => {
  it.each(['web-7--migratedaway', 'web-7--incoming'])(
    '%s is no VM to shut down: it may run elsewhere, so nothing is changed',
    async (name) => {
      await xl().rename(deployId, name);
      await expect(hosts.manager('a').shutdown({ vmId, deployId })).rejects.toMatchObject({
        code: 'XEN',
        changed: 'nothing',
        message: expect.stringMatching(/may run on another host/) as string,
      });
      expect(await hosts.domains('a')).toEqual([expect.stringContaining(name)]);
      expect(await hosts.active('a')).toEqual(disks);
      expect(hosts.hasAutostart('a', deployId)).toBe(true);
    },
  );

  it('is not destroyed either when the VM has left while it was waited for', async () => {
    const moved = async (): Promise<ShutdownOutcome> => {
      await xl().rename(deployId, 'web-7--migratedaway');
      return 'stillRunning';
    };
    await expect(waiting(moved).shutdown()).rejects.toThrow(/may run on another host/);
    expect(await hosts.domains('a')).toEqual(['web-7--migratedaway: leaving']);
  });

  it('is destroyed by a cancel, which warns', async () => {
    await xl().rename(deployId, 'web-7--migratedaway');
    await hosts.manager('a').cancel({ vmId, deployId });
    await expectEnded();
    expect(hosts.logged.join('\n')).toMatch(/WARN .*web-7--migratedaway.* may run on another host/);
  });

  it('does not keep a guest that is here, too, from being shut down', async () => {
    const left = `${hosts.base}/left.cfg`;
    writeFileSync(left, `${markerText(vmId)}\nname = 'web-7--migratedaway'\nmemory = 64\nkernel = '/boot/x'\n`);
    await xl().create(left);
    expect(await hosts.manager('a').shutdown({ vmId, deployId })).toEqual({ ended: 'shutdown' });
    await expectEnded();
  });
});

describe('a VM that is started anew while its shutdown still waits', () => {
  it('is left alone, with its configuration, link and disks', async () => {
    const resumed = async (): Promise<ShutdownOutcome> => {
      await xl().destroy(deployId);
      await deploy();
      return 'gone';
    };
    expect(await waiting(resumed).shutdown()).toEqual({ ended: 'shutdown' });
    await expectRunning();
  });

  it('is left alone, too, on another host with the same directory of configurations', async () => {
    await start({ sharedConfiguration: true });
    const resumed = async (): Promise<ShutdownOutcome> => {
      await xl().destroy(deployId);
      await deploy('b');
      return 'gone';
    };
    await waiting(resumed).shutdown();
    await expectRunning('b');
    expect(hosts.hasAutostart('a', deployId)).toBe(false);
  });

  it('is not mistaken for one whose devices have changed meanwhile', async () => {
    const changed = async (): Promise<ShutdownOutcome> => {
      await hosts.manager('a').resize({ vmId, deployId, memoryMib: 100, vcpus: 1, cpuWeight: 256 });
      return 'stillRunning';
    };
    expect(await waiting(changed).shutdown()).toEqual({ ended: 'destroyed' });
    await expectEnded();
  });
});

describe('a guest that comes up again instead of ending', () => {
  it('is destroyed, although nothing was listed for a moment', async () => {
    expect(await waiting(gone, volumesAfter(startAgain, 1)).shutdown()).toEqual({ ended: 'shutdown' });
    await expectEnded();
    expect(hosts.logged.join('\n')).toMatch(/came up again/);
  });

  it('again and again is an error, never success', { timeout: 60_000 }, async () => {
    const always = async (): Promise<void> => {
      if ((await hosts.domains('a')).length === 0) await startAgain();
    };
    await expect(waiting(gone, volumesAfter(always, 1000)).shutdown()).rejects.toMatchObject({
      code: 'XEN',
      changed: 'maybe',
      message: expect.stringMatching(/again and again/) as string,
    });
    expect(hosts.config('a', deployId)).toContain('# OpenNebula VM 7 (cxm)');
  });

  it('ends for good when its configuration says restart', async () => {
    await hosts.manager('a').cancel({ vmId, deployId });
    const template = '<RAW><TYPE>xen</TYPE><DATA>on_poweroff = "restart"</DATA></RAW>';
    const settings = { RAW_KEYS: 'on_poweroff' };
    await expect(deploy('a', vmDocument(vmId, 'web', { template }))).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await deploy('a', vmDocument(vmId, 'web', { template }), settings);
    await hosts.manager('a', settings).shutdown({ vmId, deployId });
    await expectEnded();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await hosts.domains('a')).toEqual([]);
  });

  it('without disks is waited for', async () => {
    await hosts.manager('a').cancel({ vmId, deployId });
    for (const disk of disks) await hosts.volumes('a').remove(disk);
    await deploy('a', vmDocument(vmId).replace(/<DISK>.*<\/DISK>/, ''));
    copyFileSync(`${hosts.configDirectory('a')}/${deployId}`, `${hosts.base}/again.cfg`);
    let again: Promise<void> | undefined;
    const later = async (): Promise<ShutdownOutcome> => {
      await xl().destroy(deployId);
      again = new Promise((resolve) => setTimeout(resolve, 1500)).then(startAgain);
      return 'gone';
    };
    await waiting(later).shutdown();
    await again;
    await expectEnded();
  });
});

describe('in a cluster', () => {
  const guard: ClusterGuard = {
    ...noCluster,
    elsewhere: (names) => Promise.resolve(names.includes(deployId) ? 'node2' : undefined),
  };

  it.each(['shutdown', 'cancel'] as const)('%s of a VM that another node has is no success', async (action) => {
    await xl().destroy(deployId);
    const manager = domainManager({ ...hosts.host('a'), guard });
    await expect(manager[action]({ vmId, deployId })).rejects.toMatchObject({
      code: 'XEN',
      message: 'VM 7 is not on this host: node2 has it',
    });
    expect(hosts.config('a', deployId)).toContain('# OpenNebula VM 7 (cxm)');
  });

  it.each(['shutdown', 'cancel'] as const)('%s of a VM that runs here asks nobody', async (action) => {
    await domainManager({ ...hosts.host('a'), guard })[action]({ vmId, deployId });
    await expectEnded();
  });

  it('a VM that was moved while its shutdown waited has not ended, and keeps what it needs', async () => {
    await start({ sharedConfiguration: true });
    let holds = 0;
    const moved = async (): Promise<ShutdownOutcome> => {
      holds += 1;
      await moveToOther();
      return 'gone';
    };
    const moving = { guard: { ...guard, lastHold: () => `hold ${holds}` } };
    await expect(waiting(moved, moving).shutdown()).rejects.toMatchObject({
      code: 'XEN',
      message: 'VM 7 is not on this host: node2 has it',
    });
    expect(await hosts.domains('b')).toEqual(['web-7: running']);
    expect(hosts.config('b', deployId)).toContain('# OpenNebula VM 7 (cxm)');
  });

  it('a cancel that waited for the move of its VM says who has it', async () => {
    const holding = async <T>(_name: string, work: () => Promise<T>): Promise<T> => {
      await moveToOther();
      return work();
    };
    const manager = domainManager({ ...hosts.host('a'), guard: { ...guard, holding } });
    await expect(manager.cancel({ vmId, deployId })).rejects.toThrow('node2 has it');
    expect(await hosts.domains('b')).toEqual(['web-7: running']);
    expect(hosts.config('a', deployId)).toContain('# OpenNebula VM 7 (cxm)');
  });

  const checkpoint = (): string => `${hosts.directory(vmId)}/checkpoint`;
  const disk = { diskId: 0, target: 'xvda', readonly: false, cdrom: false };
  const nic = { mac: '02:00:0a:63:00:01', bridge: 'br0', ips: [] };
  it.each<[string, (manager: DomainManager) => Promise<unknown>]>([
    ['shutdown', (manager) => manager.shutdown({ vmId, deployId })],
    ['cancel', (manager) => manager.cancel({ vmId, deployId })],
    ['save', (manager) => manager.save({ vmId, deployId, checkpoint: checkpoint() })],
    ['attach_disk', (manager) => manager.attachDisk({ vmId, deployId, disk: { ...disk, diskId: 1, target: 'xvdc' } })],
    ['detach_disk', (manager) => manager.detachDisk({ vmId, deployId, ...disk })],
    ['attach_nic', (manager) => manager.attachNic({ vmId, deployId, nic: { ...nic, mac: '02:00:0a:63:00:02' } })],
    ['detach_nic', (manager) => manager.detachNic({ vmId, deployId, mac: nic.mac })],
    ['resize', (manager) => manager.resize({ vmId, deployId, memoryMib: 100, vcpus: 1, cpuWeight: 256 })],
  ])('%s changes nothing while the cluster works on the VM', async (_name, act) => {
    const held: string[] = [];
    const holding = (name: string): Promise<never> => {
      held.push(name);
      return Promise.reject(new CxmError('IN_USE', 'another cxm works on web-7'));
    };
    const before = hosts.config('a', deployId);
    const manager = domainManager({ ...hosts.host('a'), guard: { ...guard, holding } });
    await expect(act(manager)).rejects.toMatchObject({ code: 'IN_USE' });
    expect(held).toEqual([deployId]);
    expect(hosts.config('a', deployId)).toBe(before);
    await expectRunning();
  });

  it('a reset ends nothing and starts nothing when the cluster has just moved the VM', async () => {
    const starting = async (): Promise<never> => {
      await moveToOther();
      throw new CxmError('REFUSED', 'web-7 is running on node2');
    };
    const manager = domainManager({ ...hosts.host('a'), guard: { ...guard, starting } });
    await expect(manager.reset({ vmId, deployId })).rejects.toMatchObject({ code: 'REFUSED' });
    expect(await hosts.domains('a')).toEqual([]);
    expect(await hosts.domains('b')).toEqual(['web-7: running']);
  });

  it('a reset holds the VM with its disks while it is down', async () => {
    const asked: StartingVm[] = [];
    const starting: ClusterGuard['starting'] = async (vm, work) => {
      asked.push(vm);
      expect(await hosts.domains('a')).toEqual(['web-7: running']);
      return work(() => undefined);
    };
    await domainManager({ ...hosts.host('a'), guard: { ...guard, starting } }).reset({ vmId, deployId });
    expect(asked).toEqual([{ name: deployId, volumes: disks.map((name) => `VG0/${name}`) }]);
    await expectRunning();
  });
});

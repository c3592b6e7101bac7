import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { markerText } from '../../../src/one/domain/marker.ts';
import { owner, TestHosts, vmDocument, type HostName } from './hosts.ts';

let hosts: TestHosts;
const vmId = 7;
const disks = ['lv-one-7-0', 'lv-one-7-1'];

beforeAll(async () => {
  hosts = await TestHosts.make();
});
afterAll(() => hosts.end());
beforeEach(async () => {
  await hosts.reset();
  await hosts.addDisks(vmId, 0, 1);
});

function deploy(name: HostName = 'a', deployment = vmDocument(vmId), settings: Record<string, string> = {}) {
  const directory = hosts.directory(vmId);
  return hosts.manager(name, settings).deploy({ vmId, directory, deployment, document: undefined });
}

async function expectNothing(name: HostName): Promise<void> {
  expect(await hosts.domains(name)).toEqual([]);
  expect(await hosts.active(name)).toEqual([]);
  expect(hosts.config(name, 'web-7')).toBeUndefined();
  expect(hosts.hasAutostart(name, 'web-7')).toBe(false);
}

describe('deploy', () => {
  it('leaves a running domain, its marked configuration, its autostart link and its disks active', async () => {
    const result = await deploy();
    expect(result).toEqual({ deployId: 'web-7', configPath: `${hosts.configDirectory('a')}/web-7`, takenOver: false });
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
    expect(hosts.config('a', 'web-7')?.split('\n')[0]).toBe('# OpenNebula VM 7 (cxm)');
    expect(statSync(result.configPath).mode & 0o777).toBe(0o600);
    expect(hosts.hasAutostart('a', 'web-7')).toBe(true);
    expect(await hosts.active('a')).toEqual(disks);
    expect(await hosts.active('b')).toEqual([]);
  });

  it('takes over a domain that runs already, and starts no second one', async () => {
    await deploy();
    expect(await deploy()).toMatchObject({ deployId: 'web-7', takenOver: true });
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
  });

  it('takes over a domain whose configuration did not come along', async () => {
    const { configPath } = await deploy();
    const text = readFileSync(configPath, 'utf8');
    rmSync(configPath);
    expect(await deploy()).toMatchObject({ deployId: 'web-7', takenOver: true });
    expect(hosts.config('a', 'web-7')).toBe(text);
  });

  it('takes over a domain that runs under the name the VM had before it was renamed', async () => {
    await deploy();
    expect(await deploy('a', vmDocument(vmId, 'shop'))).toMatchObject({ deployId: 'web-7', takenOver: true });
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
  });

  it('refuses a name whose configuration somebody else has written, and leaves it alone', async () => {
    hosts.writeConfig('a', 'web-7', "name = 'web-7'\n");
    await expect(deploy()).rejects.toMatchObject({ code: 'NAME_TAKEN', changed: 'nothing' });
    expect(hosts.config('a', 'web-7')).toBe("name = 'web-7'\n");
    expect(await hosts.active('a')).toEqual([]);
  });

  it('refuses a name that cxm knows with the ending .cfg', async () => {
    hosts.writeConfig('a', 'web-7.cfg', "name = 'web-7'\n");
    await expect(deploy()).rejects.toMatchObject({ code: 'NAME_TAKEN' });
  });

  it('refuses the name of another VM that has disks, and takes that of one that is gone', async () => {
    hosts.writeConfig('a', 'web', `${markerText(8)}\nname = 'web'\n`);
    await hosts.addDisks(8, 0);
    const named = { VM_FQDN_TEMPLATE: '%V' };
    await expect(deploy('a', vmDocument(vmId), named)).rejects.toMatchObject({
      code: 'NAME_TAKEN',
      message: expect.stringContaining('VM 8') as string,
    });
    await hosts.volumes('a').remove('lv-one-8-0');
    expect(await deploy('a', vmDocument(vmId), named)).toMatchObject({ deployId: 'web' });
  });

  it('refuses the name of a domain that is not of OpenNebula and never touches it', async () => {
    writeFileSync(`${hosts.base}/other.cfg`, "name='web-7'\nmemory=64\nkernel='/boot/x'\n");
    await hosts.xl('a', 'create', `${hosts.base}/other.cfg`);
    await expect(deploy()).rejects.toMatchObject({ code: 'NAME_TAKEN' });
    await expect(hosts.manager('a').cancel({ vmId, deployId: 'web-7' })).rejects.toMatchObject({ code: 'FOREIGN' });
    await expect(hosts.manager('a').shutdown({ vmId, deployId: 'web-7' })).rejects.toMatchObject({ code: 'FOREIGN' });
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
  });

  it('takes everything back when xl fails, and works when repeated', async () => {
    await hosts.turn('a', { createFails: 'libxl: error: something' });
    await expect(deploy()).rejects.toMatchObject({ code: 'XEN', changed: 'rolled-back' });
    await expectNothing('a');
    await hosts.turn('a', {});
    await deploy();
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
  });

  it('takes everything back when the action goes away while xl works', async () => {
    await hosts.turn('a', { createMs: 600 });
    const failed = expect(deploy()).rejects.toMatchObject({ code: 'INTERRUPTED', changed: 'rolled-back' });
    setTimeout(() => hosts.goAway(), 300);
    await failed;
    await expectNothing('a');
  });

  it('refuses a VM whose disk is missing, unfinished or of another VM, before anything is changed', async () => {
    await hosts.volumes('a').changeTags('lv-one-7-1', { add: ['cxm_partial'] });
    await expect(deploy()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await hosts.volumes('a').changeTags('lv-one-7-1', { add: ['cxm_vm=8'], remove: ['cxm_partial', 'cxm_vm=7'] });
    await expect(deploy()).rejects.toMatchObject({ code: 'FOREIGN' });
    await hosts.volumes('a').remove('lv-one-7-1');
    await expect(deploy()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expectNothing('a');
  });

  it('starts anew what has shut down and was left behind by its monitor', async () => {
    await deploy();
    await hosts.turn('a', { saveFails: 'ENOSPC' });
    await expect(hosts.xl('a', 'save', 'web-7', `${hosts.base}/x`)).rejects.toThrow('No space left on device');
    await hosts.turn('a', {});
    await hosts.xl('a', 'shutdown', 'web-7');
    await expect.poll(() => hosts.domains('a'), { timeout: 20_000 }).toEqual(['web-7: shutDown']);
    expect(await deploy()).toMatchObject({ takenOver: false });
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
  });
});

describe('the end of a domain', () => {
  it.each(['shutdown', 'cancel'] as const)(
    '%s leaves no domain, link, configuration or active disk',
    async (action) => {
      const { deployId } = await deploy();
      const result = await hosts.manager('a')[action]({ vmId, deployId });
      expect(result).toEqual({ ended: action === 'shutdown' ? 'shutdown' : 'destroyed' });
      await expectNothing('a');
    },
  );

  it.each(['shutdown', 'cancel'] as const)('%s of a VM that is gone succeeds and cleans up', async (action) => {
    const { deployId } = await deploy();
    await hosts.xl('a', 'destroy', deployId);
    expect(await hosts.manager('a')[action]({ vmId, deployId })).toEqual({ ended: 'absent' });
    await expectNothing('a');
    expect(await hosts.manager('b')[action]({ vmId, deployId })).toEqual({ ended: 'absent' });
  });

  it('finds the domain by its marker when oned carries the deploy id of another driver, or none', async () => {
    await deploy();
    await hosts.manager('a').cancel({ vmId, deployId: 'one-7' });
    await expectNothing('a');
    await deploy();
    await hosts.manager('a').cancel({ vmId, deployId: undefined });
    await expectNothing('a');
  });

  it('destroys a guest that ignores the shutdown, but not before its time is over', async () => {
    await hosts.turn('a', { guestIgnoresShutdown: true, acknowledgeTimeoutMs: 500 });
    const { deployId } = await deploy();
    const begin = performance.now();
    const manager = hosts.manager('a', { SHUTDOWN_TIMEOUT: '5' });
    expect(await manager.shutdown({ vmId, deployId })).toEqual({ ended: 'destroyed' });
    expect(performance.now() - begin).toBeGreaterThan(4900);
    await expectNothing('a');
  });

  it('touches no other VM', async () => {
    await deploy();
    await hosts.addDisks(70, 0, 1);
    const other = vmDocument(70, 'db');
    const directory = hosts.directory(70);
    await hosts.manager('a').deploy({ vmId: 70, directory, deployment: other, document: undefined });
    await hosts.manager('a').cancel({ vmId, deployId: 'web-7' });
    expect(await hosts.domains('a')).toEqual(['db-70: running']);
    expect(await hosts.active('a')).toEqual(['lv-one-70-0', 'lv-one-70-1']);
    expect(hosts.hasAutostart('a', 'db-70')).toBe(true);
  });
});

describe('reboot and reset', () => {
  it('reboot asks the guest, and its successor runs', async () => {
    const { deployId } = await deploy();
    await hosts.manager('a').reboot({ vmId, deployId });
    await expect.poll(() => hosts.domains('a'), { timeout: 20_000 }).toEqual(['web-7: running']);
  });

  it('reboot starts a guest again whose monitor has gone', { timeout: 60_000 }, async () => {
    const { deployId } = await deploy();
    await hosts.turn('a', { saveFails: 'ENOSPC' });
    await expect(hosts.xl('a', 'save', 'web-7', `${hosts.base}/x`)).rejects.toThrow('No space left on device');
    await hosts.turn('a', {});
    await hosts.manager('a').reboot({ vmId, deployId });
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
    expect(hosts.hasAutostart('a', 'web-7')).toBe(true);
  });

  it('reset gives a new domain with the same disks', async () => {
    const { deployId } = await deploy();
    const before = await hosts.xl('a', 'domid', deployId);
    await hosts.manager('a').reset({ vmId, deployId });
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
    expect(await hosts.xl('a', 'domid', deployId)).not.toBe(before);
  });

  it('reset, run again after it has ended the domain and could not start it, starts it', async () => {
    const { deployId } = await deploy();
    await hosts.turn('a', { createFails: 'libxl: error: something' });
    await expect(hosts.manager('a').reset({ vmId, deployId })).rejects.toMatchObject({ code: 'XEN' });
    expect(await hosts.domains('a')).toEqual([]);
    await hosts.turn('a', {});
    await hosts.manager('a').reset({ vmId, deployId });
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
    // It has run again, so what happens to it later is no restart that was cut off.
    await hosts.xl('a', 'destroy', deployId);
    await hosts.manager('a').reset({ vmId, deployId });
    expect(await hosts.domains('a')).toEqual([]);
  });

  it('reset starts nothing that was moved away by hand, whatever lies here of it', async () => {
    const { deployId } = await deploy();
    for (const disk of ['lv-one-7-0', 'lv-one-7-1']) await hosts.volumes('b').activate(disk);
    await hosts.migrateByHand('a', 'b', deployId);
    await hosts.manager('a').reset({ vmId, deployId });
    expect(await hosts.domains('a')).toEqual([]);
    expect(hosts.hasAutostart('a', deployId)).toBe(true);
  });

  it('of an absent VM: reset succeeds and starts nothing, reboot says that it is not here', async () => {
    await hosts.manager('a').reset({ vmId, deployId: 'web-7' });
    await expectNothing('a');
    await expect(hosts.manager('a').reboot({ vmId, deployId: 'web-7' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('save and restore', () => {
  const checkpoint = (): string => `${hosts.directory(vmId)}/checkpoint`;
  const save = (name: HostName = 'a') =>
    hosts.manager(name).save({ vmId, deployId: 'web-7', checkpoint: checkpoint() });
  const restore = (name: HostName, document: string | undefined) =>
    hosts
      .manager(name)
      .restore({ vmId, deployId: 'web-7', checkpoint: checkpoint(), directory: hosts.directory(vmId), document });

  it('the guest goes on where it was, on the same host or another', async () => {
    await deploy();
    await save();
    expect(await hosts.domains('a')).toEqual([]);
    expect(await hosts.active('a')).toEqual([]);
    expect(hosts.hasAutostart('a', 'web-7')).toBe(false);
    const { uid, mode } = statSync(checkpoint());
    expect([uid, mode & 0o777]).toEqual([owner.uid, 0o600]);
    expect(await restore('b', vmDocument(vmId))).toEqual({ deployId: 'web-7' });
    expect(await hosts.domains('b')).toEqual(['web-7: running']);
    expect(await hosts.guest('b', 'web-7')).toMatchObject({ moves: 1 });
    expect(await hosts.active('b')).toEqual(disks);
    expect(hosts.hasAutostart('b', 'web-7')).toBe(true);
    expect(existsSync(checkpoint())).toBe(false);
  });

  const deployXenFile = (document: string) => {
    const disk = (id: number): string => `'raw:/var/lib/one/datastores/0/7/disk.${id},xvd${'ab'.charAt(id)},w'`;
    const lines = ["name = 'one-7'", "memory = '128'", "kernel = '/boot/vmlinuz'", "root = '/dev/xvda1'"];
    const vif = "vif = [ ' mac=02:00:0a:63:00:01,bridge=br0' ]";
    const deployment = [...lines, `disk = [ ${disk(0)}, ${disk(1)} ]`, vif, ''].join('\n');
    return hosts.manager('a').deploy({ vmId, directory: hosts.directory(vmId), deployment, document });
  };

  it.each([
    ['its kernel from the defaults of the driver', ''],
    ['a MACHINE that oned has no word for there', '<MACHINE>pvh</MACHINE><KERNEL>/boot/vmlinuz</KERNEL>'],
    ['both', '<MACHINE>hvm</MACHINE>'],
  ])('a guest of a Xen configuration of oned with %s goes on as what it was saved', async (_, attributes) => {
    const document = vmDocument(vmId).replace(/<OS>.*<\/OS>/, `<OS>${attributes}</OS>`);
    await deployXenFile(document);
    for (const name of ['a', 'b'] as const) {
      await save();
      await restore(name, document);
      expect(await hosts.domains(name)).toEqual(['web-7: running']);
      expect(hosts.config(name, 'web-7')).toContain("kernel = '/boot/vmlinuz'");
      expect(hosts.config(name, 'web-7')).not.toMatch(/^type/m);
    }
  });

  it('without a document the configuration that the save left is used, and without both it is said', async () => {
    await deploy();
    await save();
    await expect(restore('b', undefined)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await restore('a', undefined);
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
  });

  it('an older checkpoint is replaced, and a link in its place is not followed', async () => {
    await deploy();
    writeFileSync(`${hosts.base}/victim`, 'precious');
    chmodSync(`${hosts.base}/victim`, 0o666);
    symlinkSync(`${hosts.base}/victim`, checkpoint());
    await save();
    expect(lstatSync(checkpoint()).isFile()).toBe(true);
    expect(readFileSync(`${hosts.base}/victim`, 'utf8')).toBe('precious');
  });

  it('a save that fails leaves the VM running and the older checkpoint as it was', async () => {
    await deploy();
    writeFileSync(checkpoint(), 'older');
    await hosts.turn('a', { saveFails: 'ENOSPC' });
    await expect(save()).rejects.toMatchObject({
      changed: 'rolled-back',
      message: expect.stringMatching(/runs on$/) as string,
    });
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
    expect(await hosts.active('a')).toEqual(disks);
    expect(readFileSync(checkpoint(), 'utf8')).toBe('older');
    expect(existsSync(`${checkpoint()}.cxm-new`)).toBe(false);
    expect(hosts.logged.join('\n')).toContain('may not watch it any more');
  });

  it('a checkpoint that the user can not write is found out and the guest goes on', async () => {
    await deploy();
    mkdirSync(`${checkpoint()}.cxm-new`);
    await expect(save()).rejects.toThrow();
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
  });

  it('a restore that fails leaves everything as it was', async () => {
    await deploy();
    await save();
    const before = hosts.config('a', 'web-7');
    const bytes = readFileSync(checkpoint());
    writeFileSync(checkpoint(), 'rubbish');
    await expect(restore('a', vmDocument(vmId))).rejects.toMatchObject({ changed: 'rolled-back' });
    expect(await hosts.domains('a')).toEqual([]);
    expect(await hosts.active('a')).toEqual([]);
    expect(hosts.hasAutostart('a', 'web-7')).toBe(false);
    expect(hosts.config('a', 'web-7')).toBe(before);
    writeFileSync(checkpoint(), bytes);
    await restore('a', vmDocument(vmId));
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
  });

  it('a checkpoint that is missing, or a link to what the user can not read, is refused', async () => {
    await deploy();
    await hosts.manager('a').cancel({ vmId, deployId: 'web-7' });
    await expect(restore('a', vmDocument(vmId))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    if (process.geteuid?.() === 0) {
      symlinkSync('/etc/shadow', checkpoint());
      await expect(restore('a', vmDocument(vmId))).rejects.toThrow(/could not be moved|Permission denied/);
    }
    await expectNothing('a');
  });

  it('a VM that runs already is not restored a second time', async () => {
    await deploy();
    await restore('a', vmDocument(vmId));
    expect(await hosts.guest('a', 'web-7')).toMatchObject({ moves: 0 });
  });

  it('keeps the name it was saved with when the VM was renamed since', async () => {
    await deploy();
    await save();
    expect(await restore('b', vmDocument(vmId, 'shop'))).toEqual({ deployId: 'web-7' });
  });
});

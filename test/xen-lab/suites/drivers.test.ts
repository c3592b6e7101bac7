/**
 * What users of OpenNebula 7.x ask for, on real Xen: oned's sequences through the real actions, with
 * a guest that says itself whether it was started anew, goes on, or has lost what it wrote. One VM goes through its life,
 * so the tests of a group follow each other.
 */
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { actionMessage } from '../../../src/sandbox/one/documents.ts';
import { lab } from '../../lab/lab.ts';
import { expectAt, expectNothing } from '../expectations.ts';
import { guestAnswers, guestCounts, guestsOn, makeGuestArchive, makeGuestImage, noGuestOn } from '../guest.ts';
import { imageRecord, layout, nicRecord, startCloud, vmRecord, type Cloud } from '../one.ts';
import { toolstackOn } from '../toolstack.ts';
import { Witness } from '../witness.ts';

const [archive, raw] = [
  imageRecord(0, 'archive', { size: '96M', fileSystemType: 'ext4' }),
  imageRecord(1, 'raw', { sizeMb: 64 }),
];
let cloud: Cloud;

beforeAll(() => {
  cloud = startCloud();
  makeGuestArchive(archive.source);
  makeGuestImage(raw.source, 64);
  cloud.one.register(archive);
  cloud.one.register(raw);
});

describe('a VM from an archive', () => {
  const [id, address, name] = [7, '10.77.0.107', 'one-7'];
  const volumes = ['lv-one-7-0', 'lv-one-7-1'];
  const guest = new Witness(address);

  test('boots from what arrived, and sees its contextualisation', async () => {
    cloud.one.allocate(vmRecord(id, archive, address));
    await cloud.one.deploy(id, 'node1');
    await guest.begins();
    expect(await guestAnswers(address, 'context')).toContain("HOSTNAME='guest7'");
    await expectAt('node1', name, volumes);
    const [disk] = await lab.logicalVolumes('node1');
    expect(disk).toMatchObject({ sizeBytes: 96 * 1024 ** 2 });
    expect(disk?.tags).toEqual(expect.arrayContaining(['cxm', 'cxm_vm=7', 'cxm_disk=0', 'cxm_image=0']));
  });

  test('is seen by poll and by the probes of 7.x', async () => {
    expect((await cloud.one.poll(id)).stdout).toMatch(/^STATE=a USEDMEMORY=131072 NETRX=\d+ NETTX=\d+\n$/);
    const probed = await cloud.caller.probe('node1', 'cxm-probes.d/vm/status/cxm-status');
    expect(probed.stdout).toContain('ID="7"');
    expect(probed.stdout).toContain('STATE="RUNNING"');
  });

  test('reboots when told, and when reset', async () => {
    await cloud.one.reboot(id);
    await guest.startedAnew();
    await cloud.caller.machine('node1', 'reset', [name, 'node1', String(id), 'node1'], '');
    await guest.startedAnew();
    await expectAt('node1', name, volumes);
  });

  test('migrates live', async () => {
    await cloud.one.migrateLive(id, 'node2');
    await guest.goesOn();
    await expectAt('node2', name, volumes);
  });

  test('goes on after suspend and resume', async () => {
    await cloud.one.suspend(id);
    expect(await guestsOn('node2')).toEqual([]);
    expect((await lab.logicalVolumes('node2')).map(({ active }) => active)).toEqual([false, false]);
    await cloud.one.resume(id);
    await guest.goesOn();
    await expectAt('node2', name, volumes);
  });

  test('goes on on another node after it was stopped, its disks and memory on the frontend meanwhile', async () => {
    await cloud.one.stop(id);
    expect(await lab.logicalVolumes('node1')).toEqual([]);
    await cloud.one.deploy(id, 'node1');
    await guest.goesOn();
    await expectAt('node1', name, volumes);
  });

  test('gets and loses a disk and a NIC while it runs', async () => {
    await cloud.one.attachDisk(id, { diskId: 2, target: 'xvdc', sizeMb: 16, volatile: 'fs' });
    await expectAt('node1', name, [...volumes, 'lv-one-7-2']);
    await cloud.one.attachNic(id, nicRecord(1, '10.77.0.117'));
    expect(await lab.output('node1', `xl network-list ${name} | wc -l`)).toBe('3');
    await cloud.one.detachNic(id, 1);
    expect(await lab.output('node1', `xl network-list ${name} | wc -l`)).toBe('2');
    await cloud.one.detachDisk(id, 2);
    await expectAt('node1', name, volumes);
    await guest.goesOn();
  });

  test('is saved as an image while it runs, and a VM boots from that image', async () => {
    const saved = await cloud.one.saveAs(id, 0, 'saved');
    expect(statSync(saved).size).toBeLessThan(16 * 1024 ** 2);
    await guest.goesOn();
    const image = cloud.one.records().images.find(({ source }) => source === saved);
    if (image === undefined) throw new Error('the image was not registered');
    cloud.one.allocate(vmRecord(8, image, '10.77.0.108'));
    await cloud.one.deploy(8, 'node2');
    expect(await guestCounts('10.77.0.108')).toBeGreaterThan(0);
    await cloud.one.terminate(8);
    await noGuestOn('node2');
    rmSync(saved);
  });

  /** Of a VM that is off. */
  async function counterOnDisk(): Promise<number> {
    const show = `debugfs -R 'cat /www/counter' /dev/VG0/lv-one-7-0 2>/dev/null`;
    const read = `lvchange -ay VG0/lv-one-7-0 && ${show}; lvchange -an VG0/lv-one-7-0`;
    return Number(await lab.output('node1', read));
  }

  test('starts anew after it was powered off, with what it wrote, and goes back to a snapshot of its disk', async () => {
    const disk = `node1:${layout.datastores}/0/${id}/disk.0`;
    const snapshot = (action: string) => cloud.caller.transfer(action, [disk, '1', String(id), '1']);
    await cloud.one.poweroff(id);
    expect(await guestsOn('node1')).toEqual([]);
    await snapshot('snap_create');
    const counted = await counterOnDisk();
    await cloud.one.resume(id);
    await guest.startedAnew();
    await expectAt('node1', name, volumes);
    await cloud.one.poweroff(id);
    expect(await counterOnDisk()).toBeGreaterThan(counted);
    await snapshot('snap_revert');
    expect(await counterOnDisk()).toBe(counted);
    await snapshot('snap_delete');
    expect((await lab.logicalVolumes('node1')).map((volume) => volume.name)).toEqual(volumes);
    await cloud.one.resume(id);
    await guest.begins();
  });

  test('starts anew on another node after it was undeployed, with what it wrote', async () => {
    await cloud.one.undeploy(id);
    expect(await lab.logicalVolumes('node1')).toEqual([]);
    await cloud.one.deploy(id, 'node2');
    await guest.startedAnew();
    await expectAt('node2', name, volumes);
  });

  test('is terminated, and nothing is left', async () => {
    await cloud.one.terminate(id);
    await expectNothing();
  });
});

describe('a VM from a raw image', () => {
  const [id, address, name] = [9, '10.77.0.109', 'one-9'];
  const volumes = ['lv-one-9-0', 'lv-one-9-1'];
  const guest = new Witness(address);

  test('boots, and goes on after a cold migration', async () => {
    cloud.one.allocate(vmRecord(id, raw, address));
    await cloud.one.deploy(id, 'node2');
    await guest.begins();
    await cloud.one.migrateCold(id, 'node1');
    await guest.goesOn();
    await expectAt('node1', name, volumes);
    expect(await lab.output('node2', 'ls /etc/xen/vm /etc/xen/auto')).not.toContain(name);
  });

  test('that the cluster has moved is made known to OpenNebula by the hook', async () => {
    const devices = volumes.map((volume) => `VG0/${volume}`).join(' ');
    await lab.node('node1', `mkdir -p /etc/cxm && echo 'ONE_HOST="frontend"' > /etc/cxm/cxmrc`);
    await lab.node('node2', `lvchange -ay ${devices}`);
    const config = await lab.output('node1', `cat /etc/xen/vm/${name}`);
    await lab.node('node2', `cat > /etc/xen/vm/${name}`, { input: `${config}\n` });
    await lab.node('node1', `xl migrate ${name} node2 && lvchange -an ${devices}`);
    const hook = lab.node('node1', `/usr/local/sbin/one-migrate ${name} node1 node2`, { timeoutMs: 300_000 });
    const asked = join(layout.one, 'one-calls.txt');
    const calls = (): string => (existsSync(asked) ? readFileSync(asked, 'utf8') : '');
    await expect.poll(calls, { timeout: 120_000 }).toContain(`onevm migrate --live ${id} node2`);
    await cloud.one.migrateLive(id, 'node2');
    await hook;
    expect(cloud.one.vm(id).history.at(-1)).toBe('node2');
    await guest.goesOn();
    await expectAt('node2', name, volumes);
    expect(await lab.output('node1', 'ls -A /etc/xen/auto')).not.toContain(name);
    // A cluster keeps it in a directory that all nodes share; who moves a VM by hand takes it away by hand.
    await lab.node('node1', `rm /etc/xen/vm/${name}`);
  });

  test('gets less memory and a larger disk while it runs', async () => {
    const row = await toolstackOn('node2').find(name);
    const message = actionMessage({ ...cloud.one.vm(id), memoryMb: 120 }, cloud.one.records().images, {
      host: 'node2',
    });
    await cloud.caller.machine('node2', 'resize', [name, String(id), 'node2'], message);
    const memory = async (): Promise<number | undefined> => (await toolstackOn('node2').find(name))?.memoryMib;
    await expect.poll(memory, { timeout: 60_000 }).toBe(120);
    await cloud.caller.transfer('resize', [`node2:${layout.datastores}/0/${id}/disk.0`, '96', String(id), '1']);
    const words = [name, '0', '96', Buffer.from(message).toString('base64'), 'node2', String(id), 'node2'];
    await cloud.caller.machine('node2', 'resize_disk', words, message);
    const sectors = `xenstore-read /local/domain/0/backend/vbd/${row?.id}/51712/sectors`;
    await expect.poll(() => lab.output('node2', sectors), { timeout: 60_000 }).toBe(String((96 * 1024 ** 2) / 512));
    await guest.goesOn();
    await expectAt('node2', name, volumes);
  });

  test('that is deleted while it runs leaves nothing, and can be deleted again', async () => {
    const place = `node2:${layout.datastores}/0/${id}`;
    const remove = async (): Promise<void> => {
      await cloud.caller.machine('node2', 'cancel', [name, 'node2', String(id), 'node2'], '');
      await cloud.caller.transfer('delete', [`${place}/disk.0`, String(id), '1']);
      await cloud.caller.transfer('delete', [place, String(id), '0']);
    };
    await remove();
    await expectNothing();
    await remove();
  });
});

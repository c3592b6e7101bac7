/**
 * What OpenNebula 3.8 asks of its drivers, on real Xen: the recorded calls of one VM's life, made again (one-3.8.ts), and
 * a VM of a raw image that is deleted while it runs.
 */
import { execFileSync } from 'node:child_process';
import { rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { lab } from '../../lab/lab.ts';
import { oneadmin } from '../../lab/layout.ts';
import { expectAt, expectNothing } from '../expectations.ts';
import { guestAnswers, guestsOn, makeGuestArchive, makeGuestImage } from '../guest.ts';
import { configure38, One38, register38 } from '../one-3.8.ts';
import { Witness } from '../witness.ts';

const directory = join(oneadmin.home, 'datastores', String(lab.datastores.image));
const source = (image: number | string): string => join(directory, `image-${image}`);
const address = '10.77.0.111';
const rawAddress = '10.77.0.115';
/** VM 5 gets its system disk from a raw image. */
const one = new One38((vmId, image) => source(vmId === 5 && image === 0 ? 'raw' : image), {
  1: address,
  5: rawAddress,
});

beforeAll(async () => {
  await configure38();
  makeGuestArchive(source(0));
  makeGuestImage(source('raw'), 32);
  for (const image of [1, 2]) {
    writeFileSync(source(image), `image ${image}\n`);
    truncateSync(source(image), 8 * 1024 ** 2);
    execFileSync('chown', ['oneadmin:', source(image)]);
  }
  const archive = { size: '64M', fileSystemType: 'ext4' };
  register38({ id: 0, name: 'os1', source: source(0), sizeMb: 8, persistent: false, ...archive });
  register38({ id: 1, name: 'pers1', source: source(1), sizeMb: 8, persistent: true });
  register38({ id: 2, name: 'data1', source: source(2), sizeMb: 8, persistent: false });
});

describe('VM 1 of the recordings', () => {
  const name = 'probevm-1.oneadmin';
  const volumes = [0, 1, 4].map((disk) => `lv-one-1-${disk}`);
  const guest = new Witness(address);

  test('is made of an archive, a persistent image and context, and polled', async () => {
    const said = await one.scenario('vm-create-deploy');
    expect(said.find(({ call }) => call.action === 'deploy')?.stdout).toBe(`${name}\n`);
    expect(said.at(-1)?.stdout).toMatch(/^STATE=a USEDMEMORY=131072 NETRX=\d+ NETTX=\d+\n$/);
    await guest.begins();
    expect(await guestAnswers(address, 'context')).toContain("HOSTNAME='probe1'");
    await expectAt('node1', name, volumes);
  });

  test('is rebooted and reset', async () => {
    await one.scenario('reboot');
    await guest.startedAnew();
    await one.scenario('reset');
    await guest.startedAnew();
  });

  test('goes on after suspend and resume', async () => {
    await one.scenario('suspend');
    expect(await guestsOn('node1')).toEqual([]);
    await one.scenario('resume-from-suspended');
    await guest.goesOn();
    await expectAt('node1', name, volumes);
  });

  test('goes on on another host after stop and resume through the frontend', async () => {
    await one.scenario('stop');
    expect(await lab.logicalVolumes('node1')).toEqual([]);
    await one.scenario('resume-from-stopped');
    await guest.goesOn();
    await expectAt('node2', name, volumes);
  });

  test('starts anew after poweroff and restart', async () => {
    await one.scenario('poweroff');
    expect(await guestsOn('node2')).toEqual([]);
    await one.scenario('restart-from-poweroff');
    await guest.startedAnew();
  });

  test('goes on after a cold migration, and leaves no configuration behind', async () => {
    await one.scenario('migrate-cold-host02-to-host01');
    await guest.goesOn();
    await expectAt('node1', name, volumes);
    expect(await lab.output('node2', 'ls /etc/xen/vm /etc/xen/auto')).not.toContain(name);
  });

  test('goes on after a live migration, of which 3.8 names the destination first', async () => {
    await one.scenario('livemigrate-host01-to-host02');
    await guest.goesOn();
    await expectAt('node2', name, volumes);
  });

  test('gets and loses a disk of an image, and gets a volatile one', async () => {
    await one.scenario('disk-attach-image');
    await expectAt('node2', name, [...volumes, 'lv-one-1-5']);
    await one.scenario('disk-detach-image');
    await expectAt('node2', name, volumes);
    await one.scenario('disk-attach-volatile');
    await expectAt('node2', name, [...volumes, 'lv-one-1-5']);
    await guest.goesOn();
  });

  test('is shut down: the disk to be saved becomes an image, the persistent one goes back, nothing else is left', async () => {
    await one.scenario('shutdown-with-saveas-and-persistent');
    const counter = execFileSync('tar', ['-xOf', source(4), './www/counter'], { encoding: 'utf8' });
    expect(Number(counter)).toBeGreaterThan(guest.number);
    await expectNothing();
  });
});

test('a VM of a raw image that is deleted while it runs, by both drivers at once, leaves nothing', async () => {
  await one.scenario('delete-running', ({ sequence }) => sequence <= 140);
  await guestAnswers(rawAddress);
  await one.together('delete-running', ({ sequence }) => sequence > 140);
  await expectNothing();
});

test('an error is worded with the marks of 3.8, and leaves nothing', async () => {
  rmSync(source(0));
  await expect(one.scenario('fail-clone')).rejects.toThrow(
    /ERROR MESSAGE --8<-{6}\n.*image-0.*\nERROR MESSAGE -{6}>8--/,
  );
  await expectNothing();
});

/** The short form, for every change: a VM from an archive, its live migration, its end. */
import { expect, test } from 'vitest';
import { expectAt, expectNothing } from '../expectations.ts';
import { askGuest, guestAnswers, guestCounts, makeGuestArchive } from '../guest.ts';
import { imageRecord, startCloud, vmRecord } from '../one.ts';

test('a VM of an archive boots, migrates live without losing a number, and is terminated without a trace', async () => {
  const [id, address, name] = [7, '10.77.0.107', 'one-7'];
  const volumes = ['lv-one-7-0', 'lv-one-7-1'];
  const { one } = startCloud();
  const archive = imageRecord(0, 'archive', { size: '64M', fileSystemType: 'ext4' });
  makeGuestArchive(archive.source);
  one.register(archive);
  one.allocate(vmRecord(id, archive, address));
  await one.deploy(id, 'node1');
  const boot = await guestAnswers(address);
  const counted = await guestCounts(address);
  await expectAt('node1', name, volumes);
  await one.migrateLive(id, 'node2');
  await guestCounts(address, counted);
  expect(await askGuest(address, 'boot')).toBe(boot);
  await expectAt('node2', name, volumes);
  await one.terminate(id);
  await expectNothing();
});

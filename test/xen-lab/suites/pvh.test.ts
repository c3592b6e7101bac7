/** A PVH guest through its life: the processor that QEMU emulates has SVM, so Xen runs one on shadow page tables. */
import { expect, test } from 'vitest';
import { expectAt, expectNothing } from '../expectations.ts';
import { guestInitramfs, guestKernel, makeGuestArchive } from '../guest.ts';
import { imageRecord, startCloud, vmRecord } from '../one.ts';
import { toolstackOn } from '../toolstack.ts';
import { Witness } from '../witness.ts';

const [id, address, name] = [7, '10.77.0.107', 'one-7'];
const volumes = ['lv-one-7-0', 'lv-one-7-1'];
const { one } = startCloud();
const guest = new Witness(address);

test('a PVH guest of an archive boots', async () => {
  const archive = imageRecord(0, 'archive', { size: '64M', fileSystemType: 'ext4' });
  makeGuestArchive(archive.source);
  one.register(archive);
  const os = { MACHINE: 'pvh', KERNEL: guestKernel, INITRD: guestInitramfs, ROOT: 'xvda', KERNEL_CMD: 'console=hvc0' };
  one.allocate(vmRecord(id, archive, address, { memoryMb: 128, os }));
  await one.deploy(id, 'node1');
  await guest.begins();
  await expectAt('node1', name, volumes);
  expect((await toolstackOn('node1').details(name))[0]).toMatchObject({ type: 'pvh' });
});

test('it migrates live, is suspended and resumed, and migrates cold', async () => {
  await one.migrateLive(id, 'node2');
  await guest.goesOn();
  await expectAt('node2', name, volumes);
  await one.suspend(id);
  await one.resume(id);
  await guest.goesOn();
  await one.migrateCold(id, 'node1');
  await guest.goesOn();
  await expectAt('node1', name, volumes);
});

test('it is terminated, and nothing is left', async () => {
  await one.terminate(id);
  await expectNothing();
});

/** What goes wrong on real Xen, and what the drivers make of it: the guest is where OpenNebula believes it, or nowhere. */
import { afterEach, beforeAll, expect, test } from 'vitest';
import { CallFailed, type CallResult } from '../../../src/sandbox/one/calls.ts';
import { lab } from '../../lab/lab.ts';
import { expectAt, expectNothing } from '../expectations.ts';
import { askGuest, guestAnswers, guestCounts, guestsOn, makeGuestArchive } from '../guest.ts';
import { imageRecord, layout, startCloud, vmRecord, type Cloud } from '../one.ts';

const archive = imageRecord(0, 'archive', { size: '64M', fileSystemType: 'ext4' });
const [id, address, name] = [7, '10.77.0.107', 'one-7'];
const volumes = ['lv-one-7-0', 'lv-one-7-1'];
let cloud: Cloud;

beforeAll(() => {
  cloud = startCloud();
  makeGuestArchive(archive.source);
  cloud.one.register(archive);
});
afterEach(async () => {
  await lab.start('node2');
});

async function failureOf(work: Promise<unknown>): Promise<CallResult> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof CallFailed) return error.result;
  throw new Error('it did not fail');
}

test('a guest whose kernel does not fit its memory is refused with that reason, and nothing of it stays on the host', async () => {
  cloud.one.allocate(vmRecord(id, archive, address, { memoryMb: 48 }));
  const { action, stderr } = await failureOf(cloud.one.deploy(id, 'node1'));
  expect(action).toBe('deploy');
  expect(stderr).toContain('its kernel does not fit');
  expect(await guestsOn('node1')).toEqual([]);
  expect(await lab.output('node1', 'ls -A /etc/xen/vm /etc/xen/auto | grep -v -e : -e ^$ || true')).toBe('');
  await cloud.one.terminate(id);
  await expectNothing();
});

test('a live migration to a node that is dead fails, and the guest goes on where it was', async () => {
  cloud.one.allocate(vmRecord(id, archive, address));
  await cloud.one.deploy(id, 'node1');
  const boot = await guestAnswers(address);
  const counted = await guestCounts(address);
  await lab.kill('node2');
  const { action } = await failureOf(cloud.one.migrateLive(id, 'node2'));
  expect(action).toBe('premigrate');
  await guestCounts(address, counted);
  expect(await askGuest(address, 'boot')).toBe(boot);
  expect(await guestsOn('node1')).toEqual([name]);
});

test('a node that loses power in the middle of a live migration: the guest goes on where it was', async () => {
  const boot = await guestAnswers(address);
  const counted = await guestCounts(address);
  const migration = failureOf(cloud.one.migrateLive(id, 'node2'));
  await expect.poll(() => guestsOn('node2'), { timeout: 120_000, interval: 200 }).toEqual([`${name}--incoming`]);
  await lab.kill('node2');
  expect((await migration).action).toBe('migrate');
  await guestCounts(address, counted);
  expect(await askGuest(address, 'boot')).toBe(boot);
  expect(await guestsOn('node1')).toEqual([name]);
});

test('and it can be migrated when the node is back', async () => {
  const counted = await guestCounts(address);
  await cloud.one.migrateLive(id, 'node2');
  await guestCounts(address, counted);
  await expectAt('node2', name, volumes);
});

test('a VM whose host has lost power does not leave it unseen, and starts there with what it wrote when the host is back', async () => {
  const counted = await guestCounts(address);
  const boot = await guestAnswers(address);
  await lab.kill('node2');
  const place = (host: string): string => `${host}:${layout.datastores}/0/${id}/disk.0`;
  const refused = await failureOf(cloud.caller.transfer('mv', [place('node2'), place('node1'), String(id), '1']));
  expect(refused.stderr).toContain('its host is out of reach: the VM may run there');
  await lab.start('node2');
  // Monitoring has found the VM off meanwhile.
  cloud.one.allocate({ ...cloud.one.vm(id), state: 'POWEROFF' });
  await cloud.one.resume(id);
  await guestCounts(address, counted);
  expect(await askGuest(address, 'boot')).not.toBe(boot);
  await expectAt('node2', name, volumes);
  await cloud.one.terminate(id);
  await expectNothing();
});

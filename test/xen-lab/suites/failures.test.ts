/**
 * What goes wrong on real Xen, step by step, and what the drivers make of it: afterwards the guest is where OpenNebula
 * believes it, or nowhere, and the error says why. One VM goes through all of it, so the tests follow each other.
 */
import { execFileSync } from 'node:child_process';
import { beforeAll, expect, test } from 'vitest';
import { CallFailed, type CallResult } from '../../../src/sandbox/one/calls.ts';
import type { VmRecord } from '../../../src/sandbox/one/records.ts';
import { lab } from '../../lab/lab.ts';
import { expectAt, expectNothing } from '../expectations.ts';
import { askGuest, guestsOn, makeGuestArchive } from '../guest.ts';
import { imageRecord, layout, nicRecord, startCloud, vmRecord, type Cloud } from '../one.ts';
import { Witness } from '../witness.ts';

const archive = imageRecord(0, 'archive', { size: '64M', fileSystemType: 'ext4' });
const [id, address, name] = [7, '10.77.0.107', 'one-7'];
const volumes = ['lv-one-7-0', 'lv-one-7-1'];
const directory = `${layout.datastores}/0/${id}`;
let cloud: Cloud;
const guest = new Witness(address);

beforeAll(() => {
  cloud = startCloud();
  makeGuestArchive(archive.source);
  cloud.one.register(archive);
});

/** oned has found the VM off, or a user has changed it meanwhile. */
function change(details: Partial<VmRecord>): void {
  cloud.one.allocate({ ...cloud.one.vm(id), ...details });
}

async function failureOf(work: Promise<unknown>): Promise<CallResult> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof CallFailed) return error.result;
  throw new Error('it did not fail', { cause: error });
}

/** The migration to node2 has begun to copy. The loop is on the node, where a look costs least. */
async function untilArriving(): Promise<void> {
  const loop = `until xl list | grep -q '^${name}--incoming '; do sleep 0.2; done`;
  await lab.node('node2', loop, { timeoutMs: 300_000 });
}

/** The connection of the action that runs, in this lab's own namespace. */
function endConnection(): void {
  execFileSync('pkill', ['-KILL', '-f', '^ssh .*bash -s$']);
}

test('a start that Xen refuses is refused with its reason, leaves nothing, and succeeds once the reason is gone', async () => {
  cloud.one.allocate(vmRecord(id, archive, address, { memoryMb: 48 }));
  const small = await failureOf(cloud.one.deploy(id, 'node1'));
  expect(small.action).toBe('deploy');
  expect(small.stderr).toContain('its kernel does not fit');
  const nothingLeft = async (): Promise<void> => {
    expect(await guestsOn('node1')).toEqual([]);
    expect(await lab.output('node1', 'ls -A /etc/xen/vm /etc/xen/auto | grep -v -e : -e ^$ || true')).toBe('');
    expect((await lab.logicalVolumes('node1')).filter(({ active }) => active)).toEqual([]);
  };
  await nothingLeft();
  const nic = nicRecord(0, address);
  change({ memoryMb: 96, nics: [{ ...nic, bridge: 'nobr' }], state: 'POWEROFF' });
  expect((await failureOf(cloud.one.resume(id))).stderr).toMatch(/bridge.*nobr|nobr.*bridge/);
  await nothingLeft();
  change({ nics: [nic], state: 'POWEROFF' });
  await cloud.one.resume(id);
  await guest.begins();
  await expectAt('node1', name, volumes);
});

test('a live migration to a node where the name is taken fails, and the guest goes on', async () => {
  await lab.node('node2', `cat > /root/namesake.cfg && xl create -q -p /root/namesake.cfg`, {
    input: `name = "${name}"\ntype = "pv"\nkernel = "/boot/guest-kernel"\nmemory = 96\n`,
  });
  expect((await failureOf(cloud.one.migrateLive(id, 'node2'))).stderr).toContain(`named ${name} runs on this host`);
  await lab.node('node2', `xl destroy ${name}`);
  await guest.goesOn();
  await expectAt('node1', name, volumes);
});

test('a live migration to a node without the bridge fails with that reason, and the guest goes on', async () => {
  await lab.node('node1', 'ip link add br1 type bridge && ip link set br1 up');
  await cloud.one.attachNic(id, { ...nicRecord(1, '10.77.0.117'), bridge: 'br1' });
  const { action, stderr } = await failureOf(cloud.one.migrateLive(id, 'node2'));
  expect(action).toBe('migrate');
  expect(stderr).toMatch(/br1.*runs on here/);
  await guest.goesOn();
  await cloud.one.detachNic(id, 1);
  await expectAt('node1', name, volumes);
});

test('a frontend that dies in the middle of a live migration leaves the guest in one place, where it can be told', async () => {
  const migration = failureOf(cloud.one.migrateLive(id, 'node2'));
  await untilArriving();
  endConnection();
  expect((await migration).action).toBe('migrate');
  const rows = async (): Promise<string> =>
    (await Promise.all([guestsOn('node1'), guestsOn('node2')])).join(' ').trim();
  await expect.poll(rows, { timeout: 120_000 }).toBe(name);
  await guest.goesOn();
  await cloud.one.migrateLive(id, 'node2');
  await guest.goesOn();
  await expectAt('node2', name, volumes);
  await cloud.one.migrateLive(id, 'node1');
  await expectAt('node1', name, volumes);
});

test('a suspend without room for the memory fails, and the guest goes on', async () => {
  await lab.node('node1', `mount -t tmpfs -o size=16m,uid=9869,gid=9869 tmpfs ${directory}`);
  const { stderr } = await failureOf(cloud.one.suspend(id));
  await lab.node('node1', `umount ${directory}`);
  expect(stderr).toMatch(/MiB left, but the VM needs .* MiB/);
  await guest.goesOn();
  await expectAt('node1', name, volumes);
});

test('a resume without memory for the guest fails, keeps what was saved, and succeeds when there is some', async () => {
  await cloud.one.suspend(id);
  // xl keeps some for itself: what is left of it is too little for the guest.
  const free = Number(await lab.output('node1', 'xl info | awk \'$1 == "free_memory" {print $3}\''));
  await lab.node('node1', `cat > /root/big.cfg && xl create -q -p /root/big.cfg`, {
    input: `name = "big"\ntype = "pv"\nkernel = "/boot/guest-kernel"\nmemory = ${free - 64}\n`,
  });
  expect((await failureOf(cloud.one.resume(id))).stderr).toMatch(/free memory on this host/);
  expect(await guestsOn('node1')).toEqual(['big']);
  expect(await lab.output('node1', `ls ${directory}`)).toMatch(/^checkpoint$/m);
  expect((await lab.logicalVolumes('node1')).filter(({ active }) => active)).toEqual([]);
  await lab.node('node1', 'xl destroy big');
  await cloud.one.resume(id);
  await guest.goesOn();
  await expectAt('node1', name, volumes);
});

test('a node that loses power in the middle of a live migration to it, and one that is dead: the guest goes on where it was', async () => {
  const migration = failureOf(cloud.one.migrateLive(id, 'node2'));
  await untilArriving();
  await lab.kill('node2');
  expect((await migration).action).toBe('migrate');
  await guest.goesOn();
  expect(await guestsOn('node1')).toEqual([name]);
  expect((await failureOf(cloud.one.migrateLive(id, 'node2'))).action).toBe('premigrate');
  await guest.goesOn();
  expect(await guestsOn('node1')).toEqual([name]);
  await lab.start('node2');
});

test('a host that loses power in the middle of a live migration: what has arrived never runs, and the VM starts where it was', async () => {
  const migration = failureOf(cloud.one.migrateLive(id, 'node2'));
  await untilArriving();
  await lab.kill('node1');
  // oned's own connection would wait for hours.
  endConnection();
  await migration;
  const place = (host: string): string => `${host}:${directory}/disk.0`;
  const refused = await failureOf(cloud.caller.transfer('mv', [place('node1'), place('node2'), String(id), '1']));
  expect(refused.stderr).toContain('its host is out of reach: the VM may run there');
  expect((await guestsOn('node2')).filter((row) => row !== `${name}--incoming`)).toEqual([]);
  expect(await askGuest(address, 'boot')).toBeUndefined();
  await lab.start('node1');
  change({ state: 'POWEROFF' });
  await cloud.one.resume(id);
  await guest.startedAnew();
  expect(await guestsOn('node1')).toEqual([name]);
  expect((await guestsOn('node2')).filter((row) => row !== `${name}--incoming`)).toEqual([]);
});

test('a guest that does not listen to a poweroff is ended after SHUTDOWN_TIMEOUT', async () => {
  await lab.node('node1', `echo 'SHUTDOWN_TIMEOUT="10"' >> /var/tmp/one/etc/cxm/cxmrc; xl pause ${name}`);
  await cloud.one.poweroff(id);
  expect(cloud.calls.at(-1)?.stderr).toMatch(/it is destroyed/);
  expect(await guestsOn('node1')).toEqual([]);
  await cloud.one.terminate(id);
  // What the source that lost power has left at the destination of its migration: nobody was there to take it back.
  await lab.node('node2', `xl list | awk '$1 ~ /--incoming$/ {print $1}' | xargs -r -n 1 xl destroy`);
  await lab.node('node2', `lvchange -qq -an VG0 || true; rm -f /etc/xen/vm/${name}`);
  await expectNothing();
});

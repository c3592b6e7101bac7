/**
 * cxmd on real LVM: two nodes with one volume group and a heartbeat disk, a VM that OpenNebula's drivers deploy, and power
 * that the test takes away. The VM counts on its volume and acknowledges each number when it is durable there, so the
 * volume itself tells, after everything that happens to it, what was lost and who wrote.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { both, cxm, cxmOk, only, other, places, placesOn } from '../xen-lab/core.ts';
import { imageRecord, layout, startCloud, vmRecord, type Cloud } from '../xen-lab/one.ts';
import { counterGuest, CounterWitness, installCounterGuest } from './counter-witness.ts';
import {
  bringBack,
  channels,
  daemonLogs,
  endDaemon,
  Fencer,
  installDaemons,
  known,
  settled,
  startDaemon,
  timerSeconds,
} from './daemons.ts';
import { lab } from './lab.ts';
import { oneadmin, type NodeName } from './layout.ts';

const [id, name, address] = [7, 'one-7', '10.77.0.107'];
const configuration = `/etc/xen/vm/${name}`;
/** Disk and context: names of volumes that are active where the VM runs. */
const volumes = ['lv-one-7-0', 'lv-one-7-1'];
const counter = new CounterWitness('lv-one-7-0');

let fencer: Fencer;
let cloud: Cloud;

beforeAll(async () => {
  await lab.reset();
  for (const node of both) {
    const knobs = JSON.stringify({ ignoreMissingKernel: true, acknowledgeTimeoutMs: 1000, guestProgram: counterGuest });
    await lab.node(node, 'mkdir -p /var/lib/xl-simulated && cat > /var/lib/xl-simulated/knobs.json', { input: knobs });
    await lab.node(node, 'mkdir -p /etc/cxm && cat > /etc/cxm/cxmrc', { input: 'ONE_HOST="frontend"\n' });
  }
  await installCounterGuest(...both);
  await counter.listen();
  fencer = new Fencer();
  await installDaemons('POST_MIGRATION_HOOK = "/usr/local/sbin/one-migrate"\n', [`${address} ${name}`]);
  cloud = startCloud();
  await Promise.all(both.map(startDaemon));
});

afterEach(async (context) => {
  if (context.task.result?.state === 'fail') process.stderr.write(await daemonLogs(name));
});

afterAll(async () => {
  for (const node of both.filter((one) => lab.isRunning(one))) await endDaemon(node);
  fencer.close();
  counter.close();
  await lab.reset();
  for (const node of both) await lab.node(node, 'rm -rf /etc/xen/cxm.conf /etc/cxm; dmsetup remove heartbeat || true');
});

/** It runs there and nowhere else, and so do its volumes, in the guest's hands. */
async function expectAt(node: NodeName): Promise<void> {
  const here = { guests: [name], active: volumes };
  expect(await places()).toEqual({ [node]: here, [other(node)]: only() });
  expect((await lab.logicalVolumes(node)).map(({ open }) => open)).toEqual([true, true]);
  expect(await lab.deviceMapper(other(node))).toEqual(['heartbeat']);
}

/** A directory that all nodes share, or whoever copies its files, brings the configuration to the other node. */
async function shareConfiguration(from: NodeName): Promise<void> {
  await lab.node(from, `scp -q ${configuration} ${other(from)}:${configuration} && ssh ${other(from)} sync`);
}

/** One row a stretch: on which nodes it was written, in order. */
async function writersOn(node: NodeName): Promise<readonly string[]> {
  return (await counter.history(node)).map((stretch) => stretch.node);
}

/**
 * Something happens to the node with the VM, until which everything it has acknowledged counts. Then it must be without
 * power before the other one starts the VM, and may not have written since.
 */
async function expectFailover(victim: NodeName, happens: () => Promise<void> | void): Promise<void> {
  const heir = other(victim);
  const before = await writersOn(victim);
  const fencings = fencer.fenced.length;
  await counter.countsOn(victim);
  await happens();
  const { last } = counter;
  const first = await counter.countsOn(heir, 90_000);
  const writers = [...before, heir];
  // One that should be off and is not wakes at some time, and goes on writing.
  if (lab.isRunning(victim)) lab.cont(victim);
  await sleep(1000);
  expect(await writersOn(heir)).toEqual(writers);
  const [fencing, ...more] = fencer.fenced.slice(fencings);
  expect([fencing?.node, more]).toEqual([victim, []]);
  expect(first.atMs).toBeGreaterThan(fencing?.offMs ?? Infinity);
  expect(first.number).toBeGreaterThan(last);
  expect(await placesOn(heir)).toEqual({ guests: [name], active: volumes });
  expect(await settled([heir])).toBe(heir);
  await bringBack(victim);
  await counter.countsOn(heir);
  await expectAt(heir);
  expect(await writersOn(heir)).toEqual(writers);
  await known(name, heir);
}

describe('two nodes with one volume group', () => {
  test('join, agree on one master, and see each other on the network and on the disk', async () => {
    const master = await settled();
    await expect.poll(() => channels(master), { timeout: 30_000 }).toEqual(['ok ok', 'ok ok']);
    expect(await cxmOk('node1', 'check')).toContain('No problems');
  });

  test('a VM of OpenNebula has its volumes on its host alone, and neither driver nor cxm brings it elsewhere', async () => {
    const host = await settled();
    const image = imageRecord(0, 'counter', { sizeMb: 64 });
    execFileSync('truncate', ['-s', '64M', image.source]);
    execFileSync('chown', [`${oneadmin.uid}:${oneadmin.gid}`, image.source]);
    cloud.one.register(image);
    // The nodes have no bridge; what the guest has of a network is its program's own.
    cloud.one.allocate(vmRecord(id, image, address, { nics: [] }));
    await cloud.one.deploy(id, host);
    await counter.countsOn(host);
    await expectAt(host);
    const elsewhere = other(host);
    const file = join(layout.datastores, '0', String(id), 'deployment.1');
    const { stdout: document } = await lab.frontend(['onevm', 'show', '-x', String(id)]);
    const deployed = cloud.caller.machine(elsewhere, 'deploy', [file, elsewhere, String(id), elsewhere], document);
    await expect(deployed).rejects.toThrow(`${name} is running on ${host}`);
    await shareConfiguration(host);
    for (const [line, reason] of [
      [`create ${name} -f ${elsewhere}`, `${name} runs on ${host} already`],
      [`activate ${name} -f ${elsewhere}`, `${name} is running on ${host}`],
    ] as const) {
      const { exitCode, stderr } = await cxm(elsewhere, line);
      expect([line, exitCode, stderr]).toEqual([line, 2, expect.stringContaining(reason)]);
    }
    await counter.countsOn(host);
    await expectAt(host);
    expect(await writersOn(host)).toEqual([host]);
  });

  test('cxm moves it alive to the other node, and one-migrate tells OpenNebula', async () => {
    const source = await settled();
    const destination = other(source);
    await cxmOk(destination, `migrate ${name} ${destination}`);
    await counter.countsOn(destination);
    await expectAt(destination);
    const [here, there, ...more] = await counter.history(destination);
    expect([here?.node, there?.node, more]).toEqual([source, destination, []]);
    expect(there?.boot).toBe(here?.boot);
    const calls = join(oneadmin.home, 'one-calls.txt');
    const told = (): string => (existsSync(calls) ? readFileSync(calls, 'utf8') : '');
    await expect.poll(told, { timeout: 60_000 }).toContain(`onevm migrate --live ${id} ${destination}`);
    await cloud.one.migrateLive(id, destination);
    const hooks = (): Promise<string> => lab.output(source, 'pgrep -f "[s]bin/one-migrate" || true');
    await expect.poll(hooks, { timeout: 60_000 }).toBe('');
    expect(cloud.one.vm(id).history.at(-1)).toBe(destination);
    await counter.countsOn(destination);
    await expectAt(destination);
    expect(fencer.fenced).toEqual([]);
  });
});

describe('a node with a VM that writes', () => {
  test('loses power as a member: nothing it has acknowledged is lost, and the other one goes on alone', async () => {
    const victim = other(await settled());
    await shareConfiguration(victim);
    await known(name, victim);
    await expectFailover(victim, () => lab.kill(victim));
  });

  test('loses power as the master: the same, after the other one has taken the office over', async () => {
    const victim = await settled();
    await expectFailover(victim, () => lab.kill(victim));
  });

  test('freezes for a moment, though it is the master: nobody is fenced, and it goes on', async () => {
    const victim = await settled();
    const before = await counter.history(victim);
    const fencings = fencer.fenced.length;
    lab.stop(victim);
    await sleep((timerSeconds + 1) * 1000);
    lab.cont(victim);
    await counter.countsOn(victim);
    await settled();
    await expectAt(victim);
    expect(fencer.fenced.slice(fencings)).toEqual([]);
    expect(await counter.history(victim)).toMatchObject(before.map(({ node, boot }) => ({ node, boot })));
  });

  test('freezes for good: it is off before the other one starts the VM, so that it never wakes', async () => {
    const victim = await settled();
    await expectFailover(victim, () => lab.stop(victim));
  });
});

/**
 * cxmd on real Xen: two nodes with a heartbeat disk on their SAN, whose power and networks the tests take away. What the
 * guests say of themselves is believed, and what xl and LVM show, not what cxmd says.
 *
 * The fence command asks the test to take the power; a node that is off stays so until the test starts it again.
 */
import { createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { NodeReport, StatusReport } from '../../../src/ha/daemon/view.ts';
import { lab } from '../../lab/lab.ts';
import { frontendAddress, nodeLayout, nodeNames, type NodeName } from '../../lab/layout.ts';
import { both, cxmOk, only, other, places, placesOn, prepareNodes } from '../core.ts';
import { expectAt } from '../expectations.ts';
import { makeGuestArchive } from '../guest.ts';
import { imageRecord, startCloud, vmRecord } from '../one.ts';
import { configure, makeGuestVolume } from '../toolstack.ts';
import { Witness } from '../witness.ts';

const web = { name: 'web', disk: '/dev/VG0/web', address: '10.77.0.101' };
const db = { name: 'db', disk: '/dev/VG0/db', address: '10.77.0.102' };
const [webGuest, dbGuest] = [new Witness(web.address), new Witness(db.address)];

const fencerPort = 4242;
const pidFile = '/run/cxmd.pid';
/** An emulated node is slow, and must not count as lost for that. */
const timerSeconds = 6;
const patience = { timeout: 300_000, interval: 2000 };

const conf = (more = ''): string => `CLUSTER_NAME = "lab"
ALLOWED_NODES = ['node1', 'node2']
NODE_ADDRESSES = [${both.map((node) => `'${node}=${nodeLayout(node).address}'`).join(', ')}]
HB_DISK = "/dev/mapper/heartbeat"
FENCE_CMD = "/root/fence"
FENCE_TIMEOUT = 120
TIMER = ${timerSeconds}
SHUTDOWN_TIMEOUT = 60
CONNECT_TIMEOUT = 20
${more}`;
const programs = {
  '/root/fence': `#!/bin/bash
exec 3<>/dev/tcp/${frontendAddress}/${fencerPort} && echo "$1" >&3 && read -r said <&3 && [ "$said" = off ]
`,
};
/** The end of the shared disk belongs to no volume group: the heartbeat disk lies there. */
const [groupMib, heartbeatAtMib, heartbeatMib] = [4000, 4088, 8];
const heartbeatDisk = `0 ${heartbeatMib * 2048} linear /dev/vdb ${heartbeatAtMib * 2048}`;

/** Nodes whose power was taken on cxmd's word, in order. */
const fenced: NodeName[] = [];
let fencer: Server;

beforeAll(async () => {
  await lab.reset();
  await prepareNodes(conf(), programs);
  await lab.node('node1', `pvresize -qq -y --setphysicalvolumesize ${groupMib}M /dev/vdb`);
  const key = await lab.output('node1', 'head -c 32 /dev/urandom | base64');
  const names = [web, db].map(({ name, address }) => `${address} ${name}`).join('\n');
  for (const node of both) {
    await lab.node(node, '(umask 077; cat > /etc/xen/cxmd.key)', { input: `${key}\n` });
    await lab.node(node, 'cat >> /etc/hosts', { input: `${names}\n` });
  }
  fencer = createServer((connection) => {
    connection.on('error', () => undefined);
    connection.once('data', (line) => {
      const node = nodeNames.find((name) => name === line.toString().trim());
      if (node === undefined) return void connection.end('unknown\n');
      fenced.push(node);
      void lab.kill(node).then(() => connection.end('off\n'));
    });
  }).listen(fencerPort, frontendAddress);
  for (const guest of [web, db]) {
    await makeGuestVolume('node1', guest.name);
    await lab.node('node1', `lvchange -an VG0/${guest.name}`);
    for (const node of both) await configure(node, guest);
  }
  for (const node of both) await attachHeartbeatDisk(node);
  await lab.node('node1', 'cxmd_ctl --format --yes');
  await Promise.all(both.map(startDaemon));
});

afterAll(() => fencer.close());

/** As the boot of a node does it: lost with its power. */
async function attachHeartbeatDisk(node: NodeName): Promise<void> {
  await lab.node(node, `DM_DISABLE_UDEV=1 dmsetup create heartbeat --table '${heartbeatDisk}'`);
}

async function startDaemon(node: NodeName): Promise<void> {
  const line = `echo $$ > ${pidFile}; exec cxmd >> /var/log/cxmd.log 2>&1 < /dev/null`;
  await lab.node(node, `setsid -f sh -c '${line}'`);
}

async function signalDaemon(node: NodeName, signal: 'TERM' | 'HUP'): Promise<void> {
  await lab.node(node, `kill -${signal} "$(cat ${pidFile})"`);
}

async function endDaemon(node: NodeName): Promise<void> {
  await signalDaemon(node, 'TERM');
  await lab.node(node, `while kill -0 "$(cat ${pidFile})" 2>/dev/null; do sleep 0.5; done`);
}

async function ask<T>(node: NodeName, words: string): Promise<T | undefined> {
  const { exitCode, stdout } = await lab.node(node, `cxmd_ctl ${words} --json`, { okExitCodes: 'any' });
  return exitCode === 0 ? (JSON.parse(stdout) as T) : undefined;
}

const statusOf = (node: NodeName): Promise<StatusReport | undefined> => ask<StatusReport>(node, '--status');

/** Waits until these are members, in state normal, and agree on a master; who that is. */
async function settled(nodes: readonly NodeName[] = both): Promise<NodeName> {
  let master: string | undefined;
  const agree = async (): Promise<boolean> => {
    const all = await Promise.all(nodes.map(statusOf));
    master = all[0]?.master;
    return master !== undefined && all.every((one) => one?.isMember && one.state === 'normal' && one.master === master);
  };
  await expect.poll(agree, patience).toBe(true);
  return master as NodeName;
}

/** Waits until a node's slot tells of the VM: what is not in it is not started elsewhere. */
async function known(vm: string, node: NodeName): Promise<void> {
  const told = async (): Promise<readonly string[] | undefined> =>
    (await ask<readonly NodeReport[]>(other(node), '--list-nodes'))?.find(({ name }) => name === node)?.vms;
  await expect.poll(told, patience).toContain(vm);
  await sleep(2 * timerSeconds * 1000);
}

/** Starts it there, wherever it was before. */
async function runOn(node: NodeName, guest: typeof web, witness: Witness): Promise<void> {
  await cxmOk(node, `create ${guest.name} -f ${node}`);
  await witness.begins();
  await known(guest.name, node);
}

async function bringBack(node: NodeName): Promise<void> {
  await lab.start(node);
  await attachHeartbeatDisk(node);
  await startDaemon(node);
  await settled();
}

/** Waits until the guests run here. */
async function takenOver(node: NodeName, ...names: readonly string[]): Promise<void> {
  await expect.poll(() => placesOn(node), patience).toEqual(only(...names));
}

describe('two nodes', () => {
  test('join, agree on one master, and see each other on the network and on the disk', async () => {
    const master = await settled();
    const seen = async (): Promise<readonly string[]> =>
      ((await ask<readonly NodeReport[]>(master, '--list-nodes')) ?? []).map(({ net, disk }) => `${net} ${disk}`);
    await expect.poll(seen, patience).toEqual(['ok ok', 'ok ok']);
    expect(await cxmOk('node1', 'check')).toContain('No problems');
    expect(fenced).toEqual([]);
  });

  test('go on without a failover when a daemon ends and starts again, the master too', async () => {
    const master = await settled();
    await runOn(other(master), web, webGuest);
    for (const node of [other(master), master]) {
      await endDaemon(node);
      await sleep(2 * timerSeconds * 1000);
      await startDaemon(node);
      await settled();
    }
    await webGuest.goesOn();
    expect(await places()).toMatchObject({ [other(master)]: only('web'), [master]: only() });
    expect(fenced).toEqual([]);
  });

  test('do nothing to a node that is cut off the network and seen on the disk; its VM goes on', async () => {
    const member = other(await settled());
    const home = (await placesOn(member)) as { guests: readonly string[] };
    lab.cut(member);
    await sleep(10 * timerSeconds * 1000);
    lab.heal(member);
    await settled();
    await webGuest.goesOn();
    expect(await placesOn(member)).toEqual(home);
    expect(fenced).toEqual([]);
  });
});

describe('a node that fails', () => {
  test('as a member: it is fenced, and its VM goes on with its data on the other, once', async () => {
    const master = await settled();
    const victim = other(master);
    if (!((await placesOn(victim)) as { guests: readonly string[] }).guests.includes('web'))
      await cxmOk(master, `migrate web ${victim}`);
    await webGuest.goesOn();
    await known('web', victim);
    await lab.kill(victim);
    await webGuest.startedAnew();
    expect(fenced).toEqual([victim]);
    expect(await placesOn(master)).toEqual(only('web'));
    await bringBack(victim);
    expect(await places()).toEqual({ [master]: only('web'), [victim]: only() });
  });

  test('as the master: the other takes its office over, fences it, and starts its VM', async () => {
    const master = await settled();
    const heir = other(master);
    const before = fenced.length;
    await lab.kill(master);
    await webGuest.startedAnew();
    expect(fenced.slice(before)).toEqual([master]);
    expect(await placesOn(heir)).toEqual(only('web'));
    expect(await settled([heir])).toBe(heir);
    await bringBack(master);
    expect(await places()).toEqual({ [heir]: only('web'), [master]: only() });
  });

  test('by hanging: it is fenced before its VM is started, so that it never wakes', async () => {
    const master = await settled();
    const victim = other(master);
    await runOn(victim, db, dbGuest);
    const before = fenced.length;
    lab.stop(victim);
    await dbGuest.startedAnew();
    expect(fenced.slice(before)).toEqual([victim]);
    await takenOver(master, 'db', 'web');
    await webGuest.goesOn();
    await bringBack(victim);
    expect(await places()).toEqual({ [master]: only('db', 'web'), [victim]: only() });
  });
});

describe('with cxmd running', () => {
  test('the automatic balance moves a VM to the empty node, alive', async () => {
    const full = (await placesOn('node1')) as { guests: readonly string[] };
    expect(full.guests.length % 2).toBe(0);
    for (const node of both) {
      await lab.node(node, 'cat > /etc/xen/cxm.conf', {
        input: conf('LB_INTERVAL = 10\nLB_MIN_GAIN = 0\nLB_HOLD = 0\n'),
      });
      await signalDaemon(node, 'HUP');
    }
    const spread = async (): Promise<readonly number[]> =>
      Promise.all(both.map(async (node) => ((await placesOn(node)) as { guests: readonly string[] }).guests.length));
    await expect.poll(spread, patience).toEqual([1, 1]);
    await Promise.all([webGuest.goesOn(), dbGuest.goesOn()]);
    for (const node of both) {
      await lab.node(node, 'cat > /etc/xen/cxm.conf', { input: conf() });
      await signalDaemon(node, 'HUP');
    }
  });

  test('maintenance empties a node alive, and it is not used until it ends', async () => {
    const master = await settled();
    const node = other(master);
    await lab.node(node, 'cxmd_ctl --maintenance on');
    await takenOver(master, 'db', 'web');
    await Promise.all([webGuest.goesOn(), dbGuest.goesOn()]);
    await lab.node(node, 'cxmd_ctl --maintenance off');
    for (const vm of ['web', 'db']) await cxmOk(node, `destroy ${vm} --yes`);
  });

  test('a VM of OpenNebula is deployed, moved by cxm, and started elsewhere when its host fails', async () => {
    const [id, address, name] = [7, '10.77.0.107', 'one-7'];
    const master = await settled();
    const host = other(master);
    for (const node of both) await lab.node(node, 'cat >> /etc/hosts', { input: `${address} ${name}\n` });
    const { one } = startCloud();
    const archive = imageRecord(0, 'archive', { size: '64M', fileSystemType: 'ext4' });
    makeGuestArchive(archive.source);
    one.register(archive);
    one.allocate(vmRecord(id, archive, address));
    await one.deploy(id, master);
    const guest = new Witness(address);
    await guest.begins();
    await one.migrateLive(id, host);
    await guest.goesOn();
    await lab.node(host, `scp -q /etc/xen/vm/${name} ${master}:/etc/xen/vm/${name}`);
    await known(name, host);
    await lab.kill(host);
    await guest.startedAnew();
    await bringBack(host);
    for (const volume of ['web', 'db']) await lab.node(master, `lvremove -qq -f VG0/${volume}`);
    await expectAt(master, name, ['lv-one-7-0', 'lv-one-7-1']);
  });
});

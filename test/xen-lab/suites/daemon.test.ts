/**
 * cxmd on real Xen: two nodes with a heartbeat disk on their SAN, whose power and networks the tests take away. What the
 * guests say of themselves is believed, and what xl and LVM show, not what cxmd says.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startDaemon } from '../../lab/daemons.ts';
import { lab } from '../../lab/lab.ts';
import type { NodeName } from '../../lab/layout.ts';
import { both, cxm, cxmOk, only, other, places, placesOn } from '../core.ts';
import {
  bringBack,
  daemonConf,
  db,
  endDaemon,
  exactlyOnce,
  known,
  nodesSeenBy,
  patience,
  prepareDaemons,
  runOn,
  settled,
  showLogs,
  signalDaemon,
  takenOver,
  timerSeconds,
  web,
  type Fencer,
} from '../daemons.ts';
import { expectAt } from '../expectations.ts';
import { makeGuestArchive } from '../guest.ts';
import { imageRecord, layout, startCloud, vmRecord } from '../one.ts';
import { Witness } from '../witness.ts';

const [webGuest, dbGuest] = [new Witness(web.address), new Witness(db.address)];
/** Nodes whose power was taken on cxmd's word, in order. */
let fenced: readonly NodeName[];
let fencer: Fencer;

beforeAll(async () => {
  fencer = await prepareDaemons();
  ({ fenced } = fencer);
});

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await showLogs();
});

afterAll(() => fencer.close());

describe('two nodes', () => {
  test('join, agree on one master, and see each other on the network and on the disk', async () => {
    const master = await settled();
    const seen = async (): Promise<readonly string[]> =>
      (await nodesSeenBy(master)).map(({ net, disk }) => `${net} ${disk}`);
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
    const home = await placesOn(member);
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
    if (!(await placesOn(victim)).guests.includes('web')) await cxmOk(master, `migrate web ${victim}`);
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
    const full = await placesOn('node1');
    expect(full.guests.length % 2).toBe(0);
    for (const node of both) {
      await lab.node(node, 'cat > /etc/xen/cxm.conf', {
        input: daemonConf('LB_INTERVAL = 10\nLB_MIN_GAIN = 0\nLB_HOLD = 0\n'),
      });
      await signalDaemon(node, 'HUP');
    }
    const spread = async (): Promise<readonly number[]> =>
      Promise.all(both.map(async (node) => (await placesOn(node)).guests.length));
    await expect.poll(spread, patience).toEqual([1, 1]);
    await Promise.all([webGuest.goesOn(), dbGuest.goesOn()]);
    for (const node of both) {
      await lab.node(node, 'cat > /etc/xen/cxm.conf', { input: daemonConf() });
      await signalDaemon(node, 'HUP');
    }
  });

  test('a migration whose cxm is killed is brought to its end by the daemon, and the VM goes on', async () => {
    const master = await settled();
    const to = other(master);
    const [vm = ''] = (await placesOn(master)).guests;
    await lab.node(master, `setsid -f cxm migrate ${vm} ${to} > /root/migrate.log 2>&1 < /dev/null`);
    await expect.poll(() => lab.output(to, 'xl list'), { ...patience, interval: 300 }).toContain('--incoming');
    await lab.node(master, `pkill -KILL -f '[s]bin/cxm migrate'`);
    await exactlyOnce('db', 'web');
    const told = (): Promise<string> => lab.output(master, 'cat /var/log/cxmd.log');
    await expect.poll(told, patience).toContain(`${vm}: what a migration had left undone was done`);
    await expect.poll(async () => (await cxm(to, 'check')).stdout, patience).toContain('No problems');
    await Promise.all([webGuest.goesOn(), dbGuest.goesOn()]);
    // Where it was at the end is xl's affair.
    await cxmOk(to, `migrate ${vm} ${to}`);
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

  test('a VM of OpenNebula is moved by it and by cxm, which tells it, and started elsewhere when its host fails', async () => {
    const [id, address, name] = [7, '10.77.0.107', 'one-7'];
    const master = await settled();
    const host = other(master);
    for (const node of both) {
      await lab.node(node, 'cat >> /etc/hosts', { input: `${address} ${name}\n` });
      const hook = 'POST_MIGRATION_HOOK = "/usr/local/sbin/one-migrate"\n';
      await lab.node(node, 'cat > /etc/xen/cxm.conf', { input: daemonConf(hook) });
      await lab.node(node, `mkdir -p /etc/cxm && echo 'ONE_HOST="frontend"' > /etc/cxm/cxmrc`);
    }
    const { one } = startCloud();
    const archive = imageRecord(0, 'archive', { size: '64M', fileSystemType: 'ext4' });
    makeGuestArchive(archive.source);
    one.register(archive);
    one.allocate(vmRecord(id, archive, address));
    await one.deploy(id, master);
    const guest = new Witness(address);
    await guest.begins();
    const shareConfiguration = (from: NodeName): Promise<unknown> =>
      lab.node(from, `scp -q /etc/xen/vm/${name} ${other(from)}:/etc/xen/vm/${name}`);
    await shareConfiguration(master);
    await cxmOk(master, `migrate ${name} ${host}`);
    const asked = join(layout.one, 'one-calls.txt');
    const calls = (): string => (existsSync(asked) ? readFileSync(asked, 'utf8') : '');
    await expect.poll(calls, patience).toContain(`onevm migrate --live ${id} ${host}`);
    await one.migrateLive(id, host);
    await expect.poll(() => lab.output(master, 'pgrep -f "[s]bin/one-migrate" || true'), patience).toBe('');
    expect(one.vm(id).history.at(-1)).toBe(host);
    await one.migrateLive(id, master);
    await one.migrateLive(id, host);
    await guest.goesOn();
    await shareConfiguration(host);
    await known(name, host);
    await lab.kill(host);
    await guest.startedAnew();
    await bringBack(host);
    for (const volume of ['web', 'db']) await lab.node(master, `lvremove -qq -f VG0/${volume}`);
    await expectAt(master, name, ['lv-one-7-0', 'lv-one-7-1']);
  });
});

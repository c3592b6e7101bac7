/**
 * The cluster's core on real Xen: every subcommand of cxm on two nodes that share a volume group, as an administrator
 * calls it, and what becomes of guests when an operation fails in its middle. What the guests say of themselves is
 * believed, not what cxm says.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { lab } from '../../lab/lab.ts';
import type { NodeName } from '../../lab/layout.ts';
import { both, cxm, cxmOk, only, other, places, prepareNodes } from '../core.ts';
import { expectAt } from '../expectations.ts';
import { askGuest, guestConfiguration, guestsOn, makeGuestArchive } from '../guest.ts';
import { imageRecord, startCloud, vmRecord } from '../one.ts';
import { configure, makeGuestVolume } from '../toolstack.ts';
import { Witness } from '../witness.ts';

const web = { name: 'web', disk: '/dev/VG0/web', address: '10.77.0.101' };
const db = { name: 'db', disk: '/dev/VG0/db', address: '10.77.0.102' };
const [webGuest, dbGuest] = [new Witness(web.address), new Witness(db.address)];
const conf = `ALLOWED_NODES = ['node1', 'node2']
FENCE_CMD = "/root/fence"
POST_MIGRATION_HOOK = "/root/hook"
SHUTDOWN_TIMEOUT = 60
CONNECT_TIMEOUT = 20
LB_MIN_GAIN = 0
`;
const programs = {
  // Asks whoever reads the file to take the power, and waits for the word that it is gone.
  '/root/fence': `#!/bin/sh
rm -f /run/fenced && echo "$1" > /run/fence-wish
for i in $(seq 300); do [ -e /run/fenced ] && exit 0; sleep 0.2; done
exit 1
`,
  '/root/hook': '#!/bin/sh\necho "$@" >> /root/hooked\n',
};

beforeAll(async () => {
  await lab.reset();
  await prepareNodes(conf, programs);
  for (const guest of [web, db]) {
    await makeGuestVolume('node1', guest.name);
    for (const node of both) await configure(node, guest);
  }
});

async function cxmJson(node: NodeName, line: string): Promise<unknown> {
  return JSON.parse(await cxmOk(node, `${line} --json`));
}

/** What cxm refuses or fails with, and the code in its last line. */
async function refusal(node: NodeName, line: string): Promise<{ exitCode: number; said: string }> {
  const { exitCode, stderr } = await cxm(node, line);
  return { exitCode, said: stderr };
}

const [nothing, onlyWeb, onlyDb, bothGuests] = [only(), only('web'), only('db'), only('db', 'web')];

describe('before any VM runs', () => {
  test('doctor finds nothing that would keep the nodes from being a cluster', async () => {
    const { exitCode, stdout } = await cxm('node1', 'doctor --json');
    const { checks } = JSON.parse(stdout) as { checks: readonly { verdict: string }[] };
    expect(checks.filter(({ verdict }) => verdict === 'fail')).toEqual([]);
    expect(exitCode).toBe(0);
  });

  test('init makes the volumes inactive that the boot has left active', async () => {
    expect(await places()).toEqual({ node1: { guests: [], active: ['db', 'web'] }, node2: nothing });
    await cxmOk('node1', 'init');
    expect(await places()).toEqual({ node1: nothing, node2: nothing });
  });

  test('activate makes them usable on one node only, deactivate on none', async () => {
    await cxmOk('node1', 'activate web');
    expect(await places()).toEqual({ node1: { guests: [], active: ['web'] }, node2: nothing });
    await cxmOk('node1', 'activate web -f node2');
    expect(await places()).toEqual({ node1: nothing, node2: { guests: [], active: ['web'] } });
    await cxmOk('node1', 'deactivate web -f node2');
    expect(await places()).toEqual({ node1: nothing, node2: nothing });
  });

  test('config check and show read the configuration, and check and check-cpu find nothing wrong', async () => {
    expect(await cxmOk('node1', 'config check')).toContain('/etc/xen/cxm.conf');
    expect(await cxmOk('node1', 'config show')).toContain('FENCE_CMD');
    expect(await cxmOk('node2', 'check')).toContain('No problems');
    await cxmOk('node2', 'check-cpu');
  });
});

describe('starts that fail', () => {
  const unlike = (change: (text: string) => string): string => change(guestConfiguration({ ...web, name: 'odd' }));
  const cases: readonly (readonly [string, (text: string) => string, string])[] = [
    ['more memory than any node has', (text) => text.replace('memory = 96', 'memory = 4096'), 'needs 4096 MiB'],
    ['a volume that does not exist', (text) => text.replace('/dev/VG0/web', '/dev/VG0/nosuch'), 'nosuch'],
    ['a kernel that does not exist', (text) => text.replace(/kernel = .*/, 'kernel = "/boot/nosuch"'), '/boot/nosuch'],
    ['a bridge that does not exist', (text) => text.replace('xenbr0', 'nosuch'), 'nosuch'],
    ['too little memory for its kernel', (text) => text.replace('memory = 96', 'memory = 16'), 'memory'],
    ['a configuration that is none', () => 'name = "odd\n', 'odd'],
  ];
  test.each(cases)('%s is told as that, and nothing is left', async (_what, change, word) => {
    for (const node of both) await lab.node(node, 'cat > /etc/xen/vm/odd', { input: unlike(change) });
    try {
      const { exitCode, said } = await refusal('node1', 'create odd -f node1');
      expect(exitCode).toBeGreaterThan(0);
      expect(said).toContain(word);
      expect(said).toMatch(/state: (nothing was changed|what was done( before)? has been taken back)/);
      expect(await places()).toEqual({ node1: nothing, node2: nothing });
    } finally {
      for (const node of both) await lab.node(node, 'rm -f /etc/xen/vm/odd');
    }
  });

  test('a VM that nobody knows is refused by every subcommand that takes one', async () => {
    for (const line of ['create', 'shutdown', 'reboot', 'destroy -q', 'activate', 'deactivate', 'console']) {
      const { exitCode, said } = await refusal('node1', `${line} nosuch`);
      expect([line, exitCode, said]).toEqual([line, 2, expect.stringContaining('nosuch')]);
    }
    expect(await refusal('node1', 'migrate nosuch node2')).toMatchObject({ exitCode: 2 });
  });

  test('a volume that is in use elsewhere keeps its VM from starting', async () => {
    await cxmOk('node2', 'activate web');
    await lab.node('node2', 'setsid -f sleep 300 3</dev/VG0/web >/dev/null 2>&1');
    try {
      const { exitCode, said } = await refusal('node1', 'create web -f node1');
      expect([exitCode, said]).toEqual([2, expect.stringContaining('in use on node2')]);
    } finally {
      await lab.node('node2', 'pkill -f "sleep 300"');
      await cxmOk('node2', 'deactivate web');
    }
  });
});

describe('a VM through its life', () => {
  test('create starts it where its autostart link is, and nowhere a second time', async () => {
    await lab.node('node2', 'ln -s /etc/xen/vm/web /etc/xen/auto/web');
    await cxmOk('node1', 'create web');
    await webGuest.begins();
    expect(await places()).toEqual({ node1: nothing, node2: onlyWeb });
    expect(await refusal('node1', 'create web -f node1')).toMatchObject({ exitCode: 2 });
  });

  test('list, infos, search and top show it', async () => {
    expect(await cxmJson('node1', 'list')).toMatchObject({ nodes: [{ vms: [] }, { vms: [{ vm: 'web', vcpus: 1 }] }] });
    expect(await cxmJson('node1', 'infos')).toMatchObject({ totals: { vms: 1 }, silent: [] });
    expect(await cxmJson('node1', 'search "w*"')).toMatchObject({
      vms: [{ vm: 'web', runsOn: ['node2'], linkedOn: ['node2'], configuredOn: ['node1', 'node2'] }],
    });
    expect(await cxmOk('node1', 'top --iterations 2 --batch')).toMatch(/web\s+node2/);
  });

  test('it migrates there and back without losing a number, its link and the hook with it', async () => {
    for (const [from, to] of [
      ['node2', 'node1'],
      ['node1', 'node2'],
      ['node2', 'node1'],
    ] as const) {
      await cxmOk('node1', `migrate web ${to}`);
      await webGuest.goesOn();
      expect(await places()).toEqual({ [from]: nothing, [to]: onlyWeb });
      expect(await lab.output(to, 'ls /etc/xen/auto')).toBe('web');
      expect(await lab.output(from, 'ls /etc/xen/auto')).toBe('');
    }
    await expect.poll(() => lab.output('node2', 'cat /root/hooked')).toBe('web node2 node1\nweb node2 node1');
    expect(await cxmOk('node1', 'migrate web node1')).toContain('Nothing to do');
  });

  test('reboot boots it anew in its place', async () => {
    await cxmOk('node2', 'reboot web');
    await webGuest.startedAnew();
    expect(await places()).toEqual({ node1: onlyWeb, node2: nothing });
  });

  test('its console answers on its node, and is refused on the other', async () => {
    // Whoever leaves before xl has the terminal is not heard.
    const typed = '(sleep 15; printf "\\035"; sleep 5)';
    const asked = await lab.node('node1', `${typed} | timeout 90 script -qec "cxm console web" /dev/null`, {
      okExitCodes: 'any',
    });
    expect(asked.exitCode).toBe(0);
    expect(await refusal('node2', 'console web')).toMatchObject({ exitCode: 2 });
    await webGuest.goesOn();
  });

  test('a migration to a node without the bridge, or the configuration, is refused with the reason', async () => {
    await lab.node('node1', 'ip link add nosuch type bridge');
    await lab.node('node2', 'mv /etc/xen/vm/web /root/web');
    const { exitCode, said } = await refusal('node1', 'migrate web node2');
    expect([exitCode, said]).toEqual([2, expect.stringContaining('node2 has no configuration of web')]);
    await lab.node('node2', 'mv /root/web /etc/xen/vm/web');
    await lab.node('node1', 'ip link del nosuch');
    await webGuest.goesOn();
    expect(await places()).toEqual({ node1: onlyWeb, node2: nothing });
  });

  test('a migration whose destination loses power leaves it running where it was', async () => {
    const migration = cxm('node1', 'migrate web node2');
    await expect.poll(() => guestsOn('node2'), { timeout: 60_000 }).toEqual(['web--incoming']);
    await lab.kill('node2');
    const { exitCode, stderr } = await migration;
    expect(exitCode).toBe(1);
    expect(stderr).toContain('web');
    await webGuest.goesOn();
    expect(await guestsOn('node1')).toEqual(['web']);
    await lab.start('node2');
    await lab.node('node2', 'vgchange -qq -ay VG0');
    await cxmOk('node2', 'init');
    expect(await places()).toEqual({ node1: onlyWeb, node2: nothing });
    await cxmOk('node1', 'migrate web node2');
    await webGuest.goesOn();
    expect(await places()).toEqual({ node1: nothing, node2: onlyWeb });
  });

  test('shutdown lets it end by itself, destroy pulls its plug', async () => {
    await cxmOk('node1', 'shutdown web');
    expect(await places()).toEqual({ node1: nothing, node2: nothing });
    await cxmOk('node1', 'create web -f node1');
    await webGuest.begins();
    await cxmOk('node2', 'destroy web --yes');
    expect(await places()).toEqual({ node1: nothing, node2: nothing });
    expect(await askGuest(web.address, 'boot')).toBeUndefined();
  });
});

describe('nodes', () => {
  test('start finds room for several, and loadbalance spreads those of one node', async () => {
    await cxmOk('node1', 'create web -f node1');
    await cxmOk('node1', 'create db -f node1');
    await Promise.all([webGuest.begins(), dbGuest.begins()]);
    expect(await places()).toEqual({ node1: bothGuests, node2: nothing });
    const planned = (await cxmJson('node2', 'loadbalance --dry-run')) as { plan: { steps: unknown[] } };
    expect(planned.plan.steps).toHaveLength(1);
    await cxmOk('node2', 'loadbalance --yes');
    await Promise.all([webGuest.goesOn(), dbGuest.goesOn()]);
    const [one] = await guestsOn('node1');
    expect(await places()).toEqual(
      one === 'web' ? { node1: onlyWeb, node2: onlyDb } : { node1: onlyDb, node2: onlyWeb },
    );
    expect(await cxmJson('node1', 'start web db')).toMatchObject({ done: [], failures: [] });
  });

  test('eject brings all of a node to the other', async () => {
    await cxmOk('node1', 'eject -f node2');
    await Promise.all([webGuest.goesOn(), dbGuest.goesOn()]);
    expect(await places()).toEqual({ node1: bothGuests, node2: nothing });
  });

  test('shutdown-all ends all, and start starts them again with their links', async () => {
    await cxmOk('node2', 'shutdown-all --yes');
    expect(await places()).toEqual({ node1: nothing, node2: nothing });
    await cxmOk('node2', 'start web db');
    await Promise.all([webGuest.startedAnew(), dbGuest.startedAnew()]);
    const linked = await Promise.all(both.map((node) => lab.output(node, 'ls /etc/xen/auto')));
    expect(linked.join('\n').trim().split('\n').sort()).toEqual(['db', 'web']);
    expect(await cxmOk('node1', 'check')).toContain('No problems');
  });

  test('beside a node that is silent nothing is started; once it is fenced, its VM is started here', async () => {
    const home: NodeName = (await guestsOn('node1')).includes('web') ? 'node1' : 'node2';
    await cxmOk('node1', `eject -f ${other(home)}`).catch(() => undefined);
    const rescuer = other(home);
    await cxmOk(rescuer, `destroy db --yes`);
    lab.cut(home);
    const { exitCode, said } = await refusal(rescuer, 'create web');
    expect([exitCode, said]).toEqual([1, expect.stringContaining(home)]);
    const fencing = cxmOk(rescuer, `fence ${home} --yes`);
    await expect.poll(() => lab.output(rescuer, 'cat /run/fence-wish || true'), { timeout: 120_000 }).toBe(home);
    await lab.kill(home);
    await lab.node(rescuer, 'touch /run/fenced');
    await fencing;
    await cxmOk(rescuer, `create web -f ${rescuer} --nodes ${rescuer}`);
    await webGuest.startedAnew();
    expect(await guestsOn(rescuer)).toEqual(['web']);
    lab.heal(home);
    await lab.start(home);
    await cxmOk(home, 'init');
    expect(await places()).toEqual({ [rescuer]: onlyWeb, [home]: nothing });
    await cxmOk(rescuer, 'shutdown web');
  });
});

describe('the drivers in this cluster', () => {
  test('a VM of OpenNebula is deployed, moved by cxm, told about, and refused a second time elsewhere', async () => {
    const [id, address, name] = [7, '10.77.0.107', 'one-7'];
    for (const node of both) await lab.node(node, 'sed -i /HOOK/d /etc/xen/cxm.conf');
    const { one } = startCloud();
    const archive = imageRecord(0, 'archive', { size: '64M', fileSystemType: 'ext4' });
    makeGuestArchive(archive.source);
    one.register(archive);
    one.allocate(vmRecord(id, archive, address));
    await one.deploy(id, 'node1');
    const guest = new Witness(address);
    await guest.begins();
    const volumes = ['lv-one-7-0', 'lv-one-7-1'];
    await one.migrateLive(id, 'node2');
    await guest.goesOn();
    await lab.node('node2', `scp -q /etc/xen/vm/${name} node1:/etc/xen/vm/${name}`);
    await cxmOk('node1', `migrate ${name} node1`);
    await guest.goesOn();
    expect(await guestsOn('node2')).toEqual([]);
    await cxmOk('node1', `migrate ${name} node2`);
    await guest.goesOn();
    for (const volume of ['web', 'db']) await lab.node('node1', `lvremove -qq -f VG0/${volume}`);
    await expectAt('node2', name, volumes);
    await one.terminate(id);
    expect(await places()).toEqual({ node1: nothing, node2: nothing });
  });
});

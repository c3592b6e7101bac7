/**
 * The virtual machine manager on real LVM with the simulated xl: each action is called on its host as oned calls it, as
 * oneadmin through ssh, and works through sudo and the helper. The simulated guests hold their disks open, so LVM itself
 * refuses what a real guest would suffer from.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { lab, type RunResult } from './lab.ts';
import { oneadmin, type NodeName } from './layout.ts';

const vmId = 7;
const deployId = 'one-7';
const directory = `${oneadmin.home}/datastores/${lab.datastores.sharedSystem}/${vmId}`;
const checkpoint = `${directory}/checkpoint`;
const disks = ['lv-one-7-0', 'lv-one-7-1'];

beforeAll(async () => {
  await lab.reset();
  for (const node of ['node1', 'node2'] as const) await lab.node(node, 'ln -sf xl /usr/sbin/xentop');
});
afterAll(() => lab.reset());
beforeEach(async () => {
  await lab.reset();
  for (const node of ['node1', 'node2'] as const) await turn(node, {});
});

/** Knobs of the simulated xl. */
function turn(node: NodeName, knobs: Readonly<Record<string, unknown>>): Promise<RunResult> {
  const text = JSON.stringify({ ignoreMissingKernel: true, acknowledgeTimeoutMs: 1000, ...knobs });
  return lab.node(node, 'mkdir -p /var/lib/xl-simulated && cat > /var/lib/xl-simulated/knobs.json', { input: text });
}

function command(node: NodeName, action: string, args: readonly string[]): string[] {
  return ['ssh', node, [`/var/tmp/one/vmm/cxm/${action}`, ...args].join(' ')];
}

/** Calls an action as oned does: its own arguments, then the VM's id and the host. */
function vmm(node: NodeName, action: string, args: readonly string[], input = ''): Promise<RunResult> {
  return lab.frontend(command(node, action, [...args, String(vmId), node]), { input });
}

async function vmmOk(node: NodeName, action: string, args: readonly string[], input = ''): Promise<string> {
  const result = await vmm(node, action, args, input);
  if (result.exitCode === 0) return result.stdout;
  throw new Error(`${action} on ${node}: exit code ${result.exitCode}\n${result.stderr}${result.stdout}`);
}

function document(): string {
  const disk = (id: number): string => `<DISK><DISK_ID>${id}</DISK_ID><TARGET>xvd${'ab'.charAt(id)}</TARGET></DISK>`;
  const nic = '<NIC><NIC_ID>0</NIC_ID><MAC>02:00:0a:63:00:01</MAC><BRIDGE>br0</BRIDGE></NIC>';
  const os = '<OS><KERNEL>/boot/vmlinuz</KERNEL></OS>';
  const template = `<MEMORY>64</MEMORY><CPU>1</CPU>${disk(0)}${disk(1)}${nic}${os}`;
  return `<VM><ID>${vmId}</ID><UNAME>ann</UNAME><NAME>web</NAME><TEMPLATE>${template}</TEMPLATE></VM>`;
}

function message(vm: string): string {
  return `<VMM_DRIVER_ACTION_DATA><HOST>node1</HOST>${vm}</VMM_DRIVER_ACTION_DATA>`;
}

/** Volumes as the transfer manager leaves them: tagged, and active on one host. */
async function makeDisks(node: NodeName = 'node1', ...diskIds: readonly number[]): Promise<void> {
  for (const id of diskIds.length === 0 ? [0, 1] : diskIds) {
    const tags = `--addtag cxm --addtag cxm_vm=${vmId} --addtag cxm_disk=${id} --addtag cxm_cloud=frontend`;
    await lab.node(node, `lvcreate -qq -y -Wn -L 16M ${tags} -n lv-one-${vmId}-${id} ${lab.volumeGroup}`);
  }
}

async function deploy(node: NodeName = 'node1'): Promise<void> {
  await makeDisks(node);
  expect(await vmmOk(node, 'deploy', [`${directory}/deployment.0`, node], document())).toBe(`${deployId}\n`);
}

async function domains(node: NodeName): Promise<string[]> {
  const text = await lab.output(node, "xl list | awk 'NR > 1 && $2 > 0 {print $1}'");
  return text === '' ? [] : text.split('\n');
}

/** The volumes that are active on a node, with a `*` when they are open. */
async function active(node: NodeName): Promise<string[]> {
  const volumes = await lab.logicalVolumes(node);
  return volumes.flatMap((volume) => (volume.active ? [`${volume.name}${volume.open ? '*' : ''}`] : []));
}

async function expectAt(place: NodeName): Promise<void> {
  const other = place === 'node1' ? 'node2' : 'node1';
  expect([await domains(place), await domains(other)]).toEqual([[deployId], []]);
  expect([await active(place), await active(other)]).toEqual([disks.map((name) => `${name}*`), []]);
  expect(await lab.output(place, `cat /etc/xen/auto/${deployId} | head -1`)).toBe('# OpenNebula VM 7 (cxm)');
  expect(await lab.output(other, `ls /etc/xen/auto`)).toBe('');
}

async function expectNothing(node: NodeName): Promise<void> {
  expect(await domains(node)).toEqual([]);
  expect(await active(node)).toEqual([]);
  expect(await lab.output(node, 'ls -A /etc/xen/vm /etc/xen/auto | grep -v -e : -e ^$ || true')).toBe('');
}

describe('the life of a VM', () => {
  test('deploy, poll, reset, hotplug and shutdown on one host', async () => {
    await deploy();
    await expectAt('node1');
    const link = await lab.output('node1', `stat -c %U ${directory}/deployment.0; readlink ${directory}/deployment.0`);
    expect(link).toBe(`oneadmin\n/etc/xen/vm/${deployId}`);
    const inUse = await lab.node('node1', `lvremove -y VG0/lv-one-7-0`, { okExitCodes: 'any' });
    expect(inUse.exitCode).not.toBe(0);
    expect(await vmmOk('node1', 'poll', [deployId, 'node1'])).toMatch(
      /^STATE=a USEDMEMORY=65536 NETRX=\d+ NETTX=\d+\n$/,
    );
    await makeDisks('node1', 5);
    const attached = document().replace(
      '<NIC>',
      '<DISK><ATTACH>YES</ATTACH><DISK_ID>5</DISK_ID><TARGET>xvdf</TARGET></DISK><NIC>',
    );
    const encoded = Buffer.from(message(attached)).toString('base64');
    await vmmOk('node1', 'attach_disk', [deployId, `${directory}/disk.5`, 'xvdf', '5', encoded]);
    expect(await active('node1')).toContain('lv-one-7-5*');
    await vmmOk('node1', 'reset', [deployId, 'node1']);
    expect(await active('node1')).toContain('lv-one-7-5*');
    await vmmOk('node1', 'detach_disk', [deployId, `${directory}/disk.5`, 'xvdf', '5']);
    expect(await active('node1')).toEqual(disks.map((name) => `${name}*`));
    await vmmOk('node1', 'shutdown', [deployId, 'node1']);
    await expectNothing('node1');
    expect(await vmmOk('node1', 'poll', [deployId, 'node1'])).toBe('STATE=d\n');
  });

  test('save on one host and restore on another, the disks following', async () => {
    await deploy();
    await vmmOk('node1', 'save', [deployId, checkpoint, 'node1']);
    expect([await domains('node1'), await active('node1')]).toEqual([[], []]);
    expect(await lab.output('node2', `stat -c '%U %a' ${checkpoint}`)).toBe('oneadmin 600');
    await vmmOk('node2', 'restore', [checkpoint, 'node2', deployId], message(document()));
    await expectAt('node2');
    await vmmOk('node2', 'cancel', [deployId, 'node2']);
    await expectNothing('node2');
  });

  test('live migration there and back, and once more when it has happened already', async () => {
    await deploy();
    await vmmOk('node1', 'migrate', [deployId, 'node2', 'node1']);
    await expectAt('node2');
    expect(await lab.output('node1', 'dmsetup ls | grep VG0 || true')).toBe('');
    await vmmOk('node1', 'migrate', [deployId, 'node2', 'node1']);
    await expectAt('node2');
    await vmmOk('node2', 'migrate', [deployId, 'node1', 'node2']);
    await expectAt('node1');
  });
});

describe('failures', () => {
  test('a deploy that xl refuses leaves nothing and says why', async () => {
    await makeDisks();
    await turn('node1', { createFails: 'libxl: error: out of luck' });
    const result = await vmm('node1', 'deploy', [`${directory}/deployment.0`, 'node1'], document());
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toMatch(/out of luck.*rolled back.*\[XEN\]/);
    await expectNothing('node1');
    expect(await lab.output('node1', `ls -A ${directory} 2>/dev/null || true`)).toBe('');
  });

  test('a deploy whose action is killed leaves nothing', async () => {
    await makeDisks();
    await turn('node1', { createMs: 4000 });
    const argv = command('node1', 'deploy', [`${directory}/deployment.0`, 'node1', String(vmId), 'node1']);
    const running = lab.startFrontend(argv, { input: document() });
    await expect.poll(() => lab.output('node1', 'pgrep -f "[x]l create" || true'), { timeout: 30_000 }).not.toBe('');
    await lab.node('node1', 'pkill -KILL -u oneadmin -f vmm/cxm/deploy');
    await running.result;
    await expect
      .poll(() => lab.output('node1', 'pgrep -f "[c]xm-host|[x]l create" || true'), { timeout: 30_000 })
      .toBe('');
    await expectNothing('node1');
  });

  test('a migration to a host that is dead leaves the VM where it runs', async () => {
    await deploy();
    await lab.kill('node2');
    try {
      const result = await vmm('node1', 'migrate', [deployId, 'node2', 'node1']);
      expect(result.exitCode).toBe(1);
      expect(result.stderr).toMatch(/node2.*\[HOST_UNREACHABLE\]/);
      expect(await domains('node1')).toEqual([deployId]);
      expect(await active('node1')).toEqual(disks.map((name) => `${name}*`));
    } finally {
      await lab.start('node2');
    }
  });

  test('a host that loses power in the middle of a migration: the VM goes on at the source', async () => {
    await deploy();
    await turn('node1', { migrateCopyMs: 60_000 });
    const argv = command('node1', 'migrate', [deployId, 'node2', 'node1', String(vmId), 'node1']);
    const running = lab.startFrontend(argv);
    try {
      await expect.poll(() => domains('node2'), { timeout: 60_000 }).not.toEqual([]);
      await lab.kill('node2');
      const result = await running.result;
      expect(result.exitCode).toBe(1);
      expect(result.stderr).toMatch(/VM 7 (runs on here|runs neither)/);
      expect(await domains('node1')).toEqual([deployId]);
    } finally {
      await lab.start('node2');
    }
    expect(await domains('node2')).toEqual([]);
    expect(await active('node1')).toEqual(disks.map((name) => `${name}*`));
  });

  test('a save that fails keeps the VM running and its disks active', async () => {
    await deploy();
    await turn('node1', { saveFails: 'ENOSPC' });
    const result = await vmm('node1', 'save', [deployId, checkpoint, 'node1']);
    expect(result.stderr).toMatch(/runs on/);
    await expectAt('node1');
    expect(await lab.output('node1', `ls ${directory}`)).toBe('deployment.0');
  });

  test('what Xen can not do is refused with one sentence', async () => {
    const refused = await vmm('node1', 'snapshot_create', [deployId, '0']);
    expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
    expect(refused.stderr.trim().split('\n')).toEqual([expect.stringMatching(/\[UNSUPPORTED\]$/)]);
  });
});

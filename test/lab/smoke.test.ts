/**
 * The ground that all other lab tests stand on: if one of these fails, the lab is broken, not the product.
 */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lab } from './lab.ts';

beforeAll(() => lab.reset());
afterAll(() => lab.reset());

describe('the SAN', () => {
  test('a logical volume made on node1 is seen, but not active, on node2', async () => {
    await lab.node('node1', `lvcreate -qq -y -L 64M --addtag one-vm-7 -n seen ${lab.volumeGroup}`);
    const seen = { name: 'seen', sizeBytes: 64 * 1024 * 1024, tags: ['one-vm-7'], open: false };
    expect(await lab.logicalVolumes('node1')).toEqual([{ ...seen, active: true }]);
    expect(await lab.logicalVolumes('node2')).toEqual([{ ...seen, active: false }]);
    expect(await lab.deviceMapper('node2')).toEqual([]);
    await lab.node('node1', `lvremove -qq -f ${lab.volumeGroup}/seen`);
  });

  test('node2 takes over what node1 had synced when its power failed, and node1 comes back', async () => {
    await lab.node('node1', `lvcreate -qq -y -L 64M -n crash ${lab.volumeGroup} && mkfs.ext4 -q /dev/VG0/crash`);
    await lab.node('node1', 'mkdir -p /t && mount /dev/VG0/crash /t && echo survives > /t/file && sync');
    try {
      await lab.kill('node1');
      await lab.node('node2', 'lvchange -ay VG0/crash && mkdir -p /t && mount /dev/VG0/crash /t');
      expect(await lab.output('node2', 'cat /t/file && umount /t && lvremove -qq -f VG0/crash')).toBe('survives');
    } finally {
      await lab.start('node1');
    }
    expect(await lab.logicalVolumes('node1')).toEqual([]);
  });

  test('node3 stands alone with a volume group of the same name', async () => {
    await lab.start('node3');
    const identifier = 'vgs --noheadings -o vg_uuid VG0';
    expect(await lab.output('node3', identifier)).not.toBe(await lab.output('node1', identifier));
    await lab.kill('node3');
  });
});

describe('accounts', () => {
  test('oneadmin on the frontend reaches every node as oneadmin, with the environment oned gives', async () => {
    const result = await lab.frontend(['sh', '-c', 'pwd; env | grep -v -e ^PWD= -e ^_= | sort; ssh node1 id -un']);
    const environment = ['HOME=/var/lib/one', 'LANG=C.UTF-8', 'LOGNAME=oneadmin'];
    const path = 'PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin';
    const expected = ['/var/lib/one', ...environment, path, 'USER=oneadmin', 'oneadmin', ''];
    expect(result).toEqual({ stdout: expected.join('\n'), stderr: '', exitCode: 0 });
  });

  test('a node reaches the frontend as oneadmin and the other node as root', async () => {
    expect(await lab.output('node1', 'su oneadmin -c "ssh frontend id -un"')).toBe('oneadmin');
    expect(await lab.output('node1', 'ssh node2 id -un')).toBe('root');
    const asRoot = await lab.frontend(['ssh', '-o', 'BatchMode=yes', 'root@node1', 'true']);
    expect(asRoot.exitCode).toBe(255);
  });

  test.each(['/bin/true', '/usr/sbin/lvs', '/bin/sh -c true', '/usr/local/sbin/cxm-host --help'])(
    'sudo refuses oneadmin: %s',
    async (command) => {
      const refused = await lab.frontend(['ssh', 'node1', `sudo -n ${command}`]);
      expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
      expect(refused.stderr).toMatch(/password is required|not allowed/);
    },
  );

  test('sudo runs cxm-host without arguments as root, with the setting that keeps udev out', async () => {
    const program = '/usr/local/sbin/cxm-host';
    await lab.node('node1', `test ! -e ${program} || mv ${program} ${program}.kept`);
    try {
      await lab.node('node1', `cat > ${program} && chmod 755 ${program}`, {
        input: '#!/bin/sh\necho "$(id -un) $# $DM_DISABLE_UDEV"\n',
      });
      const ran = await lab.frontend(['ssh', 'node1', `sudo -n ${program}`]);
      expect(ran).toEqual({ exitCode: 0, stdout: 'root 0 1\n', stderr: '' });
    } finally {
      await lab.node('node1', `rm -f ${program}; test ! -e ${program}.kept || mv ${program}.kept ${program}`);
    }
  });
});

describe('datastores', () => {
  test('what oneadmin makes in the shared one on node1 is its own on node2, and absent from the frontend', async () => {
    const file = `/var/lib/one/datastores/${lab.datastores.sharedSystem}/7/deployment.0`;
    const made = await lab.frontend(['ssh', 'node1', `mkdir -p $(dirname ${file}) && echo text > ${file}`]);
    expect(made.exitCode).toBe(0);
    expect(await lab.output('node2', `stat -c %U ${file} && cat ${file}`)).toBe('oneadmin\ntext');
    expect(existsSync(file)).toBe(false);
  });

  test('the private one of node1 is not seen on node2', async () => {
    const file = `/var/lib/one/datastores/${lab.datastores.privateSystem}/7`;
    await lab.node('node1', `touch ${file}`);
    expect((await lab.node('node2', `test -e ${file}`, { okExitCodes: 'any' })).exitCode).toBe(1);
  });
});

describe('faults', () => {
  test('a node off the network is unreachable, and back with its connections healed', async () => {
    lab.cut('node2');
    const dead = await lab.frontend(['ssh', '-o', 'ConnectTimeout=1', 'node2', 'true']);
    expect(dead.exitCode).toBe(255);
    lab.heal('node2');
    expect(await lab.output('node2', 'echo back')).toBe('back');
  });

  test('a node that hangs answers again when it wakes', async () => {
    lab.stop('node2');
    const hung = await lab.frontend(['ssh', '-o', 'ConnectTimeout=1', 'node2', 'true']);
    expect(hung.exitCode).toBe(255);
    lab.cont('node2');
    expect(await lab.output('node2', 'echo awake')).toBe('awake');
  });

  test('traces show what an action would leave', async () => {
    const before = await lab.traces('node1');
    await lab.node('node1', 'lvcreate -qq -y -L 64M -n left VG0 && mkfs.ext4 -q /dev/VG0/left');
    await lab.node('node1', 'mkdir /tmp/left && mount /dev/VG0/left /tmp/left');
    const between = await lab.traces('node1');
    expect(between.logicalVolumes).toEqual(['left']);
    expect(between.devices).toEqual(['VG0-left']);
    expect(between.mounts).toContain('/tmp/left /dev/mapper/VG0-left ext4');
    expect(between.files).toContain('/tmp/left');
    await lab.node('node1', 'umount /tmp/left && rmdir /tmp/left && lvremove -qq -f VG0/left');
    expect(await lab.traces('node1')).toEqual(before);
  });
});

describe('OpenNebula stand-ins', () => {
  test('onevm prints the prepared document, and fails as the real one when there is none', async () => {
    lab.prepareVm(7, '<VM><ID>7</ID></VM>');
    expect(await lab.frontend(['onevm', 'show', '-x', '7'])).toMatchObject({
      stdout: '<VM><ID>7</ID></VM>',
      exitCode: 0,
    });
    const missing = await lab.frontend(['onevm', 'show', '-x', '8']);
    expect(missing).toEqual({
      stdout: '',
      stderr: '[one.vm.info] Error getting virtual machine [8].\n',
      exitCode: 255,
    });
  });
});

/** Live migration's frame, resize, snapshots, backups and capacity on real LVM. */
import { dirname } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { lab } from '../lab.ts';
import {
  diskPath,
  digest,
  dirtyVolumeGroup,
  frontend,
  imagePath,
  makeRawImage,
  prepareVmWithImage,
  tm,
  tmOk,
  vmDirectory,
  vmDocument,
} from './support.ts';

const mib = 1024 * 1024;

beforeEach(() => lab.reset());
afterAll(() => lab.reset());

async function cloneRaw(vmId: number, host: 'node1' | 'node2' | 'node3' = 'node1'): Promise<string> {
  prepareVmWithImage(vmId, { SIZE: '16M' });
  makeRawImage('raw', [true, false, true]);
  await tmOk('clone', [`${frontend}:${imagePath('raw')}`, `${host}:${diskPath(vmId, 0)}`, String(vmId), '1']);
  return digest(host, `lv-one-${vmId}-0`, 16 * mib);
}

function active(node: 'node1' | 'node2'): Promise<boolean[]> {
  return lab.logicalVolumes(node).then((volumes) => volumes.map((volume) => volume.active));
}

describe('premigrate and postmigrate', () => {
  const document = (vmId: number): string =>
    vmDocument(vmId, [{ diskId: 0, imageId: vmId }], { history: ['node1', 'node2'] });

  test('of 7.x: the disk is active on both hosts in between, afterwards on the destination only', async () => {
    await cloneRaw(300);
    const args = ['node1', 'node2', vmDirectory(300), '300', '0'];
    const input = Buffer.from(document(300)).toString('base64');
    await tmOk('premigrate', args, { input });
    expect([await active('node1'), await active('node2')]).toEqual([[true], [true]]);
    await tmOk('postmigrate', args, { input });
    expect([await active('node1'), await active('node2')]).toEqual([[false], [true]]);
  });

  test('of 3.8, which passes the destination first', async () => {
    await cloneRaw(301);
    const xml = Buffer.from(document(301)).toString('base64');
    const args = ['node2', 'node1', vmDirectory(301), '301', '0', xml];
    await tmOk('premigrate', args);
    await tmOk('postmigrate', args);
    expect([await active('node1'), await active('node2')]).toEqual([[false], [true]]);
  });

  test('to a host with a volume group of its own is refused, even if it has volumes of that name', async () => {
    await lab.start('node3');
    await cloneRaw(304);
    const tags = 'cxm cxm_vm=304 cxm_disk=0 cxm_cloud=frontend'.split(' ').map((tag) => `--addtag ${tag}`);
    await lab.node('node3', `lvcreate -qq -y -Wn -Zn -an -L 16M ${tags.join(' ')} -n lv-one-304-0 VG0`);
    const input = Buffer.from(document(304)).toString('base64');
    const result = await tm('premigrate', ['node1', 'node3', vmDirectory(304), '304', '0'], { input });
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('volume group VG0 of node1 is not that of node3');
    expect((await lab.logicalVolumes('node3')).map(({ active: isActive }) => isActive)).toEqual([false]);
    await lab.node('node3', 'lvremove -qq -y VG0/lv-one-304-0');
  });

  test('failmigrate: the destination lets go', async () => {
    await cloneRaw(302);
    const args = ['node1', 'node2', vmDirectory(302), '302', '0'];
    const input = Buffer.from(document(302)).toString('base64');
    await tmOk('premigrate', args, { input });
    await tmOk('failmigrate', args, { input });
    expect([await active('node1'), await active('node2')]).toEqual([[true], [false]]);
  });

  test('postmigrate succeeds although the source is gone: the VM runs elsewhere', async () => {
    await cloneRaw(303);
    lab.writeFrontend('/var/lib/one/remotes/cxmrc', 'VG_NAME="VG0"\nCONNECT_TIMEOUT=10\n');
    await lab.kill('node1');
    const input = Buffer.from(document(303)).toString('base64');
    const result = await tm('postmigrate', ['node1', 'node2', vmDirectory(303), '303', '0'], { input });
    lab.writeFrontend('/var/lib/one/remotes/cxmrc', 'VG_NAME="VG0"\n');
    await lab.start('node1');
    expect(result.exitCode).toBe(0);
    expect(result.stderr).toContain('may still be active on node1');
  });
});

describe('resize', () => {
  test('the disk grows, keeps its content and shows nothing of what lay behind it', async () => {
    await dirtyVolumeGroup('node1', 64);
    const before = await cloneRaw(310);
    await tmOk('resize', [`node1:${diskPath(310, 0)}`, '40', '310', '1']);
    await tmOk('resize', [`node1:${diskPath(310, 0)}`, '40', '310', '1']);
    expect((await lab.logicalVolumes('node1'))[0]).toMatchObject({ sizeBytes: 40 * mib });
    expect(await digest('node1', 'lv-one-310-0', 16 * mib)).toBe(before);
    expect(await lab.output('node1', 'tail -c 24M /dev/VG0/lv-one-310-0 | tr -d "\\0" | wc -c')).toBe('0');
  });

  test('what a running guest writes to the new part as soon as it sees it stays', async () => {
    await cloneRaw(312);
    const device = '/dev/VG0/lv-one-312-0';
    const guest = lab.node(
      'node1',
      `until [ "$(blockdev --getsize64 ${device})" -gt ${16 * mib} ]; do :; done
       printf precious | dd of=${device} bs=1M seek=20 conv=notrunc,fsync status=none`,
    );
    await tmOk('resize', [`node1:${diskPath(312, 0)}`, '64', '312', '1']);
    await guest;
    expect(await lab.output('node1', `dd if=${device} bs=1M skip=20 count=1 status=none | head -c 8`)).toBe('precious');
    expect((await lab.logicalVolumes('node1')).map(({ name }) => name)).toEqual(['lv-one-312-0']);
  });

  test('one without room for it leaves the disk of a VM that is off as it was: small and inactive', async () => {
    const before = await cloneRaw(314);
    await lab.node('node1', 'lvchange -an VG0/lv-one-314-0');
    const result = await tm('resize', [`node1:${diskPath(314, 0)}`, '100000', '314', '1']);
    expect(result.stderr).toContain('[NO_SPACE]');
    expect(await lab.logicalVolumes('node1')).toMatchObject([{ sizeBytes: 16 * mib, active: false }]);
    await lab.node('node1', 'lvchange -ay VG0/lv-one-314-0');
    expect(await digest('node1', 'lv-one-314-0', 16 * mib)).toBe(before);
  });

  test('it never shrinks', async () => {
    await cloneRaw(311);
    const result = await tm('resize', [`node1:${diskPath(311, 0)}`, '8', '311', '1']);
    expect(result.stderr).toContain("can't shrink from 16 MiB to 8 MiB");
  });
});

describe('snapshots', () => {
  test('revert brings the content back, more than once; delete removes it; the disk takes its snapshots with it', async () => {
    const before = await cloneRaw(320);
    const snapshot = (action: string, id: number) =>
      tmOk(action, [`node1:${diskPath(320, 0)}`, String(id), '320', '1']);
    await snapshot('snap_create', 0);
    for (let round = 0; round < 2; round += 1) {
      await lab.node(
        'node1',
        'yes changed | head -c 5M | dd of=/dev/VG0/lv-one-320-0 bs=1M iflag=fullblock conv=notrunc status=none',
      );
      expect(await digest('node1', 'lv-one-320-0', 16 * mib)).not.toBe(before);
      await snapshot('snap_revert', 0);
      expect(await digest('node1', 'lv-one-320-0', 16 * mib)).toBe(before);
    }
    await snapshot('snap_create_live', 1);
    await snapshot('snap_delete', 0);
    expect((await lab.logicalVolumes('node1')).map(({ name }) => name)).toEqual(['lv-one-320-0', 'lv-one-320-0_snap1']);
    await tmOk('delete', [`node1:${diskPath(320, 0)}`, '320', '1']);
    expect(await lab.logicalVolumes('node1')).toEqual([]);
  });

  test('revert is refused while the VM is suspended: its memory belongs to the disk as it is', async () => {
    const before = await cloneRaw(324);
    const snapshot = (action: string) => tm(action, [`node1:${diskPath(324, 0)}`, '0', '324', '1']);
    expect((await snapshot('snap_create')).exitCode).toBe(0);
    const checkpoint = `${dirname(diskPath(324, 0))}/checkpoint`;
    await lab.node('node1', `echo memory > ${checkpoint}`);
    const refused = await snapshot('snap_revert');
    expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringContaining('VM 324 is suspended')]);
    await lab.node('node1', `rm ${checkpoint}`);
    expect((await snapshot('snap_revert')).exitCode).toBe(0);
    await lab.node('node1', 'lvchange -ay VG0/lv-one-324-0');
    expect(await digest('node1', 'lv-one-324-0', 16 * mib)).toBe(before);
  });

  test('snap_create_live copies the disk of a running VM', async () => {
    const before = await cloneRaw(321);
    const holder = lab.node('node1', 'exec 3<>/dev/VG0/lv-one-321-0; sleep 30');
    await new Promise((resolve) => setTimeout(resolve, 500));
    const refused = await tm('snap_create', [`node1:${diskPath(321, 0)}`, '0', '321', '1']);
    expect(refused.stderr).toContain('in use by a running VM');
    await tmOk('snap_create_live', [`node1:${diskPath(321, 0)}`, '1', '321', '1']);
    await holder;
    await lab.node('node1', 'lvchange -ay VG0/lv-one-321-0_snap1');
    expect(await digest('node1', 'lv-one-321-0_snap1', 16 * mib)).toBe(before);
  });
});

describe('backup', () => {
  test('prebackup leaves each disk as a sparse file that belongs to oneadmin, postbackup removes them', async () => {
    const before = await cloneRaw(330);
    const args = [`node1:${vmDirectory(330)}`, '0', 'one-330', '-', '330', '0'];
    const input = vmDocument(330, [{ diskId: 0, imageId: 330 }]);
    await tmOk('prebackup', args, { input });
    const backup = `${vmDirectory(330)}/backup`;
    const look = `sha256sum ${backup}/disk.0.0 | cut -d' ' -f1; stat -c %U ${backup}/disk.0.0 ${backup}/vm.xml`;
    expect(await lab.output('node1', look)).toBe(`${before}\noneadmin\noneadmin`);
    await tmOk('postbackup', args, { input });
    expect(await lab.output('node1', `ls ${backup} 2>&1 || true`)).toContain('No such file');
  });
});

describe('monitor', () => {
  test('prints the capacity of the volume group and the sizes of the disks', async () => {
    await cloneRaw(340);
    const datastore = '<DATASTORE><ID>0</ID><TEMPLATE><BRIDGE_LIST>node1</BRIDGE_LIST></TEMPLATE></DATASTORE>';
    const result = await tmOk('monitor', ['0'], { input: Buffer.from(datastore).toString('base64') });
    const [, used, total, free] = /^USED_MB=(\d+)\nTOTAL_MB=(\d+)\nFREE_MB=(\d+)\n/.exec(result.stdout) ?? [];
    expect(Number(used)).toBe(16);
    expect(Number(used) + Number(free)).toBe(Number(total));
    expect(result.stdout).toContain('VM=[ID=340,POLL="DISK_SIZE=[ID=0,SIZE=16]"');
  });
});

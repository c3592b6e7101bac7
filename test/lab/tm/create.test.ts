/** clone, ln, mkimage, mkswap and context on real LVM: what comes into being on a host. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { lab } from '../lab.ts';
import {
  diskPath,
  digest,
  dirtyVolumeGroup,
  frontend,
  imageDocument,
  imagePath,
  listing,
  makeArchive,
  makeRawImage,
  prepareVmWithImage,
  tm,
  tmOk,
  vmDocument,
} from './support.ts';

const mib = 1024 * 1024;

beforeEach(() => lab.reset());
afterAll(() => lab.reset());

/** By the interface of the frontend that has sent most: the one to the bridge. */
function bytesSent(): number {
  const lines = readFileSync('/proc/net/dev', 'utf8').split('\n').slice(2, -1);
  return Math.max(...lines.map((line) => Number(line.trim().split(/[:\s]+/)[9])));
}

describe('clone', () => {
  test('an archive becomes a file system with the same files, on a volume of the size the image asks for', async () => {
    prepareVmWithImage(7, { SIZE: '256M', FSTYPE: 'ext4' });
    const archive = makeArchive('os');
    await tmOk('clone', [`${frontend}:${archive}`, `node1:${diskPath(7, 0)}`, '7', '1']);
    const [volume] = await lab.logicalVolumes('node1');
    expect(volume).toMatchObject({ name: 'lv-one-7-0', sizeBytes: 256 * mib, active: true, open: false });
    expect(volume?.tags).toEqual(['cxm', 'cxm_cloud=frontend', 'cxm_disk=0', 'cxm_image=7', 'cxm_vm=7']);
    expect(await lab.output('node1', `readlink ${diskPath(7, 0)}; stat -c %U ${diskPath(7, 0)}`)).toBe(
      '/dev/VG0/lv-one-7-0\noneadmin',
    );
    const files = await listing('node1', 'lv-one-7-0');
    expect(files).toContain('c 666 0:0 1 0  ./dev/null'.replace('666', '644'));
    expect(files).toContain('f 4755 0:0 2 5000  ./usr/bin/tool');
    expect(files).toContain('l 777 0:0 1 11 /etc/passwd ./etc/absolute');
    expect(files).toContain('user.comment="kept"');
    expect(files).toContain('user:77:r--');
    expect(await lab.output('node1', 'blkid -o value -s TYPE /dev/VG0/lv-one-7-0')).toBe('ext4');
  });

  test('a raw image arrives to the byte, and nothing of what lay there before is left in holes or in the tail', async () => {
    await dirtyVolumeGroup('node1', 64);
    prepareVmWithImage(8, { SIZE: '32M' });
    const data = makeRawImage('raw', [true, false, false, true, false, true, false, false], 12_345);
    await tmOk('clone', [`${frontend}:${imagePath('raw')}`, `node1:${diskPath(8, 0)}`, '8', '1']);
    const whole = Buffer.alloc(32 * mib);
    data.copy(whole);
    expect(await digest('node1', 'lv-one-8-0', 32 * mib)).toBe(createHash('sha256').update(whole).digest('hex'));
  });

  test.each([
    ['yes', 0.2],
    ['no', 1.2],
  ] as const)('a plain archive with WIRE_COMPRESSION=%s sends less than %f of its length', async (setting, most) => {
    lab.writeFrontend('/var/lib/one/remotes/cxmrc', `VG_NAME="VG0"\nWIRE_COMPRESSION="${setting}"\n`);
    prepareVmWithImage(14, { SIZE: '64M' });
    const text = Buffer.from(Array.from({ length: 8 * mib }, (_, index) => 32 + ((index >> 4) % 64)));
    writeFileSync('/var/tmp/words', text);
    execFileSync('tar', ['-cf', imagePath('plain'), '-C', '/var/tmp', 'words']);
    const before = bytesSent();
    await tmOk('clone', [`${frontend}:${imagePath('plain')}`, `node1:${diskPath(14, 0)}`, '14', '1']);
    const share = (bytesSent() - before) / text.length;
    expect(share).toBeLessThan(most);
    expect(share).toBeGreaterThan(setting === 'no' ? 1 : 0);
    const read = 'mkdir -p /t; mount -o ro /dev/VG0/lv-one-14-0 /t; sha256sum < /t/words; umount /t';
    expect(await lab.output('node1', read)).toContain(createHash('sha256').update(text).digest('hex'));
  });

  test('an image that is larger than its SIZE is refused before anything is created', async () => {
    prepareVmWithImage(9, { SIZE: '4M' });
    makeRawImage(
      'big',
      Array.from({ length: 8 }, () => true),
    );
    const result = await tm('clone', [`${frontend}:${imagePath('big')}`, `node1:${diskPath(9, 0)}`, '9', '1']);
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('SIZE of the image is 4 MiB, but its content needs at least 8 MiB');
    expect(await lab.logicalVolumes('node1')).toEqual([]);
  });

  test('running it twice ends as running it once', async () => {
    prepareVmWithImage(10, { SIZE: '16M' });
    makeRawImage('twice', [true, true]);
    const args = [`${frontend}:${imagePath('twice')}`, `node1:${diskPath(10, 0)}`, '10', '1'];
    await tmOk('clone', args);
    const once = [await lab.logicalVolumes('node1'), await digest('node1', 'lv-one-10-0', 16 * mib)];
    await tmOk('clone', args);
    expect([await lab.logicalVolumes('node1'), await digest('node1', 'lv-one-10-0', 16 * mib)]).toEqual(once);
  });

  test('a volume of that name which belongs to another cloud is not touched', async () => {
    await lab.node(
      'node1',
      'lvcreate -qq -y -L 8M --addtag cxm --addtag cxm_vm=11 --addtag cxm_cloud=other -n lv-one-11-0 VG0',
    );
    prepareVmWithImage(11, { SIZE: '16M' });
    makeRawImage('foreign', [true]);
    const result = await tm('clone', [`${frontend}:${imagePath('foreign')}`, `node1:${diskPath(11, 0)}`, '11', '1']);
    expect(result.stderr).toContain('lv-one-11-0 is not that of VM 11');
    expect((await lab.logicalVolumes('node1')).map(({ sizeBytes }) => sizeBytes)).toEqual([8 * mib]);
  });

  test('twenty at once from one frontend to two hosts of one SAN leave twenty complete volumes', async () => {
    makeRawImage('many', [true, false, true]);
    const ids = Array.from({ length: 20 }, (_, index) => 100 + index);
    for (const id of ids) prepareVmWithImage(id, { SIZE: '8M' });
    const host = (id: number): 'node1' | 'node2' => (id % 2 === 0 ? 'node1' : 'node2');
    await Promise.all(
      ids.map((id) =>
        tmOk('clone', [`${frontend}:${imagePath('many')}`, `${host(id)}:${diskPath(id, 0)}`, String(id), '1']),
      ),
    );
    const volumes = await lab.logicalVolumes('node1');
    expect(volumes.map(({ name }) => name)).toEqual(ids.map((id) => `lv-one-${id}-0`).sort());
    expect(volumes.filter(({ tags }) => tags.includes('cxm_partial'))).toEqual([]);
    const digests = await Promise.all(ids.map((id) => digest(host(id), `lv-one-${id}-0`, 8 * mib)));
    expect(new Set(digests).size).toBe(1);
  });
});

describe('mkimage and mkswap', () => {
  test('a volatile disk has the file system that 3.8 names in the argument and 7.x in the disk', async () => {
    lab.prepareVm(20, vmDocument(20, [{ diskId: 2, attributes: { FS: 'xfs', FORMAT: 'raw', SIZE: 400 } }]));
    await tmOk('mkimage', ['40', 'ext3', `node1:${diskPath(20, 1)}`, '20', '0']);
    await tmOk('mkimage', ['400', 'raw', `node1:${diskPath(20, 2)}`, '20', '0']);
    await tmOk('mkswap', ['16', `node1:${diskPath(20, 3)}`, '20', '0']);
    const types = await lab.output('node1', 'for n in 1 2 3; do blkid -o value -s TYPE /dev/VG0/lv-one-20-$n; done');
    expect(types).toBe('ext3\nxfs\nswap');
  });

  test('a raw volatile disk reads as zeros, whatever lay there before', async () => {
    await dirtyVolumeGroup('node1', 32);
    lab.prepareVm(21, vmDocument(21, [{ diskId: 0, attributes: { FORMAT: 'raw', SIZE: 16 } }]));
    await tmOk('mkimage', ['16', 'raw', `node1:${diskPath(21, 0)}`, '21', '0']);
    expect(await lab.output('node1', 'tr -d "\\0" < /dev/VG0/lv-one-21-0 | wc -c')).toBe('0');
  });
});

describe('context', () => {
  test('the CD is a volume with label CONTEXT that holds the files, and can be made again while it is in use', async () => {
    lab.prepareImage(0, imageDocument(0));
    lab.writeFrontend('/var/lib/one/vms/30/context.sh', 'HOSTNAME="vm30"\n');
    const args = ['/var/lib/one/vms/30/context.sh', '/etc/hostname', `node1:${diskPath(30, 4)}`, '30', '0'];
    await tmOk('context', args);
    const read = 'mkdir -p /t; mount -o ro /dev/VG0/lv-one-30-4 /t; ls /t; cat /t/context.sh; umount /t';
    expect(await lab.output('node1', read)).toBe('context.sh\nhostname\nHOSTNAME="vm30"');
    expect(await lab.output('node1', 'blkid -o value -s LABEL /dev/VG0/lv-one-30-4')).toBe('CONTEXT');
    lab.writeFrontend('/var/lib/one/vms/30/context.sh', 'HOSTNAME="renamed"\n');
    const holder = lab.node('node1', 'exec 3</dev/VG0/lv-one-30-4; sleep 8');
    await new Promise((resolve) => setTimeout(resolve, 500));
    await tmOk('context', args);
    await holder;
    expect(await lab.output('node1', read)).toContain('renamed');
  });

  test('a running guest sees nothing of former tenants when its CD has to grow', async () => {
    await dirtyVolumeGroup('node1', 64);
    lab.prepareImage(0, imageDocument(0));
    lab.writeFrontend('/var/lib/one/vms/31/context.sh', 'HOSTNAME="vm31"\n');
    const make = (file: string): Promise<unknown> => tmOk('context', [file, `node1:${diskPath(31, 4)}`, '31', '0']);
    await make('/var/lib/one/vms/31/context.sh');
    const device = '/dev/VG0/lv-one-31-4';
    const guest = lab.output(
      'node1',
      `exec 3<${device}; before=$(blockdev --getsize64 ${device})
       until [ "$(blockdev --getsize64 ${device})" -gt "$before" ]; do :; done
       tail -c "+$((before + 1))" <&3 | tr -d '\\0' | wc -c`,
    );
    lab.writeFrontend('/var/lib/one/vms/31/zeros', '\0'.repeat(20 * 2 ** 20));
    await make('/var/lib/one/vms/31/zeros');
    expect(await guest).toBe('0');
    const volumes = await lab.logicalVolumes('node1');
    expect(volumes.filter(({ name }) => name.startsWith('lv-one-31'))).toMatchObject([{ name: 'lv-one-31-4' }]);
  });
});

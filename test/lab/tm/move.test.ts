/** mv, mvds and cpds on real LVM: disks go to other hosts, to the frontend and back, and into images. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { lab } from '../lab.ts';
import {
  diskPath,
  digest,
  frontend,
  imagePath,
  listing,
  makeArchive,
  makeRawImage,
  prepareVmWithImage,
  tm,
  tmOk,
  vmDirectory,
  vmDocument,
} from './support.ts';

const mib = 1024 * 1024;
const { privateSystem, sharedSystem } = lab.datastores;

beforeEach(() => lab.reset());
afterAll(() => lab.reset());

async function cloneArchive(
  vmId: number,
  host: string,
  datastore: number = sharedSystem,
  type = 'ext4',
): Promise<void> {
  const size = type === 'xfs' ? '400M' : '192M';
  prepareVmWithImage(vmId, { SIZE: size, FSTYPE: type });
  await tmOk('clone', [
    `${frontend}:${makeArchive('os')}`,
    `${host}:${diskPath(vmId, 0, datastore)}`,
    String(vmId),
    '1',
  ]);
}

async function cloneRaw(vmId: number, host: string, datastore: number = sharedSystem): Promise<string> {
  prepareVmWithImage(vmId, { SIZE: '24M' });
  makeRawImage('raw', [true, false, true, false, false, true]);
  await tmOk('clone', [
    `${frontend}:${imagePath('raw')}`,
    `${host}:${diskPath(vmId, 0, datastore)}`,
    String(vmId),
    '1',
  ]);
  return digest(host as 'node1', `lv-one-${vmId}-0`, 24 * mib);
}

describe('mv between hosts', () => {
  test('of one SAN moves no data: the source deactivates, the destination activates', async () => {
    const before = await cloneRaw(40, 'node1');
    const result = await tmOk('mv', [`node1:${diskPath(40, 0)}`, `node2:${diskPath(40, 0)}`, '40', '1']);
    expect(result.stderr).toContain('no data moved');
    expect((await lab.logicalVolumes('node1')).map(({ active }) => active)).toEqual([false]);
    expect((await lab.logicalVolumes('node2')).map(({ active }) => active)).toEqual([true]);
    expect(await digest('node2', 'lv-one-40-0', 24 * mib)).toBe(before);
    await tmOk('mv', [`node1:${diskPath(40, 0)}`, `node2:${diskPath(40, 0)}`, '40', '1']);
  });

  test('that share no SAN copies the blocks and leaves nothing behind', async () => {
    await lab.start('node3');
    const before = await cloneRaw(41, 'node1', privateSystem);
    const args = [`node1:${diskPath(41, 0, privateSystem)}`, `node3:${diskPath(41, 0, privateSystem)}`, '41', '1'];
    const result = await tmOk('mv', args);
    expect(result.stderr).toContain('its blocks were copied');
    expect(await lab.logicalVolumes('node1')).toEqual([]);
    expect(await digest('node3', 'lv-one-41-0', 24 * mib)).toBe(before);
    expect(await lab.output('node1', `ls ${vmDirectory(41, privateSystem)}`)).toBe('');
    await tmOk('mv', args);
    await lab.node('node3', 'lvremove -qq -f VG0/lv-one-41-0');
  });

  test('a disk that a VM still uses does not leave its host', async () => {
    await cloneRaw(42, 'node1');
    const hold = 'exec 3</dev/VG0/lv-one-42-0; while [ ! -e /run/guest-42-ends ]; do sleep 0.2; done';
    const holder = lab.node('node1', hold);
    lab.writeFrontend('/var/lib/one/remotes/cxmrc', 'VG_NAME="VG0"\nBUSY_TIMEOUT=2\n');
    const result = await tm('mv', [`node1:${diskPath(42, 0)}`, `node2:${diskPath(42, 0)}`, '42', '1']);
    lab.writeFrontend('/var/lib/one/remotes/cxmrc', 'VG_NAME="VG0"\n');
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('in use');
    expect((await lab.logicalVolumes('node2')).map(({ active }) => active)).toEqual([false]);
    await lab.node('node1', 'touch /run/guest-42-ends');
    await holder;
  });

  test('the directory of a VM is left alone where both hosts see it, and moved where they do not', async () => {
    for (const [vmId, datastore] of [
      [43, sharedSystem],
      [44, privateSystem],
    ] as const) {
      const directory = vmDirectory(vmId, datastore);
      lab.prepareVm(vmId, vmDocument(vmId, []));
      const write = `mkdir -p ${directory}; cd ${directory}; echo cfg > deployment.0; truncate -s 1M checkpoint; ln -s /dev/VG0/x disk.0; chown -R oneadmin: .`;
      await lab.node('node1', write);
      await tmOk('mv', [`node1:${directory}`, `node2:${directory}`, String(vmId), String(datastore)]);
      expect(await lab.output('node2', `cat ${directory}/deployment.0; stat -c %s ${directory}/checkpoint`)).toBe(
        'cfg\n1048576',
      );
      const left = await lab.output('node1', `ls -A ${directory} 2>/dev/null | tr '\\n' ' ' || true`);
      expect(left).toBe(datastore === sharedSystem ? 'checkpoint deployment.0 disk.0 ' : '');
    }
  });
});

/** A VM with nothing but a context, which oned never moves by itself. */
async function makeContext(vmId: number, host: string, datastore: number): Promise<void> {
  lab.prepareVm(vmId, vmDocument(vmId, [], { contextDisk: 1 }));
  lab.writeFrontend(`/var/lib/one/vms/${vmId}/context.sh`, `HOSTNAME="vm${vmId}"\n`);
  const sources = [`/var/lib/one/vms/${vmId}/context.sh`];
  await tmOk('context', [...sources, `${host}:${diskPath(vmId, 1, datastore)}`, String(vmId), String(datastore)]);
}

describe('the context goes with the directory', () => {
  const readContext = (vmId: number): string =>
    `mkdir -p /t; mount -o ro /dev/VG0/lv-one-${vmId}-1 /t; cat /t/context.sh; umount /t`;

  test('of a stopped VM to the frontend and to another host, and leaves no volume behind', async () => {
    await makeContext(45, 'node1', privateSystem);
    const directory = vmDirectory(45, privateSystem);
    await tmOk('mv', [`node1:${directory}`, `${frontend}:${directory}`, '45', String(privateSystem)]);
    expect(await lab.logicalVolumes('node1')).toEqual([]);
    await tmOk('mv', [`${frontend}:${directory}`, `node2:${directory}`, '45', String(privateSystem)]);
    expect(existsSync(directory)).toBe(false);
    expect(await lab.output('node2', readContext(45))).toBe('HOSTNAME="vm45"');
    expect(await lab.output('node2', `readlink ${diskPath(45, 1, privateSystem)}`)).toBe('/dev/VG0/lv-one-45-1');
  });

  test('between hosts of one SAN, where it is active at the destination only', async () => {
    await makeContext(46, 'node1', sharedSystem);
    const directory = vmDirectory(46);
    await tmOk('mv', [`node1:${directory}`, `node2:${directory}`, '46', String(sharedSystem)]);
    expect((await lab.logicalVolumes('node1')).map(({ active }) => active)).toEqual([false]);
    expect(await lab.output('node2', readContext(46))).toBe('HOSTNAME="vm46"');
  });

  test('to a host that shares no SAN', async () => {
    await lab.start('node3');
    await makeContext(47, 'node1', privateSystem);
    const directory = vmDirectory(47, privateSystem);
    await tmOk('mv', [`node1:${directory}`, `node3:${directory}`, '47', String(privateSystem)]);
    expect(await lab.logicalVolumes('node1')).toEqual([]);
    expect(await lab.output('node3', readContext(47))).toBe('HOSTNAME="vm47"');
    await lab.node('node3', 'lvremove -qq -f VG0/lv-one-47-1');
  });
});

describe('mv to the frontend and back', () => {
  test.each(['ext4', 'xfs'] as const)(
    'a file system (%s) travels as an archive and comes back with the same files, type, UUID and size',
    async (type) => {
      await cloneArchive(50, 'node1', sharedSystem, type);
      const identity = 'blkid -o value -s TYPE -s UUID /dev/VG0/lv-one-50-0';
      const [files, id] = [await listing('node1', 'lv-one-50-0'), await lab.output('node1', identity)];
      const [before] = await lab.logicalVolumes('node1');
      await tmOk('mv', [`node1:${diskPath(50, 0)}`, `${frontend}:${diskPath(50, 0)}`, '50', '1']);
      expect(await lab.logicalVolumes('node1')).toEqual([]);
      expect(statSync(diskPath(50, 0)).size).toBeLessThan(2 * mib);
      await tmOk('mv', [`${frontend}:${diskPath(50, 0)}`, `node2:${diskPath(50, 0)}`, '50', '1']);
      expect(existsSync(diskPath(50, 0))).toBe(false);
      expect(await listing('node2', 'lv-one-50-0')).toBe(files);
      expect(await lab.output('node2', identity)).toBe(id);
      const [after] = await lab.logicalVolumes('node2');
      expect(after).toMatchObject({ name: before?.name, sizeBytes: before?.sizeBytes });
    },
  );

  test('the disk of a suspended VM comes back block by block, because its memory refers to the blocks', async () => {
    await cloneArchive(51, 'node1');
    await lab.node('node1', `touch ${vmDirectory(51)}/checkpoint`);
    const before = await digest('node1', 'lv-one-51-0', 192 * mib);
    const result = await tmOk('mv', [`node1:${diskPath(51, 0)}`, `${frontend}:${diskPath(51, 0)}`, '51', '1']);
    expect(result.stderr).toContain('the saved memory of the VM refers to the blocks of this disk');
    await tmOk('mv', [`${frontend}:${diskPath(51, 0)}`, `node2:${diskPath(51, 0)}`, '51', '1']);
    expect(await digest('node2', 'lv-one-51-0', 192 * mib)).toBe(before);
  });

  test('a frontend without room keeps the disk on its host, says so, and holds nothing of it', async () => {
    const before = await cloneRaw(53, 'node1');
    mkdirSync(vmDirectory(53), { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1M,mode=777', 'tmpfs', vmDirectory(53)]);
    try {
      const result = await tm('mv', [`node1:${diskPath(53, 0)}`, `${frontend}:${diskPath(53, 0)}`, '53', '1']);
      expect(result.exitCode).toBe(1);
      expect(result.stderr).toContain(`${diskPath(53, 0)}`);
      expect(result.stderr).toContain('no space left on device');
      expect(readdirSync(vmDirectory(53))).toEqual([]);
    } finally {
      execFileSync('umount', [vmDirectory(53)]);
    }
    expect(await digest('node1', 'lv-one-53-0', 24 * mib)).toBe(before);
  });

  test('each of both ways can be run twice', async () => {
    const before = await cloneRaw(52, 'node1');
    const away = [`node1:${diskPath(52, 0)}`, `${frontend}:${diskPath(52, 0)}`, '52', '1'];
    const back = [`${frontend}:${diskPath(52, 0)}`, `node1:${diskPath(52, 0)}`, '52', '1'];
    await tmOk('mv', away);
    await tmOk('mv', away);
    await tmOk('mv', back);
    await tmOk('mv', back);
    expect(await digest('node1', 'lv-one-52-0', 24 * mib)).toBe(before);
  });
});

describe('mvds and cpds', () => {
  test.each(['RAW', 'TGZ', 'TZST'])(
    'mvds in mode %s saves a file system as an archive from which the same files can be cloned',
    async (mode) => {
      await cloneArchive(60, 'node1');
      const files = await listing('node1', 'lv-one-60-0');
      lab.writeFrontend('/var/lib/one/remotes/cxmrc', `VG_NAME="VG0"\nMODE="${mode}"\n`);
      await tmOk('mvds', [`node1:${diskPath(60, 0)}`, imagePath('saved'), '60', '1']);
      lab.writeFrontend('/var/lib/one/remotes/cxmrc', 'VG_NAME="VG0"\n');
      expect(await lab.logicalVolumes('node1')).toEqual([]);
      prepareVmWithImage(61);
      await tmOk('clone', [`${frontend}:${imagePath('saved')}`, `node1:${diskPath(61, 0)}`, '61', '1']);
      expect(await listing('node1', 'lv-one-61-0')).toBe(files);
    },
  );

  test('mvds saves anything else block by block', async () => {
    const before = await cloneRaw(62, 'node1');
    await tmOk('mvds', [`node1:${diskPath(62, 0)}`, imagePath('saved'), '62', '1']);
    await tmOk('mvds', [`node1:${diskPath(62, 0)}`, imagePath('saved'), '62', '1']);
    prepareVmWithImage(63);
    await tmOk('clone', [`${frontend}:${imagePath('saved')}`, `node2:${diskPath(63, 0)}`, '63', '1']);
    expect(await digest('node2', 'lv-one-63-0', 24 * mib)).toBe(before);
  });

  test('cpds copies the disk of a running VM as it is at one moment, and leaves no snapshot', async () => {
    await cloneArchive(64, 'node1');
    await lab.node('node1', 'mkdir -p /t && mount /dev/VG0/lv-one-64-0 /t && echo running > /t/live && sync');
    await tmOk('cpds', [`node1:${diskPath(64, 0)}`, imagePath('copy'), '-1', '64', '1']);
    await lab.node('node1', 'umount /t');
    expect((await lab.logicalVolumes('node1')).map(({ name }) => name)).toEqual(['lv-one-64-0']);
    prepareVmWithImage(65);
    await tmOk('clone', [`${frontend}:${imagePath('copy')}`, `node1:${diskPath(65, 0)}`, '65', '1']);
    expect(await listing('node1', 'lv-one-65-0')).toContain('./live');
  });
});

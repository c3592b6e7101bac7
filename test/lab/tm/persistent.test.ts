/** Persistent images on real LVM: what a VM wrote to one comes back into it, whatever ends the VM. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { lab } from '../lab.ts';
import {
  diskPath,
  digest,
  frontend,
  imagePath,
  makeArchive,
  makeRawImage,
  prepareVmWithImage,
  tm,
  tmOk,
  vmDocument,
} from './support.ts';

const mib = 1024 * 1024;
const { privateSystem, sharedSystem } = lab.datastores;

beforeEach(async () => {
  await lab.reset();
  lab.writeFrontend('/var/lib/one/remotes/cxmrc', 'VG_NAME="VG0"\nMODE="RAW"\n');
});
afterAll(() => lab.reset());

const persistent = { PERSISTENT: 'YES', CLONE: 'NO', SAVE: 'YES' };
/** As oned links an image that no VM changes, to as many VMs as like. */
const cdrom = { TYPE: 'CDROM', READONLY: 'YES', CLONE: 'NO', SAVE: 'NO' };

/** A VM whose disk 0 is the image `file`, persistent unless its attributes say something else. */
function prepare(
  vmId: number,
  file: string,
  size: string,
  attributes: Readonly<Record<string, string>> = persistent,
): void {
  prepareVmWithImage(vmId, { SIZE: size });
  lab.prepareVm(vmId, vmDocument(vmId, [{ diskId: 0, imageId: vmId, attributes }]));
  lab.prepareImage(
    vmId,
    `<IMAGE><ID>${vmId}</ID><NAME>data</NAME><PERSISTENT>1</PERSISTENT><SIZE>64</SIZE><SOURCE>${file}</SOURCE>` +
      `<TEMPLATE><SIZE>${size}</SIZE></TEMPLATE></IMAGE>`,
  );
}

function lnArguments(vmId: number, file: string, host: string, datastore: number = sharedSystem): string[] {
  return [`${frontend}:${file}`, `${host}:${diskPath(vmId, 0, datastore)}`, String(vmId), '1'];
}

async function lnRaw(vmId: number, host: string, datastore: number = sharedSystem): Promise<string> {
  makeRawImage('data', [true, false, true, true]);
  const file = imagePath('data');
  prepare(vmId, file, '8M');
  await tmOk('ln', lnArguments(vmId, file, host, datastore));
  return file;
}

/** What the VM writes. */
async function write(node: 'node1' | 'node3', vmId: number, text: string): Promise<void> {
  await lab.node(
    node,
    `printf %s '${text}' | dd of=/dev/VG0/lv-one-${vmId}-0 bs=1M seek=1 conv=notrunc,fsync status=none`,
  );
}

function written(file: string, length: number): string {
  return readFileSync(file)
    .subarray(mib, mib + length)
    .toString();
}

test('a persistent disk that is deleted is saved into its image first', async () => {
  const file = await lnRaw(300, 'node1');
  await write('node1', 300, 'precious');
  const before = await digest('node1', 'lv-one-300-0', 8 * mib);
  const result = await tmOk('delete', [`node1:${diskPath(300, 0)}`, '300', '1']);
  expect(result.stderr).toContain('holds a persistent image: saving it first');
  expect(await lab.logicalVolumes('node1')).toEqual([]);
  expect(written(file, 8)).toBe('precious');
  expect(statSync(file).size).toBe(8 * mib);
  expect(execFileSync('sha256sum', [file]).toString().split(' ')[0]).toBe(before);
  await tmOk('delete', [`node1:${diskPath(300, 0)}`, '300', '1']);
  expect(written(file, 8)).toBe('precious');
});

test('a persistent file system that is deleted goes back as an archive of its files', async () => {
  const file = makeArchive('os');
  prepare(301, file, '192M');
  await tmOk('ln', lnArguments(301, file, 'node1'));
  await lab.node('node1', 'mkdir -p /t; mount /dev/VG0/lv-one-301-0 /t; echo precious > /t/root/new; umount /t');
  await tmOk('delete', [`node1:${diskPath(301, 0)}`, '301', '1']);
  expect(await lab.logicalVolumes('node1')).toEqual([]);
  expect(execFileSync('tar', ['-xOf', file, './root/new']).toString()).toBe('precious\n');
});

test('a second ln keeps what the VM wrote, and a clone in its place is refused', async () => {
  const file = await lnRaw(302, 'node1');
  await write('node1', 302, 'precious');
  const before = await digest('node1', 'lv-one-302-0', 8 * mib);
  await tmOk('ln', lnArguments(302, file, 'node1'));
  expect(await digest('node1', 'lv-one-302-0', 8 * mib)).toBe(before);
  const refused = await tm('clone', lnArguments(302, file, 'node1'));
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain('holds a persistent image that was not saved');
  expect(await digest('node1', 'lv-one-302-0', 8 * mib)).toBe(before);
});

test('a persistent disk whose image OpenNebula does not name is not deleted', async () => {
  await lnRaw(303, 'node1');
  lab.prepareVm(303, vmDocument(303, []));
  const result = await tm('delete', [`node1:${diskPath(303, 0)}`, '303', '1']);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toContain('does not say which image it belongs to');
  expect((await lab.logicalVolumes('node1')).map(({ name }) => name)).toEqual(['lv-one-303-0']);
});

test('deleting the directory of a VM leaves a persistent disk that was not saved', async () => {
  await lnRaw(304, 'node1');
  const result = await tmOk('delete', [`node1:${diskPath(304, 0).replace('/disk.0', '')}`, '304', '0']);
  expect(result.stderr).toContain('is kept');
  expect((await lab.logicalVolumes('node1')).map(({ name }) => name)).toEqual(['lv-one-304-0']);
});

test('a persistent disk stays one on a host that shares no SAN, and on the way through the frontend', async () => {
  await lab.start('node3');
  const file = await lnRaw(305, 'node1', privateSystem);
  await write('node1', 305, 'precious');
  const at = (host: string): string => `${host}:${diskPath(305, 0, privateSystem)}`;
  await tmOk('mv', [at('node1'), at('node3'), '305', '1']);
  const [moved] = await lab.logicalVolumes('node3');
  expect(moved?.tags).toEqual(expect.arrayContaining(['cxm_persistent', 'cxm_image=305']));
  await tmOk('mv', [at('node3'), at(frontend), '305', '1']);
  await tmOk('mv', [at(frontend), at('node1'), '305', '1']);
  const [back] = await lab.logicalVolumes('node1');
  expect(back?.tags).toEqual(expect.arrayContaining(['cxm_persistent', 'cxm_image=305']));
  await tmOk('delete', [at('node1'), '305', '1']);
  expect(written(file, 8)).toBe('precious');
});

test('a persistent disk of a stopped VM that is deleted on the frontend is saved into its image', async () => {
  const file = await lnRaw(306, 'node1');
  await write('node1', 306, 'precious');
  await tmOk('mv', [`node1:${diskPath(306, 0)}`, `${frontend}:${diskPath(306, 0)}`, '306', '1']);
  await tmOk('delete', [`${frontend}:${diskPath(306, 0)}`, '306', '1']);
  expect(existsSync(diskPath(306, 0))).toBe(false);
  expect(written(file, 8)).toBe('precious');
});

test('a CD-ROM, which oned links to many VMs, is nowhere saved', async () => {
  makeRawImage('data', [true, false, true, true]);
  const file = imagePath('data');
  const before = statSync(file);
  for (const vmId of [320, 321]) {
    prepare(vmId, file, '8M', cdrom);
    await tmOk('ln', lnArguments(vmId, file, 'node1'));
  }
  for (const vmId of [320, 321]) await tmOk('delete', [`node1:${diskPath(vmId, 0)}`, String(vmId), '1']);
  expect(await lab.logicalVolumes('node1')).toEqual([]);
  const { ino, mtimeMs, size } = statSync(file);
  expect({ ino, mtimeMs, size }).toEqual({ ino: before.ino, mtimeMs: before.mtimeMs, size: before.size });
});

test('a persistent disk is not saved into another image that has its number by now', async () => {
  await lnRaw(322, 'node1');
  await write('node1', 322, 'precious');
  const other = imagePath('other');
  writeFileSync(other, 'of somebody else');
  lab.prepareVm(322, vmDocument(322, [{ diskId: 0, imageId: 9322, attributes: persistent }]));
  lab.prepareImage(9322, `<IMAGE><ID>9322</ID><NAME>other</NAME><SIZE>64</SIZE><SOURCE>${other}</SOURCE></IMAGE>`);
  const refused = await tm('delete', [`node1:${diskPath(322, 0)}`, '322', '1']);
  expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringContaining('holds image 322')]);
  expect(readFileSync(other, 'utf8')).toBe('of somebody else');
  expect((await lab.logicalVolumes('node1')).map(({ name }) => name)).toEqual(['lv-one-322-0']);
});

test('what a killed move has left on the frontend does not replace what was saved from the host since', async () => {
  const file = await lnRaw(323, 'node1');
  const [here, there] = [`${frontend}:${diskPath(323, 0)}`, `node1:${diskPath(323, 0)}`];
  await write('node1', 323, 'old text');
  await tmOk('mv', [there, here, '323', '1']);
  const left = readFileSync(diskPath(323, 0));
  await tmOk('mv', [here, there, '323', '1']);
  writeFileSync(diskPath(323, 0), left);
  await write('node1', 323, 'precious');
  await tmOk('mvds', [there, file, '323', '1']);
  await tmOk('delete', [there.replace('/disk.0', ''), '323', '0']);
  expect(written(file, 8)).toBe('precious');
  expect(existsSync(diskPath(323, 0))).toBe(false);
});

describe('mvds', () => {
  const saveArguments = (vmId: number, file: string): string[] => [
    `node1:${diskPath(vmId, 0)}`,
    file,
    String(vmId),
    '1',
  ];

  test('can be run twice, and fails for a disk that is nowhere although the image exists', async () => {
    const file = await lnRaw(310, 'node1');
    await write('node1', 310, 'precious');
    await tmOk('mvds', saveArguments(310, file));
    await tmOk('mvds', saveArguments(310, file));
    expect(written(file, 8)).toBe('precious');
    await tmOk('delete', [`node1:${diskPath(310, 0).replace('/disk.0', '')}`, '310', '0']);
    const lost = await tm('mvds', saveArguments(310, file));
    expect(lost.exitCode).toBe(1);
    expect(lost.stderr).toContain('[NOT_FOUND]');
  });

  test('of an undeployed VM can be run twice', async () => {
    const file = await lnRaw(314, 'node1');
    await write('node1', 314, 'precious');
    const stopped = `${frontend}:${diskPath(314, 0)}`;
    await tmOk('mv', [`node1:${diskPath(314, 0)}`, stopped, '314', '1']);
    await tmOk('mvds', [stopped, file, '314', '1']);
    await tmOk('mvds', [stopped, file, '314', '1']);
    expect(written(file, 8)).toBe('precious');
  });

  test('that names the last host saves the disk of an undeployed VM from the frontend', async () => {
    const file = await lnRaw(311, 'node1');
    await write('node1', 311, 'precious');
    await tmOk('mv', [`node1:${diskPath(311, 0)}`, `${frontend}:${diskPath(311, 0)}`, '311', '1']);
    await tmOk('mvds', saveArguments(311, file));
    expect(written(file, 8)).toBe('precious');
    expect(existsSync(diskPath(311, 0))).toBe(false);
  });
});

test('a delete that names the last host saves the persistent disk of a stopped VM from the frontend', async () => {
  const file = await lnRaw(312, 'node1');
  await write('node1', 312, 'precious');
  await tmOk('mv', [`node1:${diskPath(312, 0)}`, `${frontend}:${diskPath(312, 0)}`, '312', '1']);
  await tmOk('delete', [`node1:${diskPath(312, 0)}`, '312', '1']);
  expect(written(file, 8)).toBe('precious');
  expect(existsSync(diskPath(312, 0))).toBe(false);
});

test('a persistent image that has grown keeps its size, whatever its SIZE once asked for', async () => {
  const file = await lnRaw(313, 'node1');
  await tmOk('resize', [`node1:${diskPath(313, 0)}`, '16', '313', '1']);
  await tmOk('mvds', [`node1:${diskPath(313, 0)}`, file, '313', '1']);
  await tmOk('ln', lnArguments(313, file, 'node1'));
  expect((await lab.logicalVolumes('node1')).map(({ sizeBytes }) => sizeBytes)).toEqual([16 * mib]);
});

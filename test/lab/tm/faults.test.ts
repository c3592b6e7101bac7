/** Kills, dead hosts, deletes and everything else that goes wrong: nothing half-made stays, nothing foreign is touched. */
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
  tmLine,
  tmOk,
  vmDirectory,
} from './support.ts';

const mib = 1024 * 1024;

beforeEach(() => lab.reset());
afterAll(() => lab.reset());

async function settled(node: 'node1' | 'node2'): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    if ((await lab.traces(node)).processes.length === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`processes of the helper go on: ${(await lab.traces(node)).processes.join('; ')}`);
}

describe('kills', () => {
  test('clone killed at random points leaves nothing, a volume that says it is incomplete, or the finished disk; it finishes when run again, and delete removes all of it', async () => {
    prepareVmWithImage(70, { SIZE: '192M', FSTYPE: 'ext4' });
    const archive = makeArchive('os');
    await lab.node('node1', `mkdir -p ${vmDirectory(70)}; chown oneadmin: ${vmDirectory(70)}`);
    const before = await lab.traces('node1');
    const args = [`${frontend}:${archive}`, `node1:${diskPath(70, 0)}`, '70', '1'];
    for (const [index, delayMs] of [150, 400, 700, 1000, 1300, 1700, 2200, 2800].entries()) {
      const running = lab.startFrontend(['sh', '-c', tmLine('clone', args)]);
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      running.kill('SIGKILL');
      await running.result;
      await settled('node1');
      const after = await lab.traces('node1');
      const [volume] = await lab.logicalVolumes('node1');
      expect(after.mounts, `killed after ${delayMs} ms`).toEqual(before.mounts);
      if (volume?.tags.includes('cxm_partial')) {
        // Without the action there is no lock, and without the lock nothing of the volume group is changed.
        expect(volume).toMatchObject({ name: 'lv-one-70-0', active: false });
        expect(after.files).toEqual(before.files);
        // Some are left for the next clone to replace.
        if (index % 2 === 0) continue;
      }
      if (volume !== undefined) await tmOk('delete', [`node1:${diskPath(70, 0)}`, '70', '1']);
      await settled('node1');
      expect(await lab.traces('node1'), `killed after ${delayMs} ms`).toEqual(before);
    }
    await tmOk('clone', args);
    expect(await listing('node1', 'lv-one-70-0')).toContain('./etc/hostname');
    expect((await lab.logicalVolumes('node1')).map(({ name, tags }) => [name, tags.includes('cxm_partial')])).toEqual([
      ['lv-one-70-0', false],
    ]);
  });

  test('a helper killed on the host leaves no mount, and the next clone replaces what it left', async () => {
    prepareVmWithImage(71, { SIZE: '64M' });
    makeRawImage(
      'raw',
      Array.from({ length: 60 }, () => true),
    );
    const args = [`${frontend}:${imagePath('raw')}`, `node1:${diskPath(71, 0)}`, '71', '1'];
    const running = lab.startFrontend(['sh', '-c', tmLine('clone', args)]);
    for (let tries = 0; (await lab.logicalVolumes('node1')).length === 0 && tries < 100; tries += 1);
    await lab.node('node1', 'pkill -KILL -f /usr/local/sbin/cxm-host');
    expect((await running.result).exitCode).toBe(1);
    expect((await lab.logicalVolumes('node1'))[0]?.tags).toContain('cxm_partial');
    await tmOk('clone', args);
    expect((await lab.logicalVolumes('node1'))[0]?.tags).not.toContain('cxm_partial');
  });

  test('the copy that a killed reader has left of a running disk is replaced by the next reader, and goes with the disk', async () => {
    prepareVmWithImage(75, { SIZE: '48M' });
    makeRawImage(
      'raw',
      Array.from({ length: 40 }, () => true),
    );
    await tmOk('clone', [`${frontend}:${imagePath('raw')}`, `node1:${diskPath(75, 0)}`, '75', '1']);
    const guest = lab.node(
      'node1',
      'exec 3</dev/VG0/lv-one-75-0; while [ ! -e /run/guest-75-ends ]; do sleep 0.2; done',
      { timeoutMs: 290_000 },
    );
    const names = async (): Promise<string[]> => (await lab.logicalVolumes('node1')).map(({ name }) => name);
    const copy = ['cpds', [`node1:${diskPath(75, 0)}`, imagePath('copy'), '-1', '75', '1']] as const;
    for (const end of ['cpds', 'delete']) {
      const running = lab.startFrontend(['sh', '-c', tmLine(...copy)]);
      for (let tries = 0; (await names()).length < 2 && tries < 200; tries += 1);
      running.kill('SIGKILL');
      await running.result;
      await settled('node1');
      const [disk, left] = await lab.logicalVolumes('node1');
      expect(disk).toMatchObject({ name: 'lv-one-75-0', active: true, open: true });
      expect(left).toMatchObject({
        name: 'lv-one-75-0_reading',
        tags: expect.arrayContaining(['cxm_partial']) as string[],
      });
      if (end === 'cpds') {
        await tmOk(...copy);
        expect(await names()).toEqual(['lv-one-75-0']);
      }
    }
    await lab.node('node1', 'touch /run/guest-75-ends');
    await guest;
    await tmOk('delete', [`node1:${diskPath(75, 0)}`, '75', '1']);
    expect(await names()).toEqual([]);
    expect(await lab.deviceMapper('node1')).toEqual([]);
  });

  test('mv to the frontend killed at random points never loses the disk', async () => {
    prepareVmWithImage(72, { SIZE: '48M' });
    makeRawImage(
      'raw',
      Array.from({ length: 40 }, (_, index) => index % 2 === 0),
    );
    await tmOk('clone', [`${frontend}:${imagePath('raw')}`, `node1:${diskPath(72, 0)}`, '72', '1']);
    const before = await digest('node1', 'lv-one-72-0', 48 * mib);
    const away = [`node1:${diskPath(72, 0)}`, `${frontend}:${diskPath(72, 0)}`, '72', '1'];
    for (const delayMs of [300, 800, 1200, 1600, 2000]) {
      const running = lab.startFrontend(['sh', '-c', tmLine('mv', away)]);
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      running.kill('SIGKILL');
      await running.result;
      await settled('node1');
    }
    await tmOk('mv', away);
    await tmOk('mv', [`${frontend}:${diskPath(72, 0)}`, `node2:${diskPath(72, 0)}`, '72', '1']);
    expect(await digest('node2', 'lv-one-72-0', 48 * mib)).toBe(before);
  });
});

describe('bad sources', () => {
  test('a truncated archive is one clear error and leaves nothing', async () => {
    prepareVmWithImage(73, { SIZE: '192M' });
    const archive = makeArchive('os');
    await lab.frontend(['truncate', '-s', '-2000', archive]);
    const result = await tm('clone', [`${frontend}:${archive}`, `node1:${diskPath(73, 0)}`, '73', '1']);
    expect(result.exitCode).toBe(1);
    expect(result.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('INFO'))).toHaveLength(1);
    expect(await lab.logicalVolumes('node1')).toEqual([]);
    expect(await lab.deviceMapper('node1')).toEqual([]);
  });

  test('an archive that wants to leave the mount changes nothing on the host', async () => {
    prepareVmWithImage(74, { SIZE: '64M' });
    const evil = imagePath('evil');
    const make = `cd $(mktemp -d) && ln -s /etc link && mkdir d && echo pwned > d/motd && tar -cPf ${evil} link && tar -rPf ${evil} --transform='s,^d/,link/,' d/motd && tar -rPf ${evil} --transform='s,^d/motd,../../../../etc/evil,' d/motd && tar -rPf ${evil} --transform='s,^d/motd,/etc/evil2,' d/motd`;
    await lab.frontend(['sh', '-c', make]);
    const before = await lab.output(
      'node1',
      'find /etc /root /usr/local -newer /proc/1 -type f | sort; ls /etc | sha256sum',
    );
    await tm('clone', [`${frontend}:${evil}`, `node1:${diskPath(74, 0)}`, '74', '1']);
    expect(
      await lab.output('node1', 'ls /etc/evil /etc/evil2 /etc/motd.d 2>&1 | grep -c evil; ls /etc | sha256sum'),
    ).toContain(before.split('\n').at(-1) ?? '?');
  });
});

describe('dead hosts', () => {
  test('a host without power is answered within the connection timeout, and delete says what is left there', async () => {
    lab.writeFrontend('/var/lib/one/remotes/cxmrc', 'VG_NAME="VG0"\nCONNECT_TIMEOUT=10\n');
    await lab.kill('node2');
    try {
      const start = performance.now();
      const result = await tm('delete', [`node2:${diskPath(80, 0)}`, '80', '1']);
      expect(performance.now() - start).toBeLessThan(60_000);
      expect(result.exitCode).toBe(1);
      expect(result.stderr).toContain("host node2 can't be reached");
      expect(result.stderr).toContain('left behind there: volume VG0/lv-one-80-0');
    } finally {
      lab.writeFrontend('/var/lib/one/remotes/cxmrc', 'VG_NAME="VG0"\n');
      await lab.start('node2');
    }
  });

  test('a disk does not move away from a host that can not be asked whether the VM runs there', async () => {
    prepareVmWithImage(81, { SIZE: '8M' });
    makeRawImage('raw', [true]);
    await tmOk('clone', [`${frontend}:${imagePath('raw')}`, `node1:${diskPath(81, 0)}`, '81', '1']);
    lab.writeFrontend('/var/lib/one/remotes/cxmrc', 'VG_NAME="VG0"\nCONNECT_TIMEOUT=10\n');
    await lab.kill('node1');
    try {
      const result = await tm('mv', [`node1:${diskPath(81, 0)}`, `node2:${diskPath(81, 0)}`, '81', '1']);
      expect(result.stderr).toContain("can't move while its host is out of reach");
      expect((await lab.logicalVolumes('node2')).map(({ active }) => active)).toEqual([false]);
    } finally {
      lab.writeFrontend('/var/lib/one/remotes/cxmrc', 'VG_NAME="VG0"\n');
      await lab.start('node1');
    }
  });
});

describe('delete', () => {
  test('waits for a device that is still open, as 3.x deletes while it cancels', async () => {
    prepareVmWithImage(90, { SIZE: '8M' });
    makeRawImage('raw', [true]);
    await tmOk('clone', [`${frontend}:${imagePath('raw')}`, `node1:${diskPath(90, 0)}`, '90', '1']);
    const holder = lab.node('node1', 'exec 3</dev/VG0/lv-one-90-0; sleep 4');
    await new Promise((resolve) => setTimeout(resolve, 500));
    await tmOk('delete', [`node1:${diskPath(90, 0)}`, '90', '1']);
    await holder;
    expect(await lab.logicalVolumes('node1')).toEqual([]);
  });

  test('never touches what a planted link points to, and succeeds when there is nothing', async () => {
    await lab.node(
      'node1',
      `lvcreate -qq -y -L 8M -n precious VG0; mkdir -p ${vmDirectory(91)}; ln -s /dev/VG0/precious ${diskPath(91, 0)}; chown -hR oneadmin: ${vmDirectory(91)}`,
    );
    await tmOk('delete', [`node1:${diskPath(91, 0)}`, '91', '1']);
    await tmOk('delete', [`node1:${diskPath(91, 0)}`, '91', '1']);
    expect((await lab.logicalVolumes('node1')).map(({ name }) => name)).toEqual(['precious']);
  });

  test('of the directory removes what failed attachments of that VM have left, and nothing of other VMs', async () => {
    makeRawImage('raw', [true]);
    for (const vmId of [92, 921]) {
      prepareVmWithImage(vmId, { SIZE: '8M' });
      await tmOk('clone', [`${frontend}:${imagePath('raw')}`, `node1:${diskPath(vmId, 0)}`, String(vmId), '1']);
    }
    await tmOk('delete', [`node1:${vmDirectory(92)}`, '92', '0']);
    expect((await lab.logicalVolumes('node1')).map(({ name }) => name)).toEqual(['lv-one-921-0']);
    expect(await lab.output('node1', `ls ${vmDirectory(92)} 2>&1 || true`)).toContain('No such file');
  });

  test.each(['discard', 'zero'])(
    'with DELETE_DATA=%s nothing of the disk can be read in the volume group afterwards',
    async (data) => {
      lab.writeFrontend('/var/lib/one/remotes/cxmrc', `VG_NAME="VG0"\nDELETE_DATA="${data}"\n`);
      lab.writeFrontend(imagePath('secret'), Buffer.alloc(8 * mib, 'TOPSECRET'));
      prepareVmWithImage(93, { SIZE: '8M' });
      await tmOk('clone', [`${frontend}:${imagePath('secret')}`, `node1:${diskPath(93, 0)}`, '93', '1']);
      await tmOk('delete', [`node1:${diskPath(93, 0)}`, '93', '1']);
      lab.writeFrontend('/var/lib/one/remotes/cxmrc', 'VG_NAME="VG0"\n');
      await lab.node('node1', 'lvcreate -qq -y -Wn -Zn -L 8M -n again VG0');
      expect(await lab.output('node1', 'grep -c TOPSECRET /dev/VG0/again || true; lvremove -qq -f VG0/again')).toBe(
        '0',
      );
    },
  );
});

describe('configuration', () => {
  test('a wrong key stops the action before it touches anything, with file, line, key, value and what is allowed', async () => {
    lab.writeFrontend('/var/lib/one/remotes/cxmrc', 'VG_NAME="VG0"\nBLOCK_SIZE="3 apples"\n');
    const result = await tm('delete', [`node1:${diskPath(94, 0)}`, '94', '1']);
    lab.writeFrontend('/var/lib/one/remotes/cxmrc', 'VG_NAME="VG0"\n');
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('remotes/cxmrc, line 2: BLOCK_SIZE is "3 apples", but must be a size');
  });

  test("the host's own /etc/cxm/cxmrc wins over the frontend's", async () => {
    await lab.node('node1', 'mkdir -p /etc/cxm; echo LV_PREFIX=local > /etc/cxm/cxmrc');
    prepareVmWithImage(95, { SIZE: '8M' });
    makeRawImage('raw', [true]);
    await tmOk('clone', [`${frontend}:${imagePath('raw')}`, `node1:${diskPath(95, 0)}`, '95', '1']);
    await lab.node('node1', 'rm /etc/cxm/cxmrc');
    expect((await lab.logicalVolumes('node1')).map(({ name }) => name)).toEqual(['local-95-0']);
  });
});

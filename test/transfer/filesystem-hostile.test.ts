/** Archives of tenants who want out of the room in which they are unpacked. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync, existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it, beforeEach } from 'vitest';
import { CxmError } from '../../src/errors.ts';
import { sandboxLine } from '../../src/transfer/archive-sandbox.ts';
import { throughProcess } from '../../src/transfer/process.ts';
import { rootFileSystemTools as tools } from '../../src/transfer/filesystem.ts';
import { device, directory, mounted, why, zero } from './devices.ts';
import { chunked, collect, failure, run } from './helpers.ts';
import { hostileArchives, tarMember } from './hostile-tar.ts';
import type { Compression } from '../../src/transfer/format.ts';

describe.skipIf(why !== undefined)(`file systems on devices (${why ?? 'as root'})`, () => {
  describe('hostile archives', () => {
    const outside = join(directory.path, 'outside');
    beforeEach(async () => {
      zero();
      await tools.make(device, { type: 'ext4', zeroed: true });
      rmSync(outside, { recursive: true, force: true });
      mkdirSync(outside);
      writeFileSync(join(outside, 'victim'), 'untouched');
    });

    it.each(hostileArchives('/tmp/cxm-hostile-victim', outside))(
      '%s: nothing outside the mount changes',
      async (_, archive, expected) => {
        rmSync('/tmp/cxm-hostile-victim', { force: true });
        const before = hostState(outside);
        const work = tools.unpack(device, { compression: 'none', archive: chunked(archive), type: 'ext4' });
        if (expected === 'either') await work.catch((error: unknown) => expect(error).toBeInstanceOf(CxmError));
        else if (expected === 'unpacks') await work;
        else await failure(work, expected);
        expect(hostState(outside)).toBe(before);
        expect(existsSync('/tmp/cxm-hostile-victim')).toBe(false);
      },
    );

    it('that write through a device node find it dead', async () => {
      const archive = Buffer.concat([
        tarMember({ name: './node', type: '3', deviceMajor: 7, deviceMinor: 0 }),
        tarMember({ name: './node', content: Buffer.from('overwritten') }),
        Buffer.alloc(1024),
      ]);
      await tools.unpack(device, { compression: 'none', archive: chunked(archive), type: 'ext4' });
      await mounted(device, 'ro', (root) => expect(statSync(join(root, 'node')).isFile()).toBe(true));
    });

    it('larger than the volume are TOO_SMALL at once, not after the whole archive', async () => {
      let sentBytes = 0;
      async function* endless(): AsyncGenerator<Uint8Array> {
        yield tarMember({ name: './big', sizeBytes: 2 ** 40 });
        for (; sentBytes < 20 * 2 ** 30; sentBytes += 2 ** 20) yield await Promise.resolve(Buffer.alloc(2 ** 20, 1));
      }
      await failure(tools.unpack(device, { compression: 'none', archive: endless(), type: 'ext4' }), 'TOO_SMALL');
      expect(sentBytes).toBeLessThan(2 * 2 ** 30);
    });

    it('of more files than the volume has inodes are TOO_SMALL', async () => {
      zero();
      run('mke2fs', '-q', '-F', '-t', 'ext4', '-N', '16', device);
      const members = Array.from({ length: 2000 }, (_, index) => tarMember({ name: `./f${index}` }));
      const archive = Buffer.concat([...members, Buffer.alloc(1024)]);
      await failure(
        tools.unpack(device, { compression: 'none', archive: chunked(archive), type: 'ext4' }),
        'TOO_SMALL',
      );
    });

    it('that blow up from a small zstd file end when the volume is full', async () => {
      const bomb = execFileSync('bash', [
        '-c',
        '(cat "$1"; head -c 1G /dev/zero) | zstd -q -1 -c',
        'bash',
        headOf({ name: './bomb', sizeBytes: 2 ** 30 }),
      ]);
      expect(bomb.length).toBeLessThan(2_000_000);
      await failure(tools.unpack(device, { compression: 'zstd', archive: chunked(bomb), type: 'ext4' }), 'TOO_SMALL');
    });

    it('that ask for gigabytes of memory by a pax header do not get it', async () => {
      const bomb = execFileSync('bash', [
        '-c',
        '(cat "$1"; head -c 1500M /dev/zero) | zstd -q -1 -c',
        'bash',
        headOf({ name: './pax', type: 'x', sizeBytes: 1500 * 2 ** 20 }),
      ]);
      await failure(
        tools.unpack(device, { compression: 'zstd', archive: chunked(bomb), type: 'ext4' }),
        'INVALID_INPUT',
      );
    }, 60_000);

    const sound = (): Buffer =>
      Buffer.concat([tarMember({ name: './a', content: Buffer.alloc(100_000, 'a') }), Buffer.alloc(1024)]);
    it.each<[string, Compression, () => Buffer]>([
      ['cut off in a file', 'none', () => sound().subarray(0, 60_000)],
      ['cut off between files', 'none', () => sound().subarray(0, -1024)],
      ['empty', 'none', () => Buffer.alloc(0)],
      ['garbage', 'none', () => Buffer.alloc(10_000, 'garbage')],
      ['cut off in gzip', 'gzip', () => gzipSync(sound()).subarray(0, -9)],
      ['empty in gzip', 'gzip', () => Buffer.alloc(0)],
      ['garbage in gzip', 'gzip', () => Buffer.alloc(10_000, 'garbage')],
      ['garbage inside gzip', 'gzip', () => gzipSync(Buffer.alloc(10_000, 'garbage'))],
      ['garbage in zstd', 'zstd', () => Buffer.alloc(10_000, 'garbage')],
      ['cut off in zstd', 'zstd', () => execFileSync('zstd', ['-qc'], { input: sound() }).subarray(0, -5)],
    ])('%s (%s) are one clear error', async (_, compression, archive) => {
      await failure(tools.unpack(device, { compression, archive: chunked(archive()), type: 'ext4' }), 'INVALID_INPUT');
    });

    it('whose sender fails end with the error of the sender', async () => {
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield await Promise.resolve(sound().subarray(0, 10_000));
        throw new CxmError('PROTOCOL', 'the connection broke');
      }
      await failure(tools.unpack(device, { compression: 'none', archive: broken(), type: 'ext4' }), 'PROTOCOL');
    });
  });

  it("confines even a program that takes tar's place", async () => {
    await tools.make(device, { type: 'ext4', zeroed: false });
    const attempts = `
      cd /; for target in /x /usr/x /bin/x /lib/x /mnt/x; do echo evil > $target && echo "wrote $target"; done
      for secret in /etc /dev /proc /root /home /var /sys; do ls $secret 2>/dev/null && echo "saw $secret"; done
      mknod /disk/loop b 7 0 && dd if=/disk/loop of=/dev/null count=1 && echo 'read a device'
      cp /bin/sh /disk/sh && chmod 6755 /disk/sh && /disk/sh -c 'echo ran from the disk'
      chroot / /bin/true && echo chroot
      ip link 2>/dev/null | grep -v -e 'lo:' -e loopback && echo network
      kill -9 1 ${process.pid} && echo killed
      echo done > /disk/done
    `;
    const line = sandboxLine({
      purpose: 'unpack',
      device,
      type: 'ext4',
      mountPoint: '/mnt',
      program: ['sh', '-c', attempts],
    });
    const [program, ...args] = line;
    const said = await collect(throughProcess(program, args, { explain: (end) => new Error(end.stderr) as CxmError }));
    expect(said.toString()).toBe('');
    await mounted(device, 'ro', (root) => expect(readFileSync(join(root, 'done'), 'utf8')).toBe('done\n'));
  });
});

function headOf(member: Parameters<typeof tarMember>[0]): string {
  const path = join(directory.path, 'head.tar');
  writeFileSync(path, tarMember(member));
  return path;
}

/** What a hostile archive would like to change. */
function hostState(outside: string): string {
  const listing = execFileSync(
    'bash',
    [
      '-c',
      'ls -la --time-style=full-iso "$1" /etc/passwd /etc/shadow /mnt /root; ls /; cat "$1"/* /etc/passwd',
      'bash',
      outside,
    ],
    {
      encoding: 'latin1',
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  return listing;
}

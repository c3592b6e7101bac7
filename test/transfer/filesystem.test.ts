/** Files of every kind through archives, from device to device, and what is found on a device. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync, existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { localCommands } from '../../src/host/commands.ts';
import { readNote } from '../../src/transfer/archive-note.ts';
import { createRootFileSystemTools, rootFileSystemTools as tools } from '../../src/transfer/filesystem.ts';
import { device, directory, mounted, note, other, use, uuid, why, zero } from './devices.ts';
import { chunked, collect, failure, loopDevice, run } from './helpers.ts';
import type { FileSystemType } from '../../src/transfer/archive-note.ts';
import type { Compression } from '../../src/transfer/format.ts';

/** Files of every kind that an archive must bring back. */
const oddFiles = `
  mkdir -p plain dir/deep 'with blank' noaccess; echo a > plain/a; chmod 0 noaccess; mkdir -p '*'
  echo n > $'new\\nline'; echo q > "quote'\\"s"; echo d > -dash; echo e > --exclude=x; echo u > $'not-utf8-\\xff\\xfe'
  echo b > 'back\\nslash'; echo g > '[abc]'; echo c > 'colon:name'
  long=$(printf 'l%.0s' {1..200}); mkdir -p $long/$long/$long; echo l > $long/$long/$long/$long
  cp /bin/true setuid; chown 1234:5678 setuid; chmod 6755 setuid; mkdir sticky; chmod 1777 sticky
  ln plain/a hard; ln -s plain/a soft; ln -s /etc/passwd absolute; ln -s ../../../../etc/shadow outside; ln -s gone dangling
  mknod null c 1 3; mknod disk b 8 0; mkfifo pipe; chown 7:8 null; chmod 640 pipe
  chown -h 99:98 soft
  truncate -s 20M sparse; echo end >> sparse; printf middle | dd of=sparse bs=1 seek=5000000 conv=notrunc status=none
  cp /bin/true capable; setcap cap_net_raw+ep capable
  setfattr -n user.comment -v 'a value' plain/a; setfattr -n trusted.hidden -v t plain/a
  setfattr -n security.selinux -v 0x73797374656d5f753a6f626a6563745f723a6574635f743a733000 plain/a; setfattr -n user.dir -v d dir
  setfacl -m u:1234:rw,g:4321:r plain/a; setfacl -d -m u:1234:rwx dir
  touch -d '2001-02-03 04:05:06.789' plain/a; touch -h -d 1999-01-01 soft; touch -d 2030-01-01 dir/deep
  mkdir -p lost+found; touch -d 2002-02-02 .
  chown 1000:1000 .; chmod 751 .
`;

/** All that must be the same, as text: tar's own view of metadata would hide its own mistakes. */
function fingerprint(root: string): string {
  const script = `
    cd "$1"
    find . -path ./lost+found -prune -o -printf '%P %y %m %U %G %n %s %T@ %l\\0' | sort -z | tr '\\0\\n' '\\n?'
    find . -path ./lost+found -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
    find . -path ./lost+found -prune -o \\( -type b -o -type c \\) -print0 | sort -z | xargs -0 -r stat -c '%n %t:%T'
    find . -path ./lost+found -prune -o -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex -- | grep -v ^trusted.SGI_ACL_
    stat -c %i plain/a hard | sort -u | wc -l
  `;
  // Sizes and link counts of directories are the file system's own affair.
  return execFileSync('bash', ['-c', script, 'bash', root], {
    encoding: 'latin1',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).replace(/^(.* d [0-7]+ \d+ \d+) \d+ \d+/gm, '$1');
}

describe.skipIf(why !== undefined)(`file systems on devices (${why ?? 'as root'})`, () => {
  describe.each<[FileSystemType, FileSystemType, Compression]>([
    ['ext4', 'ext4', 'zstd'],
    ['ext3', 'ext3', 'gzip'],
    ['ext2', 'ext2', 'none'],
    ['xfs', 'xfs', 'zstd'],
    ['ext4', 'xfs', 'zstd'],
  ])('%s packed and unpacked to %s, compression %s', (from, to, compression) => {
    it('comes back with the same owners, modes, times, links, nodes, attributes, ACLs, capabilities and holes', async () => {
      use(from, to);
      await tools.make(device, { type: from, zeroed: false });
      const before = await mounted(device, 'rw', (root) => {
        execFileSync('bash', ['-ec', oddFiles], { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] });
        return fingerprint(root);
      });
      expect(await tools.identify(device)).toMatchObject({ kind: 'filesystem', type: from, clean: true });
      const archive = await collect(
        tools.pack(device, { type: from, compression, level: 1, note: note(from), replayJournal: false }),
      );
      expect(archive.length).toBeLessThan(5_000_000);
      if (compression === 'none') expect(readNote(archive)).toEqual(note(from));
      run('blkdiscard', '--zeroout', other);
      await tools.make(other, { type: to, uuid, label: 'root', zeroed: true });
      await tools.unpack(other, { compression, archive: chunked(archive), type: to });
      expect(await tools.identify(other)).toEqual({ kind: 'filesystem', type: to, uuid, label: 'root', clean: true });
      await mounted(other, 'ro', (root) => {
        expect(fingerprint(root)).toBe(before);
        expect(existsSync(join(root, 'lost+found'))).toBe(from === 'xfs' || to !== 'xfs');
        expect(statSync(join(root, 'sparse')).blocks * 512).toBeLessThan(100_000);
        expect(statSync(root)).toMatchObject({ uid: 1000, gid: 1000, mode: 0o040751 });
      });
      if (to !== 'xfs') run('e2fsck', '-fn', other);
      else run('xfs_repair', '-n', other);
    }, 60_000);
  });

  it('keeps a lost+found that holds something, and one that is a link', async () => {
    await tools.make(device, { type: 'ext4', zeroed: false });
    await mounted(device, 'rw', (root) => writeFileSync(join(root, 'lost+found', 'found'), 'precious'));
    const packed = async (): Promise<string> => {
      const bytes = await collect(
        tools.pack(device, { type: 'ext4', compression: 'none', level: 1, note: note('ext4'), replayJournal: false }),
      );
      writeFileSync(join(directory.path, 'lost.tar'), bytes);
      return run('tar', '-tf', join(directory.path, 'lost.tar'));
    };
    expect(await packed()).toContain('./lost+found/found');
    await mounted(device, 'rw', (root) => {
      rmSync(join(root, 'lost+found', 'found'));
      writeFileSync(join(root, 'lost+found', '\n'), 'precious');
    });
    expect(await packed()).toContain('./lost+found/\\n');
    await mounted(device, 'rw', (root) => {
      rmSync(join(root, 'lost+found'), { recursive: true });
      execFileSync('ln', ['-s', '/etc', join(root, 'lost+found')]);
    });
    expect(await packed()).toMatch(/^\.\/lost\+found$/m);
  });

  it('makes the closed room over the directory that is named, and names it when it is missing', async () => {
    const room = join(directory.path, 'room');
    const archive = execFileSync('tar', ['-cf', '-', '-C', '/usr/bin', './true']);
    const into = (mountPoint: string): Promise<void> =>
      createRootFileSystemTools(localCommands, mountPoint).unpack(device, {
        compression: 'none',
        archive: chunked(archive),
        type: 'ext4',
      });
    await tools.make(device, { type: 'ext4', zeroed: false });
    expect((await failure(into(room), 'CONFIG')).message).toContain(room);
    mkdirSync(room);
    writeFileSync(join(room, 'own'), 'untouched');
    chmodSync(room, 0o777);
    expect((await failure(into(room), 'CONFIG')).message).toContain('can be written to by others');
    chmodSync(room, 0o755);
    await into(room);
    expect(readdirSync(room)).toEqual(['own']);
    await mounted(device, 'ro', (root) => expect(existsSync(join(root, 'true'))).toBe(true));
  });

  describe('what is on a device', () => {
    it('is nothing on zeros', async () => {
      zero();
      expect(await tools.identify(device)).toEqual({ kind: 'nothing' });
    });

    it('is swap with its UUID after makeSwap', async () => {
      zero();
      await tools.makeSwap(device, { uuid });
      expect(await tools.identify(device)).toEqual({ kind: 'other', description: 'swap' });
      expect(run('blkid', '-p', '-o', 'export', device)).toContain(`UUID=${uuid}`);
    });

    it('is other for partitions and for a file system with remains of another', async () => {
      zero();
      const table = Buffer.alloc(512);
      table.set([0x80, 0, 2, 0, 0x83, 0xff, 0xff, 0xff, 0, 8, 0, 0, 0, 0, 8, 0], 446);
      table.set([0x55, 0xaa], 510);
      writeFileSync(device, table);
      expect(await tools.identify(device)).toMatchObject({ kind: 'other' });
    });

    it('goes only as an exact image with a boot loader in front, encryption or quotas', async () => {
      zero();
      await tools.make(device, { type: 'ext4', zeroed: true });
      run('dd', 'if=/dev/urandom', `of=${device}`, 'bs=440', 'count=1', 'conv=notrunc', 'status=none');
      expect(await tools.identify(device)).toMatchObject({
        clean: true,
        exactOnly: 'a boot loader in front of the file system',
      });
      for (const feature of ['encrypt', 'quota']) {
        zero();
        run('mke2fs', '-q', '-F', '-t', 'ext4', '-O', feature, device);
        expect(await tools.identify(device)).toMatchObject({ exactOnly: `the feature ${feature}` });
      }
    });

    it('keeps labels with blanks and beyond ASCII', async () => {
      for (const label of ['a b c', 'Wurzel-ü', '--help', 'q\'uo"te']) {
        await tools.make(device, { type: 'ext4', label, uuid, zeroed: false });
        expect(await tools.identify(device)).toMatchObject({ label, uuid });
      }
    });
  });

  it('makes file systems that are too small for their device TOO_SMALL', async () => {
    const tiny = loopDevice(directory.path, 1);
    try {
      await failure(tools.make(tiny.device, { type: 'xfs', zeroed: true }), 'TOO_SMALL');
    } finally {
      tiny.detach();
    }
  });

  it('names a file system that can not be mounted', async () => {
    zero();
    await failure(
      tools.unpack(device, { compression: 'none', archive: chunked(Buffer.alloc(1024)), type: 'ext4' }),
      'IO',
    );
  });
});

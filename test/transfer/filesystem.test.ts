import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CxmError } from '../../src/errors.ts';
import { localCommands } from '../../src/host/commands.ts';
import type { ArchiveNote, FileSystemType } from '../../src/transfer/archive-note.ts';
import { readNote } from '../../src/transfer/archive-note.ts';
import { sandboxLine } from '../../src/transfer/archive-sandbox.ts';
import { throughProcess } from '../../src/transfer/process.ts';
import { decompressors } from '../../src/transfer/compress.ts';
import { createRootFileSystemTools, rootFileSystemTools as tools } from '../../src/transfer/filesystem.ts';
import type { Compression } from '../../src/transfer/format.ts';
import { chunked, collect, failure, has, loopDevice, run, sha256, temporaryDirectory, whyNoLoop } from './helpers.ts';
import { hostileArchives, tarMember } from './hostile-tar.ts';

const why =
  whyNoLoop() ?? (has('mkfs.xfs') && has('setfattr') && has('setfacl') ? undefined : 'needs xfsprogs, attr, acl');
const directory = temporaryDirectory();
afterAll(() => directory.remove());

const uuid = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0';
const note = (type: FileSystemType): ArchiveNote => ({
  fileSystemType: type,
  sizeBytes: 64 * 2 ** 20,
  uuid,
  label: 'root',
});

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

/**
 * Mounts a device for the time of `work`, in a namespace of its own: one that another test or the lab makes meanwhile
 * would copy a mount of ours and keep the device busy. Its files are reached through /proc.
 */
async function mounted<T>(device: string, options: string, work: (root: string) => T): Promise<T> {
  const root = mkdtempSync(join(directory.path, 'mounted-'));
  const script = 'mount -o "$1" -- "$2" "$3" && echo mounted && read -r _; umount "$3"';
  const words = ['--mount', '--propagation', 'private', 'bash', '-c', script, 'bash', options, device, root];
  const holder = spawn('unshare', words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve) => holder.on('close', resolve));
  try {
    const said = await Promise.race([once(holder.stdout, 'data'), ended]);
    expect(Array.isArray(said), `${device} can be mounted`).toBe(true);
    return work(`/proc/${holder.pid}/root${root}`);
  } finally {
    holder.stdin.end('\n');
    expect(await ended).toBe(0);
  }
}

/** No mount, namespace process or loop device may be left by us. */
function traces(device: string): string {
  const mounts = readFileSync('/proc/self/mountinfo', 'latin1');
  return mounts
    .split('\n')
    .filter((line) => line.includes(`${device} `) || line.includes('cxm-sandbox'))
    .join('\n');
}

describe.skipIf(why !== undefined)(`file systems on devices (${why ?? 'as root'})`, () => {
  let device = '';
  let other = '';
  const detach: (() => void)[] = [];
  // mkfs.xfs of later versions makes nothing below 300 MiB.
  const large = { device: '', other: '' };
  const small = { device: '', other: '' };
  beforeAll(() => {
    for (const [pair, sizeMib] of [
      [large, 320],
      [small, 64],
    ] as const) {
      for (const name of ['device', 'other'] as const) {
        const loop = loopDevice(directory.path, sizeMib);
        pair[name] = loop.device;
        detach.push(loop.detach);
      }
    }
  });
  const use = (...types: FileSystemType[]): void => {
    ({ device, other } = types.includes('xfs') ? large : small);
  };
  beforeEach(() => use('ext4'));
  afterAll(() => detach.forEach((one) => one()));
  afterEach(() => expect(traces(device) + traces(other)).toBe(''));

  const zero = (): void => void run('blkdiscard', '--zeroout', device);

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
    expect((await failure(into(room), 'COMMAND')).message).toContain(room);
    mkdirSync(room);
    writeFileSync(join(room, 'own'), 'untouched');
    await into(room);
    expect(readdirSync(room)).toEqual(['own']);
    await mounted(device, 'ro', (root) => expect(existsSync(join(root, 'true'))).toBe(true));
  });

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

  describe('reading only', () => {
    /** A file system as a running VM leaves it when its host dies: copied while mounted, journal full. */
    async function dirty(type: FileSystemType): Promise<void> {
      use(type);
      zero();
      await tools.make(device, { type, zeroed: true });
      if (type !== 'xfs') run('tune2fs', '-e', 'panic', device);
      await mounted(device, 'rw', (root) => {
        writeFileSync(join(root, 'file'), 'content');
        run('sync', '-f', root);
        writeFileSync(join(root, 'later'), 'in the journal');
        execFileSync('python3', [
          '-c',
          'import os,sys; f=os.open(sys.argv[1], os.O_RDWR|os.O_CREAT); os.write(f, b"x"); os.fsync(f)',
          join(root, 'synced'),
        ]);
        run('dd', `if=${device}`, `of=${other}`, 'bs=1M', 'status=none');
      });
      run('sync');
      run('blockdev', '--flushbufs', other);
    }

    it.each<FileSystemType>(['ext4', 'ext3', 'xfs'])(
      '%s with a dirty journal and errors=panic: known as not clean, and not a byte of the device changes',
      async (type) => {
        await dirty(type);
        const before = sha256(other);
        expect(await tools.identify(other)).toMatchObject({ kind: 'filesystem', type, clean: false });
        await collect(
          tools.pack(other, { type, compression: 'none', level: 1, note: note(type), replayJournal: false }),
        ).catch(() => undefined);
        expect(sha256(other)).toBe(before);
      },
    );

    it.each<FileSystemType>(['ext4', 'xfs'])('%s with a replayed journal shows what was written', async (type) => {
      await dirty(type);
      const archive = await collect(
        tools.pack(other, { type, compression: 'none', level: 1, note: note(type), replayJournal: true }),
      );
      writeFileSync(join(directory.path, 'replayed.tar'), archive);
      expect(run('tar', '-tf', join(directory.path, 'replayed.tar'))).toContain('./synced');
    });
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

  it('leaves no mount and no process when the caller is killed at once', async () => {
    zero();
    await tools.make(device, { type: 'ext4', zeroed: true });
    const program = `
      import { rootFileSystemTools } from '${new URL('../../src/transfer/filesystem.ts', import.meta.url).pathname}';
      async function* slow() { yield Buffer.alloc(0); await new Promise((resolve) => setTimeout(resolve, 60000)); }
      console.log('started');
      await rootFileSystemTools.unpack('${device}', { compression: 'zstd', archive: slow(), type: 'ext4' });
    `;
    const script = join(directory.path, 'killed.mts');
    writeFileSync(script, program);
    const child = spawn(
      'node_modules/.bin/esbuild',
      [
        script,
        '--bundle',
        '--platform=node',
        '--format=esm',
        `--outfile=${script}.mjs`,
        '--banner:js=import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
      ],
      { stdio: 'ignore' },
    );
    await new Promise((resolve) => child.on('close', resolve));
    const victim = spawn(process.execPath, [`${script}.mjs`], { stdio: 'ignore' });
    await until(() => readers(device) > 0);
    victim.kill('SIGKILL');
    await until(() => readers(device) === 0);
    // Free for others: nobody holds the device.
    await until(() => spawnSync('mke2fs', ['-q', '-F', '-t', 'ext4', device]).status === 0);
  }, 30_000);

  it('is interrupted by a signal and leaves nothing', async () => {
    await tools.make(device, { type: 'ext4', zeroed: false });
    const abort = new AbortController();
    async function* stalled(): AsyncGenerator<Uint8Array> {
      yield await Promise.resolve(Buffer.alloc(0));
      await new Promise((resolve) => setTimeout(resolve, 60_000).unref());
    }
    const work = tools.unpack(device, { compression: 'none', archive: stalled(), type: 'ext4', signal: abort.signal });
    setTimeout(() => abort.abort(), 300);
    await failure(work, 'INTERRUPTED');
    await until(() => readers(device) === 0);
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
      tar: ['sh', '-c', attempts],
    });
    const [program, ...args] = line;
    const said = await collect(throughProcess(program, args, { explain: (end) => new Error(end.stderr) as CxmError }));
    expect(said.toString()).toBe('');
    await mounted(device, 'ro', (root) => expect(readFileSync(join(root, 'done'), 'utf8')).toBe('done\n'));
  });

  it('gives up packing without a trace when the reader goes away', async () => {
    await tools.make(device, { type: 'ext4', zeroed: false });
    await mounted(device, 'rw', (root) =>
      run('dd', 'if=/dev/urandom', `of=${root}/big`, 'bs=1M', 'count=20', 'status=none'),
    );
    for await (const chunk of tools.pack(device, {
      type: 'ext4',
      compression: 'none',
      level: 1,
      note: note('ext4'),
      replayJournal: false,
    })) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    await until(() => readers(device) === 0);
  });

  it('names a file system that can not be mounted', async () => {
    zero();
    await failure(
      tools.unpack(device, { compression: 'none', archive: chunked(Buffer.alloc(1024)), type: 'ext4' }),
      'IO',
    );
  });
});

/** How many processes of this machine have the device mounted in their namespace. */
function readers(device: string): number {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/mountinfo`, 'latin1').includes(` ${device} `);
      } catch {
        return false;
      }
    }).length;
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 200) throw new Error('did not come true within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

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

it('decompressors are programs, not shell text', () => {
  expect(decompressors.gzip[0]).toBe('gzip');
  expect(decompressors.zstd[0]).toBe('zstd');
});

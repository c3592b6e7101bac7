/** File systems of dead hosts, and work that is killed, interrupted or given up. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { rootFileSystemTools as tools } from '../../src/transfer/filesystem.ts';
import { device, directory, mounted, note, other, readers, until, use, why, zero } from './devices.ts';
import { collect, failure, run, sha256 } from './helpers.ts';
import type { FileSystemType } from '../../src/transfer/archive-note.ts';

describe.skipIf(why !== undefined)(`file systems on devices (${why ?? 'as root'})`, () => {
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
  }, 60_000);

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
});

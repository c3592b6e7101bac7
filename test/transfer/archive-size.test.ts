/** File systems whose archive would be larger than their device, by shared blocks or by many names. */
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sandboxLine } from '../../src/transfer/archive-sandbox.ts';
import { largestArchiveBytes, sumOfEntries, worthwhileArchiveBytes } from '../../src/transfer/archive-size.ts';
import { rootFileSystemTools as tools } from '../../src/transfer/filesystem.ts';
import { throughProcess } from '../../src/transfer/process.ts';
import type { FileSystemType } from '../../src/transfer/archive-note.ts';
import { device, mounted, note, use, why } from './devices.ts';
import { chunked, collect, failure, run } from './helpers.ts';

const mib = 2 ** 20;
const volumeBytes = note('ext4').sizeBytes;

describe('the length of an archive', () => {
  const list = ['8 4096 1 d', '16 5000 1 f', '8 2000000 1 f', '2000 1024000 2 f', '2000 1024000 2 f', '0 9 1 l'];

  it('counts allocated blocks, and a file of several names once, however the list is cut', async () => {
    const bytes = Buffer.from(`${list.join('\n')}\n`);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: bytes.length }), async (chunkBytes) => {
        const sum = await sumOfEntries(chunked(bytes, chunkBytes), Infinity);
        expect(sum).toBe(6 * 1536 + 5000 + 4096 + 1024000);
      }),
    );
  });

  it('is counted no further than to the limit', async () => {
    let given = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (; ; given++) yield await Promise.resolve(Buffer.from('0 0 1 l\n'.repeat(1000)));
    }
    expect(await sumOfEntries(endless(), 10_000_000)).toBeGreaterThan(10_000_000);
    expect(given).toBeLessThan(8);
  });

  it('that is worthwhile is never refused later for its headers alone', () => {
    for (const bytes of [mib, 8 * 2 ** 30, 2 ** 50])
      expect(largestArchiveBytes(bytes)).toBeGreaterThan(1.5 * worthwhileArchiveBytes(bytes));
  });
});

describe.skipIf(why !== undefined)(`archives that outgrow their device (${why ?? 'as root'})`, () => {
  const limitBytes = worthwhileArchiveBytes(volumeBytes);
  const measured = (type: FileSystemType): Promise<number> | undefined =>
    tools.measure?.(device, { type, replayJournal: false, limitBytes });

  /** Packs as if nothing had been measured. */
  async function packed(type: FileSystemType, compression: 'none' | 'zstd'): Promise<number> {
    let bytes = 0;
    const options = { type, compression, level: 1, note: note(type), replayJournal: false };
    try {
      for await (const chunk of tools.pack(device, options)) bytes += chunk.length;
    } finally {
      expect(bytes).toBeLessThan(largestArchiveBytes(volumeBytes) + mib);
    }
    return bytes;
  }

  it('are told beforehand where files share blocks, and end at the limit if they are packed all the same', async () => {
    use('xfs');
    run('mkfs.xfs', '-q', '-f', '-m', 'reflink=1', device);
    await mounted(device, 'rw', (root) => {
      const script = 'head -c 20M /dev/urandom > 0; for n in {1..40}; do cp --reflink=always 0 $n; done';
      execFileSync('bash', ['-ec', script], { cwd: root });
    });
    expect(await measured('xfs')).toBeGreaterThan(limitBytes);
    for (const compression of ['none', 'zstd'] as const) {
      const error = await failure(packed('xfs', compression), 'REFUSED');
      expect(error.message).toBe(`an archive of the files on ${device} would be far larger than the device`);
    }
  }, 60_000);

  it('end at the limit where a crafted file system does not tell', async () => {
    await tools.make(device, { type: 'ext4', zeroed: false });
    await mounted(device, 'rw', (root) =>
      execFileSync('bash', ['-ec', 'head -c 20M /dev/urandom > 0; touch {1..40}'], { cwd: root }),
    );
    const copies = Array.from(
      { length: 40 },
      (_, index) => `copy_inode /0 /${index + 1}\nsif /${index + 1} blocks 8\n`,
    );
    execFileSync('debugfs', ['-w', '-f', '-', device], { input: copies.join(''), stdio: ['pipe', 'ignore', 'ignore'] });
    expect(await tools.identify(device)).toMatchObject({ kind: 'filesystem', clean: true });
    expect(await measured('ext4')).toBeLessThan(limitBytes);
    await failure(packed('ext4', 'none'), 'REFUSED');
  }, 60_000);

  it('are no full file systems of many small files and names', async () => {
    await tools.make(device, { type: 'ext4', zeroed: false });
    await mounted(device, 'rw', (root) => {
      const script =
        'mkdir d; for n in {1..6000}; do echo $n > d/$n; done; ln d/1 hard; cp -r d e; cat /dev/zero > fill || :';
      execFileSync('bash', ['-c', script], { cwd: root, stdio: 'ignore' });
    });
    const sum = await measured('ext4');
    expect(sum).toBeLessThan(limitBytes);
    const bytes = await packed('ext4', 'none');
    expect(bytes).toBeGreaterThan(50 * mib);
    expect(sum).toBeGreaterThan(bytes * 0.8);
  }, 60_000);

  it('get no endless memory for their names', async () => {
    await tools.make(device, { type: 'ext4', zeroed: false });
    for (const purpose of ['pack', 'list', 'unpack'] as const) {
      const words = ['sh', '-c', 'test "$(ulimit -v)" -le 2097152'];
      const [program, ...args] = sandboxLine({ purpose, device, type: 'ext4', mountPoint: '/mnt', program: words });
      await collect(
        throughProcess(program, args, { explain: ({ stderr }) => new Error(stderr || 'no limit') as never }),
      );
    }
  });
});

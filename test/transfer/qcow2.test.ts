import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CxmError } from '../../src/errors.ts';
import { inspectImage } from '../../src/transfer/format.ts';
import { openQcow2 } from '../../src/transfer/qcow2.ts';
import { failure, has, run, temporaryDirectory } from './helpers.ts';

const directory = temporaryDirectory();
afterAll(() => directory.remove());
const noQemu = has('qemu-img') ? undefined : 'needs qemu-img (qemu-utils)';

/** 6 MiB and a bit: data, zeros, text that compresses and noise that doesn't, an odd end. */
function content(): Buffer {
  const disk = Buffer.alloc(6 * 2 ** 20 + 512);
  disk.fill('some text that is compressible. ', 100_000, 400_000);
  let state = 1;
  for (let at = 2 ** 20; at < 2 ** 20 + 300_000; at++) {
    state = (state * 48271) % 2147483647;
    disk[at] = state & 0xff;
  }
  disk.fill('end', disk.length - 700);
  return disk;
}

const raw = join(directory.path, 'raw');

async function readBack(path: string): Promise<Buffer> {
  const image = await openQcow2(path);
  try {
    const disk = Buffer.alloc(image.virtualSizeBytes);
    let end = 0;
    for await (const { offset, data } of image.extents) {
      if (offset < end) throw new Error('not in guest order');
      end = offset + data.length;
      if (end > disk.length) throw new Error('beyond the disk');
      disk.set(data, offset);
    }
    return disk;
  } finally {
    await image.close();
  }
}

describe.skipIf(noQemu !== undefined)(`qcow2 images made by qemu-img (${noQemu ?? 'here'})`, () => {
  beforeAll(() => writeFileSync(raw, content()));

  const kinds: readonly (readonly [string, readonly string[]])[] = [
    ['version 3, default clusters', []],
    ['version 2', ['-o', 'compat=0.10']],
    ['compressed', ['-c']],
    ['version 2 compressed', ['-c', '-o', 'compat=0.10']],
    ['clusters of 512 bytes', ['-o', 'cluster_size=512']],
    ['clusters of 512 bytes compressed', ['-c', '-o', 'cluster_size=512']],
    ['clusters of 2 MiB', ['-o', 'cluster_size=2M']],
    ['clusters of 2 MiB compressed', ['-c', '-o', 'cluster_size=2M']],
    ['metadata preallocated', ['-o', 'preallocation=metadata']],
    ['fully preallocated', ['-o', 'preallocation=full']],
    ['lazy reference counts', ['-o', 'lazy_refcounts=on']],
  ];

  it.each(kinds)('hold byte by byte what was put in: %s', async (name, options) => {
    const path = join(directory.path, name.replaceAll(' ', '-'));
    run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', ...options, raw, path);
    expect((await readBack(path)).equals(readFileSync(raw))).toBe(true);
    expect(await inspectImage(path)).toMatchObject({
      container: 'qcow2',
      compression: 'none',
      sizeBytes: 6 * 2 ** 20 + 512,
      minimumSizeBytes: 6 * 2 ** 20 + 512,
    });
  });

  it('that were never written to have no extents', async () => {
    const path = join(directory.path, 'empty');
    run('qemu-img', 'create', '-f', 'qcow2', path, '2T');
    const image = await openQcow2(path);
    expect(image.virtualSizeBytes).toBe(2 * 2 ** 40);
    for await (const extent of image.extents) throw new Error(`extent at ${extent.offset}`);
    await image.close();
  });

  it('show their present state, not that of a snapshot inside', async () => {
    const path = join(directory.path, 'snapshot');
    run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, path);
    run('qemu-img', 'snapshot', '-c', 'before', path);
    run('qemu-io', '-f', 'qcow2', '-c', 'write -P 0x5a 1M 64k', path);
    run('qemu-io', '-f', 'qcow2', '-c', 'write -z 128k 128k', path);
    const expected = readFileSync(raw);
    expected.fill(0x5a, 2 ** 20, 2 ** 20 + 65536);
    expected.fill(0, 128 * 1024, 256 * 1024);
    expect((await readBack(path)).equals(expected)).toBe(true);
  });

  it.each([
    ['a backing file', ['-b', '/etc/passwd', '-F', 'raw'], 'backing file'],
    ['an external data file', ['-o', `data_file=${join(directory.path, 'external')}`], 'in another file'],
    ['extended L2 entries', ['-o', 'extended_l2=on'], 'extended L2'],
    ['zstd inside', ['-o', 'compression_type=zstd'], 'zstd'],
    [
      'LUKS',
      ['--object', 'secret,id=s,data=abc', '-o', 'encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10'],
      'encrypted',
    ],
  ])('are refused by name when they have %s', async (_, options, word) => {
    const path = join(directory.path, `refused-${word.replaceAll(' ', '-')}`);
    run('qemu-img', 'create', '-f', 'qcow2', ...options, path, '1M');
    expect((await failure(openQcow2(path), 'UNSUPPORTED')).message).toContain(word);
    await failure(inspectImage(path), 'UNSUPPORTED');
  });

  it('that are damaged anywhere end in their content or in one clear error, never in a crash or a hang', async () => {
    const path = join(directory.path, 'damaged');
    run('qemu-img', 'convert', '-c', '-f', 'raw', '-O', 'qcow2', '-o', 'cluster_size=4k', raw, path);
    const sound = readFileSync(path);
    const seen = { read: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(fc.oneof(fc.nat(111), fc.nat(sound.length - 1)), fc.uint8Array({ minLength: 1, maxLength: 8 })),
          { minLength: 1, maxLength: 6 },
        ),
        fc.option(fc.nat(sound.length), { nil: undefined }),
        async (changes, cutAt) => {
          const image = Buffer.from(sound);
          for (const [at, bytes] of changes) image.set(bytes.subarray(0, image.length - at), at);
          writeFileSync(path, image.subarray(0, cutAt));
          try {
            await consume(path);
            seen.read++;
          } catch (error) {
            expect(error).toBeInstanceOf(CxmError);
            expect(['INVALID_INPUT', 'UNSUPPORTED']).toContain((error as CxmError).code);
            seen.refused++;
          }
        },
      ),
      { numRuns: 300 },
    );
    expect(seen.refused).toBeGreaterThan(50);
  });
});

/** Reads an image within limits, as a volume of 64 MiB would. */
async function consume(path: string): Promise<void> {
  const image = await openQcow2(path);
  try {
    let bytes = 0;
    for await (const { data } of image.extents) {
      bytes += data.length;
      if (bytes > 64 * 2 ** 20) break;
    }
  } finally {
    await image.close();
  }
}

describe('a qcow2 header that lies', () => {
  const header = (change: (bytes: DataView) => void): string => {
    const bytes = Buffer.alloc(65536 * 4);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    view.setUint32(0, 0x514649fb);
    view.setUint32(4, 3);
    view.setUint32(20, 16);
    view.setBigUint64(24, BigInt(2 ** 20));
    view.setUint32(36, 1);
    view.setBigUint64(40, 65536n);
    view.setUint32(100, 104);
    change(view);
    const path = join(directory.path, 'lying');
    writeFileSync(path, bytes);
    return path;
  };

  it('of a disk of 8 EiB is refused before memory is taken for its tables', async () => {
    await failure(openQcow2(header((view) => view.setBigUint64(24, 2n ** 63n))), 'INVALID_INPUT');
    await failure(openQcow2(header((view) => view.setBigUint64(24, 2n ** 52n))), 'INVALID_INPUT');
    await failure(openQcow2(header((view) => view.setUint32(20, 63))), 'INVALID_INPUT');
  });

  it('whose L1 table is behind the end of the file is refused', async () => {
    await failure(openQcow2(header((view) => view.setBigUint64(40, 2n ** 40n))), 'INVALID_INPUT');
  });

  it('whose L2 table points to itself ends', async () => {
    const path = header((view) => {
      view.setBigUint64(65536, 131072n);
      for (let index = 0; index < 8192; index++) view.setBigUint64(131072 + index * 8, 131072n);
    });
    await consume(path);
  });

  it('whose data is behind the end of the file is refused', async () => {
    const path = header((view) => {
      view.setBigUint64(65536, 131072n);
      view.setBigUint64(131072, 2n ** 30n);
    });
    await failure(consume(path), 'INVALID_INPUT');
  });

  it('of qcow version 1 and of unknown versions is refused by name', async () => {
    expect((await failure(openQcow2(header((view) => view.setUint32(4, 1))), 'UNSUPPORTED')).message).toContain('1');
    await failure(openQcow2(header((view) => view.setUint32(4, 4))), 'UNSUPPORTED');
    await failure(openQcow2(header((view) => view.setUint32(72, 0x80))), 'UNSUPPORTED');
  });
});

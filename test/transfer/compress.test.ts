import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { CxmError } from '../../src/errors.ts';
import { compress, decompress, decompressors } from '../../src/transfer/compress.ts';
import { inspectImage } from '../../src/transfer/format.ts';
import type { Compression } from '../../src/transfer/format.ts';
import { gzipSizeNote, readGzipSizeNote } from '../../src/transfer/gzip-note.ts';
import { firstLines, printable, throughProcess } from '../../src/transfer/process.ts';
import { chunked, collect, failure, has, temporaryDirectory } from './helpers.ts';

describe.each<Compression>(['none', 'gzip', 'zstd'])('compression %s', (compression) => {
  it('gives back what was put in', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 300_000 }),
        fc.integer({ min: -5, max: 40 }),
        async (bytes, level) => {
          const packed = compress(chunked(bytes, 10_000), { compression, level });
          expect(Buffer.compare(await collect(decompress(packed, compression)), bytes)).toBe(0);
        },
      ),
      { numRuns: 8 },
    );
  });

  it('ends with the error of its input', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield await Promise.resolve(Buffer.alloc(100));
      throw new CxmError('PROTOCOL', 'the connection broke');
    }
    await failure(collect(compress(broken(), { compression, level: 1 })), 'PROTOCOL');
    await failure(collect(decompress(broken(), compression)), 'PROTOCOL');
  });
});

describe('bytes through a program', () => {
  const explain = ({ stderr }: { stderr: string }): CxmError => new CxmError('COMMAND', firstLines(stderr));
  const alive = (marker: string): boolean =>
    spawnSync('pgrep', ['-f', `^sleep ${marker}`], { encoding: 'utf8' }).stdout !== '';

  it('ends the program when nobody reads on', async () => {
    for await (const chunk of throughProcess('sh', ['-c', 'echo begin; exec sleep 98761'], { explain })) {
      expect(Buffer.from(chunk).toString()).toBe('begin\n');
      break;
    }
    expect(alive('98761')).toBe(false);
  });

  it('ends the program when it is interrupted', async () => {
    const signal = AbortSignal.timeout(100);
    await failure(collect(throughProcess('sleep', ['98762'], { explain, signal })), 'INTERRUPTED');
    expect(alive('98762')).toBe(false);
  });

  it('does not wait for input that never comes when the program has failed', async () => {
    async function* stalled(): AsyncGenerator<Uint8Array> {
      await new Promise((resolve) => setTimeout(resolve, 60_000).unref());
      yield Buffer.alloc(0);
    }
    const work = collect(throughProcess('sh', ['-c', 'echo broken >&2; exit 3'], { explain, input: stalled() }));
    expect((await failure(work, 'COMMAND')).message).toBe('broken');
  });

  it('stops taking input from its source when the program has failed', async () => {
    let taken = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (; taken < 10_000; taken++) yield await Promise.resolve(Buffer.alloc(65_536));
    }
    await failure(collect(throughProcess('sh', ['-c', 'exit 3'], { explain, input: endless() })), 'COMMAND');
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(taken).toBeLessThan(1000);
  });

  it('takes all of its input when the program succeeds without', async () => {
    let taken = 0;
    async function* some(): AsyncGenerator<Uint8Array> {
      for (; taken < 100; taken++) yield await Promise.resolve(Buffer.alloc(65_536));
    }
    await collect(throughProcess('true', [], { explain, input: some() }));
    expect(taken).toBe(100);
  });

  it('names a program that is missing', async () => {
    expect((await failure(collect(throughProcess('cxm-absent', [], { explain })), 'COMMAND')).message).toContain(
      'cxm-absent',
    );
  });

  it('gives programs no environment that could steer them', async () => {
    process.env.TAR_OPTIONS = '--checkpoint-action=exec=x';
    process.env.BASH_ENV = '/tmp/x';
    try {
      const said = await collect(throughProcess('env', [], { explain }));
      expect(said.toString()).toBe('PATH=/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C\n');
    } finally {
      delete process.env.TAR_OPTIONS;
      delete process.env.BASH_ENV;
    }
  });

  it('lets nothing of what a program said steer a terminal', () => {
    expect(printable('a\x1b[2Jb\rc\xff')).toBe('a?[2Jb?c?');
  });
});

describe('the length of a compressed disk', () => {
  const directory = temporaryDirectory();
  afterAll(() => directory.remove());
  const disk = Buffer.alloc(300_000, 'disk');

  it.each(['gzip', 'zstd'] as const)(
    'noted while compressing with %s is told by inspecting the image',
    async (compression) => {
      const image = join(directory.path, compression);
      writeFileSync(image, await collect(compress(chunked(disk), { compression, level: 1, totalBytes: disk.length })));
      expect(await inspectImage(image)).toMatchObject({ container: 'raw', compression, sizeBytes: disk.length });
      const program = compression === 'gzip' ? 'gzip' : 'zstd';
      const plain = execFileSync(program, ['-dc'], { input: readFileSync(image), stdio: ['pipe', 'pipe', 'pipe'] });
      expect(plain.equals(disk)).toBe(true);
    },
  );

  it('is not believed when the note is malformed', () => {
    for (const digits of ['', '-1', '1e9', '99999999999999999', '0x10']) {
      const note = Buffer.from(gzipSizeNote(1)).toString('latin1').replace('cxm-size=1', `cxm-size=${digits}`);
      expect(readGzipSizeNote(Buffer.from(note, 'latin1'))).toBeUndefined();
    }
    expect(readGzipSizeNote(gzipSizeNote(2 ** 40))).toBe(2 ** 40);
    expect(readGzipSizeNote(new Uint8Array(3))).toBeUndefined();
  });
});

it('decompressors are programs, not shell text', () => {
  expect(decompressors.gzip.slice(2)).toEqual(['gzip', '-dc']);
  expect(decompressors.zstd[2]).toBe('zstd');
});

describe('memory of a decompressor', () => {
  const inZstd = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from('502a4d1800000000', 'hex'), bytes]);
  const xz = (dictionary: string): Buffer =>
    execFileSync('xz', ['-c', `--lzma2=preset=0,dict=${dictionary}`], { input: 'content' });

  it('is enough for the largest window of zstd', async () => {
    const command = 'head -c 300M /dev/zero | zstd -qc -1 --long=27';
    const packed = execFileSync('bash', ['-c', command], { maxBuffer: 2 ** 28 });
    expect(packed.readUInt8(5) >> 3).toBe(17); // RFC 8878: a window of 2^(10 + 17) bytes
    let length = 0;
    for await (const part of decompress(chunked(packed), 'zstd')) length += part.length;
    expect(length).toBe(300 * 2 ** 20);
  });

  it.skipIf(!has('xz'))('is not for xz to take, which zstd knows behind an empty frame', async () => {
    expect((await collect(decompress(chunked(inZstd(xz('64MiB'))), 'zstd'))).toString()).toBe('content');
    await failure(collect(decompress(chunked(inZstd(xz('1GiB'))), 'zstd')), 'INVALID_INPUT');
  });
});

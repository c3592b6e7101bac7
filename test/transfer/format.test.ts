import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CxmError } from '../../src/errors.ts';
import { headBytes, inspectHead, inspectImage, measureArchive } from '../../src/transfer/format.ts';
import { failure, has, run, temporaryDirectory } from './helpers.ts';
import { tarMember } from './hostile-tar.ts';

const directory = temporaryDirectory();
afterAll(() => directory.remove());
const at = (name: string): string => join(directory.path, name);

function shell(script: string): void {
  execFileSync('bash', ['-ec', script], { cwd: directory.path, stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Bytes that don't compress. */
function noise(lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  let state = 7;
  for (let index = 0; index < lengthBytes; index++) {
    state = (state * 48271) % 2147483647;
    bytes[index] = state >> 8;
  }
  return bytes;
}

beforeAll(() => {
  mkdirSync(at('files/sub'), { recursive: true });
  writeFileSync(at('files/a'), noise(100_000));
  writeFileSync(at('files/sub/b'), 'small');
  writeFileSync(at('files/sparse'), 'x');
  truncateSync(at('files/sparse'), 2 ** 30);
  writeFileSync(at('raw'), Buffer.concat([Buffer.alloc(1000), noise(600_000)]));
  shell(`
    for format in v7 oldgnu gnu ustar posix; do
      words=-S; [ $format != v7 ] && [ $format != ustar ] || words=--exclude=sparse
      tar -c --format=$format $words -C files -f $format.tar .
    done
    gzip -k posix.tar raw; zstd -q posix.tar raw
    tar -c -S -C files . | zstd -q > streamed.tar.zst
    zstd -qc raw > two.zst; zstd -qc raw >> two.zst
  `);
});

describe('the format of an image file', () => {
  it.each(['v7', 'oldgnu', 'gnu', 'ustar', 'posix'])('is tar for archives of the format %s', async (format) => {
    expect(await inspectImage(at(`${format}.tar`))).toEqual({
      container: 'tar',
      compression: 'none',
      storedBytes: readFileSync(at(`${format}.tar`)).length,
      likelySizeBytes: readFileSync(at(`${format}.tar`)).length,
      minimumSizeBytes: 0,
    });
  });

  it('is told with its size for raw images and compressed ones', async () => {
    const sizeBytes = 601_000;
    expect(await inspectImage(at('raw'))).toMatchObject({ container: 'raw', compression: 'none', sizeBytes });
    expect(await inspectImage(at('raw.zst'))).toMatchObject({
      container: 'raw',
      compression: 'zstd',
      sizeBytes,
      minimumSizeBytes: sizeBytes,
    });
    const gzip = await inspectImage(at('raw.gz'));
    expect(gzip).toMatchObject({ container: 'raw', compression: 'gzip', minimumSizeBytes: sizeBytes });
    expect(gzip.likelySizeBytes).toBe(sizeBytes);
    expect(gzip.sizeBytes).toBeUndefined();
  });

  it('sums up several zstd frames', async () => {
    expect(await inspectImage(at('two.zst'))).toMatchObject({ container: 'raw', sizeBytes: 1_202_000 });
  });

  it('is tar in gzip or zstd with its uncompressed length, also when zstd was not told it', async () => {
    const length = readFileSync(at('posix.tar')).length;
    for (const name of ['posix.tar.gz', 'posix.tar.zst']) {
      expect(await inspectImage(at(name))).toMatchObject({ container: 'tar', likelySizeBytes: length });
    }
    const streamed = await inspectImage(at('streamed.tar.zst'));
    expect(streamed).toMatchObject({ container: 'tar', compression: 'zstd' });
    expect(streamed.sizeBytes).toBeUndefined();
    expect(streamed.likelySizeBytes).toBeGreaterThanOrEqual(length);
    expect(streamed.likelySizeBytes).toBeLessThan(length + 256 * 1024);
  });

  it('is the same from the beginning of a stream', async () => {
    for (const name of ['raw', 'raw.gz', 'raw.zst', 'posix.tar', 'posix.tar.gz', 'streamed.tar.zst']) {
      const { container, compression } = await inspectImage(at(name));
      const head = readFileSync(at(name)).subarray(0, headBytes);
      expect(await inspectHead(head)).toMatchObject({ container, compression });
    }
  });

  it.each(['xz', 'bzip2'])('is refused by name for %s', async (program) => {
    if (!has(program)) return;
    shell(`${program} -c raw > packed.${program}; ${program} -c raw | gzip > packed.${program}.gz`);
    expect((await failure(inspectImage(at(`packed.${program}`)), 'UNSUPPORTED')).message).toContain(program);
    expect((await failure(inspectImage(at(`packed.${program}.gz`)), 'UNSUPPORTED')).message).toContain(program);
  });

  it.skipIf(!has('qemu-img')).each([
    ['VMDK', 'vmdk', []],
    ['VMDK', 'vmdk', ['-o', 'subformat=monolithicFlat']],
    ['VHDX', 'vhdx', []],
    ['VHD', 'vpc', []],
    ['VHD', 'vpc', ['-o', 'subformat=fixed']],
    ['VDI', 'vdi', []],
    ['QED', 'qed', []],
    ['qcow', 'qcow', []],
    ['Parallels', 'parallels', []],
  ] as const)('is refused by name for %s (%s %j, needs qemu-img)', async (name, format, options) => {
    run('qemu-img', 'create', '-f', format, ...options, at(`foreign-${format}`), '4M');
    const error = await failure(inspectImage(at(`foreign-${format}`)), 'UNSUPPORTED');
    expect(error.message).toContain(name);
  });

  it('is refused for an OVA, a zip, an empty file and a directory', async () => {
    shell('cp raw machine.ovf; tar -c machine.ovf raw > machine.ova; mkfifo pipe');
    expect((await failure(inspectImage(at('machine.ova')), 'UNSUPPORTED')).message).toContain('OVA');
    writeFileSync(at('zip'), Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(1000)]));
    await failure(inspectImage(at('zip')), 'UNSUPPORTED');
    writeFileSync(at('empty'), '');
    await failure(inspectImage(at('empty')), 'INVALID_INPUT');
    await failure(inspectImage(directory.path), 'UNSUPPORTED');
    await failure(inspectImage(at('absent')), 'NOT_FOUND');
  });

  it('is refused for qcow2 in gzip, gzip in zstd and damaged heads', async () => {
    writeFileSync(at('q.gz'), gzipSync(Buffer.concat([Buffer.from('QFI\xfb\0\0\0\x03', 'latin1'), Buffer.alloc(500)])));
    await failure(inspectImage(at('q.gz')), 'UNSUPPORTED');
    shell('zstd -qc raw.gz > raw.gz.zst');
    await failure(inspectImage(at('raw.gz.zst')), 'UNSUPPORTED');
    writeFileSync(at('bad.gz'), Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0]), noise(1000)]));
    await failure(inspectImage(at('bad.gz')), 'INVALID_INPUT');
    writeFileSync(at('bad.zst'), Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), noise(1000)]));
    await failure(inspectImage(at('bad.zst')), 'INVALID_INPUT');
  });

  it('of any bytes whatsoever is one answer or one clear error', async () => {
    const marks = ['', '\x1f\x8b\x08', '\x28\xb5\x2f\xfd', 'QFI\xfb', 'PK\x03\x04'].map((text) =>
      Buffer.from(text, 'latin1'),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...marks), fc.uint8Array({ maxLength: 2000 }), async (mark, bytes) => {
        const head = Buffer.concat([mark, bytes]);
        const error: unknown = await inspectHead(head).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        if (error === undefined) return;
        expect(error).toBeInstanceOf(CxmError);
        expect((error as CxmError).code).toMatch(/^(UNSUPPORTED|INVALID_INPUT)$/);
      }),
      { numRuns: 60 },
    );
  });
});

describe('measuring an archive', () => {
  it.each(['oldgnu.tar', 'gnu.tar', 'posix.tar', 'posix.tar.gz', 'posix.tar.zst', 'streamed.tar.zst'])(
    'counts the data of files, not their holes: %s',
    async (name) => {
      const { compression } = await inspectImage(at(name));
      const bytes = await measureArchive(at(name), compression);
      expect(bytes).toBeGreaterThanOrEqual(100_006);
      expect(bytes).toBeLessThan(110_000);
    },
  );

  it('ends where there is more than the limit, whatever comes behind', async () => {
    const member = tarMember({ name: './a', content: Buffer.alloc(10_000, 'a') });
    const endless = Buffer.concat([member, member, noise(100_000)]);
    writeFileSync(at('endless.tar'), endless);
    writeFileSync(at('endless.tar.gz'), gzipSync(endless).subarray(0, -10_000));
    for (const [name, compression] of [
      ['endless.tar', 'none'],
      ['endless.tar.gz', 'gzip'],
    ] as const) {
      expect(await measureArchive(at(name), compression, 19_999)).toBe(20_000);
      await failure(measureArchive(at(name), compression, 20_000), 'INVALID_INPUT');
    }
  });

  it('refuses what is cut off or damaged', async () => {
    const sound = readFileSync(at('posix.tar'));
    writeFileSync(at('cut.tar'), sound.subarray(0, 60_000));
    await failure(measureArchive(at('cut.tar'), 'none'), 'INVALID_INPUT');
    writeFileSync(at('garbage.tar'), Buffer.concat([sound.subarray(0, 1024), noise(10_000)]));
    await failure(measureArchive(at('garbage.tar'), 'none'), 'INVALID_INPUT');
    writeFileSync(at('cut.tar.zst'), readFileSync(at('posix.tar.zst')).subarray(0, 50_000));
    await failure(measureArchive(at('cut.tar.zst'), 'zstd'), 'INVALID_INPUT');
  });
});

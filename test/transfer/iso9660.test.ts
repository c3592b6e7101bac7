import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { isoNames } from '../../src/transfer/iso-names.ts';
import { buildIso } from '../../src/transfer/iso9660.ts';
import type { IsoFile } from '../../src/transfer/iso9660.ts';
import { collect, failure, has, run, temporaryDirectory, whyNoLoop } from './helpers.ts';

const directory = temporaryDirectory();
afterAll(() => directory.remove());

const options = { label: 'CONTEXT', timeSeconds: 1_700_000_000 };

async function written(files: readonly IsoFile[]): Promise<string> {
  const image = await buildIso(files, options);
  const bytes = await collect(image.bytes);
  expect(bytes.length).toBe(image.sizeBytes);
  const path = join(directory.path, `iso-${Math.random()}.iso`);
  writeFileSync(path, bytes);
  return path;
}

const large = Buffer.alloc(300_001, 'x');
const contextFiles: readonly IsoFile[] = [
  { name: 'context.sh', content: Buffer.from("ETH0_IP='10.0.0.1'\n"), mode: 0o600 },
  { name: 'Ein langer Name mit Umlaut ü.txt', content: Buffer.from('langer Name') },
  { name: 'init.sh', content: Buffer.from('#!/bin/sh\n'), mode: 0o755 },
  { name: 'empty', content: Buffer.alloc(0) },
  { name: 'large.bin', content: large },
  { name: '../../etc/passwd', content: Buffer.from('not there') },
];

const isofsMounts = whyNoLoop() === undefined && readFileSync('/proc/filesystems', 'latin1').includes('iso9660');

describe('an ISO image for contextualisation', () => {
  it.skipIf(!has('bsdtar'))('is read by libarchive with names, modes and contents (needs bsdtar)', async () => {
    const image = await written(contextFiles);
    const out = join(directory.path, 'bsdtar');
    mkdirSync(out);
    run('bsdtar', '-xpf', image, '-C', out);
    expect(readdirSync(out).sort()).toEqual(
      ['.._.._etc_passwd', 'Ein langer Name mit Umlaut ü.txt', 'context.sh', 'empty', 'init.sh', 'large.bin'].sort(),
    );
    expect(readFileSync(join(out, 'large.bin')).equals(large)).toBe(true);
    expect(readFileSync(join(out, 'context.sh'), 'utf8')).toBe("ETH0_IP='10.0.0.1'\n");
    expect(statSync(join(out, 'context.sh')).mode & 0o777).toBe(0o600);
    expect(statSync(join(out, 'init.sh')).mode & 0o777).toBe(0o755);
    expect(statSync(join(out, 'empty')).size).toBe(0);
    expect(statSync(join(out, 'init.sh')).mtimeMs).toBe(options.timeSeconds * 1000);
  });

  it.skipIf(!has('isoinfo'))('is read by isoinfo in all three name spaces (needs genisoimage)', async () => {
    const image = await written(contextFiles);
    expect(run('isoinfo', '-d', '-i', image)).toMatch(/Volume id: CONTEXT\n[^]*Joliet with UCS level 3[^]*Rock Ridge/);
    const plain = run('isoinfo', '-f', '-i', image).split('\n');
    expect(plain).toContain('/CONTEXT.SH;1');
    expect(plain).toContain('/EIN_LANG.TXT;1');
    const rock = Buffer.from(run('isoinfo', '-f', '-R', '-i', image), 'latin1')
      .toString()
      .split('\n');
    expect(rock).toContain('/Ein langer Name mit Umlaut ü.txt');
    expect(run('isoinfo', '-f', '-J', '-i', image).split('\n')).toContain('/context.sh');
    expect(run('isoinfo', '-i', image, '-x', '/INIT.SH;1')).toBe('#!/bin/sh\n');
    expect(run('isoinfo', '-J', '-i', image, '-x', '/context.sh')).toBe("ETH0_IP='10.0.0.1'\n");
  });

  it('is known to blkid as iso9660 with the label CONTEXT', async () => {
    const image = await written(contextFiles);
    expect(run('blkid', '-p', '-o', 'export', image)).toMatch(/^LABEL=CONTEXT$[^]*^TYPE=iso9660$/m);
  });

  it.skipIf(!isofsMounts)('is mounted by the kernel (needs root and iso9660 in the kernel)', async () => {
    const image = await written(contextFiles);
    const mountPoint = join(directory.path, 'mounted');
    mkdirSync(mountPoint);
    run('mount', '-o', 'loop,ro', image, mountPoint);
    try {
      expect(readdirSync(mountPoint)).toContain('Ein langer Name mit Umlaut ü.txt');
      expect(readFileSync(join(mountPoint, 'large.bin')).equals(large)).toBe(true);
      expect(statSync(join(mountPoint, 'init.sh')).mode & 0o777).toBe(0o755);
    } finally {
      run('umount', mountPoint);
    }
  });

  it.skipIf(!has('bsdtar'))('holds hundreds of files, more than a sector of a directory', async () => {
    const files = Array.from({ length: 300 }, (_, index) => ({
      name: `file number ${index} of a long list.txt`,
      content: Buffer.from(`content ${index}`),
    }));
    const image = await written(files);
    const listed = run('bsdtar', '-tf', image)
      .split('\n')
      .filter((name) => name.startsWith('file'))
      .sort();
    expect(listed).toEqual(files.map(({ name }) => name).sort());
    expect(run('bsdtar', '-xOf', image, 'file number 299 of a long list.txt')).toBe('content 299');
    if (has('isoinfo')) expect(run('isoinfo', '-f', '-i', image).trim().split('\n')).toHaveLength(300);
  });

  it('takes contents from files and refuses what is no regular file', async () => {
    const path = join(directory.path, 'content');
    writeFileSync(path, 'from a file');
    const image = readFileSync(await written([{ name: 'a', content: { path } }]));
    expect(image.includes('from a file')).toBe(true);
    await failure(buildIso([{ name: 'a', content: { path: directory.path } }], options), 'INVALID_INPUT');
    await failure(buildIso([{ name: 'a', content: { path: `${path}-gone` } }], options), 'NOT_FOUND');
  });

  it('gives every file a name of its own that no reader can misread, whatever it was called', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.string({ unit: 'binary', maxLength: 200 }),
            fc.constantFrom('', '.', '..', '/', 'a', 'A', 'a.b.c'),
          ),
        ),
        (wanted) => {
          const names = isoNames(wanted);
          for (const space of ['posix', 'joliet', 'plain'] as const) {
            const all = names.map((name) => name[space]);
            expect(new Set(all).size).toBe(all.length);
          }
          for (const { posix, joliet, plain } of names) {
            expect(posix).toMatch(/^[^/\p{Cc}\p{Cs}]+$/u);
            expect(['.', '..', '']).not.toContain(posix);
            expect(Buffer.byteLength(posix)).toBeLessThanOrEqual(128);
            expect(joliet).toMatch(/^[^/*:;?\\\p{Cc}\p{Cs}]{1,64}$/u);
            expect(joliet.length).toBeLessThanOrEqual(64);
            expect(plain).toMatch(/^[A-Z0-9_]{1,8}\.[A-Z0-9_]{0,3};1$/);
          }
        },
      ),
    );
  });
});

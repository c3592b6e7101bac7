import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fileSystemTypes, labelBytesLimit, notePaxOption, readNote } from '../../src/transfer/archive-note.ts';
import type { ArchiveNote } from '../../src/transfer/archive-note.ts';
import { inspectImage } from '../../src/transfer/format.ts';
import { has, temporaryDirectory } from './helpers.ts';

const directory = temporaryDirectory();
afterAll(() => directory.remove());
const files = join(directory.path, 'files');
beforeAll(() => {
  mkdirSync(files);
  writeFileSync(join(files, 'a'), 'a');
});

const uuid = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0';

function archiveWith(paxOption: string): Buffer {
  return execFileSync('tar', ['-c', '--format=posix', `--pax-option=${paxOption}`, '-C', files, '.']);
}

const notes = fc
  .record(
    {
      fileSystemType: fc.constantFrom(...fileSystemTypes),
      sizeBytes: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      uuid: fc.uuid(),
      label: fc
        .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
        .filter((text) => /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]+$/u.test(text)),
    },
    { requiredKeys: ['fileSystemType', 'sizeBytes'] },
  )
  .filter(({ label, fileSystemType }) => Buffer.byteLength(label ?? '') <= labelBytesLimit[fileSystemType]);

describe('the note of an archive', () => {
  it('written by GNU tar is read back as it was, whatever it says', () => {
    fc.assert(
      fc.property(notes, (note) => {
        expect(readNote(archiveWith(notePaxOption(note as ArchiveNote)))).toEqual(note);
      }),
      { numRuns: 50 },
    );
  });

  const archive = join(directory.path, 'noted.tar');
  it.each([
    ['tar', 'tar', []],
    ['bsdtar', 'bsdtar', []],
    ['busybox', 'busybox', ['tar']],
  ] as const)('is passed over silently by %s', (_, program, words) => {
    if (!has(program)) return;
    writeFileSync(
      archive,
      archiveWith(notePaxOption({ fileSystemType: 'ext3', sizeBytes: 2 ** 33, uuid, label: 'a, b' })),
    );
    const target = join(directory.path, program);
    mkdirSync(target);
    const result = spawnSync(program, [...words, '-xf', archive, '-C', target], { encoding: 'utf8' });
    expect(result).toMatchObject({ status: 0, stderr: '', stdout: '' });
    expect(readFileSync(join(target, 'a'), 'utf8')).toBe('a');
  });

  it.each([
    ['none', ['-c']],
    ['gzip', ['-cz']],
    ['zstd', ['-c', '-I', 'zstd']],
  ] as const)('is found by inspecting the image, compression %s', async (compression, words) => {
    const note = { fileSystemType: 'xfs', sizeBytes: 4096, uuid, label: 'root' } as const;
    const image = join(directory.path, `image-${compression}`);
    execFileSync('tar', [
      ...words,
      '--format=posix',
      `--pax-option=${notePaxOption(note)}`,
      '-f',
      image,
      '-C',
      files,
      '.',
    ]);
    expect(await inspectImage(image)).toMatchObject({ container: 'tar', compression, note });
  });

  const good = `cxm-archive-1/ext4/4096/${uuid}/cm9vdA`;
  it('reads a sound comment, so that the refusals below mean something', () => {
    expect(readNote(archiveWith(`comment=${good}`))).toEqual({
      fileSystemType: 'ext4',
      sizeBytes: 4096,
      uuid,
      label: 'root',
    });
  });

  it.each([
    ['an unknown type', good.replace('ext4', 'btrfs')],
    ['a type with options', good.replace('ext4', 'ext4 -O x')],
    ['no size', good.replace('4096', '')],
    ['size 0', good.replace('4096', '0')],
    ['a size beyond all devices', good.replace('4096', '99999999999999999999')],
    ['a size that is none', good.replace('4096', '4e3')],
    ['a UUID that is an option', good.replace(uuid, '--help')],
    ['a label with a newline', good.replace('cm9vdA', Buffer.from('a\nb').toString('base64url'))],
    ['a label with a NUL', good.replace('cm9vdA', Buffer.from('a\0b').toString('base64url'))],
    ['a label that is too long', good.replace('cm9vdA', Buffer.from('x'.repeat(17)).toString('base64url'))],
    ['a label that is no base64', good.replace('cm9vdA', 'a b')],
    ['more fields', `${good}/x`],
    ['another marker', good.replace('archive-1', 'archive-2')],
  ])('with %s is no note', (_, comment) => {
    expect(readNote(archiveWith(`comment=${comment}`))).toBeUndefined();
  });

  it('is never read from damaged bytes with an exception', () => {
    const sound = archiveWith(`comment=${good}`);
    fc.assert(
      fc.property(fc.nat(1100), fc.uint8Array({ maxLength: 20 }), fc.nat(2048), (at, bytes, length) => {
        const changed = Buffer.from(sound);
        changed.set(bytes, at);
        readNote(changed.subarray(0, length));
      }),
    );
  });
});

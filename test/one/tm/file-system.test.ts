/** Which file system an archive is unpacked into, and that nothing else is held to what somebody says of one. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseImage } from '../../../src/one/documents/image.ts';
import { requestedFileSystem } from '../../../src/one/tm/send-image.ts';
import type { ImageFormat } from '../../../src/transfer/format.ts';

const raw: ImageFormat = { container: 'raw', compression: 'none', minimumSizeBytes: 0 };
const archive: ImageFormat = { container: 'tar', compression: 'zstd', minimumSizeBytes: 0 };
const image = (inside: string): ReturnType<typeof parseImage> => parseImage(`<IMAGE><ID>1</ID>${inside}</IMAGE>`);

test('an image that oned 3.8 has saved a disk to has no file system of its own', () => {
  const recording = join(import.meta.dirname, '../../fixtures/one/3.8/0061-saveas-datastore-mkfs.txt');
  const document =
    /<DS_DRIVER_ACTION_DATA>[^]*<\/DS_DRIVER_ACTION_DATA>/.exec(readFileSync(recording, 'utf8'))?.[0] ?? '';
  const saved = parseImage(document);
  expect(document).toContain('<FSTYPE>save_as</FSTYPE>');
  expect(requestedFileSystem({ disk: undefined, image: saved }, archive)).toBeUndefined();
});

test.each<[string, string, string | undefined]>([
  ['FSTYPE of the image', '<FSTYPE>ext3</FSTYPE>', 'ext3'],
  ['FS of the image, from 6.0 on', '<FORMAT>raw</FORMAT><FS>xfs</FS>', 'xfs'],
  ['FSTYPE of its template, which goes first', '<FSTYPE>ext3</FSTYPE><TEMPLATE><FSTYPE>XFS</FSTYPE></TEMPLATE>', 'xfs'],
  ['no file system that is the format of an image', '<FSTYPE>phy</FSTYPE>', undefined],
])('an archive is unpacked into %s', (_, inside, expected) => {
  expect(requestedFileSystem({ disk: undefined, image: image(inside) }, archive)).toBe(expected);
});

const foreign = image('<FSTYPE>vfat</FSTYPE>');

test('an archive for a file system that can not be made is refused', () => {
  expect(() => requestedFileSystem({ disk: undefined, image: foreign }, archive)).toThrow(
    /FSTYPE of the image is "vfat"/,
  );
});

test('a raw image has any file system inside', () => {
  expect(requestedFileSystem({ disk: undefined, image: foreign }, raw)).toBeUndefined();
});

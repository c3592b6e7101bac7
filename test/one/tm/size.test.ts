/** How large a new volume becomes, by who has said something about it. */
import { expect, test } from 'vitest';
import type { ImageFormat } from '../../../src/transfer/format.ts';
import { requireAllowedSize, volumeBytes, type SizeSources } from '../../../src/one/tm/size.ts';

const gib = 1024 ** 3;
const raw: ImageFormat = { container: 'raw', compression: 'none', minimumSizeBytes: 2 * gib, sizeBytes: 2 * gib };
const archive: ImageFormat = { container: 'tar', compression: 'zstd', minimumSizeBytes: 0 };
const saved: ImageFormat = { ...archive, note: { sizeBytes: 5 * gib, fileSystemType: 'ext4' } };
const nothing: SizeSources = {
  ...{ sizeAttribute: undefined, diskSizeMb: undefined, originalSizeMb: undefined, imageSizeMb: undefined },
  ...{ format: archive, defaultBytes: 8 * gib, persistent: false, purpose: 'new' },
};

test.each<[string, Partial<SizeSources>, number]>([
  ['an archive of which nobody says anything gets the default', {}, 8],
  ['an archive does not get the length that OpenNebula knows', { imageSizeMb: 100 }, 8],
  ['an archive that cxm has made gets the size that it says', { format: saved }, 5],
  ['the SIZE of the image goes before that', { format: saved, sizeAttribute: '3G' }, 3],
  [
    'a disk that was made larger goes before the image',
    { sizeAttribute: '3G', diskSizeMb: 4096, originalSizeMb: 100 },
    4,
  ],
  ['a raw image gets what OpenNebula knows', { format: raw, imageSizeMb: 3072 }, 3],
  ['but never less than its content', { format: raw, imageSizeMb: 1024 }, 2],
  ['a persistent image may have grown beyond its SIZE', { format: saved, sizeAttribute: '3G', persistent: true }, 5],
  ['what comes back gets what it had', { format: saved, sizeAttribute: '3G', purpose: 'return' }, 5],
])('%s', (_, said, expected) => {
  expect(volumeBytes({ ...nothing, ...said })).toBe(expected * gib);
});

test('a SIZE below the content is refused', () => {
  const message = expect.stringContaining('SIZE of the image is 1 GiB') as string;
  expect(() => volumeBytes({ ...nothing, format: raw, sizeAttribute: '1G' })).toThrow(
    expect.objectContaining({ code: 'TOO_SMALL', message }),
  );
});

test('a disk above MAX_LV_SIZE is refused, one of exactly that size is not', () => {
  expect(() => requireAllowedSize(8 * gib, 'disk 0 of VM 7', { MAX_LV_SIZE: 8 * gib })).not.toThrow();
  expect(() => requireAllowedSize(8 * gib + 1, 'disk 0 of VM 7', { MAX_LV_SIZE: 8 * gib })).toThrow(
    expect.objectContaining({ code: 'REFUSED', message: expect.stringContaining('MAX_LV_SIZE') as string }),
  );
});

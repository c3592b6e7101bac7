import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planFetch, planSend, roomFor, transferModes } from '../../src/transfer/plan.ts';
import type { FetchSituation, SendSettings } from '../../src/transfer/plan.ts';
import type { DeviceContent } from '../../src/transfer/filesystem.ts';
import type { ImageFormat } from '../../src/transfer/format.ts';

const settings: SendSettings = { purpose: 'new', defaultType: 'ext4' };
const tar: ImageFormat = { container: 'tar', compression: 'zstd', minimumSizeBytes: 0 };
const note = { fileSystemType: 'xfs', sizeBytes: 4096, uuid: 'u', label: 'root' } as const;

describe('how an image travels', () => {
  it.each<[string, ImageFormat, unknown]>([
    ['raw', { container: 'raw', compression: 'none', minimumSizeBytes: 1 }, { landing: 'extents', source: 'raw' }],
    [
      'qcow2',
      { container: 'qcow2', compression: 'none', minimumSizeBytes: 1 },
      { landing: 'extents', source: 'qcow2' },
    ],
    [
      'raw in gzip',
      { container: 'raw', compression: 'gzip', minimumSizeBytes: 0 },
      { landing: 'decompressedExtents', compression: 'gzip' },
    ],
    [
      'raw in zstd',
      { container: 'raw', compression: 'zstd', minimumSizeBytes: 0 },
      { landing: 'decompressedExtents', compression: 'zstd' },
    ],
    ['tar in zstd', tar, { landing: 'archive', compression: 'zstd', fileSystem: { type: 'ext4' } }],
    ['tar', { ...tar, compression: 'none' }, { landing: 'archive', compression: 'none', fileSystem: { type: 'ext4' } }],
  ])('%s', (_, format, plan) => {
    expect(planSend(format, settings)).toEqual(plan);
  });

  const landing = (format: ImageFormat, more: Partial<SendSettings>): unknown => {
    const plan = planSend(format, { ...settings, ...more });
    return plan.landing === 'archive' ? plan.fileSystem : undefined;
  };

  it('makes what an archive says it was, with its UUID and label', () => {
    expect(landing({ ...tar, note }, {})).toEqual({ type: 'xfs', uuid: 'u', label: 'root' });
  });

  it('makes what FSTYPE asks for in a new disk, keeping the label only where it fits', () => {
    const long = { ...note, fileSystemType: 'ext4', label: 'sixteen letters!' } as const;
    expect(landing({ ...tar, note }, { requestedType: 'ext3' })).toEqual({ type: 'ext3', uuid: 'u', label: 'root' });
    expect(landing({ ...tar, note: long }, { requestedType: 'xfs' })).toEqual({ type: 'xfs', uuid: 'u' });
    expect(landing(tar, { requestedType: 'ext2' })).toEqual({ type: 'ext2' });
  });

  it('makes what a returning disk was, whatever the image asked for once', () => {
    expect(landing({ ...tar, note }, { purpose: 'return', requestedType: 'ext3' })).toMatchObject({ type: 'xfs' });
    expect(landing(tar, { purpose: 'return', requestedType: 'ext3' })).toEqual({ type: 'ext3' });
  });
});

const clean: DeviceContent = { kind: 'filesystem', type: 'ext3', uuid: 'u', clean: true };
const dirty: DeviceContent = { ...clean, clean: false };
const situation: FetchSituation = { content: clean, snapshotPossible: true, checkpointPresent: false, mode: 'RAW' };

describe('how a volume comes back', () => {
  it('as an archive when it is a clean file system, with what it was', () => {
    expect(planFetch(situation)).toMatchObject({
      kind: 'archive',
      replayOnSnapshot: false,
      note: { fileSystemType: 'ext3', uuid: 'u' },
    });
  });

  it('as an archive from a snapshot with the journal replayed when it was not unmounted, else as an image', () => {
    expect(planFetch({ ...situation, content: dirty })).toMatchObject({ kind: 'archive', replayOnSnapshot: true });
    expect(planFetch({ ...situation, content: dirty, snapshotPossible: false })).toMatchObject({ kind: 'image' });
  });

  it('as an exact image whenever a saved memory refers to it, or an archive would lose something', () => {
    const contents = fc.constantFrom<DeviceContent>(
      { kind: 'nothing' },
      { kind: 'other', description: 'swap' },
      clean,
      dirty,
      { ...clean, exactOnly: 'encryption' } as DeviceContent,
    );
    fc.assert(
      fc.property(
        contents,
        fc.boolean(),
        fc.boolean(),
        fc.constantFrom(...transferModes),
        (content, snapshotPossible, checkpointPresent, mode) => {
          const plan = planFetch({ content, snapshotPossible, checkpointPresent, mode });
          const risky =
            content.kind !== 'filesystem' ||
            checkpointPresent ||
            content.exactOnly !== undefined ||
            (!content.clean && !snapshotPossible);
          expect(plan.kind).toBe(risky ? 'image' : 'archive');
          if (plan.kind === 'archive')
            expect(plan.replayOnSnapshot).toBe(content.kind === 'filesystem' && !content.clean);
        },
      ),
    );
  });

  it('as an image when its archive would outgrow the volume', () => {
    expect(planFetch({ ...situation, archiveTooLarge: true }).kind).toBe('image');
  });

  it.each([
    ['RAW', 'none'],
    ['GZIP', 'gzip'],
    ['TGZ', 'gzip'],
    ['ZSTD', 'zstd'],
    ['TZST', 'zstd'],
  ] as const)('in MODE %s with compression %s, archive or not', (mode, compression) => {
    expect(planFetch({ ...situation, mode }).compression).toBe(compression);
    expect(planFetch({ ...situation, content: { kind: 'nothing' }, mode }).compression).toBe(compression);
  });
});

describe('room on a device', () => {
  const gib = 2 ** 30;
  it.each<[string, ImageFormat, number, string]>([
    [
      'a raw disk that is larger',
      { container: 'raw', compression: 'none', sizeBytes: gib + 1, minimumSizeBytes: gib + 1 },
      gib,
      'too-small',
    ],
    [
      'a raw disk of the same size',
      { container: 'raw', compression: 'none', sizeBytes: gib, minimumSizeBytes: gib },
      gib,
      'fits',
    ],
    ['an archive that is much shorter', { ...tar, likelySizeBytes: gib / 2 }, gib, 'fits'],
    ['an archive that is about as long', { ...tar, likelySizeBytes: gib - 1000 }, gib, 'measure'],
    ['an archive that is longer, maybe by headers', { ...tar, likelySizeBytes: gib * 2 }, gib, 'measure'],
    ['an archive of unknown length', tar, gib, 'fits'],
  ])('for %s', (_, format, deviceBytes, room) => {
    expect(roomFor(format, deviceBytes)).toBe(room);
  });
});

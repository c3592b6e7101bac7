import { describe, expect, it } from 'vitest';
import { mountOptions } from '../../src/transfer/archive-sandbox.ts';
import { extendedStateOf } from '../../src/transfer/identify.ts';
import { knowsPrezeroed, makeLine } from '../../src/transfer/make-filesystem.ts';

describe('mkfs', () => {
  it('uses that a device is zeroed, where it knows how', () => {
    expect(makeLine('/dev/vg/lv', { type: 'ext4', zeroed: true }, { prezeroed: true })).toEqual([
      'mke2fs',
      '-q',
      '-F',
      '-t',
      'ext4',
      '-E',
      'nodiscard,lazy_itable_init=1,lazy_journal_init=1,assume_storage_prezeroed=1',
      '/dev/vg/lv',
    ]);
    expect(knowsPrezeroed('mke2fs 1.46.5 (30-Dec-2021)')).toBe(false);
    expect(knowsPrezeroed('mke2fs 1.47.0 (5-Feb-2023)')).toBe(true);
  });

  it('takes UUID and label as values, never as options', () => {
    expect(makeLine('/dev/vg/lv', { type: 'xfs', uuid: 'u', label: '-f', zeroed: true })).toEqual([
      'mkfs.xfs',
      '-q',
      '-f',
      '-K',
      '-L',
      '-f',
      '-m',
      'uuid=u',
      '/dev/vg/lv',
    ]);
  });
});

describe('mount options', () => {
  it.each(['ext2', 'ext3', 'ext4', 'xfs'] as const)('of %s are always nosuid, nodev and noexec', (type) => {
    for (const purpose of ['unpack', 'pack', 'packReplayed'] as const) {
      expect(mountOptions(type, purpose).split(',')).toEqual(expect.arrayContaining(['nosuid', 'nodev', 'noexec']));
    }
    expect(mountOptions(type, 'pack')).toMatch(/^ro,.*,(noload|norecovery)$/);
    if (type !== 'xfs') expect(mountOptions(type, 'unpack')).toContain('errors=remount-ro');
  });
});

describe('the state of an ext file system', () => {
  const report = (changes: Record<string, string>): string =>
    Object.entries({ 'Filesystem features': 'has_journal extent', 'Filesystem state': 'clean', ...changes })
      .map(([key, value]) => `${key}:  ${value}`)
      .join('\n');

  it.each<[string, Record<string, string>, unknown]>([
    ['clean', {}, { clean: true }],
    ['to be recovered', { 'Filesystem features': 'has_journal needs_recovery' }, { clean: false }],
    ['with errors', { 'Filesystem state': 'clean with errors' }, { clean: false }],
    ['mounted', { 'Filesystem state': 'not clean' }, { clean: false }],
    ['with orphans', { 'First orphan inode': '12' }, { clean: false }],
    ['with an orphan file', { 'Filesystem features': 'orphan_file orphan_present' }, { clean: false }],
    ['with a journal elsewhere', { 'Journal UUID': 'x' }, { clean: true, exactOnly: 'a journal on another device' }],
    ['encrypted', { 'Filesystem features': 'encrypt' }, { clean: true, exactOnly: 'the feature encrypt' }],
  ])('%s', (_, changes, state) => {
    expect(extendedStateOf(report(changes), false)).toEqual(state);
  });
});

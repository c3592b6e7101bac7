/** What the tour asks of a machine. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemPath } from '../../src/sandbox/one/calls.ts';
import { missingPackages } from '../../src/sandbox/prepare.ts';

it('names the packages of programs that are in no directory of the path', () => {
  const directory = fs.mkdtempSync(join(tmpdir(), 'cxm-prepare-test-'));
  try {
    for (const name of ['bash', 'tar', 'gzip', 'cmp', 'mke2fs', 'debugfs']) fs.writeFileSync(join(directory, name), '');
    expect(missingPackages([join(directory, 'nothing'), directory])).toEqual(['coreutils', 'e2fsprogs', 'util-linux']);
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
});

it('looks for them where Debian has them, also for users without /usr/sbin in their path', () => {
  expect(missingPackages(systemPath().split(':'))).toEqual([]);
});

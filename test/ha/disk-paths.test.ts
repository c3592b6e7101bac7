/** One node's path to a shared disk fails as cxmd would see it, and the other one's does not. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DirectFile } from '../../src/ha/disk/direct-file.ts';
import { blockBytes, diskBytes } from '../../src/ha/disk/format.ts';
import { DiskPaths } from './disk-paths.ts';

test.skipIf(process.getuid?.() !== 0)('a path that is broken fails for files that are open, until it is mended', () => {
  const directory = fs.mkdtempSync(join(tmpdir(), 'cxm-disk-paths-'));
  const paths = new DiskPaths();
  const opened: DirectFile[] = [];
  try {
    const disk = join(directory, 'disk');
    fs.writeFileSync(disk, '');
    fs.truncateSync(disk, diskBytes);
    const [one, other] = ['node1', 'node2'].map((node) => {
      const file = DirectFile.open(paths.of(node, disk), 'write', blockBytes);
      opened.push(file);
      return file;
    });
    const block = (byte: number): Buffer => Buffer.alloc(blockBytes, byte);
    one?.write(16, block(1));
    expect(other?.read(16, 1)[0]).toBe(1);
    paths.setBroken('node1', true);
    for (const at of [0, 16, 1023]) {
      expect(() => one?.read(at, 1)).toThrow(/can't be read/);
      expect(() => one?.write(at, block(2))).toThrow(/can't be written/);
    }
    expect(other?.read(16, 1)[0]).toBe(1);
    other?.write(16, block(3));
    paths.setBroken('node1', false);
    expect(one?.read(16, 1)[0]).toBe(3);
  } finally {
    for (const file of opened) file.close();
    paths.close();
    fs.rmSync(directory, { recursive: true });
  }
});

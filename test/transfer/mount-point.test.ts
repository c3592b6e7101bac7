/** Whom root believes that a directory stays what it is. */
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { trustedMountPoint } from '../../src/transfer/mount-point.ts';
import { failure, temporaryDirectory } from './helpers.ts';

const directory = temporaryDirectory();
afterAll(() => directory.remove());
let count = 0;

/** A directory within another one, which has this mode and owner. */
function within(mode: number, owner?: number): string {
  const outer = join(directory.path, String(count++));
  mkdirSync(join(outer, 'inner'), { recursive: true });
  if (owner !== undefined) chownSync(outer, owner, owner);
  chmodSync(outer, mode);
  return join(outer, 'inner');
}

async function problem(path: string): Promise<string> {
  return (await failure(trustedMountPoint(path), 'CONFIG')).message;
}

describe('a directory to mount over', () => {
  it('may stand among directories of our own, and in one like /tmp', async () => {
    for (const path of [within(0o755), within(0o700), within(0o1777)]) expect(await trustedMountPoint(path)).toBe(path);
    expect(await trustedMountPoint('/var/tmp/')).toBe('/var/tmp');
  });

  it.each([0o775, 0o757, 0o777])('may not stand where others can rename it (mode %o)', async (mode) => {
    const path = within(mode);
    expect(await problem(path)).toBe(
      `no file system can be mounted over ${path}: ${join(path, '..')} can be written to by others`,
    );
  });

  it.skipIf(process.getuid?.() !== 0)('may not stand in what belongs to somebody else', async () => {
    for (const mode of [0o755, 0o1777]) expect(await problem(within(mode, 1234))).toContain('belongs to the user 1234');
  });

  it('is told without its links, which somebody could turn', async () => {
    const [path, link] = [within(0o755), join(directory.path, 'link')];
    symlinkSync(path, link);
    expect(await trustedMountPoint(link)).toBe(path);
    symlinkSync(within(0o777), `${link}-2`);
    expect(await problem(`${link}-2`)).toContain('can be written to by others');
  });

  it('is neither the root directory nor a file, and exists', async () => {
    writeFileSync(join(directory.path, 'file'), '');
    expect(await problem('/')).toContain('it is the root directory');
    expect(await problem(join(directory.path, 'file'))).toContain('is no directory');
    expect(await problem('/nowhere')).toContain('it does not exist');
  });
});

import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { localCommands } from '../../src/host/commands.ts';
import { unprivilegedFileSystemTools } from '../../src/transfer/unprivileged-filesystem.ts';
import { chunked, collect, failure, has, temporaryDirectory } from './helpers.ts';

const directory = temporaryDirectory();
afterAll(() => directory.remove());
const tools = unprivilegedFileSystemTools(localCommands);
const uuid = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0';

describe.skipIf(!has('mke2fs') || !has('debugfs'))('file systems in files, without mounting (needs e2fsprogs)', () => {
  const volume = join(directory.path, 'volume');
  writeFileSync(volume, '');
  truncateSync(volume, 32 * 2 ** 20);

  it('take an archive and give it back, with type, UUID and label', async () => {
    // Others may work in the same temporary directory.
    const works = (): string[] => readdirSync(tmpdir()).filter((name) => /^cxm-(un)?pack-/.test(name));
    const before = new Set(works());
    const files = join(directory.path, 'files');
    mkdirSync(join(files, 'etc'), { recursive: true });
    writeFileSync(join(files, 'etc', 'hostname'), 'guest\n');
    execFileSync('ln', ['-s', 'etc/hostname', join(files, 'link')]);
    const archive = execFileSync('tar', ['-c', '-I', 'zstd', '-C', files, '.']);
    await tools.make(volume, { type: 'ext3', uuid, label: 'root', zeroed: true });
    await tools.unpack(volume, { compression: 'zstd', archive: chunked(archive), type: 'ext3' });
    expect(await tools.identify(volume)).toMatchObject({ type: 'ext3', uuid, label: 'root', clean: true });

    const note = { fileSystemType: 'ext3', sizeBytes: 32 * 2 ** 20 } as const;
    const options = { type: 'ext3', compression: 'gzip', level: 6, note, replayJournal: false } as const;
    const packed = await collect(tools.pack(volume, options));
    const out = join(directory.path, 'out');
    mkdirSync(out);
    execFileSync('tar', ['-xz', '-C', out], { input: packed });
    expect(readdirSync(out).sort()).toEqual(['etc', 'link']);
    expect(readFileSync(join(out, 'etc', 'hostname'), 'utf8')).toBe('guest\n');
    expect(lstatSync(join(out, 'link')).isSymbolicLink()).toBe(true);
    expect(readlinkSync(join(out, 'link'))).toBe('etc/hostname');
    expect(works().filter((name) => !before.has(name))).toEqual([]);
  });

  it('refuse what needs root, and archives that do not fit', async () => {
    const big = Buffer.alloc(40 * 2 ** 20, 1);
    const archive = execFileSync('bash', ['-c', 'cat > "$1/big"; tar -c -C "$1" big', 'bash', directory.path], {
      input: big,
      maxBuffer: 2 ** 27,
    });
    await tools.make(volume, { type: 'ext4', zeroed: false });
    await failure(tools.unpack(volume, { compression: 'none', archive: chunked(archive), type: 'ext4' }), 'TOO_SMALL');
    const note = { fileSystemType: 'xfs', sizeBytes: 1 } as const;
    const options = { type: 'xfs', compression: 'none', level: 1, note, replayJournal: false } as const;
    await failure(collect(tools.pack(volume, options)), 'UNSUPPORTED');
  });
});

/** Files of a node by its programs: whole or not at all. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { readDirectory, readTextFile, writeTextFile } from '../../src/host/files.ts';
import { localNode } from '../../src/host/nodes.ts';

const { commands } = localNode('here');
const base = mkdtempSync(join(tmpdir(), 'cxm-files-'));
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(base, 'd'));
});
afterAll(() => rmSync(base, { recursive: true, force: true }));
const path = (name: string): string => join(directory, name);

describe('a file', () => {
  test('comes back as it was written, whatever its name', async () => {
    const name = fc
      .string({ minLength: 1, maxLength: 20, unit: 'grapheme' })
      .filter((word) => !/[/\0]|^\.+$/.test(word));
    const text = fc.string({ unit: 'grapheme', maxLength: 100 });
    await fc.assert(
      fc.asyncProperty(name, text, async (file, content) => {
        await writeTextFile(commands, path(file), content);
        expect(readFileSync(path(file), 'utf8')).toBe(content);
        expect(await readTextFile(commands, path(file))).toBe(content);
        rmSync(path(file));
        expect(readdirSync(directory)).toEqual([]);
      }),
      { numRuns: 15 },
    );
  });

  test('may be long, has the mode that was asked for, and replaces a link itself', async () => {
    writeFileSync(path('other'), 'other');
    symlinkSync('other', path('file'));
    const content = 'line\n'.repeat(1_000_000);
    await writeTextFile(commands, path('file'), content, '0640');
    expect(readFileSync(path('file'), 'utf8') === content).toBe(true);
    expect(statSync(path('file')).mode & 0o777).toBe(0o640);
    expect(readFileSync(path('other'), 'utf8')).toBe('other');
    expect(readdirSync(directory)).toEqual(['file', 'other']);
  });

  test('that is missing is no error, one that can not be read is', async () => {
    expect(await readTextFile(commands, path('none'))).toBeUndefined();
    expect(await readTextFile(commands, path('none/none'))).toBeUndefined();
    await expect(readTextFile(commands, directory)).rejects.toMatchObject({ code: 'COMMAND' });
    symlinkSync(path('loop'), path('loop'));
    await expect(readTextFile(commands, path('loop'))).rejects.toMatchObject({ code: 'COMMAND' });
  });

  test('stays as it was when the new one can not be written', async () => {
    mkdirSync(path('file'));
    await expect(writeTextFile(commands, path('file'), 'new')).rejects.toMatchObject({ code: 'COMMAND' });
    expect(readdirSync(directory)).toEqual(['file']);
    await expect(writeTextFile(commands, path('none/file'), 'new')).rejects.toMatchObject({ code: 'COMMAND' });
    // A limit on the size of files stands for a full disk.
    const limited: typeof commands = {
      run: (program, args, options) =>
        commands.run('sh', ['-c', 'ulimit -f 8; trap "" XFSZ; exec "$@"', 'sh', program, ...args], options),
    };
    writeFileSync(path('full'), 'old');
    await expect(writeTextFile(limited, path('full'), 'x'.repeat(100_000))).rejects.toMatchObject({ code: 'COMMAND' });
    expect(readFileSync(path('full'), 'utf8')).toBe('old');
    expect(readdirSync(directory)).toEqual(['file', 'full']);
  });

  test('has an absolute path', async () => {
    for (const wrong of ['file', '-f', '', '/', '/a/../b', '/a/', '/a\0b']) {
      await expect(readTextFile(commands, wrong), wrong).rejects.toMatchObject({ code: 'INVALID_INPUT' });
      await expect(writeTextFile(commands, wrong, ''), wrong).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    }
    await expect(writeTextFile(commands, path('x'), '', '-v')).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    expect(existsSync(path('x'))).toBe(false);
  });
});

describe('a directory', () => {
  test('is listed by name, with links and what stands in them', async () => {
    writeFileSync(path('b\nc'), '');
    mkdirSync(path('a'));
    symlinkSync('../vm/a b', path('link'));
    writeFileSync(path('.hidden'), '');
    chmodSync(path('b\nc'), 0o600);
    symlinkSync(directory, `${directory}-link`);
    for (const name of [directory, `${directory}-link`]) {
      expect(await readDirectory(commands, name)).toEqual([
        { name: 'a', type: 'directory', target: undefined },
        { name: 'b\nc', type: 'file', target: undefined },
        { name: 'link', type: 'link', target: '../vm/a b' },
      ]);
    }
  });

  test('that is missing is no error, a file is one', async () => {
    expect(await readDirectory(commands, path('none'))).toBeUndefined();
    writeFileSync(path('file'), '');
    await expect(readDirectory(commands, path('file'))).rejects.toMatchObject({ code: 'COMMAND' });
  });
});

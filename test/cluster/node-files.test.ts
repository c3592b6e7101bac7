import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CommandNodeFiles } from '../../src/cluster/node-files.ts';
import { localCommands } from '../../src/host/commands.ts';

let directory: string;
let configs: string;
let auto: string;
let files: CommandNodeFiles;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cxm-files-'));
  configs = join(directory, 'vm');
  auto = join(directory, 'auto');
  mkdirSync(configs);
  mkdirSync(auto);
  files = new CommandNodeFiles(localCommands, configs, auto);
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

const write = (name: string, text: string): void => writeFileSync(join(configs, name), text);

describe('a configuration', () => {
  it('is read every time, with every byte, NULs and what looks like a separator included', async () => {
    const text = 'name = "vm1.example.org"\n\0\\0%f\0%s\u00e9\n';
    write('vm1.example.org', text);
    // What separates files is random: one look proves little.
    for (let look = 0; look < 40; look += 1) {
      const path = join(configs, 'vm1.example.org');
      expect(await files.readConfig('vm1.example.org')).toEqual({ vm: 'vm1.example.org', path, text });
    }
  });

  it('may have the ending .cfg', async () => {
    write('vm1.cfg', 'x');
    expect(await files.readConfig('vm1')).toEqual({ vm: 'vm1', path: join(configs, 'vm1.cfg'), text: 'x' });
  });

  it('is refused when there are two of them', async () => {
    write('vm1', 'x');
    write('vm1.cfg', 'y');
    await expect(files.readConfig('vm1')).rejects.toMatchObject({ code: 'CONFIG' });
  });

  it('may be a link to a file; one that leads nowhere, to a directory or a device is none', async () => {
    writeFileSync(join(directory, 'elsewhere'), 'text');
    symlinkSync(join(directory, 'elsewhere'), join(configs, 'vm1'));
    symlinkSync('/nowhere', join(configs, 'vm2'));
    symlinkSync('/tmp', join(configs, 'vm3'));
    symlinkSync('/dev/zero', join(configs, 'vm4'));
    mkdirSync(join(configs, 'vm5'));
    expect((await files.readConfigs()).map(({ vm, text }) => [vm, text])).toEqual([['vm1', 'text']]);
  });

  it('is absent where there is no directory', async () => {
    rmSync(configs, { recursive: true });
    expect(await files.readConfig('vm1')).toBeUndefined();
    expect(await files.readConfigs()).toEqual([]);
  });

  it('is an error when the directory is a file', async () => {
    rmSync(configs, { recursive: true });
    writeFileSync(configs, '');
    const nested = new CommandNodeFiles(localCommands, join(configs, 'below'), auto);
    await expect(nested.readConfigs()).rejects.toMatchObject({ code: 'IO' });
  });

  it('is left out when its name is no name of a VM', async () => {
    for (const name of ['-rf', 'a b', 'x;id', '$(id)', 'vm1~', '.hidden', '%s', 'a\nb', '123', 'vm\\0x'])
      write(name, name);
    write('honest', 'text');
    expect((await files.readConfigs()).map(({ vm }) => vm)).toEqual(['honest']);
  });

  it.each(['*', '../vm', '-o', 'a/b', '', '[v]m1', 'vm?', '\\', '(', 'vm1\n'])(
    'is not asked for as %j',
    async (name) => {
      write('vm1', 'x');
      await expect(files.readConfig(name)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    },
  );

  it('that is larger than any is one is not read', async () => {
    write('vm1', 'x'.repeat(300 * 1024));
    expect(await files.readConfig('vm1')).toBeUndefined();
  });
});

describe('an autostart link', () => {
  const target = '/etc/xen/vm/vm1';
  const listed = (): string[] => readdirSync(auto).sort();

  it('is made where there is none, with its directory', async () => {
    rmSync(auto, { recursive: true });
    await files.setLink('vm1', target);
    await files.setLink('vm1', target);
    expect(readlinkSync(join(auto, 'vm1'))).toBe(target);
    expect(await files.links()).toEqual(new Map([['vm1', target]]));
  });

  it.each([target, '../vm/vm1', '/other/place/vm1'])('is the VM’s own when it leads to %s', async (own) => {
    symlinkSync(own, join(auto, 'vm1'));
    await files.setLink('vm1', target);
    expect(readlinkSync(join(auto, 'vm1'))).toBe(own);
    await files.removeLink('vm1', target);
    expect(listed()).toEqual([]);
  });

  it('of somebody else stays, and has no second one put in its place', async () => {
    symlinkSync('/home/somebody/vm7', join(auto, 'vm1'));
    await expect(files.setLink('vm1', target)).rejects.toMatchObject({ code: 'FOREIGN' });
    await files.removeLink('vm1', target);
    expect(readlinkSync(join(auto, 'vm1'))).toBe('/home/somebody/vm7');
  });

  it('is removed without the file that has its name with the other ending', async () => {
    symlinkSync(target, join(auto, 'vm1'));
    writeFileSync(join(auto, 'vm1.cfg'), 'the only copy');
    await files.removeLink('vm1', target);
    expect(listed()).toEqual(['vm1.cfg']);
  });

  it('is removed in both forms, and no neighbour with it', async () => {
    for (const name of ['vm1', 'vm1.cfg']) symlinkSync('/etc/xen/vm/vm1', join(auto, name));
    for (const name of ['vm11', 'xvm1']) symlinkSync(`/etc/xen/vm/${name}`, join(auto, name));
    await files.removeLink('vm1', target);
    expect(listed()).toEqual(['vm11', 'xvm1']);
  });

  it('does not take the place of a file', async () => {
    writeFileSync(join(auto, 'vm1'), 'mine');
    await expect(files.setLink('vm1', target)).rejects.toMatchObject({ code: 'FOREIGN' });
    expect(listed()).toEqual(['vm1']);
  });

  it('may lead to a hostile path, which is only text', async () => {
    symlinkSync('*\n$(touch x)', join(auto, 'vm1'));
    symlinkSync('/etc/xen/vm/vm2', join(auto, 'vm2'));
    expect(await files.links()).toEqual(
      new Map([
        ['vm1', '*\n$(touch x)'],
        ['vm2', '/etc/xen/vm/vm2'],
      ]),
    );
    await files.removeLink('vm1', '*\n$(touch x)');
    expect(listed()).toEqual(['vm2']);
  });
});

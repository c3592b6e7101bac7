/** What a host looks at before it starts or takes in a VM: files that the guest would read, names that others have. */
import { chmodSync, chownSync, lstatSync, mkdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { owner, TestHosts, vmDocument, type HostName } from './hosts.ts';

let hosts: TestHosts;
const vmId = 7;

beforeAll(async () => {
  hosts = await TestHosts.make();
});
afterAll(() => hosts.end());
beforeEach(async () => {
  await hosts.reset();
  await hosts.addDisks(vmId, 0, 1);
});

function deploy(deployment = vmDocument(vmId), settings: Record<string, string> = {}) {
  const directory = hosts.directory(vmId);
  return hosts.manager('a', settings).deploy({ vmId, directory, deployment, document: undefined });
}

describe('kernels and ramdisks of the host', () => {
  const directory = () => `${hosts.base}/kernels`;
  const boot = (os: string) =>
    deploy(vmDocument(vmId).replace(/<OS>.*<\/OS>/, `<OS>${os}</OS>`), { KERNEL_DIRS: directory() });
  const kernel = () => `<KERNEL>${directory()}/vmlinuz</KERNEL>`;
  const initrd = () => `<INITRD>${directory()}/initrd</INITRD>`;

  beforeEach(() => {
    mkdirSync(directory());
    writeFileSync(`${directory()}/vmlinuz-6.1`, 'kernel');
    writeFileSync(`${directory()}/initrd`, 'ramdisk');
    symlinkSync('vmlinuz-6.1', `${directory()}/vmlinuz`);
    for (const file of ['vmlinuz-6.1', 'initrd']) chmodSync(`${directory()}/${file}`, 0o644);
  });

  it('that everybody may read are what a guest may boot from, through links, too', async () => {
    expect(await boot(`${kernel()}${initrd()}`)).toMatchObject({ deployId: 'web-7' });
  });

  it.each(['vmlinuz-6.1', 'initrd'])('are refused when not everybody may read them: %s', async (file) => {
    chmodSync(`${directory()}/${file}`, 0o640);
    await expect(boot(`${kernel()}${initrd()}`)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      changed: 'nothing',
      message: expect.stringContaining('not everybody') as string,
      hint: expect.stringContaining('KERNEL_DIRS') as string,
    });
    expect(await hosts.domains('a')).toEqual([]);
    expect(hosts.config('a', 'web-7')).toBeUndefined();
  });

  it('are refused when they are no files', async () => {
    mkdirSync(`${directory()}/tree`);
    await expect(boot(`<KERNEL>${directory()}/tree</KERNEL>`)).rejects.toThrow(/no file/);
  });

  it('do not count for the kernel of the VM itself, which only oneadmin may read', async () => {
    writeFileSync(`${hosts.directory(vmId)}/kernel`, 'kernel');
    chmodSync(`${hosts.directory(vmId)}/kernel`, 0o640);
    chownSync(`${hosts.directory(vmId)}/kernel`, owner.uid, owner.gid);
    expect(await boot('<KERNEL_DS>x</KERNEL_DS>')).toMatchObject({ deployId: 'web-7' });
  });
});

describe("an administrator's own autostart link", () => {
  const link = (name: HostName) => `${hosts.base}/${name}/auto/web-7`;
  const place = (name: HostName, target: string): void => {
    mkdirSync(`${hosts.base}/${name}/auto`, { recursive: true });
    symlinkSync(target, link(name));
  };

  it('keeps its name: a VM that would replace it is refused', async () => {
    place('a', '/root/web-7.cfg');
    await expect(deploy()).rejects.toMatchObject({
      code: 'NAME_TAKEN',
      changed: 'nothing',
      message: expect.stringContaining(link('a')) as string,
    });
    expect(readlinkSync(link('a'))).toBe('/root/web-7.cfg');
    expect(await hosts.domains('a')).toEqual([]);
    expect(await hosts.active('a')).toEqual([]);
  });

  it('keeps its name, too, when it is a file', async () => {
    mkdirSync(`${hosts.base}/a/auto`, { recursive: true });
    writeFileSync(link('a'), "name = 'web-7'\n");
    await expect(deploy()).rejects.toMatchObject({ code: 'NAME_TAKEN' });
    expect(lstatSync(link('a')).isFile()).toBe(true);
  });

  it('keeps a VM from moving to its host, before the guest is touched', async () => {
    await deploy();
    place('b', '/root/web-7.cfg');
    const migration = hosts.manager('a').migrate({ vmId, deployId: 'web-7', destination: 'b' });
    await expect(migration).rejects.toMatchObject({ code: 'NAME_TAKEN' });
    expect(readlinkSync(link('b'))).toBe('/root/web-7.cfg');
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
    expect(hosts.hasAutostart('a', 'web-7')).toBe(true);
  });

  it.each([
    ['what an earlier run has left', (directory: string) => `${directory}/web-7`],
    ['a relative one', () => '../vm/web-7'],
    ['one through a link to the directory', () => '../linked/web-7'],
  ])('is not a link to our configuration: %s', async (_what, target) => {
    mkdirSync(hosts.configDirectory('a'), { recursive: true });
    symlinkSync('vm', `${hosts.base}/a/linked`);
    place('a', target(hosts.configDirectory('a')));
    await deploy();
    expect(hosts.hasAutostart('a', 'web-7')).toBe(true);
    await hosts.manager('a').cancel({ vmId, deployId: 'web-7' });
    expect(lstatSync(link('a'), { throwIfNoEntry: false })).toBeUndefined();
  });
});

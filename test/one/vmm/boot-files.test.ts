/** Kernel and ramdisk in the VM's own directory, whose owner may not be let show a guest what only root may read. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DomainHost } from '../../../src/agent/operations/domain-host.ts';
import { domainManager } from '../../../src/agent/operations/domain-manager.ts';
import { TestHosts, vmDocument } from './hosts.ts';

let hosts: TestHosts;
const vmId = 7;
const deployId = 'web-7';
const deployment = vmDocument(vmId).replace(
  /<OS>.*<\/OS>/,
  '<OS><KERNEL_DS>x</KERNEL_DS><INITRD_DS>x</INITRD_DS></OS>',
);

beforeAll(async () => {
  hosts = await TestHosts.make();
});
afterAll(() => hosts.end());
beforeEach(async () => {
  await hosts.reset();
  await hosts.addDisks(vmId, 0, 1);
  for (const name of ['kernel', 'initrd']) writeFileSync(own(name), name, { mode: 0o644 });
});

const own = (name: string): string => join(hosts.directory(vmId), name);

function deploy(changes: Partial<DomainHost> = {}) {
  const manager = domainManager({ ...hosts.host('a'), ...changes });
  return manager.deploy({ vmId, directory: hosts.directory(vmId), deployment, document: undefined });
}

/** What its owner puts in its place. */
const replacements: Readonly<Record<string, (path: string) => void>> = {
  'a link': (path) => symlinkSync('/etc/hostname', path),
  'a link to a file beside it': (path) => {
    writeFileSync(`${path}.real`, '');
    symlinkSync(`${path}.real`, path);
  },
  'a directory': (path) => mkdirSync(path),
  'a pipe': (path) => void execFileSync('mkfifo', [path]),
  nothing: () => undefined,
};

describe.each(['kernel', 'initrd'])('the %s of the VM', (name) => {
  it.each(Object.keys(replacements))('is taken as a plain file, and refused as %s', async (what) => {
    rmSync(own(name));
    replacements[what]?.(own(name));
    await expect(deploy()).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringMatching(`boots from .*/${name}, which is (no plain file|missing)`) as string,
    });
    rmSync(own(name), { recursive: true, force: true });
    writeFileSync(own(name), '');
    expect(await deploy()).toMatchObject({ deployId });
  });
});

it('a directory of the VM that is a link is refused', async () => {
  renameSync(hosts.directory(vmId), `${hosts.directory(vmId)}.real`);
  symlinkSync(`${hosts.directory(vmId)}.real`, hosts.directory(vmId));
  await expect(deploy()).rejects.toThrow(/behind a link/);
});

it.runIf(process.geteuid?.() === 0)('a file that only root may read is refused', async () => {
  chmodSync(own('initrd'), 0o600);
  await expect(deploy()).rejects.toThrow(/can't be read: EACCES/);
});

it('a link that comes while the disks are made ready is found, and all is taken back', async () => {
  const real = hosts.volumes('a');
  const volumes = new Proxy(real, {
    get: (target, key) => {
      if (key === 'activate' && !replaced) replace();
      const value = Reflect.get(target, key) as unknown;
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  let replaced = false;
  const replace = (): void => {
    replaced = true;
    rmSync(own('initrd'));
    symlinkSync('/etc/hostname', own('initrd'));
  };
  await expect(deploy({ volumes })).rejects.toMatchObject({ code: 'INVALID_INPUT', changed: 'rolled-back' });
  expect(await hosts.domains('a')).toEqual([]);
  expect(hosts.hasAutostart('a', deployId)).toBe(false);
});

it('a reset is refused for a link, and the guest runs on', async () => {
  await deploy();
  rmSync(own('initrd'));
  symlinkSync('/etc/hostname', own('initrd'));
  await expect(hosts.manager('a').reset({ vmId, deployId })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  expect(await hosts.domains('a')).toEqual(['web-7: running']);
});

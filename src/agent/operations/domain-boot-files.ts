/**
 * The files that a domain boots from, as they are when it is about to be started. The guest reads all that is in them,
 * and root's xl opens them by their paths, so a link in the VM's own directory, which belongs to the user oned runs as,
 * could show a guest any file of the host. What xl opens later, when a guest reboots by itself, nobody looks at.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { CxmError } from '../../errors.ts';
import { hostBootFiles, ownBootFiles } from '../../one/domain/boot.ts';
import type { DomainBoot } from '../../one/domain/description.ts';
import { parseDomainConfig } from '../../xen/config-file.ts';
import { asOwner } from '../owner.ts';
import { requirePublicFiles } from './domain-files.ts';
import type { DomainHost } from './domain-host.ts';

type BootHost = Pick<DomainHost, 'owner'>;

/**
 * Those of a domain that is described anew.
 * @param directory the VM's, in the system datastore
 * @throws CxmError INVALID_INPUT
 */
export function requireBootFiles(host: BootHost, boot: DomainBoot, directory: string): void {
  requirePublicFiles(hostBootFiles(boot, directory));
  for (const path of ownBootFiles(boot, directory)) requireOwnFile(host, path);
}

/**
 * Those of a configuration that an earlier start has written, which does not say where the VM's directory is.
 * @throws CxmError INVALID_INPUT
 */
export function requireBootFilesIn(host: BootHost, vmId: number, text: string): void {
  const config = parseDomainConfig(text, `the configuration of VM ${vmId}`);
  const boot: DomainBoot = {
    ...pathOf('kernel', config.getString('kernel')),
    ...pathOf('ramdisk', config.getString('ramdisk')),
  };
  const own = [boot.kernel, boot.ramdisk].find((path) => new RegExp(`/${vmId}/(kernel|initrd)$`).test(path ?? ''));
  requireBootFiles(host, boot, own === undefined ? '/nowhere' : dirname(own));
}

function pathOf(key: 'kernel' | 'ramdisk', path: string | undefined): Partial<DomainBoot> {
  return path === undefined ? {} : { [key]: path };
}

function requireOwnFile({ owner }: BootHost, path: string): void {
  const fault = asOwner(owner, () => faultOf(path));
  if (fault !== undefined) throw new CxmError('INVALID_INPUT', `the VM boots from ${path}, which ${fault}`);
}

/** What is wrong with it, as half a sentence. It is opened: only what that user may read is no secret to him. */
function faultOf(path: string): string | undefined {
  try {
    if (!lstatSync(dirname(path)).isDirectory()) return 'is behind a link';
    const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      return fstatSync(file).isFile() ? undefined : 'is no plain file';
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return 'is missing';
    return code === 'ELOOP' ? 'is no plain file' : `can't be read: ${message}`;
  }
}

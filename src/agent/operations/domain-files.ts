/**
 * Configuration files and autostart links on this host. A file is written whole or not at all, and only files with the
 * marker of the VM are ever replaced or removed. Names come from nameFault-checked names, so none leads out of its
 * directory.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { CxmError } from '../../errors.ts';
import { markedVmId } from '../../one/domain/marker.ts';
import { nameFault } from '../../xen/domain-name.ts';

/** More than any configuration is long. */
const maxFileBytes = 1024 * 1024;

/** No action needs its probe for so long. */
const oldProbeMs = 24 * 3_600_000;

export class DomainFiles {
  constructor(
    private readonly configDirectory: string,
    private readonly autostartDirectory: string,
  ) {}

  path(name: string): string {
    const fault = nameFault(name);
    if (fault !== undefined)
      throw new CxmError('INVALID_INPUT', `${JSON.stringify(name)} is no name of a VM: ${fault}`);
    return `${this.configDirectory}/${name}`;
  }

  /** The text of a VM's configuration; undefined if there is none. */
  read(name: string): string | undefined {
    return readSmallFile(this.path(name));
  }

  /** Whether cxm's other name for the same configuration is taken. */
  hasOtherForm(name: string): boolean {
    return existsSync(`${this.path(name)}.cfg`);
  }

  /** The VM's id in the file of that name: undefined for no file, 'unmarked' for one that is not ours. */
  vmIdOf(name: string): number | 'unmarked' | undefined {
    const path = this.path(name);
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
    return markedVmId(readSmallFile(path) ?? '') ?? 'unmarked';
  }

  /** Names of the configurations that carry the marker of the VM. */
  namesOf(vmId: number): string[] {
    let names: string[];
    try {
      names = readdirSync(this.configDirectory);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw ioError(this.configDirectory, cause);
    }
    return names.filter((name) => nameFault(name) === undefined && this.vmIdOf(name) === vmId).sort();
  }

  /**
   * A text that changes whenever a configuration of the VM is written, as each start does; empty if there is none. An
   * inode alone would not do: it is used again.
   */
  generation(vmId: number): string {
    return this.namesOf(vmId)
      .flatMap((name) => {
        const found = lstatSync(this.path(name), { bigint: true, throwIfNoEntry: false });
        return found === undefined ? [] : [`${name} ${found.ino} ${found.mtimeNs}`];
      })
      .join('\n');
  }

  /** Writes the configuration, atomically and durably. Whose it may replace is the caller's decision. */
  write(name: string, text: string): void {
    const path = this.path(name);
    const temporary = `${this.configDirectory}/.${name}.cxm-new`;
    try {
      mkdirSync(this.configDirectory, { recursive: true, mode: 0o755 });
      rmSync(temporary, { force: true });
      // It may hold the password of the console.
      const file = openSync(temporary, 'wx', 0o600);
      try {
        writeSync(file, text);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(temporary, path);
    } catch (cause) {
      rmSync(temporary, { force: true });
      throw ioError(path, cause);
    }
  }

  /** Removes the configuration if it carries the marker of the VM. */
  remove(name: string, vmId: number): void {
    if (this.vmIdOf(name) === vmId) rmSync(this.path(name), { force: true });
  }

  /** @throws CxmError IO, also when something else than a link stands there */
  setAutostart(name: string): void {
    const link = this.autostartLink(name);
    const temporary = `${this.autostartDirectory}/.${name}.cxm-new`;
    try {
      const found = lstatSync(link, { throwIfNoEntry: false });
      if (found !== undefined && !found.isSymbolicLink()) throw new Error('it exists and is no link');
      mkdirSync(this.autostartDirectory, { recursive: true, mode: 0o755 });
      rmSync(temporary, { force: true });
      symlinkSync(this.path(name), temporary);
      renameSync(temporary, link);
    } catch (cause) {
      rmSync(temporary, { force: true });
      throw ioError(link, cause);
    }
  }

  /** Whether the place of the link is taken by what is no link to this configuration: an administrator's own. */
  hasForeignAutostart(name: string): boolean {
    const found = lstatSync(this.autostartLink(name), { throwIfNoEntry: false });
    return found !== undefined && !this.hasAutostart(name);
  }

  /** Removes the autostart link, if it is one to this configuration. */
  removeAutostart(name: string): void {
    const link = this.autostartLink(name);
    try {
      if (this.hasAutostart(name)) rmSync(link, { force: true });
    } catch (cause) {
      throw ioError(link, cause);
    }
  }

  hasAutostart(name: string): boolean {
    const link = this.autostartLink(name);
    if (lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return false;
    const target = resolve(this.autostartDirectory, readlinkSync(link));
    if (target === this.path(name)) return true;
    return basename(target) === name && isSamePlace(dirname(target), this.configDirectory);
  }

  /** A file that says "this directory": whether another host sees it tells whether the directory is shared. */
  placeProbe(probe: string): void {
    mkdirSync(this.configDirectory, { recursive: true, mode: 0o755 });
    this.removeOldProbes();
    closeSync(openSync(`${this.configDirectory}/${probe}`, 'w', 0o600));
  }

  /** Those of hosts that have lost their power meanwhile. */
  private removeOldProbes(): void {
    for (const name of readdirSync(this.configDirectory)) {
      if (!probePattern.test(name)) continue;
      const found = statSync(`${this.configDirectory}/${name}`, { throwIfNoEntry: false });
      if (found !== undefined && Date.now() - found.mtimeMs > oldProbeMs) this.removeProbe(name);
    }
  }

  removeProbe(probe: string): void {
    rmSync(`${this.configDirectory}/${probe}`, { force: true });
  }

  seesProbe(probe: string): boolean {
    return existsSync(`${this.configDirectory}/${probe}`);
  }

  /** Path of the autostart link. */
  autostartLink(name: string): string {
    this.path(name);
    return `${this.autostartDirectory}/${name}`;
  }
}

/** Names of probe files: dot files, which no tool takes for a configuration. */
export const probePattern = /^\.cxm-here-[0-9a-f]{16}$/;

/**
 * Refuses files of the host that not everybody may read, as kernels and ramdisks of guests: whoever owns the guest reads
 * all that is in them. A missing one is left to xl, which names it.
 * @throws CxmError INVALID_INPUT
 */
export function requirePublicFiles(paths: readonly string[]): void {
  for (const path of paths) {
    // What a link leads to counts: /boot/vmlinuz is one.
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined || (found.isFile() && (found.mode & 0o004) !== 0)) continue;
    const why = found.isFile() ? 'which not everybody on the host may read' : 'which is no file';
    throw new CxmError('INVALID_INPUT', `the VM boots from ${path}, ${why}`, {
      hint: 'a guest sees all that is in its kernel and ramdisk. Put files for guests into a directory of KERNEL_DIRS; if this one holds no secrets, `chmod o+r` allows it',
    });
  }
}

function isSamePlace(one: string, other: string): boolean {
  try {
    return realpathSync(one) === realpathSync(other);
  } catch {
    return false;
  }
}

function readSmallFile(path: string): string | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isFile() !== true || found.size > maxFileBytes) return undefined;
  return readFileSync(path, 'utf8');
}

function ioError(path: string, cause: unknown): CxmError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new CxmError('IO', `${path} could not be written: ${why}`, { cause });
}

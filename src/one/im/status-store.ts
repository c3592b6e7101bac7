/**
 * Where vm/status keeps what it told monitord: a directory of this user's own under the temporary directory, which no
 * `onehost sync` deletes and a restart of the host may. Nothing is read or written in a directory that others could have
 * made, and a memory that is lost costs one whole list.
 */
import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { CxmError } from '../../errors.ts';
import { formatStatusMemory, parseStatusMemory, type StatusMemory } from './status.ts';

const maxFileBytes = 4 * 1024 * 1024;

export class StatusStore {
  private readonly directory: string;
  private readonly path: string;

  /** @param hostId OpenNebula's: a machine may be monitored as several hosts */
  constructor(hostId: number, parent = tmpdir()) {
    this.directory = `${parent}/cxm-probes-${process.geteuid?.() ?? 0}`;
    this.path = `${this.directory}/status-${hostId}.json`;
  }

  /** @throws CxmError IO when the directory is not this user's own */
  load(): StatusMemory | undefined {
    this.requireDirectory();
    const found = lstatSync(this.path, { throwIfNoEntry: false });
    if (found?.isFile() !== true || found.size > maxFileBytes) return undefined;
    return parseStatusMemory(readFileSync(this.path, 'utf8'));
  }

  save(memory: StatusMemory): void {
    const temporary = `${this.path}.${process.pid}`;
    rmSync(temporary, { force: true });
    writeFileSync(temporary, formatStatusMemory(memory), { flag: 'wx', mode: 0o600 });
    renameSync(temporary, this.path);
  }

  private requireDirectory(): void {
    try {
      mkdirSync(this.directory, { mode: 0o700 });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') {
        throw new CxmError('IO', `${this.directory} can't be made: ${(cause as Error).message}`, { cause });
      }
    }
    const found = lstatSync(this.directory);
    if (found.isDirectory() && found.uid === process.geteuid?.() && (found.mode & 0o022) === 0) return;
    throw new CxmError('IO', `${this.directory} is not a directory that only this user can write`, {
      hint: 'remove it',
    });
  }
}

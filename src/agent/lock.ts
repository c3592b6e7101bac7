/**
 * The lock that serialises changes of volume group metadata: flock(2) on a file of the caller, through flock(1), since
 * Node has none. The lock belongs to the open file, so every process that inherited the descriptor keeps it.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CxmError } from '../errors.ts';

export interface OpenLock {
  readonly fd: number;
  close(): Promise<void>;
}

export interface MetadataLock {
  open(): Promise<OpenLock>;
  /** Resolves to true once the lock is held. @throws CxmError TIMEOUT */
  acquire(fd: number): Promise<boolean>;
  release(fd: number): Promise<boolean>;
}

/** For operations on domains: they change no metadata of volume groups, so nobody ever asks for this lock. */
export const noLock: MetadataLock = {
  open: () => {
    const fd = openSync('/dev/null', 'r');
    return Promise.resolve({ fd, close: () => Promise.resolve(closeSync(fd)) });
  },
  acquire: () => Promise.resolve(true),
  release: () => Promise.resolve(true),
};

/** A lock on the file `path`, which is made when it is missing. */
export function fileLock(path: string, timeoutSeconds: number): MetadataLock {
  return {
    async open() {
      await mkdir(dirname(path), { recursive: true, mode: 0o750 });
      const file = await open(path, 'a', 0o640);
      return { fd: file.fd, close: () => file.close() };
    },
    async acquire(fd) {
      const result = await flock(fd, ['-x', '-w', String(timeoutSeconds), '3']);
      if (result === 0) return true;
      throw new CxmError('TIMEOUT', `the lock of the volume group (${path}) was not free within ${timeoutSeconds} s`);
    },
    async release(fd) {
      await flock(fd, ['-u', '3']);
      return true;
    },
  };
}

function flock(fd: number, args: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn('flock', [...args], { stdio: ['ignore', 'ignore', 'ignore', fd] });
    child.on('error', () => resolve(127));
    child.on('close', (code) => resolve(code ?? 1));
  });
}

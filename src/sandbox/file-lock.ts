/**
 * flock(2) for the files of the sandbox, through util-linux's flock on our open file: the lock ends with this process,
 * however that ends. Held for short, synchronous changes only.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, renameSync, writeFileSync } from 'node:fs';

const waitSeconds = 60;

export function withFileLock<T>(path: string, change: () => T): T {
  const descriptor = openSync(path, 'a');
  try {
    const stdio: ('ignore' | number)[] = ['ignore', 'ignore', 'ignore', descriptor];
    const { status } = spawnSync('flock', ['-x', '-w', String(waitSeconds), '3'], { stdio });
    if (status !== 0) throw new Error(`the lock ${path} could not be taken within ${waitSeconds} s`);
    return change();
  } finally {
    closeSync(descriptor);
  }
}

/** Readers see the old text or the new one. */
export function replaceFile(path: string, text: string): void {
  const fresh = `${path}.${process.pid}.new`;
  writeFileSync(fresh, text);
  renameSync(fresh, path);
}

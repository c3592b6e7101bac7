/**
 * Working in the directories of VMs: they belong to the user oned runs as and may lie on NFS, where root is nobody. So
 * everything there is done with that user's rights, and a link that this user could plant leads to nothing that the
 * user could not reach anyway.
 *
 * The effective user of the whole process changes for the time of one synchronous call; nothing else runs meanwhile.
 */
import { lstatSync, mkdirSync, readlinkSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { CxmError } from '../errors.ts';
import type { Owner } from './operation.ts';

/** Runs `work` with the rights of `owner`. It must be synchronous. */
export function asOwner<T>(owner: Owner, work: () => T): T {
  if (owner.uid === 0 || process.geteuid?.() !== 0) return work();
  const groups = process.getgroups?.() ?? [];
  process.setgroups?.([owner.gid]);
  process.setegid?.(owner.gid);
  process.seteuid?.(owner.uid);
  try {
    return work();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
    process.setgroups?.(groups);
  }
}

/** Makes `link` point to `target`, atomically, with the directories above it. */
export function placeLink(owner: Owner, link: string, target: string): void {
  guard(link, () =>
    asOwner(owner, () => {
      mkdirSync(dirname(link), { recursive: true });
      const temporary = `${link}.cxm-new`;
      rmSync(temporary, { force: true });
      symlinkSync(target, temporary);
      renameSync(temporary, link);
    }),
  );
}

/** Removes `path` if it is a symbolic link to `target`; anything else stays. */
export function removeLink(owner: Owner, path: string, target: string): void {
  guard(path, () =>
    asOwner(owner, () => {
      if (linkTarget(path) === target) rmSync(path, { force: true });
    }),
  );
}

/** Where a symbolic link points; undefined if it isn't one. */
export function linkTarget(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined;
  } catch {
    return undefined;
  }
}

/** Removes a file or link (never a directory); absence is success. */
export function removeFile(owner: Owner, path: string): void {
  guard(path, () =>
    asOwner(owner, () => {
      const found = lstatSync(path, { throwIfNoEntry: false });
      if (found !== undefined && !found.isDirectory()) rmSync(path, { force: true });
    }),
  );
}

/** Removes a directory with all that is in it; links in it are removed, not followed. Absence is success. */
export function removeDirectory(owner: Owner, path: string): void {
  guard(path, () =>
    asOwner(owner, () => {
      const found = lstatSync(path, { throwIfNoEntry: false });
      if (found?.isSymbolicLink()) rmSync(path);
      else if (found?.isDirectory()) rmSync(path, { recursive: true, force: true });
    }),
  );
}

export function isFile(owner: Owner, path: string): boolean {
  return asOwner(owner, () => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false);
}

function guard(path: string, work: () => void): void {
  try {
    work();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CxmError('IO', `${path}: ${why}`, { cause, changed: 'maybe' });
  }
}

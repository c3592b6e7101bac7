/**
 * The words of GNU tar for the archives of tenants' file systems, and what its failures mean.
 *
 * Kept: owners and groups as numbers, modes, times, links of both kinds, device nodes, fifos, extended attributes,
 * ACLs, SELinux labels, holes. Paths are relative and begin with `./`, the root directory's own entry comes first.
 */
import { CxmError } from '../errors.ts';
import { notePaxOption } from './archive-note.ts';
import type { ArchiveNote } from './archive-note.ts';
import type { Line } from './compress.ts';
import { firstLines } from './process.ts';
import type { ProcessEnd } from './process.ts';

const fidelity = [
  '--numeric-owner',
  '--xattrs',
  '--xattrs-include=*',
  // XFS shows ACLs a second time under these names.
  '--xattrs-exclude=trusted.SGI_ACL_*',
  '--acls',
  '--selinux',
  '--quoting-style=escape',
];

/** Unpacks standard input into `directory`; names that leave it are refused by tar. */
export function tarExtract(directory: string): Line {
  return [
    'tar',
    '--extract',
    '--file=-',
    `--directory=${directory}`,
    '--preserve-permissions',
    '--same-owner',
    '--delay-directory-restore',
    ...fidelity,
  ];
}

/** Packs `directory` to standard output; `.` and excludes are to be added behind. */
export function tarCreate(directory: string, note: ArchiveNote): Line {
  return [
    'tar',
    '--create',
    '--file=-',
    `--directory=${directory}`,
    '--format=posix',
    `--pax-option=delete=atime,delete=ctime,exthdr.name=%d/PaxHeaders/%f,${notePaxOption(note)}`,
    '--sparse',
    '--one-file-system',
    '--sort=inode',
    '--warning=no-file-ignored',
    ...fidelity,
  ];
}

/** What tar says when the file system is full; a short write is all it says when only a part of a block went in. */
export const saysFull = /No space left on device|File too large|Wrote only [0-9]+ of [0-9]+ bytes/;

/** The error for a tar that failed while unpacking. */
export function unpackFailed(end: ProcessEnd): CxmError {
  const said = firstLines(end.stderr);
  if (saysFull.test(end.stderr)) {
    return new CxmError('TOO_SMALL', `the archive does not fit on its logical volume: ${said}`, { changed: 'maybe' });
  }
  return new CxmError('INVALID_INPUT', `the archive could not be unpacked: ${said}`, {
    hint: 'check the image: `tar -t` must read it without a message, and no name in it may lead outside',
    changed: 'maybe',
  });
}

/** The error for a tar that failed while packing. */
export function packFailed(end: ProcessEnd): CxmError {
  return new CxmError('IO', `the file system could not be packed: ${firstLines(end.stderr)}`, {
    hint: 'check the file system with fsck',
  });
}

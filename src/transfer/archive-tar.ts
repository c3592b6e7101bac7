/**
 * The words of GNU tar for the archives of tenants' file systems, and what its failures mean.
 *
 * Kept: owners and groups as numbers, modes, times, links of both kinds, device nodes, fifos, extended attributes,
 * ACLs, SELinux labels, holes. Paths are relative and begin with `./`, the root directory's own entry comes first.
 */
import { CxmError } from '../errors.ts';
import { notePaxOption } from './archive-note.ts';
import type { ArchiveNote } from './archive-note.ts';
import { largestArchiveBytes } from './archive-size.ts';
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

/** How tar is ended when it has written too much, and what a shell sees of that. */
export const tarTooLarge = { signal: 'ALRM', exitCode: 142 } as const;

const recordBytes = 10_240;
/** tar counts records up to here; volumes of more than 20 TiB have no limit. */
const maxRecords = 2 ** 32 - 1;

/** Has tar end itself when it has written more than a volume of this size can need. */
function endAtLimit(volumeBytes: number): string[] {
  const records = Math.ceil(largestArchiveBytes(volumeBytes) / recordBytes);
  if (records > maxRecords) return [];
  return [`--checkpoint=${records}`, `--checkpoint-action=exec=kill -${tarTooLarge.signal} $PPID`];
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
    ...endAtLimit(note.sizeBytes),
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

/** The error for a tar that was ended because it wrote too much. */
export function packTooLarge(device: string): CxmError {
  return new CxmError('REFUSED', `an archive of the files on ${device} would be far larger than the device`, {
    hint: 'nothing was changed; either several files have the same blocks, which fsck tells, or it holds far more names than data',
  });
}

/** The error for a tar that failed while packing. */
export function packFailed(end: ProcessEnd): CxmError {
  return new CxmError('IO', `the file system could not be packed: ${firstLines(end.stderr)}`, {
    hint: 'check the file system with fsck',
  });
}

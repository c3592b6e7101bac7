/**
 * What becomes of a checkpoint. Once its guest has run, the saved memory does not fit the disks any more, and whoever
 * restores it ruins them. So a restore makes the guest paused, sets the checkpoint aside as `checkpoint.used`, and only
 * then lets the guest run: under its own name a checkpoint was never run by us. The id of the paused domain is noted in
 * root's own directory, which a boot of the host empties; with it a restore that was cut off can be told from a guest
 * that has run.
 */
import {
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { asCxmError, CxmError } from '../../errors.ts';
import { meaningOf, type DomainRow } from '../../xen/domain-list.ts';
import { maxSaveHeadBytes, parseSaveHead, type SavedGuest } from '../../xen/save-file.ts';
import { asOwner, isFile, removeFile } from '../owner.ts';
import type { Owner } from '../operation.ts';
import type { DomainHost } from './domain-host.ts';

/** A checkpoint whose guest has run, or is about to. */
export function usedPath(checkpoint: string): string {
  return `${checkpoint}.used`;
}

/** What a save has written that failed after the guest had gone. */
export function unfinishedPath(checkpoint: string): string {
  return `${checkpoint}.unfinished`;
}

/**
 * Makes sure that there is a checkpoint that may be restored.
 *
 * When only `checkpoint.used` is there, a restore ended between setting it aside and removing it, and nothing in the
 * file system tells whether its guest has run. It is taken for the checkpoint only if the domain of that very restore
 * is still here and has never had a CPU (`waiting`). Without that domain the guest may have run and ended since, here
 * or, with a directory that hosts share, elsewhere: then a person has to decide.
 *
 * @throws CxmError NOT_FOUND
 */
export function requireCheckpoint({ owner }: DomainHost, checkpoint: string, waiting: boolean): void {
  if (isFile(owner, checkpoint)) return;
  const used = usedPath(checkpoint);
  if (!isFile(owner, used)) throw new CxmError('NOT_FOUND', `there is no checkpoint ${checkpoint}`);
  if (waiting) return renameDurably(owner, used, checkpoint);
  throw new CxmError(
    'NOT_FOUND',
    `there is no checkpoint ${checkpoint}, only ${used} of a restore that was cut off: its guest may have run since`,
    {
      hint: `if the VM has certainly not run since it was saved, rename ${used} to ${checkpoint} and resume again; if it has, remove the file and start the VM anew, for its memory does not fit its disks any more`,
    },
  );
}

/** The guest in a checkpoint, also in one that a restore has set aside; undefined when the file does not say it. */
export function guestIn({ owner }: DomainHost, checkpoint: string): SavedGuest | undefined {
  const file = [checkpoint, usedPath(checkpoint)].find((path) => isFile(owner, path));
  if (file === undefined) return undefined;
  try {
    return parseSaveHead(asOwner(owner, () => beginningOf(file)));
  } catch {
    // Whoever reads all of it says what is wrong with it.
    return undefined;
  }
}

function beginningOf(file: string): Buffer {
  const bytes = Buffer.alloc(maxSaveHeadBytes);
  // Not waiting for anybody, should a pipe stand there by now.
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return bytes.subarray(0, readSync(descriptor, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(descriptor);
  }
}

/** From now on the checkpoint counts as used. @throws CxmError IO; then it has its own name */
export function setAside({ owner }: DomainHost, checkpoint: string): void {
  try {
    renameDurably(owner, checkpoint, usedPath(checkpoint));
  } catch (error) {
    if (!isFile(owner, checkpoint) && isFile(owner, usedPath(checkpoint))) {
      renameDurably(owner, usedPath(checkpoint), checkpoint);
    }
    throw error;
  }
}

/** The guest has certainly not run: its checkpoint gets its name back. @throws CxmError IO */
export function putBack({ owner }: DomainHost, checkpoint: string): void {
  renameDurably(owner, usedPath(checkpoint), checkpoint);
}

/** Removes files that do not fit the VM's disks any more. One that stays is told, not thrown. */
export function dropFiles(host: DomainHost, ...files: readonly string[]): void {
  for (const file of files) {
    try {
      removeFile(host.owner, file);
    } catch (error) {
      host.log('WARN', `${file} is out of date, but could not be removed: ${asCxmError(error).message}`);
    }
  }
}

/** Renames a file so that it also has the new name after a power cut. @throws CxmError IO */
export function renameDurably(owner: Owner, from: string, to: string): void {
  try {
    asOwner(owner, () => {
      renameSync(from, to);
      syncDirectory(dirname(to));
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CxmError('IO', `${from} could not be renamed to ${to}: ${why}`, { cause, changed: 'maybe' });
  }
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } catch (cause) {
    // Some file systems of the network have no such call for directories; their servers keep names by themselves.
    if ((cause as NodeJS.ErrnoException).code !== 'EINVAL') throw cause;
  } finally {
    closeSync(descriptor);
  }
}

/** Notes that this domain is a restored one that has not run. */
export function noteWaiting(host: DomainHost, vmId: number, id: number): void {
  writeNote(host, notePath(host, vmId), `${id}\n`);
}

/** Notes which file a save has just completed. Without the note only a repeated save fails. */
export function noteSaved(host: DomainHost, vmId: number, checkpoint: string): void {
  try {
    writeNote(host, savedPath(host, vmId), savedText(host, vmId, checkpoint) ?? '');
  } catch (error) {
    host.log('WARN', `that VM ${vmId} is saved could not be noted: ${asCxmError(error).message}`);
  }
}

/** Whether the last save here completed exactly this file, and nobody has started the VM from here since. */
export function isNotedSaved(host: DomainHost, vmId: number, checkpoint: string): boolean {
  try {
    return readFileSync(savedPath(host, vmId), 'utf8') === savedText(host, vmId, checkpoint);
  } catch {
    return false;
  }
}

/** Each start writes the configuration; a restore that lets the guest run takes the file's name away. */
function savedText({ owner, files }: DomainHost, vmId: number, checkpoint: string): string | undefined {
  const found = asOwner(owner, () => lstatSync(checkpoint, { bigint: true, throwIfNoEntry: false }));
  if (found?.isFile() !== true) return undefined;
  return `${checkpoint} ${found.ino} ${found.size} ${found.mtimeNs}\n${files.generation(vmId)}\n`;
}

function writeNote({ runDirectory }: DomainHost, path: string, text: string): void {
  mkdirSync(runDirectory, { recursive: true, mode: 0o711 });
  writeFileSync(path, text, { mode: 0o600 });
}

function savedPath({ runDirectory }: DomainHost, vmId: number): string {
  return `${runDirectory}/vm-${vmId}.saved`;
}

export function forgetWaiting(host: DomainHost, vmId: number): void {
  rmSync(notePath(host, vmId), { force: true });
}

/** The domain of a restore that was cut off before it let the guest run; undefined also when that is not certain. */
export function waitingRow(host: DomainHost, vmId: number, rows: readonly DomainRow[]): DomainRow | undefined {
  let noted: string;
  try {
    noted = readFileSync(notePath(host, vmId), 'utf8').trim();
  } catch {
    return undefined;
  }
  // A domain that has had a CPU is not `building` any more; ids are not given again before the host's next boot.
  return rows.find((row) => String(row.id) === noted && meaningOf(row) === 'building');
}

function notePath({ runDirectory }: DomainHost, vmId: number): string {
  return `${runDirectory}/vm-${vmId}.restored`;
}

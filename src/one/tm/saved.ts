/**
 * What was saved already: mvds notes on the frontend that a disk is safe in its image before the volume goes. Only such
 * a note tells a repeated mvds from one whose disk can't be found; that there is an image says nothing, for a
 * persistent image is there from the beginning.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { ActionContext } from '../action.ts';

type Place = Pick<ActionContext, 'stateDirectory'>;

/**
 * The disk's content is in `file`, durably.
 * @param now where that very file stands before it is given its name: the note counts from then on
 */
export function noteSaved(place: Place, vmId: number, diskId: number, file: string, now = file): void {
  mkdirSync(directoryOf(place), { recursive: true });
  writeFileSync(noteOf(place, vmId, diskId), identityOf(file, now) ?? '', { flush: true });
}

/** Whether `file` is still what was noted. */
export function wasSaved(place: Place, vmId: number, diskId: number, file: string): boolean {
  const identity = identityOf(file);
  return identity !== undefined && readNote(noteOf(place, vmId, diskId)) === identity;
}

/** A VM is gone, or one of its disks begins anew. */
export function forgetSaved(place: Place, vmId: number, diskId?: number): void {
  if (diskId !== undefined) rmSync(noteOf(place, vmId, diskId), { force: true });
  else for (const note of notesOf(place, vmId)) rmSync(`${directoryOf(place)}/${note}`, { force: true });
}

function directoryOf({ stateDirectory }: Place): string {
  return `${stateDirectory}/saved`;
}

function noteOf(place: Place, vmId: number, diskId: number): string {
  return `${directoryOf(place)}/${vmId}-${diskId}`;
}

function notesOf(place: Place, vmId: number): string[] {
  try {
    return readdirSync(directoryOf(place)).filter((name) => name.startsWith(`${vmId}-`));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function readNote(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function identityOf(file: string, now = file): string | undefined {
  const found = statSync(now, { throwIfNoEntry: false, bigint: true });
  return found === undefined ? undefined : `${file}\n${found.dev}:${found.ino} ${found.size} ${found.mtimeNs}\n`;
}

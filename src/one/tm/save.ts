/**
 * mvds and cpds: a disk is saved into an image of the frontend. mvds ends the disk's life (a persistent image goes
 * back, or in 3.x a disk is saved at shutdown); cpds copies it while it lives.
 */
import { constants } from 'node:fs';
import { copyFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CxmError } from '../../errors.ts';
import type { ActionContext } from '../action.ts';
import type { DiskLocation, ImageSource } from '../arguments/locations.ts';
import type { CopyToDatastoreCall, MoveToDatastoreCall } from '../arguments/transfer.ts';
import { fetchDisk } from './fetch-disk.ts';
import { noteSaved, wasSaved } from './saved.ts';
import { isFrontend, localKind, partialOf, syncToDisk } from './shared.ts';

export async function mvds(context: ActionContext, call: MoveToDatastoreCall): Promise<undefined> {
  const { source, vmId } = call;
  const { diskId } = source;
  const file = imageFile(call.destination);
  const onStored = (stored: string): void => noteSaved(context, vmId, diskId, stored);
  try {
    if (isFrontend(context, source.host) && localKind(source.path) === 'nothing') {
      throw new CxmError('NOT_FOUND', `there is no disk ${diskId} of VM ${vmId} on the frontend (${source.path})`);
    }
    if (!isStoppedHere(context, source)) {
      await fetchDisk(context, { source, vmId, file, move: true, live: false, onStored });
      return;
    }
  } catch (error) {
    if (!(error instanceof CxmError) || error.code !== 'NOT_FOUND') throw error;
    if (wasSaved(context, vmId, diskId, file)) {
      context.report.info(`disk ${diskId} of VM ${vmId} was saved before`);
      return;
    }
    // oned names the last host when an end that failed is retried, also for a VM whose disks had been undeployed.
    if (localKind(source.path) !== 'file') throw error;
  }
  await moveFile(source.path, file, (from) => noteSaved(context, vmId, diskId, file, from));
}

export async function cpds(context: ActionContext, call: CopyToDatastoreCall): Promise<undefined> {
  const { source, vmId, snapshotId } = call;
  const file = imageFile(call.destination);
  if (isStoppedHere(context, source)) {
    if (snapshotId !== undefined) throw new CxmError('UNSUPPORTED', `disk ${source.diskId} is stopped: no snapshots`);
    await replaceFile(source.path, file);
    return;
  }
  await fetchDisk(context, { source, vmId, file, move: false, live: true, snapshotId });
}

/** A stopped or undeployed VM's disk lies as a file on the frontend. */
function isStoppedHere(context: ActionContext, { host, path }: DiskLocation): boolean {
  return isFrontend(context, host) && localKind(path) === 'file';
}

export function imageFile(destination: ImageSource): string {
  if (destination.kind === 'file') return destination.path;
  const name = destination.kind === 'url' ? destination.url : destination.name;
  throw new CxmError('UNSUPPORTED', `the image ${name} is no file of the frontend, so nothing can be saved in it`, {
    hint: 'use a datastore with DS_MAD="fs" and TM_MAD="cxm"',
  });
}

/**
 * As rename, also from one file system to another, and durable.
 * @param note told where the very file is that will stand at `to`, before that at `from` goes
 */
export async function moveFile(
  from: string,
  to: string,
  note: (file: string) => void = () => undefined,
): Promise<void> {
  note(from);
  try {
    await rename(from, to);
    await syncToDisk(dirname(to));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    await replaceFile(from, to);
    note(to);
    await rm(from);
  }
}

async function replaceFile(from: string, to: string): Promise<void> {
  const partial = partialOf(to);
  try {
    await rm(partial, { force: true });
    await copyFile(from, partial, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    await syncToDisk(partial);
    await rename(partial, to);
    await syncToDisk(dirname(to));
  } catch (cause) {
    await rm(partial, { force: true });
    throw new CxmError('IO', `${from} can't be copied to ${to}: ${(cause as Error).message}`, { cause });
  }
}

/**
 * mvds and cpds: a disk is saved into an image of the frontend. mvds ends the disk's life (a persistent image goes
 * back, or in 3.x a disk is saved at shutdown); cpds copies it while it lives.
 */
import { constants } from 'node:fs';
import { copyFile, rename, rm } from 'node:fs/promises';
import { CxmError } from '../../errors.ts';
import type { ActionContext } from '../action.ts';
import type { DiskLocation, ImageSource } from '../arguments/locations.ts';
import type { CopyToDatastoreCall, MoveToDatastoreCall } from '../arguments/transfer.ts';
import { fetchDisk } from './fetch-disk.ts';
import { isFrontend, localKind, partialOf } from './shared.ts';

export async function mvds(context: ActionContext, call: MoveToDatastoreCall): Promise<undefined> {
  const file = imageFile(call.destination);
  if (isStoppedHere(context, call.source)) {
    await moveFile(call.source.path, file);
    return;
  }
  try {
    await fetchDisk(context, { source: call.source, vmId: call.vmId, file, move: true, live: false });
  } catch (error) {
    if (!(error instanceof CxmError) || error.code !== 'NOT_FOUND' || localKind(file) !== 'file') throw error;
    // The volume goes only after the file is complete: it is there, so an earlier run has done the work.
    context.report.info(`disk ${call.source.diskId} of VM ${call.vmId} was saved before`);
  }
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

/** As rename, also from one file system to another. */
export async function moveFile(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    await replaceFile(from, to);
    await rm(from);
  }
}

async function replaceFile(from: string, to: string): Promise<void> {
  const partial = partialOf(to);
  try {
    await copyFile(from, partial, constants.COPYFILE_FICLONE);
    await rename(partial, to);
  } catch (cause) {
    await rm(partial, { force: true });
    throw new CxmError('IO', `${from} can't be copied to ${to}: ${(cause as Error).message}`, { cause });
  }
}

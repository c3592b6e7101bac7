/**
 * mv: a VM's disk or directory changes its place. Between hosts of one SAN a disk is deactivated here and activated
 * there; between others its blocks travel; to and from the frontend it becomes a file and a volume again. When nothing
 * changes its place, nothing is done.
 *
 * oned moves the disks of a VM, then its directory. The context, a file within the directory for other drivers, is a
 * volume here: it goes with the directory.
 */
import { mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { ActionContext } from '../action.ts';
import type { DirectoryLocation, DiskLocation } from '../arguments/locations.ts';
import type { MoveCall } from '../arguments/transfer.ts';
import { CxmError } from '../../errors.ts';
import { createFrontend } from '../client.ts';
import { fetchDisk } from './fetch-disk.ts';
import { moveBetweenHosts } from './move-between.ts';
import { moveDirectory } from './move-directory.ts';
import { moveFile } from './save.ts';
import { askDiskFacts, isPersistent, sendImage } from './send-image.ts';
import { diskParameters, isFrontend, localKind } from './shared.ts';
import { openSource } from './source.ts';

export async function mv(context: ActionContext, call: MoveCall): Promise<undefined> {
  const { source, destination, vmId } = call;
  const sameHost =
    source.host === destination.host || (isFrontend(context, source.host) && isFrontend(context, destination.host));
  if (sameHost && source.path === destination.path) return;
  if (call.kind === 'disk') return moveDisk(context, call.source, call.destination, vmId);
  await moveContext(context, call.source, call.destination, vmId);
  return moveDirectory(context, call.source, call.destination, vmId);
}

function moveDisk(context: ActionContext, from: DiskLocation, to: DiskLocation, vmId: number): Promise<undefined> {
  if (isFrontend(context, from.host) && isFrontend(context, to.host)) return moveOnFrontend(from, to);
  if (from.host === to.host) return relink(context, from, to, vmId);
  if (isFrontend(context, to.host)) return toFrontend(context, from, to, vmId);
  if (isFrontend(context, from.host)) return fromFrontend(context, from, to, vmId);
  return moveBetweenHosts(context, from, to, vmId);
}

/** A VM whose start failed early has no context, and one that was moved half-way has it at the destination. */
async function moveContext(
  context: ActionContext,
  from: DirectoryLocation,
  to: DirectoryLocation,
  vmId: number,
): Promise<void> {
  const vm = await createFrontend(context.commands, { kind: 'local' }).virtualMachine(vmId);
  const diskId = vm.context?.diskId;
  if (diskId === undefined) return;
  const at = ({ host, path }: DirectoryLocation): DiskLocation => {
    return { kind: 'disk', host, path: `${path}/disk.${diskId}`, directory: path, diskId };
  };
  try {
    await moveDisk(context, at(from), at(to), vmId);
  } catch (error) {
    if (!(error instanceof CxmError) || error.code !== 'NOT_FOUND') throw error;
    context.report.debug(`no context to move: ${error.message}`);
  }
}

/** A stopped VM goes to another system datastore. */
async function moveOnFrontend(from: DiskLocation, to: DiskLocation): Promise<undefined> {
  if (localKind(from.path) === 'nothing') return;
  mkdirSync(to.directory, { recursive: true });
  await moveFile(from.path, to.path);
}

/** Another system datastore on the same host. */
async function relink(context: ActionContext, from: DiskLocation, to: DiskLocation, vmId: number): Promise<undefined> {
  const parameters = { ...diskParameters(context, to, vmId), from: from.path };
  await context.helper({ host: to.host }, { operation: 'relink-disk', parameters });
}

async function toFrontend(
  context: ActionContext,
  from: DiskLocation,
  to: DiskLocation,
  vmId: number,
): Promise<undefined> {
  try {
    await fetchDisk(context, { source: from, vmId, file: to.path, move: true, live: false });
  } catch (error) {
    if (!(error instanceof CxmError) || error.code !== 'NOT_FOUND' || localKind(to.path) !== 'file') throw error;
    context.report.info(`disk ${from.diskId} of VM ${vmId} is on the frontend already`);
  }
}

async function fromFrontend(
  context: ActionContext,
  from: DiskLocation,
  to: DiskLocation,
  vmId: number,
): Promise<undefined> {
  if (localKind(from.path) !== 'file') {
    // It goes only after the volume is complete: an earlier run may have done the work, which the host can tell.
    const parameters = { ...diskParameters(context, to, vmId), from: from.path };
    await context.helper({ host: to.host }, { operation: 'relink-disk', parameters });
    return;
  }
  const facts = await askDiskFacts(context, vmId, to.diskId);
  const persistent = isPersistent(facts);
  const source = await openSource({ kind: 'file', host: undefined, path: from.path }, context.config.BLOCK_SIZE);
  await sendImage(context, { source, destination: to, vmId, facts, persistent, purpose: 'return' });
  // In a datastore that frontend and host share, the link to the volume has taken the file's place.
  if (localKind(from.path) === 'file') await rm(from.path);
}

/**
 * mv: a VM's disk or directory changes its place. Between hosts of one SAN a disk is deactivated here and activated
 * there; between others its blocks travel; to and from the frontend it becomes a file and a volume again. When nothing
 * changes its place, nothing is done.
 */
import { rm } from 'node:fs/promises';
import type { ActionContext } from '../action.ts';
import type { DiskLocation } from '../arguments/locations.ts';
import type { MoveCall } from '../arguments/transfer.ts';
import { CxmError } from '../../errors.ts';
import { fetchDisk } from './fetch-disk.ts';
import { moveBetweenHosts } from './move-between.ts';
import { moveDirectory } from './move-directory.ts';
import { askDiskFacts, isPersistent, sendImage } from './send-image.ts';
import { diskParameters, isFrontend, localKind } from './shared.ts';
import { openSource } from './source.ts';

export async function mv(context: ActionContext, call: MoveCall): Promise<undefined> {
  const { source, destination, vmId } = call;
  const sameHost =
    source.host === destination.host || (isFrontend(context, source.host) && isFrontend(context, destination.host));
  if (sameHost && source.path === destination.path) return;
  if (call.kind === 'directory') return moveDirectory(context, call.source, call.destination, vmId);
  if (sameHost) return relink(context, call.source, call.destination, vmId);
  if (isFrontend(context, destination.host)) return toFrontend(context, call.source, call.destination, vmId);
  if (isFrontend(context, source.host)) return fromFrontend(context, call.source, call.destination, vmId);
  return moveBetweenHosts(context, call.source, call.destination, vmId);
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

/**
 * delete: a disk or the whole directory of a VM goes, on a host or, of a stopped VM, on the frontend. What is gone
 * already is success; what a VM wrote to a persistent image goes back into the image first. If the host can't be
 * reached, the error says what is left behind there.
 */
import { readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { CxmError } from '../../errors.ts';
import type { ActionContext } from '../action.ts';
import { diskLocation, imageSource, type DirectoryLocation, type DiskLocation } from '../arguments/locations.ts';
import type { DeleteCall } from '../arguments/transfer.ts';
import { IncomingFile } from './incoming-file.ts';
import { imageFile, moveFile } from './save.ts';
import { forgetSaved, noteSaved, wasSaved } from './saved.ts';
import { askDiskFacts, isPersistent, type DiskFacts } from './send-image.ts';
import { cloudName, diskParameters, isFrontend, localKind, partialOf } from './shared.ts';

export async function deleteTarget(context: ActionContext, { target, vmId }: DeleteCall): Promise<undefined> {
  const { host, path } = target;
  const onHost = !isFrontend(context, host) || localKind(path) === 'link';
  if (onHost) {
    await deleteOnHost(context, target, vmId).catch((error: unknown) => {
      throw explained(context, target, vmId, error);
    });
  }
  // A stop that failed half-way, or an end that is retried: the disk of a VM on a host may lie here, and be older.
  if (target.kind === 'disk') await deleteDiskHere(context, target, vmId);
  if (target.kind === 'directory') await deleteDirectoryHere(context, target, vmId);
  if (target.kind === 'file' && !onHost) await rm(path, { force: true });
}

async function deleteOnHost(context: ActionContext, target: DeleteCall['target'], vmId: number): Promise<void> {
  const where = { host: target.host };
  switch (target.kind) {
    case 'disk':
      return deleteDisk(context, target, vmId);
    case 'directory': {
      const parameters = { vmId, directory: target.path, cloud: cloudName(context) };
      await context.helper(where, { operation: 'delete-directory', parameters });
      return;
    }
    case 'file': {
      const parameters = { vmId, path: target.path };
      await context.helper(where, { operation: 'delete-file', parameters });
    }
  }
}

async function deleteDiskHere(context: ActionContext, disk: DiskLocation, vmId: number): Promise<void> {
  if (localKind(disk.path) !== 'file') return;
  await rm(partialOf(disk.path), { force: true });
  await saveStopped(context, disk, vmId);
  await rm(disk.path, { force: true });
}

async function deleteDirectoryHere(
  context: ActionContext,
  { host, path }: DirectoryLocation,
  vmId: number,
): Promise<void> {
  if (localKind(path) === 'directory') {
    for (const name of readdirSync(path).filter((entry) => /^disk\.\d+$/.test(entry))) {
      await deleteDiskHere(context, diskLocation(`${host}:${path}/${name}`, 'the disk', vmId), vmId);
    }
    await rm(path, { recursive: true, force: true });
  }
  forgetSaved(context, vmId);
}

function explained(context: ActionContext, target: DeleteCall['target'], vmId: number, error: unknown): unknown {
  if (!(error instanceof CxmError) || error.code !== 'HOST_UNREACHABLE') return error;
  const what = `${error.message}; left behind there: ${leftBehind(context, target, vmId)}`;
  const hint = `run the delete again when ${target.host} is back`;
  return new CxmError('HOST_UNREACHABLE', what, { cause: error, hint, changed: 'nothing' });
}

/** A persistent disk comes back into its image first. */
async function deleteDisk(context: ActionContext, disk: DiskLocation, vmId: number): Promise<void> {
  const what = `disk ${disk.diskId} of VM ${vmId}`;
  const choose = async (detail: Readonly<Record<string, unknown>>): Promise<string> => {
    const facts = await askDiskFacts(context, vmId, disk.diskId);
    const held = detail.imageId;
    if (typeof held === 'number' && facts.image !== undefined && held !== facts.image.id) {
      throw new CxmError('FOREIGN', `${what} holds image ${held}, but by now it is to be image ${facts.image.id}`, {
        hint: `save the volume into image ${held} by hand, then remove it with lvremove`,
      });
    }
    return fileOfImage(facts, what);
  };
  const onStored = (file: string): void => noteSaved(context, vmId, disk.diskId, file);
  const incoming = new IncomingFile(context, what, choose, onStored);
  const parameters = diskParameters(context, disk, vmId);
  await incoming.during(async (conversation) => {
    await context.helper({ host: disk.host }, { operation: 'delete-disk', parameters, ...conversation });
  });
}

/** The disk of a stopped VM lies as a file on the frontend. One that was saved from its host since is out of date here. */
async function saveStopped(context: ActionContext, { path, diskId }: DiskLocation, vmId: number): Promise<void> {
  const facts = await askDiskFacts(context, vmId, diskId);
  if (!isPersistent(facts)) return;
  const file = fileOfImage(facts, `disk ${diskId} of VM ${vmId}`);
  if (!wasSaved(context, vmId, diskId, file)) await moveFile(path, file);
}

function fileOfImage({ image }: DiskFacts, what: string): string {
  if (image?.source !== undefined) return imageFile(imageSource(image.source, `SOURCE of image ${image.id}`));
  throw new CxmError('NOT_FOUND', `${what} is persistent, but OpenNebula does not say which image it belongs to`, {
    hint: 'save the volume by hand, then remove it with lvremove',
  });
}

function leftBehind({ config }: ActionContext, target: DeleteCall['target'], vmId: number): string {
  if (target.kind !== 'disk') return target.path;
  return `volume ${config.VG_NAME}/${config.LV_PREFIX}-${vmId}-${target.diskId} and ${target.path}`;
}

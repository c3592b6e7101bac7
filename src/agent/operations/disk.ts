/**
 * What all operations on disks share: which volume a disk is, whose it is, and how a new one comes into being so that
 * in the end there is the whole disk or none.
 */
import { asCxmError, CxmError } from '../../errors.ts';
import {
  diskTags,
  diskVolumeName,
  imageIdOf,
  ownership,
  partialTag,
  persistentTag,
  snapshotIdOf,
  type DiskIdentity,
} from '../../lvm/names.ts';
import type { LogicalVolume } from '../../lvm/report.ts';
import type { OperationContext } from '../operation.ts';
import { linkTarget, placeLink, removeLink } from '../owner.ts';
import { absolutePath, flag, optionalNumber, string, wholeNumber, type Parameters } from '../parameters.ts';

export interface DiskParameters extends DiskIdentity {
  /** `disk.<n>` in the VM's directory on this host. */
  readonly link: string;
  readonly imageId: number | undefined;
  /** The working copy of a persistent image. */
  readonly persistent: boolean;
}

const maxId = 2 ** 31 - 1;
const pollMs = 500;

/** The parameters that name a disk. */
export function parseDisk(parameters: Parameters): DiskParameters {
  const vmId = wholeNumber(parameters, 'vmId', 0, maxId);
  const diskId = wholeNumber(parameters, 'diskId', 0, maxId);
  const link = absolutePath(parameters, 'link');
  if (!link.endsWith(`/${vmId}/disk.${diskId}`)) {
    throw new CxmError('INVALID_INPUT', `parameter link is ${link}, but must end in /${vmId}/disk.${diskId}`);
  }
  const imageId = optionalNumber(parameters, 'imageId');
  return { vmId, diskId, link, cloud: parseCloud(parameters), imageId, persistent: flag(parameters, 'persistent') };
}

export function parseCloud(parameters: Parameters): string {
  return string(parameters, 'cloud', /^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/, 'the name of the frontend');
}

export function volumeName(context: OperationContext, disk: DiskIdentity): string {
  return diskVolumeName(context.settings.LV_PREFIX, disk.vmId, disk.diskId);
}

/**
 * The disk's volume, if there is one.
 * @throws CxmError FOREIGN if a volume of that name belongs to somebody else
 */
export async function findDisk(context: OperationContext, disk: DiskParameters): Promise<LogicalVolume | undefined> {
  const volume = await context.volumes.find(volumeName(context, disk));
  if (volume !== undefined) requireOwn(volume, disk);
  return volume;
}

/** As `findDisk`. @throws CxmError NOT_FOUND */
export async function requireDisk(context: OperationContext, disk: DiskParameters): Promise<LogicalVolume> {
  const volume = await findDisk(context, disk);
  if (volume === undefined || volume.tags.includes(partialTag)) {
    const what = `disk ${disk.diskId} of VM ${disk.vmId} (${volumeName(context, disk)})`;
    throw new CxmError('NOT_FOUND', `there is no volume for ${what} in ${context.settings.VG_NAME} on this host`);
  }
  return volume;
}

/** An untagged volume is ours only if the VM's own link says so, as the drivers of old left it. */
export function requireOwn(volume: LogicalVolume, disk: DiskParameters): void {
  const whose = ownership(volume.tags, disk);
  if (whose === 'ours' || (whose === 'untagged' && linkTarget(disk.link) === volume.path)) return;
  const tags = volume.tags.length > 0 ? `it is tagged ${volume.tags.join(', ')}` : 'it has no tags';
  throw new CxmError(
    'FOREIGN',
    `logical volume ${volume.name} is not that of VM ${disk.vmId} of ${disk.cloud}: ${tags}`,
    {
      hint: 'nothing was touched; give each frontend that shares a volume group an LV_PREFIX of its own',
    },
  );
}

export interface DiskSnapshot {
  readonly id: number;
  readonly volume: LogicalVolume;
}

/** The snapshots of a disk that OpenNebula knows. */
export async function diskSnapshots(context: OperationContext, disk: DiskIdentity): Promise<DiskSnapshot[]> {
  return (await volumesBeside(context, disk)).snapshots;
}

/**
 * What there is beside a disk's volume. Leftovers are of actions that were killed (a frozen copy for a reader, a
 * snapshot that was not finished): marked as incomplete, and used by nobody.
 */
export async function volumesBeside(
  context: OperationContext,
  disk: DiskIdentity,
): Promise<{ readonly snapshots: DiskSnapshot[]; readonly leftovers: LogicalVolume[] }> {
  const name = volumeName(context, disk);
  const beside = (await context.volumes.list()).filter((volume) => volume.name.startsWith(`${name}_`));
  const complete = beside.filter(({ tags }) => !tags.includes(partialTag));
  const snapshots = complete.flatMap((volume) => {
    const id = snapshotIdOf(volume.name, name);
    return id === undefined ? [] : [{ id, volume }];
  });
  const leftovers = beside.filter(({ tags }) => tags.includes(partialTag) && ownership(tags, disk) !== 'foreign');
  return { snapshots, leftovers };
}

/** Removes them: an active volume does not grow while it has a copy-on-write snapshot, for example. */
export async function removeLeftovers(context: OperationContext, disk: DiskIdentity): Promise<void> {
  for (const { name } of (await volumesBeside(context, disk)).leftovers) await removeWhenFree(context, name);
}

export interface NewDisk {
  readonly sizeBytes: number;
  /** Keep a volume that is there and large enough, and overwrite it, even while a VM reads it. */
  readonly inPlace?: boolean;
  /** A persistent disk that is there already is at least as new as what would be sent. */
  readonly keepPersistent?: boolean;
}

/**
 * Makes a disk: a fresh volume, filled by `fill`, then linked. If anything fails the volume is gone again, see takeBack.
 * A volume that is left from an earlier attempt is replaced, but a persistent disk only by itself.
 */
export async function buildDisk(
  context: OperationContext,
  disk: DiskParameters,
  { sizeBytes, inPlace = false, keepPersistent = false }: NewDisk,
  fill: (volume: LogicalVolume) => Promise<void>,
): Promise<LogicalVolume> {
  const name = volumeName(context, disk);
  const before = inPlace || keepPersistent ? await findDisk(context, disk) : undefined;
  if (before !== undefined && keepPersistent && isPersistent(before)) return keep(context, disk, before);
  if (before !== undefined && inPlace && !before.tags.includes(partialTag)) {
    requireNoImage(disk, before);
    return overwrite(context, disk, sizeBytes, fill);
  }
  await context.withMetadataLock(async () => {
    await removeReplaceable(context, disk);
    await context.volumes.create({ name, sizeBytes, tags: [...tagsOf(disk), partialTag] });
  });
  let volume: LogicalVolume | undefined;
  try {
    volume = await context.volumes.require(name);
    await fill(volume);
    await context.withMetadataLock(() => context.volumes.changeTags(name, { remove: [partialTag] }));
    placeLink(context.owner, disk.link, volume.path);
    return volume;
  } catch (error) {
    if (volume !== undefined) removeLink(context.owner, disk.link, volume.path);
    await takeBack(context, name);
    throw error;
  }
}

/** Whether this is the working copy of a persistent image, complete. */
export function isPersistent(volume: LogicalVolume): boolean {
  return volume.tags.includes(persistentTag) && !volume.tags.includes(partialTag);
}

function tagsOf(disk: DiskParameters): string[] {
  const tags = diskTags(disk, disk.imageId);
  return disk.persistent ? [...tags, persistentTag] : tags;
}

/** An earlier run has brought the disk. @throws CxmError IN_USE if it is a copy of another image */
async function keep(context: OperationContext, disk: DiskParameters, volume: LogicalVolume): Promise<LogicalVolume> {
  if (!tagsOf(disk).every((tag) => volume.tags.includes(tag))) throw unsaved(disk, volume);
  context.log('INFO', `disk ${disk.diskId} of VM ${disk.vmId} is there already`);
  const active = await context.volumes.activate(volume.name, 'exclusive');
  placeLink(context.owner, disk.link, active.path);
  return active;
}

async function overwrite(
  context: OperationContext,
  disk: DiskParameters,
  sizeBytes: number,
  fill: (volume: LogicalVolume) => Promise<void>,
): Promise<LogicalVolume> {
  const name = volumeName(context, disk);
  const volume = await growDisk(context, disk, await context.volumes.activate(name, 'exclusive'), sizeBytes);
  await fill(volume);
  placeLink(context.owner, disk.link, volume.path);
  return volume;
}

/** Of whole extents, as LVM rounds. */
export async function wholeExtents({ volumes }: OperationContext, sizeBytes: number): Promise<number> {
  const { extentBytes } = await volumes.info();
  return Math.ceil(sizeBytes / extentBytes) * extentBytes;
}

/**
 * Makes an active disk at least `sizeBytes` large. A running guest may read and write the new part as soon as it sees it.
 * So the room is zeroed before, as a volume of its own that the disk then takes over; whatever happens, the disk has its
 * old size or a clean new one.
 */
export async function growDisk(
  context: OperationContext,
  disk: DiskIdentity,
  volume: LogicalVolume,
  sizeBytes: number,
): Promise<LogicalVolume> {
  const added = (await wholeExtents(context, sizeBytes)) - volume.sizeBytes;
  if (added <= 0) return volume;
  const room = `${volume.name}_growing`;
  // LVM extends no volume whose snapshot is active.
  await removeLeftovers(context, disk);
  await context.withMetadataLock(async () => {
    await context.volumes.remove(room);
    await context.volumes.create({ name: room, sizeBytes: added, tags: [...diskTags(disk), partialTag] });
  });
  try {
    await context.volumes.zero(await context.volumes.require(room), 0, added);
    return await context.withMetadataLock(() => context.volumes.absorb(volume.name, room));
  } catch (error) {
    await takeBack(context, room);
    throw error;
  }
}

/** Removes what an earlier attempt has left. @throws CxmError IN_USE */
async function removeReplaceable(context: OperationContext, disk: DiskParameters): Promise<void> {
  const volume = await findDisk(context, disk);
  if (volume?.open) {
    throw new CxmError('IN_USE', `disk ${disk.diskId} of VM ${disk.vmId} exists and is in use (${volume.path})`);
  }
  if (volume !== undefined && isPersistent(volume) && !disk.persistent) throw unsaved(disk, volume);
  if (volume === undefined) return;
  for (const { name } of (await volumesBeside(context, disk)).leftovers) await context.volumes.remove(name);
  await context.volumes.remove(volume.name);
}

/** What is written over in place was made for that. @throws CxmError REFUSED for a copy of an image */
function requireNoImage({ vmId, diskId }: DiskParameters, { path, tags }: LogicalVolume): void {
  const imageId = imageIdOf(tags);
  if (imageId === undefined && !tags.includes(persistentTag)) return;
  const what = imageId === undefined ? 'a persistent image' : `a copy of image ${imageId}`;
  throw new CxmError('REFUSED', `disk ${diskId} of VM ${vmId} (${path}) is ${what}, and is not overwritten`);
}

function unsaved({ vmId, diskId }: DiskParameters, { path }: LogicalVolume): CxmError {
  const what = `disk ${diskId} of VM ${vmId} exists and holds a persistent image that was not saved (${path})`;
  return new CxmError('IN_USE', what, { hint: 'delete the disk first, which saves it' });
}

/**
 * Waits, in bounds, until nobody on this host holds the volume open, and removes it under the lock. Absence is success.
 * @throws CxmError IN_USE after BUSY_TIMEOUT; as withMetadataLock
 */
export async function removeWhenFree(context: OperationContext, name: string): Promise<void> {
  let waited = false;
  await whenFree(context, async () => {
    // All hosts wait for the lock, so nobody waits in it for a device.
    if (waited && (await context.volumes.find(name))?.open) throw inUse(name);
    waited = true;
    await context.withMetadataLock(() => context.volumes.remove(name));
  });
}

/**
 * Removes a volume that could not be finished. If it can't be, because the action with the lock is gone or somebody
 * holds the device, it stays, inactive if possible; its tag says that it is incomplete. Never rejects: what is to tell
 * is why it was not finished.
 */
export async function takeBack(context: OperationContext, name: string): Promise<void> {
  try {
    await whenFree(context, () => context.volumes.deactivate(name));
    await context.withMetadataLock(() => context.volumes.remove(name));
  } catch (error) {
    tellLeft(context, name, error);
  }
}

export function tellLeft({ log }: OperationContext, name: string, error: unknown): void {
  log('WARN', `logical volume ${name} is left behind, tagged ${partialTag}: ${asCxmError(error).message}`);
}

function inUse(name: string): CxmError {
  return new CxmError('IN_USE', `logical volume ${name} is in use on this host`);
}

/**
 * A volume that was not active before, as that of a VM that is off, is inactive again afterwards, whatever came of the work; if
 * it can't be, that is told.
 */
export async function whileActive<T>(
  context: OperationContext,
  { name, active }: LogicalVolume,
  work: (volume: LogicalVolume) => Promise<T>,
): Promise<T> {
  const volume = await context.volumes.activate(name, 'exclusive');
  try {
    return await work(volume);
  } finally {
    if (!active) {
      // A reader that was stopped closes the device a moment later.
      await whenFree(context, () => context.volumes.deactivate(name)).catch((error: unknown) => {
        context.log('WARN', `${name} stays active on this host: ${asCxmError(error).message}`);
      });
    }
  }
}

/** Runs `work`, again and again while it fails with IN_USE, for at most BUSY_TIMEOUT. */
export async function whenFree<T>(context: OperationContext, work: () => Promise<T>): Promise<T> {
  const giveUp = performance.now() + context.settings.BUSY_TIMEOUT * 1000;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const busy = error instanceof CxmError && error.code === 'IN_USE';
      if (!busy || performance.now() >= giveUp) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

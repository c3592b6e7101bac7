/**
 * send-disk: a disk's content to the action: as an archive of its files, or as an image of its blocks (mv to the
 * frontend, mvds, cpds). With `move`, the disk is removed once the action says that the content is safe.
 *
 * Nothing is written to the disk. A disk that is in use, or whose file system has a journal to replay, is read through
 * a temporary snapshot.
 */
import { createReadStream } from 'node:fs';
import { CxmError } from '../../errors.ts';
import { imageIdOf, partialTag } from '../../lvm/names.ts';
import type { LogicalVolume } from '../../lvm/report.ts';
import { worthwhileArchiveBytes } from '../../transfer/archive-size.ts';
import { compress } from '../../transfer/compress.ts';
import { openExtents } from '../../transfer/extents.ts';
import type { DeviceContent } from '../../transfer/filesystem.ts';
import { planFetch, type FetchPlan, type FetchSituation } from '../../transfer/plan.ts';
import type { Operation, OperationContext } from '../operation.ts';
import { isFile } from '../owner.ts';
import { absolutePath, flag, optionalNumber } from '../parameters.ts';
import {
  diskSnapshots,
  parseDisk,
  removeWhenFree,
  requireDisk,
  tellLeft,
  whenFree,
  whileActive,
  type DiskParameters,
} from './disk.ts';
import { removeDisk } from './remove.ts';
import { whileStaying } from './stay.ts';

interface Reading {
  readonly disk: DiskParameters;
  /** The VM's directory: a checkpoint in it means that only an exact image will do. */
  readonly vmDirectory: string;
  /** Read although the VM runs. */
  readonly live: boolean;
}

interface SendDisk extends Reading {
  /** Remove the disk afterwards. */
  readonly move: boolean;
  /** This snapshot's content instead of the disk's. */
  readonly snapshotId: number | undefined;
}

const temporarySuffix = '_reading';

export const sendDisk: Operation<SendDisk, { readonly removed: boolean }> = {
  name: 'send-disk',
  parse: (parameters) => ({
    disk: parseDisk(parameters),
    vmDirectory: absolutePath(parameters, 'vmDirectory'),
    live: flag(parameters, 'live'),
    move: flag(parameters, 'move'),
    snapshotId: optionalNumber(parameters, 'snapshotId'),
  }),
  async run(context, request) {
    const source = await sourceVolume(context, request);
    if (request.move) await refuseSnapshots(context, request.disk);
    await sendContent(context, source, request);
    if (!request.move) return { removed: false };
    if ((await context.ask('stored')) !== true) throw new CxmError('INTERRUPTED', 'the content was not stored');
    await removeDisk(context, request.disk);
    return { removed: true };
  },
};

/** Sends the volume's content, as what it is best sent as. */
export async function sendContent(context: OperationContext, source: LogicalVolume, request: Reading): Promise<void> {
  const checkpointPresent = isFile(context.owner, `${request.vmDirectory}/checkpoint`);
  await withReadable(context, source, request, async (readable, isSnapshot) => {
    const content = await context.fileSystems.identify(readable.path);
    const situation = { content, checkpointPresent, mode: context.settings.MODE };
    const plan = planFetch({ ...situation, snapshotPossible: true });
    context.log('INFO', `disk ${request.disk.diskId}: ${plan.why}`);
    const needsSnapshot = plan.kind === 'archive' && plan.replayOnSnapshot && !isSnapshot;
    const sendBest = async (volume: LogicalVolume): Promise<void> =>
      sendPlanned(context, volume, content, await withinLimits(context, volume, plan, situation));
    if (!needsSnapshot) return sendBest(readable);
    const fallback = planFetch({ ...situation, snapshotPossible: false });
    return withSnapshot(context, { volume: source, vmId: request.disk.vmId }, sendBest, () =>
      sendPlanned(context, readable, content, fallback),
    );
  });
}

/**
 * The plan, or an image where an archive of the files would outgrow the volume: those of xfs can share blocks. To look takes
 * a mount and a walk through all names, so others, of which only damaged ones can, are left to the limit of what packs.
 */
async function withinLimits(
  context: OperationContext,
  volume: LogicalVolume,
  plan: FetchPlan,
  situation: Omit<FetchSituation, 'snapshotPossible'>,
): Promise<FetchPlan> {
  const { measure } = context.fileSystems;
  if (plan.kind === 'image' || plan.note.fileSystemType !== 'xfs' || measure === undefined) return plan;
  const limitBytes = worthwhileArchiveBytes(volume.sizeBytes);
  const { note, replayOnSnapshot: replayJournal } = plan;
  const options = { type: note.fileSystemType, replayJournal, limitBytes, signal: context.signal };
  if ((await measure(volume.path, options)) <= limitBytes) return plan;
  const image = planFetch({ ...situation, snapshotPossible: true, archiveTooLarge: true });
  context.log('INFO', `${volume.name}: ${image.why}`);
  return image;
}

async function sourceVolume(context: OperationContext, { disk, snapshotId }: SendDisk): Promise<LogicalVolume> {
  if (snapshotId === undefined) return requireDisk(context, disk);
  await requireDisk(context, disk);
  const found = (await diskSnapshots(context, disk)).find(({ id }) => id === snapshotId);
  if (found !== undefined) return found.volume;
  throw new CxmError('NOT_FOUND', `disk ${disk.diskId} of VM ${disk.vmId} has no snapshot ${snapshotId}`);
}

async function refuseSnapshots(context: OperationContext, disk: DiskParameters): Promise<void> {
  const count = (await diskSnapshots(context, disk)).length;
  if (count === 0) return;
  const what = `disk ${disk.diskId} of VM ${disk.vmId} has ${count} snapshot(s), which can't leave the volume group`;
  throw new CxmError('UNSUPPORTED', what, { hint: 'delete the snapshots of the disk first' });
}

/** Hands on the volume, or a snapshot of it while the VM runs; active for that time. */
async function withReadable(
  context: OperationContext,
  source: LogicalVolume,
  { live, disk: { vmId } }: Reading,
  work: (readable: LogicalVolume, isSnapshot: boolean) => Promise<void>,
): Promise<void> {
  await whileActive(context, source, async (volume) => {
    if (volume.open && live) return withSnapshot(context, { volume, vmId }, (copy) => work(copy, true));
    await whenFree(context, async () => {
      const now = await context.volumes.find(source.name);
      if (now?.open) throw new CxmError('IN_USE', `${volume.path} is in use by a running VM`);
    });
    await work(volume, false);
  });
}

/**
 * A copy-on-write snapshot for the time of `work`. It is marked as incomplete: what a kill leaves of it is removed by
 * the next reader, or with the disk. It is never deactivated alone, since LVM would do that to its origin, too. A VM that
 * runs stays until it is made; from then on a migration sees it, and is refused.
 * @param withoutRoom what to do when the volume group has no room for it; an error when left out
 */
export async function withSnapshot(
  context: OperationContext,
  { volume, vmId }: { readonly volume: LogicalVolume; readonly vmId: number },
  work: (copy: LogicalVolume) => Promise<void>,
  withoutRoom?: () => Promise<void>,
): Promise<void> {
  const name = `${volume.name}${temporarySuffix}`;
  const room = Math.ceil((volume.sizeBytes * context.settings.SNAPSHOT_PERCENT) / 100);
  const tags = new Set([...volume.tags.filter((tag) => tag.startsWith('cxm')), partialTag]);
  const make = (): Promise<void> =>
    whenFree(context, () =>
      context.withMetadataLock(async () => {
        await context.volumes.remove(name);
        await context.volumes.snapshot(volume.name, name, room, [...tags]);
      }),
    );
  try {
    await (volume.open ? whileStaying(context, vmId, make) : make());
  } catch (error) {
    if (withoutRoom !== undefined && error instanceof CxmError && error.code === 'NO_SPACE') return withoutRoom();
    throw error;
  }
  try {
    await work(await context.volumes.require(name));
  } finally {
    await removeWhenFree(context, name).catch((error: unknown) => tellLeft(context, name, error));
  }
}

async function sendPlanned(
  context: OperationContext,
  volume: LogicalVolume,
  content: DeviceContent,
  plan: FetchPlan,
): Promise<void> {
  const { COMPRESS_LEVEL: level, BLOCK_SIZE: blockBytes } = context.settings;
  const { compression } = plan;
  const imageId = imageIdOf(volume.tags);
  const whose = imageId === undefined ? {} : { imageId };
  await context.ready({ kind: plan.kind, compression, sizeBytes: volume.sizeBytes, ...whose });
  if (plan.kind === 'archive' && content.kind === 'filesystem') {
    const { type, uuid, label } = content;
    const known = { ...(uuid !== undefined && { uuid }), ...(label !== undefined && { label }) };
    const note = { fileSystemType: type, sizeBytes: volume.sizeBytes, ...known };
    const options = { type, compression, level, note, replayJournal: plan.replayOnSnapshot, signal: context.signal };
    const { packTo } = context.fileSystems;
    if (packTo !== undefined && context.sendRaw !== undefined) {
      await context.sendRaw((descriptor) => packTo(volume.path, options, descriptor));
    } else {
      for await (const bytes of context.fileSystems.pack(volume.path, options)) await context.sendData(toBuffer(bytes));
    }
  } else if (compression === 'none') {
    const { extents } = await openExtents(volume.path, { blockBytes, signal: context.signal });
    for await (const extent of extents) await context.sendExtent(extent);
  } else {
    const bytes = createReadStream(volume.path, { highWaterMark: blockBytes, signal: context.signal });
    for await (const part of compress(bytes, { compression, level, totalBytes: volume.sizeBytes }))
      await context.sendData(toBuffer(part));
  }
  await context.sendEnd();
}

/** The same bytes, not a copy. */
function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * An image becomes a volume on a host: what clone, ln and mv (from the frontend) have in common. Everything that can
 * be known is checked before the host is asked for anything.
 */
import type { DataSink } from '../../agent/client.ts';
import { fileSystems } from '../../config/cxmrc.ts';
import { formatSize } from '../../config/size.ts';
import { CxmError } from '../../errors.ts';
import type { FileSystemType } from '../../transfer/archive-note.ts';
import { compressForWire } from '../../transfer/compress.ts';
import { measureArchive, type ImageFormat } from '../../transfer/format.ts';
import { planSend, roomFor, type SendPlan } from '../../transfer/plan.ts';
import type { ActionContext } from '../action.ts';
import type { DiskLocation } from '../arguments/locations.ts';
import { createFrontend } from '../client.ts';
import type { Image } from '../documents/image.ts';
import { diskWithId, type Disk } from '../documents/virtual-machine.ts';
import { createProgress } from './progress.ts';
import { diskParameters } from './shared.ts';
import { requireAllowedSize, volumeBytes } from './size.ts';
import { toBuffer, type OpenSource } from './source.ts';

/** Below that, the program's start takes longer than the transfer. */
const smallestCompressed = 4 * 1024 * 1024;

/** What OpenNebula knows of a disk and its image. */
export interface DiskFacts {
  readonly disk: Disk | undefined;
  readonly image: Image | undefined;
}

/** Asks oned; a disk that is in no image has only its own document. */
export async function askDiskFacts(context: ActionContext, vmId: number, diskId: number): Promise<DiskFacts> {
  const frontend = createFrontend(context.commands, { kind: 'local' });
  const disk = diskWithId(await frontend.virtualMachine(vmId), diskId);
  const image = disk?.imageId === undefined ? undefined : await frontend.image(disk.imageId);
  return { disk, image };
}

/**
 * Whether the disk is a persistent image, whose changes are kept. One that is linked but not to be saved is a CD-ROM or
 * immutable: many VMs may have it at once.
 */
export function isPersistent({ disk, image }: DiskFacts): boolean {
  return disk !== undefined && image !== undefined && disk.save && !disk.clone;
}

/**
 * FSTYPE of the image or FS of the disk, checked; undefined for what brings its own file system.
 * @throws CxmError INVALID_INPUT an archive is to be unpacked into one that can't be made
 */
export function requestedFileSystem(
  { disk, image }: DiskFacts,
  { container }: ImageFormat,
): FileSystemType | undefined {
  if (container !== 'tar') return undefined;
  const asked = image?.fileSystemAttribute ?? disk?.fileSystem ?? image?.fileSystem;
  if (asked === undefined || asked.trim() === '') return undefined;
  const type = fileSystems.find((known) => known === asked.trim().toLowerCase());
  if (type !== undefined) return type;
  const found = JSON.stringify(asked.slice(0, 40));
  throw new CxmError('INVALID_INPUT', `FSTYPE of the image is ${found}, but must be one of ${fileSystems.join(', ')}`);
}

export interface SendImage {
  readonly source: OpenSource;
  readonly destination: DiskLocation;
  readonly vmId: number;
  readonly facts: DiskFacts;
  /** The working copy of a persistent image. */
  readonly persistent: boolean;
  /** `return`: the disk comes back as it was, so what the archive says of itself goes first. */
  readonly purpose: 'new' | 'return';
}

export async function sendImage(
  context: ActionContext,
  { source, destination, vmId, facts, persistent, purpose }: SendImage,
): Promise<void> {
  const { format } = source;
  const sizeBytes = volumeBytes({
    sizeAttribute: facts.image?.sizeAttribute,
    diskSizeMb: facts.disk?.sizeMb,
    originalSizeMb: facts.disk?.originalSizeMb,
    imageSizeMb: facts.image?.sizeMb,
    format,
    defaultBytes: context.config.DEFAULT_LV_SIZE,
    persistent,
    purpose,
  });
  const what = `disk ${destination.diskId} of VM ${vmId}`;
  if (purpose === 'new') requireAllowedSize(sizeBytes, what, context.config);
  await requireRoom(source, sizeBytes);
  const requestedType = requestedFileSystem(facts, format);
  const plan = planSend(format, {
    purpose,
    defaultType: context.config.DEFAULT_FSTYPE,
    ...(requestedType !== undefined && { requestedType }),
  });
  const wirePlan = overTheWire(plan, source, context);
  context.report.info(
    `${what}: ${describe(source, plan)} to a volume of ${formatSize(sizeBytes)} on ${destination.host}`,
  );
  const progress = createProgress(what, format.storedBytes, performance.now());
  const imageId = facts.image?.id;
  await context.helper(
    { host: destination.host },
    {
      operation: 'receive-disk',
      parameters: {
        ...diskParameters(context, destination, vmId),
        sizeBytes,
        persistent,
        keepPersistent: persistent && purpose === 'new',
        ...(imageId !== undefined && { imageId }),
        ...landingParameters(wirePlan, source),
      },
      send: async (sink) => {
        const count = (bytes: number): void => {
          const line = progress.advance(bytes, performance.now());
          if (line !== undefined) context.report.info(line);
        };
        await sendBytes(sink, source, { plan, asItIs: wirePlan === plan, count });
      },
    },
  );
  context.report.info(progress.summary(performance.now()));
}

async function sendBytes(
  sink: DataSink,
  source: OpenSource,
  { plan, asItIs, count }: { plan: SendPlan; asItIs: boolean; count: (bytes: number) => void },
): Promise<void> {
  if (plan.landing === 'extents' && source.extents !== undefined) {
    for await (const extent of source.extents()) {
      count(extent.data.length);
      await sink.extent(extent);
    }
    return;
  }
  if (asItIs && source.path !== undefined) return sink.file(source.path, count);
  const bytes = counted(source.bytes(), count);
  for await (const part of asItIs ? bytes : compressForWire(bytes)) await sink.data(toBuffer(part));
}

/** A plain archive is compressed on its way, as well as the connection leaves time for. */
function overTheWire(plan: SendPlan, { format }: OpenSource, { config }: ActionContext): SendPlan {
  const worthIt =
    plan.landing === 'archive' && plan.compression === 'none' && (format.storedBytes ?? Infinity) >= smallestCompressed;
  return worthIt && config.WIRE_COMPRESSION ? { ...plan, compression: 'zstd' } : plan;
}

async function* counted(bytes: AsyncIterable<Uint8Array>, count: (length: number) => void): AsyncGenerator<Uint8Array> {
  for await (const part of bytes) {
    count(part.length);
    yield part;
  }
}

/** Refuses what can't fit, before anything is created. */
async function requireRoom(source: OpenSource, sizeBytes: number): Promise<void> {
  const { format, name } = source;
  let room = roomFor(format, sizeBytes);
  if (room === 'measure' && name.startsWith('/')) {
    const needed = await measureArchive(name, format.compression, sizeBytes);
    room = needed > sizeBytes ? 'too-small' : 'fits';
  }
  if (room !== 'too-small') return;
  throw new CxmError('TOO_SMALL', `${name} does not fit on a disk of ${formatSize(sizeBytes)}`);
}

function describe({ name, format }: OpenSource, plan: SendPlan): string {
  const packed = format.compression === 'none' ? '' : ` (${format.compression})`;
  return plan.landing === 'archive'
    ? `archive${packed} ${name} into a new ${plan.fileSystem.type} file system,`
    : `${format.container} image${packed} ${name}`;
}

function landingParameters(plan: SendPlan, { extents }: OpenSource): Record<string, unknown> {
  switch (plan.landing) {
    case 'extents':
      return extents !== undefined ? { landing: 'extents' } : { landing: 'image', compression: 'none' };
    case 'decompressedExtents':
      return { landing: 'image', compression: plan.compression };
    case 'archive':
      return {
        landing: 'archive',
        compression: plan.compression,
        fileSystemType: plan.fileSystem.type,
        ...(plan.fileSystem.uuid !== undefined && { fileSystemUuid: plan.fileSystem.uuid }),
        ...(plan.fileSystem.label !== undefined && { fileSystemLabel: plan.fileSystem.label }),
      };
  }
}

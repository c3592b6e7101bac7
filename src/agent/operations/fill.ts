/**
 * Filling a fresh volume with what the action sends: extents of a disk, a compressed disk, or an archive of files that
 * is unpacked into a new file system. Whatever was on the volume before is gone afterwards, to the last byte.
 */
import { CxmError } from '../../errors.ts';
import type { LogicalVolume } from '../../lvm/report.ts';
import {
  fileSystemTypes,
  isFileSystemLabel,
  isFileSystemUuid,
  type FileSystemType,
} from '../../transfer/archive-note.ts';
import { decompress } from '../../transfer/compress.ts';
import { extentsOfBytes, openExtentWriter, type Extent } from '../../transfer/extents.ts';
import type { Compression } from '../../transfer/format.ts';
import type { ProgramInput } from '../../transfer/process.ts';
import type { Data, OperationContext } from '../operation.ts';
import { choice, optionalString, type Parameters } from '../parameters.ts';

export interface FileSystemParameters {
  readonly type: FileSystemType;
  readonly uuid?: string;
  readonly label?: string;
}

/** What the action is going to send. */
export type Content =
  | { readonly landing: 'extents' }
  | { readonly landing: 'image'; readonly compression: Compression }
  | { readonly landing: 'archive'; readonly compression: Compression; readonly fileSystem: FileSystemParameters };

const compressions = ['none', 'gzip', 'zstd'] as const;

export function parseFileSystem(parameters: Parameters): FileSystemParameters {
  const type = choice(parameters, 'fileSystemType', fileSystemTypes);
  const uuid = optionalString(parameters, 'fileSystemUuid', /^/, 'a UUID');
  const label = optionalString(parameters, 'fileSystemLabel', /^/, 'a label');
  if (uuid !== undefined && !isFileSystemUuid(uuid)) throw new CxmError('INVALID_INPUT', 'the UUID is none');
  if (label !== undefined && !isFileSystemLabel(label, type)) throw new CxmError('INVALID_INPUT', 'the label is none');
  return { type, ...(uuid !== undefined && { uuid }), ...(label !== undefined && { label }) };
}

export function parseContent(parameters: Parameters): Content {
  const landing = choice(parameters, 'landing', ['extents', 'image', 'archive']);
  if (landing === 'extents') return { landing };
  const compression = choice(parameters, 'compression', compressions);
  if (landing === 'image') return { landing, compression };
  return { landing, compression, fileSystem: parseFileSystem(parameters) };
}

/** Takes the action's data into an active volume. */
export async function fillVolume(context: OperationContext, volume: LogicalVolume, content: Content): Promise<void> {
  switch (content.landing) {
    case 'extents':
      return writeExtents(context, volume, extentsOf(context.incoming()));
    case 'image':
      return writeExtents(context, volume, imageExtents(context, volume, content.compression));
    case 'archive':
      await makeFileSystem(context, volume, content.fileSystem);
      return context.fileSystems.unpack(volume.path, {
        compression: content.compression,
        archive: await archiveOf(context, content.compression),
        type: content.fileSystem.type,
        signal: context.signal,
      });
  }
}

/** gzip and zstd notice by themselves when something is missing; of a plain archive we look at the end. */
async function archiveOf(
  context: OperationContext,
  compression: Compression,
): Promise<AsyncIterable<Uint8Array> | ProgramInput> {
  const raw = compression === 'none' ? undefined : await context.rawInput();
  return raw ?? bytesOf(context.incoming());
}

/** A fresh file system on a volume that reads as zero outside it. */
export async function makeFileSystem(
  context: OperationContext,
  volume: LogicalVolume,
  fileSystem: FileSystemParameters,
): Promise<void> {
  await context.volumes.zero(volume, 0, volume.sizeBytes);
  await context.fileSystems.make(volume.path, { ...fileSystem, zeroed: true });
}

/** Writes the extents and zeros everything between them. */
export async function writeExtents(
  context: OperationContext,
  volume: LogicalVolume,
  extents: AsyncIterable<Extent>,
): Promise<void> {
  const writer = await openExtentWriter(volume.path, {
    deviceBytes: volume.sizeBytes,
    zeroRange: (offset, lengthBytes) => context.volumes.zero(volume, offset, lengthBytes),
  });
  try {
    for await (const extent of extents) await writer.write(extent);
    await writer.finish();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

async function* extentsOf(incoming: AsyncIterable<Data>): AsyncGenerator<Extent> {
  for await (const item of incoming) {
    if (item.type !== 'extent') throw new CxmError('PROTOCOL', 'plain data where extents were announced');
    yield item;
  }
}

function imageExtents(
  context: OperationContext,
  volume: LogicalVolume,
  compression: Compression,
): AsyncIterable<Extent> {
  const bytes = decompress(bytesOf(context.incoming()), compression);
  return extentsOfBytes(bytes, { limitBytes: volume.sizeBytes });
}

/** The bytes of plain data. */
export async function* bytesOf(incoming: AsyncIterable<Data>): AsyncGenerator<Buffer> {
  for await (const item of incoming) {
    if (item.type !== 'data') throw new CxmError('PROTOCOL', 'extents where plain data was announced');
    yield item.data;
  }
}

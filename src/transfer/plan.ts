/**
 * The two decisions of a transfer, as tables: how an image travels to a logical volume and lands there, and how the
 * content of a logical volume comes back. Pure.
 */
import { isFileSystemLabel } from './archive-note.ts';
import type { ArchiveNote, FileSystemType } from './archive-note.ts';
import type { Compression, ImageFormat } from './format.ts';
import type { DeviceContent } from './filesystem.ts';

/** cxmrc's MODE. */
export const transferModes = ['RAW', 'GZIP', 'TGZ', 'ZSTD', 'TZST'] as const;

export type TransferMode = (typeof transferModes)[number];

/** How the bytes travel: extents (zeros skipped), or the stream of the file as it is. */
export type SendPlan =
  /** The file's or qcow2 disk's extents travel and are written at their offsets. */
  | { readonly landing: 'extents'; readonly source: 'raw' | 'qcow2' }
  /** The compressed file travels; the host decompresses it and writes its extents. */
  | { readonly landing: 'decompressedExtents'; readonly compression: 'gzip' | 'zstd' }
  /** The archive travels as it is ; the host unpacks it into a fresh file system. */
  | {
      readonly landing: 'archive';
      readonly compression: Compression;
      readonly fileSystem: FileSystemChoice;
    };

export interface FileSystemChoice {
  readonly type: FileSystemType;
  readonly uuid?: string;
  readonly label?: string;
}

export interface SendSettings {
  /**
   * `new`: an image is cloned, what its FSTYPE says counts most. `return`: a VM's own disk comes back to a host, what it
   * was counts most, whatever the image said once.
   */
  readonly purpose: 'new' | 'return';
  /** FSTYPE of the image or disk, when it says one. */
  readonly requestedType?: FileSystemType;
  /** DEFAULT_FSTYPE. */
  readonly defaultType: FileSystemType;
}

export type FetchPlan =
  | {
      readonly kind: 'archive';
      readonly compression: Compression;
      readonly replayOnSnapshot: boolean;
      readonly why: string;
      /** For the archive's note; the size of the volume goes with it. */
      readonly note: Omit<ArchiveNote, 'sizeBytes'>;
    }
  | { readonly kind: 'image'; readonly compression: Compression; readonly why: string };

export interface FetchSituation {
  readonly content: DeviceContent;
  readonly snapshotPossible: boolean;
  /** A saved memory image of the VM exists: it refers to the disk block by block. */
  readonly checkpointPresent: boolean;
  readonly mode: TransferMode;
  /** Its archive would be larger than the volume, since files share blocks. */
  readonly archiveTooLarge?: boolean;
}

/** How an image of this format travels and lands. */
export function planSend(format: ImageFormat, settings: SendSettings): SendPlan {
  switch (format.container) {
    case 'qcow2':
      return { landing: 'extents', source: 'qcow2' };
    case 'raw':
      return format.compression === 'none'
        ? { landing: 'extents', source: 'raw' }
        : { landing: 'decompressedExtents', compression: format.compression };
    case 'tar':
      return { landing: 'archive', compression: format.compression, fileSystem: landingFileSystem(format, settings) };
  }
}

/** The file system that an archive is unpacked into; with the UUID and, where it fits, the label of the noted one. */
function landingFileSystem({ note }: ImageFormat, settings: SendSettings): FileSystemChoice {
  const asked = settings.purpose === 'new' ? settings.requestedType : undefined;
  const type = asked ?? note?.fileSystemType ?? settings.requestedType ?? settings.defaultType;
  const { uuid, label } = note ?? {};
  return {
    type,
    ...(uuid === undefined ? {} : { uuid }),
    ...(label === undefined || !isFileSystemLabel(label, type) ? {} : { label }),
  };
}

/** MODE's compression; the old names say the same as the plain ones. */
export const modeCompression: Readonly<Record<TransferMode, Compression>> = {
  RAW: 'none',
  GZIP: 'gzip',
  TGZ: 'gzip',
  ZSTD: 'zstd',
  TZST: 'zstd',
};

/** How the content of a logical volume comes back: as an archive only when nothing can get lost by that. */
export function planFetch(situation: FetchSituation): FetchPlan {
  const compression = modeCompression[situation.mode];
  const { content } = situation;
  const image = (why: string): FetchPlan => ({ kind: 'image', compression, why });
  if (content.kind === 'nothing') return image('the volume holds nothing that is known');
  if (content.kind === 'other') return image(`the volume holds ${content.description}`);
  if (situation.checkpointPresent) return image('the saved memory of the VM refers to the blocks of this disk');
  if (content.exactOnly !== undefined) return image(`the file system has ${content.exactOnly}`);
  if (situation.archiveTooLarge) return image('an archive of its files would be larger than the volume');
  const { type, uuid, label } = content;
  const note = {
    fileSystemType: type,
    ...(uuid === undefined ? {} : { uuid }),
    ...(label === undefined ? {} : { label }),
  };
  if (content.clean) {
    return { kind: 'archive', compression, note, replayOnSnapshot: false, why: `a clean ${content.type} file system` };
  }
  if (situation.snapshotPossible) {
    const why = `an ${content.type} file system that was not unmounted: its journal is replayed on a snapshot`;
    return { kind: 'archive', compression, note, replayOnSnapshot: true, why };
  }
  return image('the file system was not unmounted cleanly and no snapshot is possible');
}

/**
 * Whether the content fits on a device: `measure` asks for `measureArchive` before anything is created, because an
 * archive's file headers make its length an upper bound of what it needs, not the need itself.
 */
export function roomFor(format: ImageFormat, deviceBytes: number): Room {
  if (format.minimumSizeBytes > deviceBytes) return 'too-small';
  if (format.container !== 'tar') return 'fits';
  const need = format.sizeBytes ?? format.likelySizeBytes;
  if (need === undefined) return 'fits';
  if (need + fileSystemOverhead(deviceBytes) <= deviceBytes) return 'fits';
  return format.sizeBytes === undefined ? 'measure' : 'fits';
}

/** What a file system keeps for itself, roughly: inodes and journal. */
function fileSystemOverhead(deviceBytes: number): number {
  return Math.ceil(deviceBytes * 0.03);
}

export type Room = 'fits' | 'too-small' | 'measure';

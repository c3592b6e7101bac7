/**
 * The two decisions of a transfer, as tables: how an image travels to a logical volume and lands there, and how the
 * content of a logical volume comes back. Pure.
 */
import type { ArchiveNote, FileSystemType } from './archive-note.ts';
import type { Compression, Container, ImageFormat } from './format.ts';
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
  /** The archive travels as it is (or compressed on the way); the host unpacks it into a fresh file system. */
  | {
      readonly landing: 'archive';
      /** As the bytes arrive at the host. */
      readonly compression: Compression;
      /** The sender compresses a plain archive on the way. */
      readonly compressOnTheWay: boolean;
      readonly fileSystem: { readonly type: FileSystemType; readonly uuid?: string; readonly label?: string };
    };

export interface SendSettings {
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
    }
  | { readonly kind: 'image'; readonly compression: Compression; readonly why: string };

export interface FetchSituation {
  readonly content: DeviceContent;
  readonly snapshotPossible: boolean;
  /** A saved memory image of the VM exists: it refers to the disk block by block. */
  readonly checkpointPresent: boolean;
  readonly mode: TransferMode;
}

export type Room = 'fits' | 'too-small' | 'measure';

export type { ArchiveNote, Container, ImageFormat };

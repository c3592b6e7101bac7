/**
 * The work on file systems that needs root: making, identifying, unpacking into and packing from a device.
 */
import type { ArchiveNote, FileSystemType } from './archive-note.ts';
import type { Compression } from './format.ts';

export interface MakeFileSystem {
  readonly type: FileSystemType;
  readonly uuid?: string;
  readonly label?: string;
  /** The device reads as zero: mkfs need not zero anything. */
  readonly zeroed: boolean;
}

export type DeviceContent =
  | { readonly kind: 'nothing' }
  | {
      readonly kind: 'filesystem';
      readonly type: FileSystemType;
      readonly uuid?: string;
      readonly label?: string;
      /** Unmounted cleanly: nothing to replay, no orphans, no errors. */
      readonly clean: boolean;
      /** Why an archive can't carry it (boot code, encryption, ...): only an exact image will do. */
      readonly exactOnly?: string;
    }
  /** Partitions, swap, another file system, or more than one thing at once. */
  | { readonly kind: 'other'; readonly description: string };

export interface UnpackOptions {
  /** Of the bytes in `archive`. */
  readonly compression: Compression;
  readonly archive: AsyncIterable<Uint8Array>;
  readonly type: FileSystemType;
  readonly signal?: AbortSignal;
}

export interface PackOptions {
  readonly type: FileSystemType;
  readonly compression: Compression;
  readonly level: number;
  readonly note: ArchiveNote;
  /** The device is a writable snapshot: replay its journal. Otherwise nothing is written to the device. */
  readonly replayJournal: boolean;
  readonly signal?: AbortSignal;
}

/** The real body is `rootFileSystemTools`; the sandbox for ordinary users has another that never mounts. */
export interface FileSystemTools {
  make(device: string, options: MakeFileSystem): Promise<void>;
  makeSwap(device: string, options?: { readonly uuid?: string; readonly label?: string }): Promise<void>;
  identify(device: string): Promise<DeviceContent>;
  /** @throws CxmError TOO_SMALL (device full), INVALID_INPUT (damaged or hostile archive), INTERRUPTED, COMMAND */
  unpack(device: string, options: UnpackOptions): Promise<void>;
  /** The archive's bytes; iterating throws when packing failed, so an end without error is the whole archive. */
  pack(device: string, options: PackOptions): AsyncIterable<Uint8Array>;
}

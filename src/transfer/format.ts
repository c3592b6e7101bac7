/**
 * What an image is, decided from its content: a raw disk, an archive of files or a qcow2 disk, plain or compressed.
 * Names and extensions are never asked. What we can't take is refused by its name.
 */
import type { ArchiveNote } from './archive-note.ts';

export type Container = 'raw' | 'tar' | 'qcow2';

export type Compression = 'none' | 'gzip' | 'zstd';

export interface ImageFormat {
  readonly container: Container;
  readonly compression: Compression;
  /** Bytes of the file as it lies there; undefined for a stream. */
  readonly storedBytes?: number;
  /** Bytes of the disk (raw, qcow2) or of the content of all files (tar) when known for sure. */
  readonly sizeBytes?: number;
  /** A device smaller than this can't take the content; 0 when nothing is known. */
  readonly minimumSizeBytes: number;
  /** What the content most probably needs at most, when it isn't known for sure (compressed images). */
  readonly likelySizeBytes?: number;
  /** Of an archive that we made. */
  readonly note?: ArchiveNote;
}

/**
 * The format of an image file.
 * @throws CxmError UNSUPPORTED (a format that we can't take), NOT_FOUND, IO or INVALID_INPUT (damaged beginning)
 */
export function inspectImage(path: string): Promise<ImageFormat> {
  return Promise.reject(new Error(`inspectImage ${path}`));
}

/**
 * The format of an image of which only the beginning is at hand (a download). Give at least `headBytes` of it, or all.
 * @throws CxmError UNSUPPORTED or INVALID_INPUT
 */
export function inspectHead(head: Uint8Array): Promise<ImageFormat> {
  return Promise.reject(new Error(`inspectHead ${head.length}`));
}

/** How much of a stream `inspectHead` wants. */
export const headBytes = 256 * 1024;

/**
 * Bytes that the files of an archive need, counted by reading it through (decompressing, not unpacking).
 * @throws CxmError INVALID_INPUT when it is no sound archive
 */
export function measureArchive(path: string, compression: Compression): Promise<number> {
  return Promise.reject(new Error(`measureArchive ${path} ${compression}`));
}

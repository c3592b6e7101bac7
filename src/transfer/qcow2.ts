/**
 * qcow2 images, versions 2 and 3, read as the extents of the disk in them.
 */
import type { Extent } from './extents.ts';

export interface Qcow2Image {
  readonly virtualSizeBytes: number;
  /** In guest order; zero and unallocated clusters are left out. */
  readonly extents: AsyncIterable<Extent>;
  close(): Promise<void>;
}

/** @throws CxmError UNSUPPORTED (backing file, external data, encryption, ...), INVALID_INPUT (damaged), NOT_FOUND, IO */
export function openQcow2(path: string): Promise<Qcow2Image> {
  return Promise.reject(new Error(`openQcow2 ${path}`));
}

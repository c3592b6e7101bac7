/**
 * ISO 9660 images for contextualisation: written by us, so that a host needs no mkisofs.
 */

export interface IsoFile {
  /** Name in the image; '/' makes directories. What no file system takes is replaced, clashes get a number. */
  readonly name: string;
  /** The bytes, or the path of a file that holds them. */
  readonly content: Uint8Array | { readonly path: string };
  /** Permission bits; 0o644 when left out. */
  readonly mode?: number;
}

export interface IsoImage {
  readonly sizeBytes: number;
  /** The image's bytes in order. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

export interface IsoOptions {
  /** Volume label; `CONTEXT` is what guests look for. */
  readonly label: string;
  /** Seconds since 1970 for all dates in the image. */
  readonly timeSeconds: number;
}

/** @throws CxmError INVALID_INPUT (too many or too large files), NOT_FOUND, IO */
export function buildIso(files: readonly IsoFile[], options: IsoOptions): Promise<IsoImage> {
  return Promise.reject(new Error(`buildIso ${files.length} ${options.label}`));
}

/**
 * An image where it lies, on the frontend or on the web: what it is, and its bytes. Downloads go straight through to
 * the host; nothing of them is stored here.
 */
import { createReadStream } from 'node:fs';
import { CxmError } from '../../errors.ts';
import { openExtents, type Extent } from '../../transfer/extents.ts';
import { headBytes, inspectHead, inspectImage, type ImageFormat } from '../../transfer/format.ts';
import { openQcow2 } from '../../transfer/qcow2.ts';
import type { ImageSource } from '../arguments/locations.ts';

export interface OpenSource {
  readonly name: string;
  readonly format: ImageFormat;
  /** Where it lies, if it is a file of the frontend. */
  readonly path?: string;
  /** As it lies there. To be read once. */
  bytes(): AsyncIterable<Uint8Array>;
  /** The data of the disk without its zeros; a download is cut into extents by the host. */
  readonly extents?: () => AsyncIterable<Extent>;
}

const blockBytes = 1024 * 1024;

/** @throws CxmError NOT_FOUND, UNSUPPORTED, INVALID_INPUT, IO */
export async function openSource(source: ImageSource, extentBlockBytes: number): Promise<OpenSource> {
  switch (source.kind) {
    case 'file':
      return openFile(source.path, extentBlockBytes);
    case 'url':
      return openUrl(source.url);
    case 'name':
      throw new CxmError('UNSUPPORTED', `the image's source ${source.name} is no file of the frontend`, {
        hint: 'register the image in a datastore with DS_MAD="fs" and TM_MAD="cxm"',
      });
  }
}

async function openFile(path: string, extentBlockBytes: number): Promise<OpenSource> {
  const format = await inspectImage(path);
  return {
    name: path,
    path,
    format,
    bytes: () => createReadStream(path, { highWaterMark: blockBytes }) as AsyncIterable<Buffer>,
    extents: () => extentsOf(path, format, extentBlockBytes),
  };
}

async function* extentsOf(path: string, format: ImageFormat, blockSize: number): AsyncGenerator<Extent> {
  if (format.container !== 'qcow2') {
    yield* (await openExtents(path, { blockBytes: blockSize })).extents;
    return;
  }
  const image = await openQcow2(path);
  try {
    yield* image.extents;
  } finally {
    await image.close();
  }
}

async function openUrl(url: string): Promise<OpenSource> {
  const response = await fetch(url, { redirect: 'follow' }).catch((cause: unknown) => {
    const why = cause instanceof Error ? String(cause.cause ?? cause.message) : String(cause);
    throw new CxmError('NOT_FOUND', `${url} can't be fetched: ${why}`, { cause });
  });
  if (!response.ok || response.body === null) {
    throw new CxmError('NOT_FOUND', `${url} can't be fetched: the server answers ${response.status}`);
  }
  const chunks = response.body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  const head: Buffer[] = [];
  for (let length = 0; length < headBytes;) {
    const { value, done } = await chunks.next();
    if (done) break;
    head.push(toBuffer(value));
    length += value.length;
  }
  const stored = Number(response.headers.get('content-length') ?? Number.NaN);
  const found = await inspectHead(Buffer.concat(head));
  if (found.container === 'qcow2') {
    throw new CxmError('UNSUPPORTED', `${url} is a qcow2 image, which can't be read as a stream`, {
      hint: 'register the image so that it lies on the frontend',
    });
  }
  const raw = found.container === 'raw' && found.compression === 'none' && Number.isSafeInteger(stored);
  const format = raw ? { ...found, sizeBytes: stored, minimumSizeBytes: stored, storedBytes: stored } : found;
  return { name: url, format, bytes: () => allOf(head, chunks) };
}

async function* allOf(head: readonly Buffer[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* head;
  for (;;) {
    const { value, done } = await rest.next();
    if (done) return;
    yield value;
  }
}

/** The same bytes, not a copy. */
export function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * How much a zstd file decompresses to, from its frame and block headers, without decompressing anything.
 *
 * Format: RFC 8878, sections 3.1.1 (frames), 3.1.1.2 (blocks) and 3.1.2 (skippable frames).
 */

/** Reads up to `lengthBytes` at an offset; shorter at the end of the file. */
export type ReadAt = (offset: number, lengthBytes: number) => Uint8Array;

export interface ZstdSize {
  /** Exact; undefined when a frame doesn't say. */
  readonly sizeBytes?: number;
  /** No more than this. */
  readonly limitBytes: number;
}

const frameMagic = 0xfd2fb528;
/** 0x184D2A50 to 0x184D2A5F */
const skippableMagic = 0x184d2a50;
const maxBlockBytes = 128 * 1024;
/** A header takes one read; beyond this the answer isn't worth the time. */
const maxBlocks = 500_000;

/** Undefined when the file is damaged, cut off or in too many pieces. */
export function zstdSize(readAt: ReadAt): ZstdSize | undefined {
  let offset = 0;
  let exact: number | undefined = 0;
  let limitBytes = 0;
  for (let blocksLeft = maxBlocks; blocksLeft > 0;) {
    const head = view(readAt(offset, 18));
    if (head.byteLength === 0) return { limitBytes, ...(exact === undefined ? {} : { sizeBytes: exact }) };
    if (head.byteLength < 8) return undefined;
    if (head.getUint32(0, true) - (head.getUint32(0, true) % 16) === skippableMagic) {
      offset += 8 + head.getUint32(4, true);
      blocksLeft--;
      continue;
    }
    const header = frameHeader(head);
    if (header === undefined) return undefined;
    const blocks = walkBlocks(readAt, offset + header.headerBytes, blocksLeft);
    if (blocks === undefined) return undefined;
    exact = exact === undefined || header.contentBytes === undefined ? undefined : exact + header.contentBytes;
    limitBytes += header.contentBytes ?? blocks.limitBytes;
    offset = blocks.end + (header.checksum ? 4 : 0);
    blocksLeft -= blocks.count;
  }
  return undefined;
}

interface FrameHeader {
  readonly headerBytes: number;
  readonly contentBytes?: number;
  readonly checksum: boolean;
}

function frameHeader(head: DataView): FrameHeader | undefined {
  if (head.getUint32(0, true) !== frameMagic) return undefined;
  const descriptor = head.getUint8(4);
  const singleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeFlag = descriptor >> 6;
  const sizeBytes = sizeFlag === 0 ? (singleSegment ? 1 : 0) : 2 ** sizeFlag;
  const sizeAt = 5 + (singleSegment ? 0 : 1) + dictionaryBytes;
  const headerBytes = sizeAt + sizeBytes;
  if (head.byteLength < headerBytes) return undefined;
  const checksum = (descriptor & 4) !== 0;
  if (sizeBytes === 0) return { headerBytes, checksum };
  const content = contentSize(head, sizeAt, sizeBytes);
  return Number.isSafeInteger(content) ? { headerBytes, checksum, contentBytes: content } : undefined;
}

function contentSize(head: DataView, at: number, bytes: number): number {
  switch (bytes) {
    case 1:
      return head.getUint8(at);
    case 2:
      return head.getUint16(at, true) + 256;
    case 4:
      return head.getUint32(at, true);
    default:
      return Number(head.getBigUint64(at, true));
  }
}

function walkBlocks(
  readAt: ReadAt,
  start: number,
  most: number,
): { readonly end: number; readonly limitBytes: number; readonly count: number } | undefined {
  let offset = start;
  let limitBytes = 0;
  for (let count = 1; count <= most; count++) {
    const bytes = readAt(offset, 3);
    if (bytes.length < 3) return undefined;
    const header = (bytes[0] ?? 0) + (bytes[1] ?? 0) * 256 + (bytes[2] ?? 0) * 65536;
    const size = header >> 3;
    const type = (header >> 1) & 3;
    if (type === 3) return undefined;
    // Raw and run-length blocks say how much they become; a compressed one becomes at most a full block.
    limitBytes += type === 2 ? maxBlockBytes : size;
    offset += 3 + (type === 1 ? 1 : size);
    if (header & 1) return { end: offset, limitBytes, count };
  }
  return undefined;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

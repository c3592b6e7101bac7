/**
 * The length of a disk noted in its gzip file, whose own length field counts modulo 4 GiB: an empty first member with a
 * comment (RFC 1952: FCOMMENT; members just follow each other), which every gzip program passes over.
 */

const fixedHeaderBytes = 10;
const commentFlag = 0x10;
/** The end of an empty member: an empty deflate block, CRC and length 0. */
const emptyBody = [0x03, 0x00, 0, 0, 0, 0, 0, 0, 0, 0];
const pattern = /^cxm-size=(\d{1,16})$/;

/** The member that goes before the compressed data. */
export function gzipSizeNote(totalBytes: number): Uint8Array {
  const header = [0x1f, 0x8b, 8, commentFlag, 0, 0, 0, 0, 0, 3];
  return Buffer.concat([Buffer.from(header), Buffer.from(`cxm-size=${totalBytes}\0`), Buffer.from(emptyBody)]);
}

/** The noted length at the beginning of a gzip file; undefined if there is none. */
export function readGzipSizeNote(head: Uint8Array): number | undefined {
  if (head[3] !== commentFlag) return undefined;
  const comment = Buffer.from(head.subarray(fixedHeaderBytes, fixedHeaderBytes + 32)).toString('latin1');
  const digits = pattern.exec(comment.split('\0')[0] ?? '')?.[1];
  const bytes = Number(digits ?? Number.NaN);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

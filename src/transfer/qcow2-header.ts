/**
 * Headers of qcow2 images, checked field by field. Pure. What would make us read another file (backing file, external
 * data), or read wrongly (encryption, extended L2 entries), is refused: an image comes from a tenant, and a name in it
 * could be any file of the frontend.
 *
 * Format: docs/interop/qcow2.txt of QEMU.
 */
import { CxmError } from '../errors.ts';

export const qcow2HeaderBytes = 112;

export interface Qcow2Header {
  readonly version: 2 | 3;
  readonly virtualSizeBytes: number;
  readonly clusterBytes: number;
  readonly clusterBits: number;
  readonly l1Entries: number;
  readonly l1Offset: number;
}

/** QEMU's own limit. */
const maxL1Bytes = 32 * 1024 * 1024;
const incompatible = { dirty: 1n, corrupt: 2n, externalData: 4n, compressionType: 8n, extendedL2: 16n } as const;
const knownIncompatible = incompatible.dirty | incompatible.compressionType;

export function looksLikeQcow(head: Uint8Array): boolean {
  return head[0] === 0x51 && head[1] === 0x46 && head[2] === 0x49 && head[3] === 0xfb;
}

/** @throws CxmError UNSUPPORTED (a kind of qcow2 that we can't take) or INVALID_INPUT (damaged) */
export function parseQcow2Header(head: Uint8Array): Qcow2Header {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (head.length < 72 || !looksLikeQcow(head)) throw damagedQcow2('its header is cut off');
  const version = view.getUint32(4);
  if (version === 1) throw unsupportedQcow2('is of the old qcow format, version 1');
  if (version !== 2 && version !== 3) throw unsupportedQcow2(`is of the unknown version ${version}`);
  if (view.getBigUint64(8) !== 0n || view.getUint32(16) !== 0) {
    throw unsupportedQcow2('needs a backing file');
  }
  if (view.getUint32(32) !== 0) throw unsupportedQcow2('is encrypted');
  if (version === 3) checkFeatures(view);
  const clusterBits = view.getUint32(20);
  if (clusterBits < 9 || clusterBits > 21) throw damagedQcow2(`its clusters have ${clusterBits} bits`);
  const clusterBytes = 2 ** clusterBits;
  const size = view.getBigUint64(24);
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw damagedQcow2(`it claims a disk of ${size} bytes`);
  const virtualSizeBytes = Number(size);
  const l1Entries = Math.ceil(virtualSizeBytes / (clusterBytes * (clusterBytes / 8)));
  if (l1Entries * 8 > maxL1Bytes) throw damagedQcow2(`it claims a disk of ${size} bytes`);
  if (view.getUint32(36) < l1Entries) throw damagedQcow2('its L1 table is smaller than its disk');
  const l1Offset = view.getBigUint64(40);
  if (l1Offset % BigInt(clusterBytes) !== 0n || l1Offset > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw damagedQcow2('its L1 table is in an impossible place');
  }
  return { version, virtualSizeBytes, clusterBytes, clusterBits, l1Entries, l1Offset: Number(l1Offset) };
}

function checkFeatures(view: DataView): void {
  if (view.byteLength < 104) throw damagedQcow2('its header is cut off');
  const features = view.getBigUint64(72);
  if (features & incompatible.externalData) throw unsupportedQcow2('keeps its data in another file');
  if (features & incompatible.corrupt) throw damagedQcow2('it is marked as corrupt');
  if (features & incompatible.extendedL2) throw unsupportedQcow2('uses extended L2 entries');
  if (features & ~knownIncompatible) throw unsupportedQcow2(`uses unknown features (${features})`);
  const headerLength = view.getUint32(100);
  if (
    features & incompatible.compressionType &&
    (headerLength < 105 || (view.byteLength > 104 && view.getUint8(104)))
  ) {
    throw unsupportedQcow2('is compressed with zstd inside');
  }
}

export function unsupportedQcow2(what: string): CxmError {
  return new CxmError('UNSUPPORTED', `the qcow2 image ${what}`, {
    hint: 'convert it with `qemu-img convert -O qcow2 OLD NEW` and register the new one',
  });
}

export function damagedQcow2(what: string): CxmError {
  return new CxmError('INVALID_INPUT', `the qcow2 image is damaged: ${what}`, {
    hint: 'check it with `qemu-img check`',
  });
}

/**
 * What the first bytes of an image say. Pure. A raw disk has no mark of its own: what is nothing else is raw.
 */
import { looksLikeQcow } from './qcow2-header.ts';
import { blockLooksLikeTar } from './tar-header.ts';

export type HeaderKind =
  { readonly kind: 'raw' | 'tar' | 'qcow2' | 'gzip' | 'zstd' } | { readonly kind: 'refused'; readonly name: string };

interface Mark {
  readonly name: string;
  readonly offset?: number;
  /** Latin-1. */
  readonly bytes: string;
}

/** Formats that we can't take, by their marks. */
const refusedMarks: readonly Mark[] = [
  { name: 'xz', bytes: '\xfd7zXZ\0' },
  { name: 'bzip2', offset: 4, bytes: '\x31\x41\x59\x26\x53\x59' },
  { name: 'lzip', bytes: 'LZIP' },
  { name: 'lzma', bytes: '\x5d\0\0', offset: 0 },
  { name: 'lz4', bytes: '\x04\x22\x4d\x18' },
  { name: 'compress (.Z)', bytes: '\x1f\x9d' },
  { name: 'lzop', bytes: '\x89LZO\0\r\n\x1a\n' },
  { name: 'zip', bytes: 'PK\x03\x04' },
  { name: '7-Zip', bytes: '7z\xbc\xaf\x27\x1c' },
  { name: 'RAR', bytes: 'Rar!\x1a\x07' },
  { name: 'cpio', bytes: '070701' },
  { name: 'cpio', bytes: '070702' },
  { name: 'cpio', bytes: '070707' },
  { name: 'VMDK', bytes: 'KDMV' },
  { name: 'VMDK', bytes: 'COWD' },
  { name: 'VMDK', bytes: '# Disk DescriptorFile' },
  { name: 'VHDX', bytes: 'vhdxfile' },
  { name: 'VHD', bytes: 'conectix' },
  { name: 'VDI', offset: 64, bytes: '\x7f\x10\xda\xbe' },
  { name: 'QED', bytes: 'QED\0' },
  { name: 'Parallels', bytes: 'WithoutFreeSpace' },
  { name: 'Parallels', bytes: 'WithouFreSpacExt' },
  { name: 'Windows imaging (WIM)', bytes: 'MSWIM\0\0\0' },
];

/** How a fixed VHD ends: a raw disk with 512 bytes more. */
const vhdFooterBytes = 512;

/** The kind of an image by its first bytes (512 or more unless it is shorter). */
export function detectHeader(head: Uint8Array): HeaderKind {
  const text = Buffer.from(head.subarray(0, 512)).toString('latin1');
  if (text.startsWith('\x1f\x8b')) return { kind: 'gzip' };
  if (text.startsWith('\x28\xb5\x2f\xfd') || /^[\x50-\x5f]\x2a\x4d\x18/.test(text)) return { kind: 'zstd' };
  if (looksLikeQcow(head)) return { kind: 'qcow2' };
  const refused = refusedMarks.find((mark) => isMarked(text, mark));
  if (refused !== undefined) return { kind: 'refused', name: refused.name };
  if (!blockLooksLikeTar(head.subarray(0, 512))) return { kind: 'raw' };
  const firstName = text.slice(0, text.indexOf('\0'));
  return firstName.endsWith('.ovf') ? { kind: 'refused', name: 'OVA' } : { kind: 'tar' };
}

/** True for the last bytes of a fixed VHD. */
export function isVhdFooter(tail: Uint8Array): boolean {
  return (
    tail.length >= vhdFooterBytes && Buffer.from(tail.subarray(-vhdFooterBytes)).toString('latin1', 0, 8) === 'conectix'
  );
}

function isMarked(text: string, { name, offset = 0, bytes }: Mark): boolean {
  if (!text.startsWith(bytes, offset)) return false;
  // Short marks need more evidence, or an unlucky boot sector would be refused.
  if (name === 'bzip2') return /^BZh[1-9]/.test(text);
  if (name === 'lzma') return /^\x5d\0\0[\0-\xff]{2}\xff{8}/.test(text);
  return true;
}

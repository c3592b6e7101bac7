/**
 * The note that archives made by us carry in a pax global header: what the file system was that they were made from.
 * With it, what came as a file system comes back as one of the same type, size, UUID and label.
 *
 * A note is hostile input like the rest of an archive: every field is checked, and a note with one bad field is no
 * note at all. Format: pax `comment` record (POSIX.1-2008, pax interchange format), which every tar ignores.
 */
import { blockLooksLikeTar, paxRecords, parseTarHeader, tarBlockBytes } from './tar-header.ts';

/** The file systems that travel as archives. */
export const fileSystemTypes = ['ext2', 'ext3', 'ext4', 'xfs'] as const;

export type FileSystemType = (typeof fileSystemTypes)[number];

export interface ArchiveNote {
  readonly fileSystemType: FileSystemType;
  /** Size of the logical volume that it was on. */
  readonly sizeBytes: number;
  /** Lower case, with hyphens. */
  readonly uuid?: string;
  /** Printable characters, at most `labelBytesLimit` of the type in UTF-8. */
  readonly label?: string;
}

/** Longest label in bytes of UTF-8. */
export const labelBytesLimit: Readonly<Record<FileSystemType, number>> = { ext2: 16, ext3: 16, ext4: 16, xfs: 12 };

/** Larger volumes don't exist: Linux block devices end at 8 EiB, numbers of JavaScript are exact up to 8 PiB. */
const maxSizeBytes = 2 ** 53 - 1;
const maxNoteBytes = 4096;
const marker = 'cxm-archive-1';
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function isFileSystemType(text: string): text is FileSystemType {
  return (fileSystemTypes as readonly string[]).includes(text);
}

/** True for a UUID in the form that mkfs programs take and blkid prints. */
export function isFileSystemUuid(text: string): boolean {
  return uuidPattern.test(text);
}

/** True for a label that fits the type and holds only printable characters. */
export function isFileSystemLabel(text: string, type: FileSystemType): boolean {
  return (
    text !== '' && /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]+$/u.test(text) && Buffer.byteLength(text) <= labelBytesLimit[type]
  );
}

/**
 * The value of GNU tar's `--pax-option` that writes the note (a global header of the archive). It holds no comma, no
 * brace and no colon before an equals sign, which this option would take apart.
 */
export function notePaxOption(note: ArchiveNote): string {
  const label = note.label === undefined ? '' : Buffer.from(note.label).toString('base64url');
  const fields = [marker, note.fileSystemType, String(note.sizeBytes), note.uuid ?? '', label];
  return `globexthdr.name=cxm-archive-note,comment=${fields.join('/')}`;
}

/** The note at the beginning of an (uncompressed) tar stream; undefined when there is none or it isn't sound. */
export function readNote(head: Uint8Array): ArchiveNote | undefined {
  const block = head.subarray(0, tarBlockBytes);
  if (!blockLooksLikeTar(block)) return undefined;
  const header = parseTarHeader(block);
  if (header.type !== 'g' || header.sizeBytes > maxNoteBytes) return undefined;
  const body = head.subarray(tarBlockBytes, tarBlockBytes + header.sizeBytes);
  if (body.length < header.sizeBytes) return undefined;
  const comment = paxRecords(body)?.get('comment');
  return comment === undefined ? undefined : parseNote(comment);
}

function parseNote(comment: string): ArchiveNote | undefined {
  const [mark, type, size, uuid, label, ...rest] = comment.split('/');
  if (mark !== marker || rest.length > 0) return undefined;
  if (type === undefined || !isFileSystemType(type)) return undefined;
  if (size === undefined || !/^[1-9][0-9]{0,15}$/.test(size) || Number(size) > maxSizeBytes) return undefined;
  if (uuid === undefined || (uuid !== '' && !isFileSystemUuid(uuid))) return undefined;
  if (label === undefined || !/^[A-Za-z0-9_-]*$/.test(label)) return undefined;
  const text = Buffer.from(label, 'base64url').toString();
  if (text !== '' && !isFileSystemLabel(text, type)) return undefined;
  return {
    fileSystemType: type,
    sizeBytes: Number(size),
    ...(uuid === '' ? {} : { uuid }),
    ...(text === '' ? {} : { label: text }),
  };
}

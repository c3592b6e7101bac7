/**
 * Sizes as LVM takes them on its command line: a number with an optional unit letter of either case, powers of 1024,
 * MiB when there is no letter (lvcreate(8), option --size). Percentages and relative sizes (`+1G`, `50%FREE`) mean
 * something else on each volume group and are refused, as is everything that does not come out as whole bytes.
 */
import { CxmError } from '../errors.ts';

const unitBytes: Readonly<Record<string, number>> = {
  b: 1,
  s: 512,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
  p: 1024 ** 5,
};

/** The largest size that is believed: 8 PiB, where doubles still count bytes exactly. */
export const maxSizeBytes = 8 * 1024 ** 5;

/** What `parseSize` takes, for messages. */
export const sizeSyntax = 'a size as LVM writes it, like 512M, 8G or 1.5T (MiB without a letter)';

/**
 * Bytes of a size in LVM syntax.
 * @param name what the size belongs to, for the message
 * @throws CxmError INVALID_INPUT naming `name` and the text
 */
export function parseSize(text: string, name: string): number {
  const match = /^(\d{1,16}(?:\.\d{1,6})?)([bskmgtp])?$/i.exec(text.trim());
  const bytes = match ? Number(match[1]) * (unitBytes[(match[2] ?? 'm').toLowerCase()] ?? Number.NaN) : Number.NaN;
  if (!Number.isSafeInteger(bytes) || bytes <= 0 || bytes > maxSizeBytes) {
    throw new CxmError('INVALID_INPUT', `${name} is ${JSON.stringify(text.slice(0, 60))}, but must be ${sizeSyntax}`);
  }
  return bytes;
}

/** A size for people: `8 GiB`, `200.5 MiB`, `17 bytes`. */
export function formatSize(bytes: number): string {
  const steps = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  if (bytes < 1024) return `${bytes} bytes`;
  let value = bytes / 1024;
  let step = 0;
  while (value >= 1024 && step < steps.length - 1) {
    value /= 1024;
    step += 1;
  }
  return `${value.toFixed(1).replace(/\.0$/, '')} ${steps[step] ?? ''}`;
}

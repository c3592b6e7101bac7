/**
 * The single values of driver calls, checked at the door: host names, ids, paths, MACs, device and bridge names. We
 * run as root with them and hand them to ssh, xl and LVM, so each has a narrow alphabet, a limit, and no way to be
 * taken for an option. A bad value is one INVALID_INPUT error that names the argument and shows the value safely.
 */
import { CxmError } from '../../errors.ts';
import { quoted } from '../printable.ts';

/** oned's ids are 32-bit. */
const maxId = 2 ** 31 - 1;
/** One PiB in MiB: larger sizes are a mistake. */
const maxSizeMb = 1024 ** 3;
const maxPathCharacters = 4095;

/** The error for argument `what` with a value that is not `expected`. */
export function badValue(what: string, value: string, expected: string): CxmError {
  return new CxmError('INVALID_INPUT', `${what} is ${quoted(value)}, but it must be ${expected}`);
}

/** A name or IPv4 address that is safe as an argument of ssh. @throws CxmError INVALID_INPUT */
export function hostName(value: string, what: string): string {
  if (/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?$/.test(value) && !value.includes('..')) return value;
  throw badValue(what, value, 'a host name of letters, digits, dots and hyphens');
}

/** An id of a VM, datastore, image, disk or snapshot: 0 and up. @throws CxmError INVALID_INPUT */
export function identifier(value: string, what: string): number {
  if (/^[0-9]{1,10}$/.test(value) && Number(value) <= maxId) return Number(value);
  throw badValue(what, value, 'a whole number from 0 on');
}

/** An id, or -1 for none: then `undefined`. @throws CxmError INVALID_INPUT */
export function optionalIdentifier(value: string, what: string): number | undefined {
  return value === '-1' ? undefined : identifier(value, what);
}

/** A size in MiB, at least 1. @throws CxmError INVALID_INPUT */
export function sizeMb(value: string, what: string): number {
  if (/^[0-9]{1,10}$/.test(value) && Number(value) >= 1 && Number(value) <= maxSizeMb) return Number(value);
  throw badValue(what, value, `a size from 1 to ${maxSizeMb} MiB`);
}

/**
 * An absolute path without `..`; doubled slashes, `.` steps and a slash at the end are dropped.
 * It may hold any other character but control characters: it is for system calls, not for configuration lines.
 * @throws CxmError INVALID_INPUT
 */
export function absolutePath(value: string, what: string): string {
  const expected = "an absolute path without '..' and control characters";
  if (!value.startsWith('/') || value.length > maxPathCharacters) throw badValue(what, value, expected);
  if (/[\u0000-\u001f\u007f]|\p{Surrogate}/u.test(value)) throw badValue(what, value, expected);
  const steps = value.split('/').filter((step) => step !== '' && step !== '.');
  if (steps.includes('..') || steps.some((step) => Buffer.byteLength(step) > 255)) {
    throw badValue(what, value, expected);
  }
  return `/${steps.join('/')}`;
}

/**
 * An absolute path in a VM's directory. It becomes part of configuration lines, so its alphabet is narrow too.
 * @throws CxmError INVALID_INPUT
 */
export function plainPath(value: string, what: string): string {
  const path = absolutePath(value, what);
  if (/^[A-Za-z0-9/._@+=~-]+$/.test(path) && !path.includes('/-')) return path;
  throw badValue(what, value, 'an absolute path of letters, digits and the characters . _ @ + = ~ -');
}

/** A MAC address, in lower case. @throws CxmError INVALID_INPUT */
export function macAddress(value: string, what: string): string {
  if (/^[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}$/.test(value)) return value.toLowerCase();
  throw badValue(what, value, 'a MAC address such as 02:00:0a:63:00:0b');
}

/** A network interface of the host. @throws CxmError INVALID_INPUT */
export function bridgeName(value: string, what: string): string {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/.test(value)) return value;
  throw badValue(what, value, 'the name of a bridge, at most 15 letters, digits, dots, hyphens and underscores');
}

/** A virtual device such as `xvda` or `sda1`. @throws CxmError INVALID_INPUT */
export function deviceTarget(value: string, what: string): string {
  if (/^[a-z]{2,6}[0-9]{0,3}$/.test(value)) return value;
  throw badValue(what, value, 'a device name such as xvda');
}

/** A word of a driver's vocabulary: model, format, driver name, snapshot id. @throws CxmError INVALID_INPUT */
export function plainWord(value: string, what: string): string {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/.test(value)) return value;
  throw badValue(what, value, 'a word of letters, digits, dots, hyphens and underscores');
}

/** The value of `read`, or `undefined` for an empty argument or `-`, oned's word for a missing one. */
export function optional<Value>(
  value: string,
  what: string,
  read: (value: string, what: string) => Value,
): Value | undefined {
  return value === '' || value === '-' ? undefined : read(value, what);
}

/**
 * The id that deploy printed: a domain name or UUID; `undefined` when oned has none.
 * @throws CxmError INVALID_INPUT
 */
export function deployIdentifier(value: string, what = 'the deploy id'): string | undefined {
  if (value === '' || value === '-') return undefined;
  if (/^[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,254}$/.test(value)) return value;
  throw badValue(what, value, 'the name of a domain as deploy printed it');
}

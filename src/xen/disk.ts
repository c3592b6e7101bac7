/**
 * A domain's disk as xl writes it down (xl-disk-configuration(5)): `key=value` parameters, positional parameters, and
 * the prefixes that xm left behind (`phy:`, `tap:aio:`, `file:`, `hdc:cdrom`). Reading accepts what xl accepts; writing
 * always uses `key=value` with the target last, so that a path may hold commas and nothing in it can become a parameter.
 */
import { CxmError } from '../errors.ts';

export type DiskFormat = 'raw' | 'qcow' | 'qcow2' | 'vhd' | 'qed' | 'empty';

export interface DiskSpec {
  /** Path of the device or file on the host; '' for an empty drive. */
  readonly target: string;
  readonly format: DiskFormat;
  /** The guest's name of the device: xvda, sda1, hdc. */
  readonly vdev: string;
  readonly access: 'rw' | 'ro';
  readonly deviceType: 'disk' | 'cdrom';
  readonly backendType?: 'phy' | 'tap' | 'qdisk';
  /** Domain that serves the disk; domain 0 when left out. */
  readonly backend?: string;
  /** Hotplug script instead of `block`. */
  readonly script?: string;
  readonly discard?: boolean;
  readonly directIoSafe?: boolean;
  /** xm's prefix as it was found, without the last colon: `phy`, `tap:aio`, `file`. Not written again. */
  readonly prefix?: string;
  /** Parameters that mean nothing to this program, as found; they are written again. */
  readonly otherParameters?: readonly string[];
}

type Draft = { -readonly [Name in keyof DiskSpec]?: DiskSpec[Name] } & { others: string[] };

const formats = ['raw', 'qcow', 'qcow2', 'vhd', 'qed', 'empty'] as const;
const backendTypes = ['phy', 'tap', 'qdisk'] as const;
const keptParameters = /^(?:no-)?colo$|^(?:colo-(?:host|port|export)|active-disk|hidden-disk)=/;
const formatPrefixes = ['raw', 'qcow', 'qcow2', 'vhd'];
const scriptPrefixes = ['iscsi', 'nbd', 'enbd', 'drbd'];
const plainPrefixes = ['tapdisk', 'tap', 'tap2', 'aio', 'ioemu', 'file', 'phy'];

/**
 * Reads one item of `disk = [...]`.
 * @throws CxmError INVALID_INPUT with the text and what is wrong with it
 */
export function parseDiskSpec(text: string): DiskSpec {
  const draft: Draft = { others: [] };
  let rest = readPrefixes(text, text.trimStart(), draft);
  while ((rest = rest.replace(/^[ \t\n]+/, '')) !== '') {
    if (rest.startsWith('target=')) {
      assign(text, draft, 'target', rest.slice('target='.length).replace(/,$/, ''));
      break;
    }
    const parameter = /^[^,]*/.exec(rest)?.[0] ?? '';
    rest = rest.slice(parameter.length + 1);
    readParameter(text, draft, parameter);
  }
  return finish(text, draft);
}

function readPrefixes(text: string, start: string, draft: Draft): string {
  let rest = start;
  for (;;) {
    const prefix = /^([a-z][a-z0-9]*):/.exec(rest)?.[1];
    if (prefix === undefined) return rest;
    if (formatPrefixes.includes(prefix)) assign(text, draft, 'format', prefix as DiskFormat);
    else if (scriptPrefixes.includes(prefix)) assign(text, draft, 'script', `block-${prefix}`);
    else if (!plainPrefixes.includes(prefix)) throw bad(text, `the prefix ${prefix}: is not one of xl's`);
    draft.prefix = draft.prefix === undefined ? prefix : `${draft.prefix}:${prefix}`;
    rest = rest.slice(prefix.length + 1);
  }
}

function readParameter(text: string, draft: Draft, parameter: string): void {
  const equals = parameter.indexOf('=');
  const value = parameter.slice(equals + 1);
  switch (equals < 0 ? parameter : parameter.slice(0, equals + 1)) {
    case 'format=':
      return assign(text, draft, 'format', formatOf(text, value));
    case 'vdev=':
      return assign(text, draft, 'vdev', value);
    case 'access=':
      return assign(text, draft, 'access', accessOf(text, value));
    case 'backendtype=':
      return assign(text, draft, 'backendType', oneOf(text, backendTypes, value, 'backend type'));
    case 'backend=':
      return assign(text, draft, 'backend', value);
    case 'script=':
      return assign(text, draft, 'script', value);
    case 'devtype=':
      draft.deviceType = oneOf(text, ['disk', 'cdrom'] as const, value, 'device type');
      return;
    case 'cdrom':
      draft.deviceType = 'cdrom';
      return;
    case 'discard':
    case 'no-discard':
      draft.discard = parameter === 'discard';
      return;
    case 'direct-io-safe':
      draft.directIoSafe = true;
      return;
    default:
      if (keptParameters.test(parameter)) draft.others.push(parameter);
      else if (equals >= 0) throw bad(text, `the parameter ${parameter.slice(0, equals)} is not one of xl's`);
      else readPositional(text, draft, parameter);
  }
}

/** target, format (not after one of xm's prefixes), vdev[:type], access. */
function readPositional(text: string, draft: Draft, parameter: string): void {
  if (draft.target === undefined) {
    draft.target = parameter;
  } else if (draft.prefix === undefined && draft.format === undefined) {
    if (draft.target === '' && parameter.includes(':')) {
      draft.format = 'empty';
      readVirtualDevice(text, draft, parameter);
    } else {
      draft.format = formatOf(text, parameter);
    }
  } else if (draft.vdev === undefined) {
    readVirtualDevice(text, draft, parameter);
  } else if (draft.access === undefined) {
    draft.access = accessOf(text, parameter);
  } else {
    throw bad(text, 'it has too many positional parameters');
  }
}

function readVirtualDevice(text: string, draft: Draft, parameter: string): void {
  const [vdev = '', type, more] = parameter.split(':');
  if (more !== undefined) throw bad(text, `${parameter} is not a device`);
  draft.vdev = vdev;
  if (type !== undefined) draft.deviceType = oneOf(text, ['disk', 'cdrom'] as const, type, 'device type');
}

function finish(text: string, draft: Draft): DiskSpec {
  const { others, ...given } = draft;
  if (given.vdev === undefined || given.vdev === '') throw bad(text, 'it does not name the guest device (vdev)');
  const deviceType = given.deviceType ?? 'disk';
  const target = given.target ?? '';
  if (target === '' && deviceType !== 'cdrom') throw bad(text, 'it does not name the target');
  return {
    ...given,
    target,
    vdev: given.vdev,
    format: given.format ?? (target === '' ? 'empty' : 'raw'),
    access: deviceType === 'cdrom' ? 'ro' : (given.access ?? 'rw'),
    deviceType,
    ...(others.length > 0 ? { otherParameters: others } : {}),
  };
}

function assign<Name extends keyof DiskSpec>(
  text: string,
  draft: Draft,
  name: Name,
  value: NonNullable<DiskSpec[Name]>,
) {
  const before = draft[name];
  if (before !== undefined && before !== '' && before !== value) throw bad(text, `it gives ${name} twice`);
  (draft as Record<string, unknown>)[name] = value;
}

function formatOf(text: string, value: string): DiskFormat {
  return value === '' ? 'raw' : oneOf(text, formats, value, 'format');
}

function accessOf(text: string, value: string): 'rw' | 'ro' {
  if (value === 'r' || value === 'ro') return 'ro';
  if (value === 'w' || value === 'rw' || value === '') return 'rw';
  throw bad(text, `${value} is not an access mode (r, w)`);
}

function oneOf<Value extends string>(text: string, known: readonly Value[], value: string, what: string): Value {
  const found = known.find((candidate) => candidate === value);
  if (found === undefined) throw bad(text, `${value} is not a ${what} (${known.join(', ')})`);
  return found;
}

function bad(text: string, problem: string): CxmError {
  return new CxmError('INVALID_INPUT', `the disk ${JSON.stringify(text.slice(0, 200))} can't be read: ${problem}`, {
    hint: 'see xl-disk-configuration(5)',
  });
}

/**
 * Writes a disk in xl's key=value form, target last.
 * @throws CxmError INVALID_INPUT for a value that this form can't hold
 */
export function formatDiskSpec(spec: DiskSpec): string {
  const parts = [`format=${spec.format}`, `vdev=${checked('vdev', spec.vdev)}`, `access=${spec.access}`];
  if (spec.deviceType === 'cdrom') parts.push('devtype=cdrom');
  if (spec.backendType !== undefined) parts.push(`backendtype=${spec.backendType}`);
  if (spec.backend !== undefined) parts.push(`backend=${checked('backend', spec.backend)}`);
  if (spec.script !== undefined) parts.push(`script=${checked('script', spec.script)}`);
  if (spec.discard !== undefined) parts.push(spec.discard ? 'discard' : 'no-discard');
  if (spec.directIoSafe === true) parts.push('direct-io-safe');
  for (const parameter of spec.otherParameters ?? []) parts.push(checked('parameter', parameter));
  if (spec.target === '') return parts.join(', ');
  if (spec.target.endsWith(',') || spec.target !== spec.target.trim()) throw unwritable('target', spec.target);
  return `${parts.join(', ')}, target=${withoutControls('target', spec.target)}`;
}

function checked(name: string, value: string): string {
  if (value === '' || value.includes(',') || value !== value.trim()) throw unwritable(name, value);
  return withoutControls(name, value);
}

function withoutControls(name: string, value: string): string {
  if (/\p{Cc}/u.test(value)) throw unwritable(name, value);
  return value;
}

function unwritable(name: string, value: string): CxmError {
  return new CxmError('INVALID_INPUT', `${JSON.stringify(value)} can't be the ${name} of a disk`);
}

/**
 * The block device behind a disk, or undefined for files, network disks and empty drives. Only such disks can be LVs.
 * A `phy:` target without a leading slash is one under /dev, as the block script takes it.
 */
export function blockDeviceOf(spec: DiskSpec): string | undefined {
  if (spec.target === '' || spec.format !== 'raw') return undefined;
  if (spec.prefix !== undefined && spec.prefix !== 'phy' && spec.prefix !== 'raw') return undefined;
  if (spec.script !== undefined || (spec.backend !== undefined && spec.backend !== '0')) return undefined;
  const physical = spec.prefix === 'phy' || spec.backendType === 'phy';
  if (spec.target.startsWith('/dev/')) return spec.target;
  return physical && !spec.target.startsWith('/') ? `/dev/${spec.target}` : undefined;
}

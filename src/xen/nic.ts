/**
 * A domain's network interface as xl writes it down (xl-network-configuration(5)): `key=value` pieces with commas
 * between them. A value that holds a comma or a control character is refused, so that none can add a parameter.
 */
import { CxmError } from '../errors.ts';

export interface NicSpec {
  /** Lower case, six groups with colons. */
  readonly mac?: string;
  readonly bridge?: string;
  /** Addresses for the scripts, separated by spaces. */
  readonly ip?: string;
  /** Device that QEMU emulates for HVM domains. */
  readonly model?: string;
  readonly script?: string;
  /** The interface's name on the host. */
  readonly vifname?: string;
  readonly type?: 'vif' | 'ioemu';
  /** As xl writes it: `10Mb/s`, `1MB/s@20ms`. */
  readonly rate?: string;
  /** Domain that serves the interface; domain 0 when left out. */
  readonly backend?: string;
  /** Parameters that mean nothing to this program, as found; they are written again. */
  readonly otherParameters?: readonly string[];
}

const textNames = ['bridge', 'ip', 'model', 'script', 'vifname', 'rate', 'backend'] as const;
const macPattern = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/;

/**
 * Reads one item of `vif = [...]`; '' is an interface with nothing but defaults.
 * @throws CxmError INVALID_INPUT with the text and what is wrong with it
 */
export function parseNicSpec(text: string): NicSpec {
  const spec: { -readonly [Name in keyof NicSpec]: NicSpec[Name] } = {};
  const others: string[] = [];
  for (const piece of text.split(',')) {
    const parameter = piece.trim();
    if (parameter === '') continue;
    const equals = parameter.indexOf('=');
    const name = equals < 0 ? parameter : parameter.slice(0, equals);
    const value = parameter.slice(equals + 1);
    const known = textNames.find((candidate) => candidate === name);
    if (name === 'mac') spec.mac = macOf(text, value);
    else if (name === 'type') spec.type = typeOf(text, value);
    else if (known !== undefined && equals >= 0) spec[known] = value;
    else others.push(parameter);
  }
  return others.length > 0 ? { ...spec, otherParameters: others } : spec;
}

function macOf(text: string, value: string): string {
  const groups = value.split(':').map((group) => group.toLowerCase().padStart(2, '0'));
  const mac = groups.join(':');
  if (!macPattern.test(mac)) throw bad(text, `${value} is not a MAC address`);
  return mac;
}

function typeOf(text: string, value: string): 'vif' | 'ioemu' {
  if (value === 'vif' || value === 'ioemu') return value;
  throw bad(text, `${value} is not a type (vif, ioemu)`);
}

function bad(text: string, problem: string): CxmError {
  const shown = JSON.stringify(text.slice(0, 200));
  return new CxmError('INVALID_INPUT', `the network interface ${shown} can't be read: ${problem}`, {
    hint: 'see xl-network-configuration(5)',
  });
}

/**
 * The `key=value` pieces, one a parameter, as `xl network-attach` takes them.
 * @throws CxmError INVALID_INPUT for a value that would not stay one parameter
 */
export function nicParameters(spec: NicSpec): readonly string[] {
  const parts: string[] = [];
  if (spec.type !== undefined) parts.push(`type=${spec.type}`);
  if (spec.mac !== undefined) {
    if (!macPattern.test(spec.mac)) throw unwritable('mac', spec.mac);
    parts.push(`mac=${spec.mac}`);
  }
  for (const name of textNames) {
    const value = spec[name];
    if (value === undefined) continue;
    if (value === '') throw unwritable(name, value);
    parts.push(`${name}=${checked(name, value)}`);
  }
  for (const parameter of spec.otherParameters ?? []) {
    if (!/^[a-z]/.test(parameter)) throw unwritable('parameter', parameter);
    parts.push(checked('parameter', parameter));
  }
  return parts;
}

/** One item of `vif = [...]`. @throws CxmError INVALID_INPUT as nicParameters */
export function formatNicSpec(spec: NicSpec): string {
  return nicParameters(spec).join(', ');
}

function checked(name: string, value: string): string {
  if (value.includes(',') || value !== value.trim() || /\p{Cc}/u.test(value)) throw unwritable(name, value);
  return value;
}

function unwritable(name: string, value: string): CxmError {
  return new CxmError('INVALID_INPUT', `${JSON.stringify(value)} can't be the ${name} of a network interface`);
}

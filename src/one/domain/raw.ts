/**
 * RAW data: what a template adds to the configuration in xl's own words. It is parsed as xl parses it, never pasted:
 * keys are taken one by one by raw-keys.ts, and none may be set twice or replace what OpenNebula itself decides.
 */
import { CxmError } from '../../errors.ts';
import { parseAssignments } from '../../xen/config-syntax.ts';
import { parseDomainConfig, type ConfigValue, type DomainConfig } from '../../xen/config-file.ts';
import type { Raw } from '../documents/virtual-machine.ts';
import type { GuestType } from './description.ts';
import { harmlessRawKeys, ownKeys, refusedRawKeys } from './raw-keys.ts';

/** RAW/TYPE that is meant for us; 5.12 and later demand the name of the VM_MAD there. */
const ourTypes = ['xen', 'cxm', 'vmm_cxm', 'vmm_xen'];

/**
 * The RAW data that is meant for Xen, of all RAW attributes of a template.
 * @throws CxmError INVALID_INPUT with the line that is not in xl's language
 */
export function rawConfig(raw: readonly Raw[], vmId: number): DomainConfig {
  const ours = raw.filter(({ type }) => type !== undefined && ourTypes.includes(type.trim().toLowerCase()));
  const text = ours.map(({ data }) => data.replaceAll('\r\n', '\n')).join('\n');
  return configWithoutRepetition(text, `RAW data of VM ${vmId}`);
}

/**
 * Parses a text in which no key is set twice: the second one would silently replace what came before.
 * @throws CxmError INVALID_INPUT
 */
export function configWithoutRepetition(text: string, fileName: string): DomainConfig {
  const seen = new Set<string>();
  for (const { key, line } of parseAssignments(text, fileName)) {
    if (seen.has(key)) throw new CxmError('INVALID_INPUT', `${fileName}, line ${line}: ${key} is set a second time`);
    seen.add(key);
  }
  return parseDomainConfig(text, fileName);
}

/** The guest type that a configuration asks for in one of xl's ways; undefined if in none. */
export function guestTypeIn(config: DomainConfig, vmId: number): GuestType | undefined {
  const type = config.get('type');
  if (type !== undefined) {
    if (type === 'pv' || type === 'pvh' || type === 'hvm') return type;
    throw refused(vmId, 'type', 'it must be pv, pvh or hvm');
  }
  const builder = config.get('builder');
  if (builder === undefined) return undefined;
  if (builder === 'hvm') return 'hvm';
  if (builder === 'linux' || builder === 'generic') return 'pv';
  throw refused(vmId, 'builder', 'it must be hvm or generic');
}

/**
 * The keys that the user may set, with their values; `type` and `builder` are read by guestTypeIn.
 * @param only keys to look at; all when left out
 * @throws CxmError INVALID_INPUT naming the first key that is not allowed
 */
export function acceptedKeys(
  config: DomainConfig,
  vmId: number,
  administratorKeys: readonly string[],
  ignored: ReadonlySet<string> = new Set(),
): Map<string, ConfigValue> {
  const accepted = new Map<string, ConfigValue>();
  for (const key of config.keys()) {
    if (key === 'type' || key === 'builder' || ignored.has(key)) continue;
    const value = config.get(key);
    if (value === undefined) continue;
    if (!administratorKeys.includes(key) || ownKeys.has(key)) checkHarmless(vmId, key, value);
    accepted.set(key, value);
  }
  return accepted;
}

function checkHarmless(vmId: number, key: string, value: ConfigValue): void {
  const rule = Object.hasOwn(harmlessRawKeys, key) ? harmlessRawKeys[key] : undefined;
  if (rule === undefined) {
    const because = Object.hasOwn(refusedRawKeys, key) ? refusedRawKeys[key] : undefined;
    throw refused(vmId, key, because ?? 'it is not among the keys known to be harmless');
  }
  if (!rule.accepts(value)) throw refused(vmId, key, `it must be ${rule.allowed}`);
}

function refused(vmId: number, key: string, because: string): CxmError {
  return new CxmError('INVALID_INPUT', `VM ${vmId}: RAW data may not set ${key.slice(0, 60)} so: ${because}`, {
    hint: 'mend the template; the administrator can allow further keys with RAW_KEYS in cxmrc',
  });
}

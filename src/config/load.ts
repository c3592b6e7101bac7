/**
 * Reading cxmrc: assignments are checked against the schema, defaults fill the rest. A wrong key, type or value stops
 * the program before it touches anything, naming file, line, key, value and what is allowed.
 *
 * A configuration also travels: the frontend sends its settings to the helper on the host, where keys that the host's
 * own /etc/cxm/cxmrc sets win, so that one host may have another volume group than the rest.
 */
import { CxmError } from '../errors.ts';
import { cxmrcSchema, type Cxmrc, type CxmrcKey, type KeySchema } from './cxmrc.ts';
import { parseAssignments, type RawValue } from './language.ts';

/** The host's own settings: root's word there, over what the frontend sends. */
export const hostCxmrcPath = '/etc/cxm/cxmrc';

/** Where a value stands. */
export interface Setting {
  readonly value: RawValue;
  /** `file, line n` */
  readonly origin: string;
}

export type Settings = ReadonlyMap<CxmrcKey, Setting>;

/**
 * The settings of a file's text.
 * @throws CxmError CONFIG naming file, line, key, value and what is allowed
 */
export function parseSettings(text: string, fileName: string): Settings {
  const settings = new Map<CxmrcKey, Setting>();
  for (const { key, value, line } of parseAssignments(text, fileName)) {
    const origin = `${fileName}, line ${line}`;
    if (!isKey(key)) throw new CxmError('CONFIG', `${origin}: there is no key ${key}${suggestion(key)}`);
    read(key, { value, origin });
    settings.set(key, { value, origin });
  }
  return settings;
}

/**
 * The configuration of some settings; later ones win.
 * @throws CxmError CONFIG if a key without a default is missing
 */
export function resolveCxmrc(...layers: readonly Settings[]): Cxmrc {
  const merged = new Map(layers.flatMap((layer) => [...layer]));
  const values: Partial<Record<CxmrcKey, unknown>> = {};
  for (const key of Object.keys(cxmrcSchema).filter(isKey)) {
    values[key] = read(key, merged.get(key) ?? fallback(key));
  }
  return values as Cxmrc;
}

/** Settings in the form in which they travel to a host. */
export function settingsToRecord(settings: Settings): Record<string, string> {
  const entries = [...settings].map(([key, { value }]) => [key, typeof value === 'string' ? value : value.join(' ')]);
  return Object.fromEntries(entries) as Record<string, string>;
}

/**
 * Settings that arrived from another machine: validated as a file is.
 * @param origin for messages, e.g. `settings of the frontend`
 */
export function settingsFromRecord(record: Readonly<Record<string, unknown>>, origin: string): Settings {
  const settings = new Map<CxmrcKey, Setting>();
  for (const [key, value] of Object.entries(record)) {
    if (!isKey(key)) throw new CxmError('CONFIG', `${origin}: there is no key ${key.slice(0, 60)}`);
    if (typeof value !== 'string') throw new CxmError('CONFIG', `${origin}: ${key} is not a string`);
    read(key, { value, origin });
    settings.set(key, { value, origin });
  }
  return settings;
}

function isKey(key: string): key is CxmrcKey {
  return Object.hasOwn(cxmrcSchema, key);
}

function fallback(key: CxmrcKey): Setting {
  const text = cxmrcSchema[key].fallback;
  if (text === undefined) throw new CxmError('CONFIG', `cxmrc does not set ${key}, which has no default`);
  return { value: text === '""' ? '' : text, origin: 'the default' };
}

function read(key: CxmrcKey, { value, origin }: Setting): unknown {
  const schema: KeySchema<unknown> = cxmrcSchema[key];
  const parsed = schema.type.parse(value);
  if (parsed !== undefined) return parsed;
  const found = JSON.stringify(value).slice(0, 80);
  throw new CxmError('CONFIG', `${origin}: ${key} is ${found}, but must be ${schema.type.allowed}`);
}

function suggestion(key: string): string {
  const near = Object.keys(cxmrcSchema).find((known) => distance(known, key.toUpperCase()) <= 2);
  return near === undefined ? '' : `; did you mean ${near}?`;
}

/** Levenshtein distance of two short words. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

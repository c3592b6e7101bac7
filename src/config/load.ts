/**
 * Reading a configuration: assignments are checked against the file's table, defaults fill the rest. A wrong key, type
 * or value stops the program before it touches anything, naming file, line, key, value and what is allowed.
 *
 * cxmrc also travels: the frontend sends its settings to the helper on the host, where keys that the host's own
 * /etc/cxm/cxmrc sets win, so that one host may have another volume group than the rest.
 */
import { CxmError } from '../errors.ts';
import { nearWord } from '../near-word.ts';
import { cxmrcTable, type Cxmrc, type CxmrcKey } from './cxmrc.ts';
import { parseAssignments, type RawValue } from './language.ts';
import type { ConfigurationOf, ConfigurationTable, KeySchema, KeySchemas } from './schema.ts';
import type { Literal, ValueType } from './types.ts';

/** The host's own settings: root's word there, over what the frontend sends. */
export const hostCxmrcPath = '/etc/cxm/cxmrc';

/** Where a value stands. */
export interface Setting {
  readonly value: RawValue;
  readonly isQuoted: boolean;
  /** `file, line n` */
  readonly origin: string;
}

export type SettingsOf<K extends KeySchemas> = ReadonlyMap<keyof K & string, Setting>;
export type Settings = ReadonlyMap<CxmrcKey, Setting>;

/**
 * The settings of a file's text.
 * @throws CxmError CONFIG naming file, line, key, value and what is allowed
 */
export function parseSettingsOf<K extends KeySchemas>(
  table: ConfigurationTable<K>,
  text: string,
  fileName: string,
): SettingsOf<K> {
  const settings = new Map<keyof K & string, Setting>();
  for (const { key, value, isQuoted, line } of parseAssignments(text, fileName)) {
    const setting: Setting = { value, isQuoted, origin: `${fileName}, line ${line}` };
    if (!isKeyOf(table, key)) {
      throw new CxmError('CONFIG', `${setting.origin}: there is no key ${key}${suggestion(table, key)}`);
    }
    read(table, key, setting);
    settings.set(key, setting);
  }
  return settings;
}

/**
 * The configuration of some settings; later ones win.
 * @throws CxmError CONFIG if a key without a default is missing, or two keys contradict each other
 */
export function resolveOf<K extends KeySchemas>(
  table: ConfigurationTable<K>,
  ...layers: readonly SettingsOf<K>[]
): ConfigurationOf<K> {
  const merged = new Map(layers.flatMap((layer) => [...layer]));
  const values: Record<string, unknown> = {};
  for (const key of Object.keys(table.keys)) values[key] = read(table, key, merged.get(key) ?? fallback(table, key));
  const configuration = values as ConfigurationOf<K>;
  const contradiction = table.contradictionIn?.(configuration);
  if (contradiction === undefined) return configuration;
  const { key, problem } = contradiction;
  const origin = (merged as ReadonlyMap<string, Setting>).get(key)?.origin ?? table.name;
  throw new CxmError('CONFIG', `${origin}: ${key} ${problem}`);
}

/** The settings of a cxmrc, see `parseSettingsOf`. */
export function parseSettings(text: string, fileName: string): Settings {
  return parseSettingsOf(cxmrcTable, text, fileName);
}

/** The cxmrc of some settings, see `resolveOf`. */
export function resolveCxmrc(...layers: readonly Settings[]): Cxmrc {
  return resolveOf(cxmrcTable, ...layers);
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
    if (!isKeyOf(cxmrcTable, key)) throw new CxmError('CONFIG', `${origin}: there is no key ${key.slice(0, 60)}`);
    if (typeof value !== 'string') throw new CxmError('CONFIG', `${origin}: ${key} is not a string`);
    const setting: Setting = { value, isQuoted: true, origin };
    read(cxmrcTable, key, setting);
    settings.set(key, setting);
  }
  return settings;
}

function isKeyOf<K extends KeySchemas>(table: ConfigurationTable<K>, key: string): key is keyof K & string {
  return Object.hasOwn(table.keys, key);
}

function schemaOf(table: ConfigurationTable<KeySchemas>, key: string): KeySchema<unknown> {
  const schema = table.keys[key];
  if (schema === undefined) throw new CxmError('INTERNAL', `${table.name} has no key ${key}`);
  return schema;
}

/** Defaults stand in the table as they would in the file, and are read as the file is. */
function fallback(table: ConfigurationTable<KeySchemas>, key: string): Setting {
  const text = schemaOf(table, key).fallback;
  if (text === undefined) throw new CxmError('CONFIG', `${table.name} does not set ${key}, which has no default`);
  const [assignment] = parseAssignments(`${key} = ${text}`, `the default of ${key}`);
  if (assignment === undefined) throw new CxmError('INTERNAL', `the default of ${key} is empty`);
  return { value: assignment.value, isQuoted: assignment.isQuoted, origin: 'the default' };
}

function read(table: ConfigurationTable<KeySchemas>, key: string, setting: Setting): unknown {
  const { type, fallback: standard } = schemaOf(table, key);
  const isPython = table.literals === 'python';
  const mayBeNone = isPython && standard === 'None';
  if (mayBeNone && setting.value === (setting.isQuoted ? '' : 'None')) return undefined;
  if (!isPython || isWrittenAs(type.literal, setting)) {
    const parsed = type.parse(setting.value);
    if (parsed !== undefined) return parsed;
  }
  const found = isPython ? literalOf(setting) : JSON.stringify(setting.value);
  const allowed = isPython ? allowedLiteral(type, mayBeNone) : type.allowed;
  throw new CxmError('CONFIG', `${setting.origin}: ${key} is ${found.slice(0, 80)}, but must be ${allowed}`);
}

/** Whether a value is of that type in Python. Numbers that begin with 0 are octal there, and refused. */
function isWrittenAs(literal: Literal, { value, isQuoted }: Setting): boolean {
  switch (literal) {
    case 'string':
      return typeof value === 'string' && isQuoted;
    case 'number':
      return typeof value === 'string' && !isQuoted && /^(0|[1-9]\d*)(\.\d+)?$/.test(value);
    case 'truth':
      return typeof value === 'string' && !isQuoted;
    case 'list':
      return typeof value !== 'string' && isQuoted;
  }
}

function literalOf({ value, isQuoted }: Setting): string {
  if (typeof value === 'string') return isQuoted ? JSON.stringify(value) : value;
  return `[${value.map((item) => (isQuoted ? JSON.stringify(item) : item)).join(', ')}]`;
}

/** What is allowed in a file where quotes matter, as half a sentence. */
export function allowedLiteral({ literal, allowed }: ValueType<unknown>, mayBeNone: boolean): string {
  const form = { string: ', in quotes', number: ', without quotes', truth: ', without quotes', list: '' }[literal];
  return `${allowed}${form}${mayBeNone ? '; or None' : ''}`;
}

function suggestion(table: ConfigurationTable<KeySchemas>, key: string): string {
  const near = nearWord(key.toUpperCase(), Object.keys(table.keys));
  return near === undefined ? '' : `; did you mean ${near}?`;
}

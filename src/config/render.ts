/**
 * What people read of a configuration table: the commented example and the reference in docs/, both generated so that
 * they can't fall behind the table.
 */
import { cxmConfTable } from './cxm-conf.ts';
import { cxmrcTable } from './cxmrc.ts';
import { allowedLiteral } from './load.ts';
import type { ConfigurationTable, KeySchema, KeySchemas } from './schema.ts';

type Table = ConfigurationTable<KeySchemas>;
type Entry = readonly [string, KeySchema<unknown>];

/** The text of cxmrc.example. */
export function renderExample(): string {
  return renderExampleOf(cxmrcTable, [
    'cxmrc: configuration of the cxm drivers for OpenNebula.',
    '',
    'On the frontend: /var/lib/one/remotes/etc/cxm/cxmrc (kept over upgrades of OpenNebula 5.6 and later) or',
    '/var/lib/one/remotes/cxmrc. It is read, never executed. Keys that are commented out show their defaults.',
    'Keys set in /etc/cxm/cxmrc on a host win over these, for that host.',
  ]);
}

/** The text of docs/cxmrc.md. */
export function renderReference(): string {
  return renderReferenceOf(cxmrcTable, [
    'Generated from the schema by `npm run build`. `KEY="value"`, one a line, `#` for comments; read, never executed.',
    'Where it stands is told in [drivers.md](drivers.md).',
  ]);
}

/** The text of docs/cxm.conf.example. */
export function renderCxmConfExample(): string {
  return renderExampleOf(cxmConfTable, [
    'cxm.conf: configuration of the Xen cluster, /etc/xen/cxm.conf on every node.',
    '',
    'It looks like Python, but is read, never executed: KEY = value, one a line; "text" in either quotes, numbers,',
    "True or False, ['lists', 'of text']. Keys that are commented out show their defaults; None is no value.",
  ]);
}

/** The text of docs/cxm.conf.md. */
export function renderCxmConfReference(): string {
  return renderReferenceOf(cxmConfTable, [
    'Generated from the schema by `npm run build`. The file is `/etc/xen/cxm.conf`, the same on every node of the cluster;',
    'an example is [cxm.conf.example](cxm.conf.example). `KEY = value`, one a line: text in either quotes, numbers,',
    "`True` or `False`, lists of text as `['a', 'b']`, over several lines if need be; `#` for comments. It looks like Python,",
    'but is read, never executed. An unknown key, a wrong type or a value that is not allowed stops every program with',
    'file, line and key. A file that is missing is one in which nothing is set, unless it was asked for: with `CXM_CONF` in',
    'the environment, another file is read.',
  ]);
}

function groupsOf(table: Table): ReadonlyMap<string, readonly Entry[]> {
  const groups = new Map<string, Entry[]>();
  for (const entry of Object.entries(table.keys)) {
    const group = entry[1].group;
    groups.set(group, [...(groups.get(group) ?? []), entry]);
  }
  return groups;
}

function allowedIn({ literals }: Table, { type, fallback }: KeySchema<unknown>): string {
  return literals === 'python' ? allowedLiteral(type, fallback === 'None') : type.allowed;
}

function renderExampleOf(table: Table, introduction: readonly string[]): string {
  const lines = introduction.map((line) => `# ${line}`.trimEnd());
  for (const [group, entries] of groupsOf(table)) {
    lines.push('', '', `### ${group}`);
    for (const [key, schema] of entries) {
      const comment = wrap(`${schema.meaning} Allowed: ${allowedIn(table, schema)}.`, 108);
      lines.push('', ...comment.map((line) => `# ${line}`), exampleLine(table, key, schema));
    }
  }
  return `${lines.join('\n')}\n`;
}

function exampleLine({ literals }: Table, key: string, { fallback }: KeySchema<unknown>): string {
  if (literals === 'python') return `#${key} = ${fallback ?? 'None'}`;
  return fallback === undefined ? `${key}="VG0"` : `#${key}="${fallback === '""' ? '' : fallback}"`;
}

function renderReferenceOf(table: Table, introduction: readonly string[]): string {
  const lines = [`# ${table.name}: reference`, '', ...introduction];
  for (const [group, entries] of groupsOf(table)) {
    lines.push('', `## ${group}`, '', '| key | default | allowed | meaning |', '|---|---|---|---|');
    for (const [key, schema] of entries) {
      const { fallback, meaning } = schema;
      const value = fallback === undefined ? 'must be set' : fallback === '""' ? 'empty' : `\`${fallback}\``;
      lines.push(`| \`${key}\` | ${value} | ${allowedIn(table, schema)} | ${meaning} |`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length >= width) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

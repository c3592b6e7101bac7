/**
 * What people read of the schema: the commented cxmrc.example and the reference in docs/cxmrc.md, both generated so
 * that they can't fall behind the table.
 */
import { cxmrcSchema, type KeySchema } from './cxmrc.ts';

const groups = ['Volumes', 'Transfers', 'Virtual machines', 'Connections'] as const;

function entries(group: (typeof groups)[number]): [string, KeySchema<unknown>][] {
  const all: [string, KeySchema<unknown>][] = Object.entries(cxmrcSchema);
  return all.filter(([, schema]) => schema.group === group);
}

/** The text of cxmrc.example. */
export function renderExample(): string {
  const lines = [
    '# cxmrc: configuration of the cxm drivers for OpenNebula.',
    '#',
    '# On the frontend: /var/lib/one/remotes/etc/cxm/cxmrc (kept over upgrades of OpenNebula 5.6 and later) or',
    '# /var/lib/one/remotes/cxmrc. It is read, never executed. Keys that are commented out show their defaults.',
    '# Keys set in /etc/cxm/cxmrc on a host win over these, for that host.',
  ];
  for (const group of groups) {
    lines.push('', '', `### ${group}`);
    for (const [key, { type, fallback, meaning }] of entries(group)) {
      lines.push('', ...wrap(`${meaning} Allowed: ${type.allowed}.`, 108).map((line) => `# ${line}`));
      lines.push(fallback === undefined ? `${key}="VG0"` : `#${key}="${fallback === '""' ? '' : fallback}"`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** The text of docs/cxmrc.md. */
export function renderReference(): string {
  const lines = [
    '# cxmrc: reference',
    '',
    'Generated from the schema by `npm run build`. `KEY="value"`, one a line, `#` for comments; read, never executed.',
    'Where it stands is told in [drivers.md](drivers.md).',
  ];
  for (const group of groups) {
    lines.push('', `## ${group}`, '', '| key | default | allowed | meaning |', '|---|---|---|---|');
    for (const [key, { type, fallback, meaning }] of entries(group)) {
      const value = fallback === undefined ? 'must be set' : fallback === '""' ? 'empty' : `\`${fallback}\``;
      lines.push(`| \`${key}\` | ${value} | ${type.allowed} | ${meaning} |`);
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

/**
 * What cxmd costs, and whether it keeps its calm, `npm run bench -- ha-load`. As root: each daemon gets a host name of its own.
 *
 *     npm run bench -- ha-load [wire disk master together idle soak]   all parts when none is named; soak takes its minutes
 *     npm run bench -- ha-load --quick                        a few seconds each: does it all work?
 *     npm run bench -- ha-load --daemons N                    so many idle ones instead of as many as fit
 *     npm run bench -- ha-load --minutes N --seed S           of the soak; 30 and 1
 *     npm run bench -- ha-load --write                        writes the tables to docs/ha-load.md
 *     npm run bench -- ha-load --check                        exit code 1 when a target is missed
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { checkout } from '../lab/layout.ts';
import { disk, idle, master, soaking, together, wire, type LoadPart } from './ha-load-parts.ts';
import { prepare } from './prepare.ts';
import { say } from './say.ts';
import { describeMachine, type Machine } from './table.ts';

const partNames = ['wire', 'disk', 'master', 'together', 'idle', 'soak'] as const;
type PartName = (typeof partNames)[number];

export const loadUsage = `npm run bench -- ha-load [${partNames.join(' ')}] [--quick] [--daemons N] [--minutes N] [--seed S] [--write] [--check]`;

/** @returns false when `--check` has found that a target is missed */
export async function benchLoad(words: readonly string[], machine: Machine): Promise<boolean> {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      daemons: { type: 'string' },
      minutes: { type: 'string' },
      seed: { type: 'string', default: '1' },
    },
  });
  const { quick, write, check } = values;
  const chosen = positionals.map((word) => partNames.find((name) => name === word));
  if (chosen.includes(undefined)) throw new Error(loadUsage);
  if (write && (quick || chosen.length > 0)) throw new Error('--write writes all parts at full length');
  prepare();
  const minutes = numberOf(values.minutes) ?? (quick ? 0.2 : 30);
  const bodies: Readonly<Record<PartName, () => LoadPart | Promise<LoadPart>>> = {
    wire: () => wire(quick),
    disk: () => disk(quick),
    master: () => master(quick),
    together: () => together(quick),
    idle: () => idle(quick, numberOf(values.daemons)),
    soak: () => soaking(minutes, Number(values.seed)),
  };
  const parts: LoadPart[] = [];
  for (const name of partNames) {
    if (chosen.length > 0 && !chosen.includes(name)) continue;
    say(name);
    parts.push(await bodies[name]());
  }
  const text = render(parts, machine);
  process.stdout.write(text);
  if (write) writeFileSync(join(checkout, 'docs/ha-load.md'), `${introduction}${text}`);
  const missed = parts.flatMap(({ title, lines }) =>
    lines.filter(({ met }) => met === false).map(({ what }) => `${title}: ${what}`),
  );
  say(missed.length === 0 ? 'all targets met' : `targets missed: ${missed.join('; ')}`);
  return !check || missed.length === 0;
}

function numberOf(word: string | undefined): number | undefined {
  if (word === undefined) return undefined;
  const value = Number(word);
  if (value > 0) return value;
  throw new Error(loadUsage);
}

const introduction = `# What cxmd costs

This file was written by \`npm run bench -- ha-load --write\`, which needs root, 3 GB of free memory and 40 minutes of a machine
with nothing else to do. Processor time is what the kernel counts for a daemon with all its threads (\`/proc/PID/stat\`), memory
what is resident (\`VmRSS\`). The programs that a daemon starts are counted apart.

`;

function render(parts: readonly LoadPart[], machine: Machine): string {
  const tables = parts.flatMap(({ title, lines, note }) => [
    `## ${title}`,
    '',
    '| what | | target | met |',
    '| --- | --- | --- | --- |',
    ...lines.map(({ what, value, target, met }) => {
      return `| ${[what, value, target, met === undefined ? '' : met ? 'yes' : 'NO'].join(' | ')} |`;
    }),
    '',
    ...(note === undefined ? [] : [note, '']),
  ]);
  return [`Measured on ${machine.date}: ${describeMachine(machine)}.`, '', ...tables].join('\n');
}

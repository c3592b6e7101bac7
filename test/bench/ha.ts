/**
 * The benchmark of the cluster, `npm run bench -- ha`: as root, on Debian. Faults from outside on three real cxmd, each in a
 * network of its own, over simulated VMs; see test/ha/fault-rig.ts.
 *
 *     npm run bench -- ha                        all faults, one round: about ten minutes
 *     npm run bench -- ha --rounds 5             five rounds of each
 *     npm run bench -- ha master-power calm      only these
 *     npm run bench -- ha --write                also writes the tables to docs/ha-benchmarks.md
 *     npm run bench -- ha --json FILE            also writes all samples
 *     npm run bench -- ha --check                exit code 1 when a target is missed or a round fails
 */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkout } from '../lab/layout.ts';
import { faults, runFault } from './ha-faults.ts';
import { figuresOf, isMet, renderFigures, type Measured } from './ha-figures.ts';
import { prepare } from './prepare.ts';
import { say } from './say.ts';
import { describeMachine, type Machine } from './table.ts';

interface HaOptions {
  readonly rounds: number;
  readonly faults: readonly string[];
  readonly write: boolean;
  readonly check: boolean;
  readonly json: string | undefined;
}

export const haUsage = `npm run bench -- ha [fault...] [--rounds N] [--check] [--write] [--json FILE]
faults: ${Object.keys(faults).join(', ')}; all when none is named`;

const document = join(checkout, 'docs/ha-benchmarks.md');
const begin = '<!-- written by `npm run bench -- ha --write` -->';
const end = '<!-- end of what is written -->';

/** @returns false when `--check` has found that a target is missed, or that a round has failed */
export async function benchHa(words: readonly string[], machine: Machine): Promise<boolean> {
  const options = parse(words);
  prepare();
  const { measured, failures } = await runRounds(options);
  const figures = figuresOf(measured);
  const text = `Measured on ${machine.date}: ${describeMachine(machine)}.\n\n${renderFigures(figures, failures)}`;
  process.stdout.write(`${text}\n`);
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify({ machine, figures, failures }, null, 2)}\n`);
  }
  if (options.write) writeDocument(text);
  const missed = figures.filter((figure) => !isMet(figure)).map(({ group, what }) => `${group}: ${what}`);
  if (missed.length > 0) say(`targets missed: ${missed.join('; ')}`);
  if (failures.length > 0) say(`${failures.length} rounds failed`);
  if (missed.length + failures.length === 0) say('all targets met');
  return !options.check || missed.length + failures.length === 0;
}

async function runRounds({ rounds, faults: names }: HaOptions): Promise<{ measured: Measured[]; failures: string[] }> {
  const measured: Measured[] = [];
  const failures: string[] = [];
  // All of them in turn, so that a change of the machine's mood hits all of them.
  for (let round = 1; round <= rounds; round += 1) {
    for (const name of names) {
      const fault = faults[name];
      if (fault === undefined) throw new Error(haUsage);
      say(`round ${round}: ${name}`);
      try {
        const found = await runFault(fault);
        for (const { what, value, unit } of found) say(`  ${what}: ${value.toFixed(2)} ${unit}`);
        measured.push(...found);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        failures.push(`${fault.title}: ${reason}`);
        say(`  failed: ${reason}; see ${keepLogs(error)}`);
      }
    }
  }
  return { measured, failures };
}

function keepLogs(error: unknown): string {
  const file = join(mkdtempSync(join(tmpdir(), 'cxm-bench-ha-')), 'logs');
  writeFileSync(file, error instanceof Error ? String(error.cause ?? error.stack) : '');
  return file;
}

function parse(words: readonly string[]): HaOptions {
  const flags = { write: false, check: false };
  let rounds = 1;
  let json: string | undefined;
  const chosen: string[] = [];
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    if (word === '--write' || word === '--check') flags[word === '--write' ? 'write' : 'check'] = true;
    else if (word === '--rounds') rounds = Number(words[(at += 1)]);
    else if (word === '--json') json = words[(at += 1)];
    else if (Object.hasOwn(faults, word)) chosen.push(word);
    else throw new Error(haUsage);
  }
  if (!Number.isSafeInteger(rounds) || rounds < 1 || rounds > 100) throw new Error(haUsage);
  if (flags.write && chosen.length > 0) throw new Error('--write writes all faults: name none');
  return { ...flags, rounds, json, faults: chosen.length > 0 ? chosen : Object.keys(faults) };
}

function writeDocument(tables: string): void {
  const text = readFileSync(document, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${document} has lost its marks`);
  writeFileSync(document, `${text.slice(0, from)}${begin}\n\n${tables}\n\n${text.slice(to)}`);
}

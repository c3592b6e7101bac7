/**
 * The transfer's benchmark, `npm run bench -- transfer`: rival and ours side by side in one run, on this machine and in the
 * lab. As root on Debian:
 *
 *     npm run bench -- transfer                      all parts, three rounds, under ten minutes on two idle cores
 *     npm run bench -- transfer tar start --rounds 5 some parts
 *     npm run bench -- transfer --quick              small sizes, one round: does it all work?
 *     npm run bench -- transfer --full               sends all 8 GiB where otherwise a sample is sent
 *     npm run bench -- transfer --write              also writes the tables to docs/benchmarks.md
 *     npm run bench -- transfer --json FILE          also writes all samples
 *     npm run bench -- transfer --check              exit code 1 when a target is missed
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkout } from '../lab/layout.ts';
import { runInLab } from '../lab/up.ts';
import { parseOptions, sizesOf } from './options.ts';
import { prepare, tsx } from './prepare.ts';
import { isMet, type Row } from './results.ts';
import { say } from './say.ts';
import { measureStart } from './startup.ts';
import { renderDocument, renderTable, type Machine } from './table.ts';

/** @returns false when `--check` has found that a target is missed */
export async function benchTransfer(words: readonly string[], machine: Machine): Promise<boolean> {
  const options = parseOptions(words);
  prepare();
  const rows: Row[] = [];
  if (options.parts.includes('start')) rows.push(...measureStart(sizesOf(options).starts));
  if (options.parts.some((part) => part !== 'start')) rows.unshift(...(await runTransfer(words)));
  process.stdout.write(renderTable(rows, machine));
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify({ machine, rows }, null, 2)}\n`);
  if (options.write) writeFileSync(join(checkout, 'docs/benchmarks.md'), renderDocument(rows, machine, options));
  const missed = rows.filter((row) => !isMet(row));
  say(missed.length === 0 ? 'all targets met' : `targets missed: ${missed.map(({ id }) => id).join(', ')}`);
  return !options.check || missed.length === 0;
}

async function runTransfer(words: readonly string[]): Promise<Row[]> {
  const directory = join(checkout, 'node_modules/.cache');
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `cxm-bench-${process.pid}.json`);
  const program = fileURLToPath(new URL('transfer.ts', import.meta.url));
  try {
    const exitCode = await runInLab([process.execPath, ...tsx, program, file, ...words]);
    if (exitCode !== 0) throw new Error(`the lab's part ended with exit code ${exitCode}`);
    return JSON.parse(readFileSync(file, 'utf8')) as Row[];
  } finally {
    rmSync(file, { force: true });
  }
}

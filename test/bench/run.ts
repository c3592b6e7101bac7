/**
 * The benchmark command: rival and ours side by side in one run, on this machine and in the lab. As root on Debian:
 *
 *     npm run bench -- transfer                      all parts, three rounds, under ten minutes on two idle cores
 *     npm run bench -- transfer tar start --rounds 5 some parts
 *     npm run bench -- transfer --quick              small sizes, one round: does it all work?
 *     npm run bench -- transfer --full               sends all 8 GiB where otherwise a sample is sent
 *     npm run bench -- transfer --write              also writes the tables to docs/benchmarks.md
 *     npm run bench -- transfer --json FILE          also writes all samples
 *     npm run bench -- transfer --check              exit code 1 when a target is missed
 *
 * `npm run bench -- balance` is the load balancer's, see balance.ts; `npm run bench -- ha` that of the cluster, see ha.ts.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkout } from '../lab/layout.ts';
import { installPackages, missingPackages } from '../lab/packages.ts';
import { runInLab } from '../lab/up.ts';
import { benchBalance, balanceUsage } from './balance.ts';
import { benchHa, haUsage } from './ha.ts';
import { parseOptions, sizesOf, usage } from './options.ts';
import { isMet, type Row } from './results.ts';
import { say } from './say.ts';
import { measureStart } from './startup.ts';
import { renderDocument, renderTable, type Machine } from './table.ts';

const tsx = ['--import', import.meta.resolve('tsx')];

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

function prepare(): void {
  if (process.getuid?.() !== 0) throw new Error('the lab needs root: run the same command with sudo');
  const missing = missingPackages();
  if (missing === undefined) throw new Error('the lab needs Debian packages, and this machine has no dpkg');
  if (missing.length > 0) installPackages(missing);
  execFileSync(process.execPath, [...tsx, join(checkout, 'scripts/build.ts'), '--quiet'], { stdio: 'inherit' });
}

function machine(load: number): Machine {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release().replace(/^(\d+\.\d+).*/, '$1'),
    node: process.version,
    loadBefore: load,
    date: new Date().toISOString().slice(0, 10),
  };
}

async function main(words: readonly string[]): Promise<void> {
  if (words[0] === 'balance') {
    const { met, check } = benchBalance(words.slice(1), machine(loadavg()[0] ?? Number.NaN));
    if (check && !met) process.exitCode = 1;
    return;
  }
  if (words[0] === 'ha') {
    const load = loadavg()[0] ?? Number.NaN;
    prepare();
    const { met, check } = await benchHa(words.slice(1), machine(load));
    if (check && !met) process.exitCode = 1;
    return;
  }
  if (words[0] === 'ha-load')
    return (await import('./ha-load.ts')).benchLoad(words.slice(1), machine(loadavg()[0] ?? NaN));
  if (words[0] !== 'transfer') throw new Error([usage, balanceUsage, haUsage].join('\n'));
  const options = parseOptions(words);
  prepare();
  const here = machine(loadavg()[0] ?? Number.NaN);
  const rows: Row[] = [];
  if (options.parts.includes('start')) rows.push(...measureStart(sizesOf(options).starts));
  if (options.parts.some((part) => part !== 'start')) rows.unshift(...(await runTransfer(words)));
  process.stdout.write(renderTable(rows, here));
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify({ machine: here, rows }, null, 2)}\n`);
  if (options.write) writeFileSync(join(checkout, 'docs/benchmarks.md'), renderDocument(rows, here, options));
  const missed = rows.filter((row) => !isMet(row));
  say(missed.length === 0 ? 'all targets met' : `targets missed: ${missed.map(({ id }) => id).join(', ')}`);
  if (options.check && missed.length > 0) process.exitCode = 1;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}

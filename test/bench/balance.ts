/**
 * The balancer's benchmark, `npm run bench -- balance`: needs no lab, and root only to install hbal if it is missing.
 *
 *     npm run bench -- balance              all parts, about a quarter of an hour
 *     npm run bench -- balance --quick      few cases: does it all work?
 *     npm run bench -- balance --write      also writes the tables to docs/balancer.md
 *     npm run bench -- balance --check      exit code 1 when a target is missed
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { hbalVersion } from '../balance/hbal.ts';
import { checkout } from '../lab/layout.ts';
import { installPackages } from '../lab/packages.ts';
import {
  againstExhaustive,
  againstHbal,
  againstLayered,
  replay,
  sizeLine,
  type Line,
  type Part,
  type SizeRun,
} from './balance-parts.ts';
import { say } from './say.ts';
import { describeMachine, type Machine } from './table.ts';

const flags = ['--quick', '--write', '--check'] as const;
const hbalPackage = 'ganeti-htools-3.0';
const document = join(checkout, 'docs/balancer.md');
const begin = '<!-- written by `npm run bench -- balance --write` -->';
const end = '<!-- end of what is written -->';

export const balanceUsage = `npm run bench -- balance [${flags.join('] [')}]`;

/** @returns false when `--check` has found that a target is missed */
export function benchBalance(words: readonly string[], machine: Machine): boolean {
  const known: readonly string[] = flags;
  if (!words.every((word) => known.includes(word))) throw new Error(balanceUsage);
  const [quick, write, check] = flags.map((flag) => words.includes(flag)) as [boolean, boolean, boolean];
  if (quick && write)
    throw new Error('--quick is for trying the benchmark: its figures say nothing, so not with --write');
  const parts = [
    againstExhaustive(quick ? 1 : 8),
    againstLayered(quick ? 1 : 3, quick ? 5 : 30),
    againstHbal(requireHbal(), quick),
    sizes(quick),
    replay(quick ? 1 : 5),
  ];
  process.stdout.write(`${render(parts, machine)}\n`);
  if (write) writeDocument(render(parts, machine));
  const missed = parts.flatMap(({ lines }) => lines.filter(({ met }) => met === false));
  say(missed.length === 0 ? 'all targets met' : `targets missed: ${missed.map(({ what }) => what).join(', ')}`);
  return !check || missed.length === 0;
}

function requireHbal(): string {
  if (hbalVersion() === undefined && process.getuid?.() === 0) installPackages([hbalPackage]);
  const version = hbalVersion();
  if (version === undefined) throw new Error(`the rival hbal is missing: install the Debian package ${hbalPackage}`);
  return version;
}

/** Bundled as the product is, since the loader of TypeScript would be measured, too. */
function sizes(quick: boolean): Part {
  const directory = mkdtempSync(join(tmpdir(), 'cxm-bench-'));
  try {
    const program = join(directory, 'size.cjs');
    const entry = join(checkout, 'test/bench/balance-size.ts');
    buildSync({ entryPoints: [entry], bundle: true, platform: 'node', format: 'cjs', outfile: program });
    const measure = ([nodes, vms]: readonly [number, number]): SizeRun[] =>
      ['random', 'skewed', 'new-node'].map((placing) => {
        say(`${nodes} nodes × ${vms} VMs, ${placing}`);
        const words = [program, String(nodes), String(vms), placing];
        return JSON.parse(execFileSync(process.execPath, words, { encoding: 'utf8' })) as SizeRun;
      });
    const goals = [[[64, 2000], 1] as const, ...(quick ? [] : [[[256, 10_000], 15] as const])];
    return {
      title: 'Large clusters',
      lines: goals.map(([size, target]) => sizeLine(size, target, measure(size))),
      note: 'the slowest of three clusters, and the largest process, Node itself included (45 MiB)',
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function render(parts: readonly Part[], machine: Machine): string {
  const cells = ({ what, rival, ours, ratio, target, met }: Line): string =>
    `| ${[what, rival, ours, ratio, target, met === undefined ? '' : met ? 'yes' : 'NO'].join(' | ')} |`;
  const tables = parts.flatMap(({ title, lines, note }) => [
    `### ${title}`,
    '',
    '| what | rival | cxm | ratio | target | met |',
    '| --- | --- | --- | --- | --- | --- |',
    ...lines.map(cells),
    '',
    ...(note === undefined ? [] : [`${note.charAt(0).toUpperCase()}${note.slice(1)}.`, '']),
  ]);
  return [`Measured on ${machine.date}: ${describeMachine(machine)}.`, '', ...tables].join('\n').trimEnd();
}

function writeDocument(tables: string): void {
  const text = readFileSync(document, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${document} has lost its marks`);
  writeFileSync(document, `${text.slice(0, from)}${begin}\n\n${tables}\n\n${text.slice(to)}`);
}

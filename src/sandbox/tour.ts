/**
 * `npm start`: makes a sandbox, leads through it and removes it. The same program is onevm, oneimage and onehost within
 * the sandbox, and removes one that was kept.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { Command } from 'commander';
import { makeImages } from './images.ts';
import { keepText, writeKeepScripts } from './keep.ts';
import { layoutOf, sandboxVariable, type Layout } from './layout.ts';
import { systemPath } from './one/calls.ts';
import { runOne } from './one/command-line.ts';
import { findAbilities, missingPackages, prepareSandbox } from './prepare.ts';
import { removeSandbox, removeSandboxNow } from './remove.ts';
import { runTour } from './tour/guide.ts';
import { Printer } from './tour/printer.ts';
import { createTerminal, type Terminal } from './tour/terminal.ts';

interface Options {
  readonly keep?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly directory?: string;
}

/** What a person has to be told without a stack. */
class Refusal extends Error {}

/** Steps after which a kept sandbox is handed over: both VMs run. */
const keptSteps = 2;

async function main(argv: readonly string[]): Promise<number> {
  const [program = '', ...args] = argv;
  const sandbox = process.env[sandboxVariable];
  if (['onevm', 'oneimage', 'onehost'].includes(program) && sandbox !== undefined) {
    process.stdout.write(await runOne(layoutOf(sandbox), program, args));
    return 0;
  }
  if (program === 'remove' && args[0] !== undefined) {
    await removeKept(args[0]);
    return 0;
  }
  const command = new Command('npm start --')
    .description('A tour of the cxm drivers: three simulated hosts, real driver actions, no root and no Xen needed.')
    .option('--keep', 'start two VMs, then leave the sandbox there to play with')
    .option('--directory <path>', 'where to make the sandbox; a new or empty directory')
    .option('--quiet', 'only the steps and the closing table')
    .option('--verbose', 'what the drivers log, too')
    .parse([...argv], { from: 'user' });
  return lead(command.opts<Options>());
}

async function lead(options: Options): Promise<number> {
  // For an ordinary user, mke2fs and debugfs are not in the path.
  process.env['PATH'] = systemPath();
  const missing = missingPackages(systemPath().split(delimiter));
  if (missing.length > 0)
    throw new Refusal(`the tour needs programs of the packages ${missing.join(', ')}: install them`);
  const terminal = createTerminal(process.stdout, process.env);
  const layout = layoutOf(makeDirectory(options.directory));
  removeAtSignals(layout.directory, terminal);
  let keeping = false;
  try {
    const went = await show(layout, options, terminal);
    keeping = went && options.keep === true;
    return went ? 0 : 1;
  } finally {
    if (!keeping) await removeSandbox(layout.directory);
  }
}

/** Whoever interrupts the tour, or stops reading it, gets a machine without traces of it. */
function removeAtSignals(directory: string, terminal: Terminal): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      terminal.write(`\n${signal}: removing the sandbox\n`);
      removeSandboxNow(directory);
      process.exit(128 + constants.signals[signal]);
    });
  }
  process.stdout.on('error', () => {
    removeSandboxNow(directory);
    process.exit(1);
  });
}

async function show(layout: Layout, options: Options, terminal: Terminal): Promise<boolean> {
  const printer = new Printer(terminal, layout, options);
  mkdirSync(layout.temporary, { recursive: true });
  const abilities = findAbilities(layout.temporary);
  prepareSandbox(layout, builtDirectory(), abilities);
  printer.head(abilities);
  const images = makeImages(layout, abilities);
  const tour = { layout, abilities, images, printer };
  const went = await runTour(options.keep ? { ...tour, stepCount: keptSteps } : tour);
  if (!went) return false;
  printer.line('');
  if (options.keep) {
    writeKeepScripts(layout, abilities.mounts);
    for (const line of keepText(layout)) printer.line(line);
  } else {
    printer.text('npm start -- --keep leaves such a sandbox there, with two running VMs to play with.');
  }
  return true;
}

/** cxmrc takes only paths like this one. */
const cleanPath = /^\/[A-Za-z0-9_.+@/-]{1,120}$/;

function makeDirectory(wanted: string | undefined): string {
  const parent = realpathSync(tmpdir());
  const directory = wanted === undefined ? mkdtempSync(join(parent, 'cxm-sandbox-')) : resolve(wanted);
  if (!cleanPath.test(directory)) {
    throw new Refusal(`${directory} can't be a sandbox: its path may hold letters, digits and _ . + @ - only`);
  }
  mkdirSync(directory, { recursive: true });
  if (readdirSync(directory).length > 0) throw new Refusal(`${directory} is not empty: name a new directory`);
  return realpathSync(directory);
}

/** dist: this program is its sandbox/tour.cjs. */
function builtDirectory(): string {
  return dirname(dirname(realpathSync(process.argv[1] ?? '')));
}

async function removeKept(directory: string): Promise<void> {
  if (!existsSync(join(directory, 'oned/records.json'))) throw new Refusal(`${directory} is no sandbox`);
  await removeSandbox(realpathSync(directory));
}

main(process.argv.slice(2)).then(
  (exitCode) => {
    process.exitCode = exitCode;
  },
  (error: unknown) => {
    const plain = error instanceof Refusal || process.env[sandboxVariable] !== undefined;
    const text = error instanceof Error ? (plain ? error.message : (error.stack ?? error.message)) : String(error);
    process.stderr.write(`${text}\n`);
    process.exitCode = 1;
  },
);

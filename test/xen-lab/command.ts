/**
 * The command of the Xen lab: real Xen, two or three dom0s on one shared disk, on any machine. See docs/xen-lab.md.
 *
 *     npm run lab -- test [SUITE...]     each suite on a cluster of its own, thawed in seconds
 *     npm run lab -- up                  a cluster that stays
 *     npm run lab -- shell node1         in it; or frontend
 *     npm run lab -- down
 */
import { Command, Option } from 'commander';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  checkout,
  labKindVariable,
  nodeCountVariable,
  nodeNames,
  oneadmin,
  sshConfig,
  type NodeName,
} from '../lab/layout.ts';
import { installPackages, missingPackages, xenLabPackages } from '../lab/packages.ts';
import { sum, summarize } from '../vitest.ts';
import { ensureImages } from './images.ts';
import { hotplugVariable } from './layout.ts';
import { runSuites } from './run-suites.ts';

const pidFile = '/run/cxm-xen-lab.pid';
const logFile = '/run/cxm-xen-lab.log';
const tsx = ['--import', import.meta.resolve('tsx')];

interface ClusterOptions {
  readonly nodes: string;
  readonly stockHotplug?: boolean;
}

function say(line: string): void {
  process.stdout.write(`lab: ${line}\n`);
}

/** Everything that a cluster needs is there afterwards. @throws Error naming what is missing */
function prepare({ nodes, stockHotplug }: ClusterOptions): void {
  if (process.getuid?.() !== 0) throw new Error('namespaces and network devices need root: run it with sudo');
  if (process.arch !== 'x64') throw new Error(`the nodes are PCs, and this machine is ${process.arch}`);
  const missing = missingPackages(xenLabPackages);
  if (missing === undefined) throw new Error('the nodes are made of Debian packages, and this machine has no dpkg');
  if (missing.length > 0) {
    say(`installing Debian packages: ${missing.join(' ')}`);
    installPackages(missing);
  }
  execFileSync(process.execPath, [...tsx, join(checkout, 'scripts/build.ts'), '--quiet'], { stdio: 'inherit' });
  process.env[labKindVariable] = 'xen';
  process.env[nodeCountVariable] = nodes;
  if (stockHotplug === true) process.env[hotplugVariable] = 'stock';
  ensureImages(say);
}

async function test(suites: readonly string[], options: ClusterOptions): Promise<void> {
  const start = performance.now();
  prepare(options);
  const outcomes = await runSuites(suites, Number(options.nodes), say);
  for (const { suite, passed, failures, seconds } of outcomes) {
    say(`${suite.padEnd(12)} ${passed} passed, ${failures.length} failed, ${seconds.toFixed(0)} s`);
  }
  const counts = sum(outcomes);
  say(`${((performance.now() - start) / 60_000).toFixed(1)} minutes in all`);
  for (const line of summarize(counts)) say(line);
  if (counts.failures.length > 0 || counts.passed === 0) process.exitCode = 1;
}

/** The first process of the namespaces of the cluster that stays; undefined if there is none. */
function firstProcess(): number | undefined {
  if (!fs.existsSync(pidFile)) return undefined;
  let pid = Number(fs.readFileSync(pidFile, 'utf8'));
  for (let generation = 0; generation < 2; generation += 1) {
    const children = `/proc/${pid}/task/${pid}/children`;
    if (!fs.existsSync(children)) return undefined;
    pid = Number(fs.readFileSync(children, 'utf8').trim().split(' ')[0]);
    if (!(pid > 0)) return undefined;
  }
  return pid;
}

async function up(options: ClusterOptions): Promise<void> {
  if (firstProcess() !== undefined) throw new Error('a cluster is up: `npm run lab -- down` ends it');
  prepare(options);
  const log = fs.openSync(logFile, 'w');
  const holder = [...tsx, join(checkout, 'test/lab/up.ts'), '--', 'sleep', 'infinity'];
  const child = spawn(process.execPath, holder, { detached: true, stdio: ['ignore', log, log], cwd: '/' });
  child.unref();
  fs.writeFileSync(pidFile, String(child.pid));
  while (!/^lab: .* up after/m.test(fs.readFileSync(logFile, 'utf8'))) {
    if (child.exitCode !== null) throw new Error(`it did not come up:\n${fs.readFileSync(logFile, 'utf8')}`);
    await sleep(100);
  }
  say(`${options.nodes} nodes are up. npm run lab -- shell node1, or frontend; npm run lab -- down ends them`);
  process.exit(0);
}

function shell(machine: string, command: readonly string[]): void {
  const first = firstProcess();
  if (first === undefined) throw new Error('no cluster is up: `npm run lab -- up` starts one');
  const isNode = (name: string): name is NodeName => nodeNames.some((node) => node === name);
  if (!isNode(machine) && machine !== 'frontend') {
    throw new Error(`there is no machine ${machine}, but frontend, ${nodeNames.join(', ')}`);
  }
  const terminal = process.stdin.isTTY ? ['-t'] : [];
  const words = isNode(machine)
    ? ['ssh', '-F', sshConfig, ...terminal, machine, ...command]
    : ['su', '-l', oneadmin.name, ...(command.length > 0 ? ['-c', command.join(' ')] : [])];
  const enter = ['--target', String(first), '--mount', '--net', '--uts', '--pid', '--root', '--wd=/'];
  const { status } = spawnSync('nsenter', [...enter, ...words], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
}

function down(): void {
  if (firstProcess() === undefined) say('no cluster is up');
  else process.kill(Number(fs.readFileSync(pidFile, 'utf8')), 'SIGTERM');
  fs.rmSync(pidFile, { force: true });
}

const program = new Command('npm run lab --')
  .description('Real Xen 4.17 on this machine: dom0s in QEMU with a shared volume group, and a frontend.')
  .enablePositionalOptions();
const nodes = (): Option => new Option('--nodes <number>', 'how many dom0s').choices(['2', '3']).default('2');
const stock = ['--stock-hotplug', "Xen's own hotplug scripts: slower, and they refuse a disk that is in use"] as const;
program
  .command('test')
  .description('run suites, all when none is named, each on a cluster of its own')
  .argument('[suite...]')
  .addOption(nodes())
  .option(...stock)
  .action(test);
program
  .command('up')
  .description('start a cluster that stays')
  .addOption(nodes())
  .option(...stock)
  .action(up);
program
  .command('shell')
  .description('a shell, or one command, on a node as root or on the frontend as oneadmin')
  .argument('<machine>', 'node1, node2, node3 or frontend')
  .argument('[command...]')
  .passThroughOptions()
  .action(shell);
program.command('down').description('end the cluster that `up` started').action(down);
try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`lab: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

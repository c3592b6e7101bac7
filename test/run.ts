/**
 * The test command:
 *
 *     npm test                       house, unit and lab
 *     npm test -- long               cxm as people call it; several real cxmd; both, and the life of a VM, in the lab
 *     npm test -- lab clone          parts (house, unit, lab, long) and vitest's own filters, in any order
 *
 * As root on Debian it installs the packages the tests need; a lab that does not come up is a failure then. An ordinary user
 * gets all but the lab, and is told what was not run and why. The last lines name what failed, and say `N passed, M failed` over all parts.
 */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { checkout } from './lab/layout.ts';
import { installPackages, missingPackages } from './lab/packages.ts';
import { runLabSuites } from './lab/suites.ts';
import { oneFailure, runVitest, sum, summarize, type Counts, type Runner } from './vitest.ts';

const parts = ['house', 'unit', 'lab', 'long'] as const;
type Part = (typeof parts)[number];
const usual: readonly Part[] = ['house', 'unit', 'lab'];

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function isPart(word: string): word is Part {
  return parts.some((part) => part === word);
}

const runHere: Runner = ([program = '', ...args]) => {
  const child = spawn(program, args, { stdio: 'inherit', cwd: checkout });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
};

/** As root, makes sure that everything is installed. Returns why the lab can't run, if it can't. */
function prepareMachine(isRoot: boolean): string | undefined {
  const missing = missingPackages();
  if (missing === undefined) return 'its nodes need Debian packages, and this machine has no dpkg';
  if (isRoot) {
    if (missing.length > 0) {
      say(`test: installing Debian packages: ${missing.join(' ')}`);
      installPackages(missing);
    }
    return undefined;
  }
  if (missing.length > 0) say(`test: tests need Debian packages that are missing here: ${missing.join(' ')}`);
  return 'its nodes need root: run the same command with sudo';
}

async function build(): Promise<boolean> {
  const script = join(checkout, 'scripts/build.ts');
  if (!fs.existsSync(script)) {
    say('test: nothing was built, because scripts/build.ts is missing');
    return true;
  }
  return (await runHere([process.execPath, '--import', import.meta.resolve('tsx'), script, '--quiet'])) === 0;
}

async function runParts(selected: readonly Part[], filters: readonly string[]): Promise<Counts> {
  const isRoot = process.getuid?.() === 0;
  const missing = prepareMachine(isRoot);
  const results: Counts[] = [];
  const isBuilt = await build();
  if (!isBuilt) results.push(oneFailure('the build'));
  const obstacle = isBuilt ? missing : 'the build failed';
  const here = selected.filter((part) => part === 'house' || part === 'unit');
  if (here.length > 0) results.push(await runVitest(runHere, here, filters));
  if (selected.includes('long')) {
    results.push(await runVitest(runHere, ['commands'], filters));
    // Beside other tests they would be kept from their work, and taken for dead; three at a time mostly wait.
    results.push(await runVitest(runHere, ['daemons'], ['--maxWorkers=3', ...filters]));
  }
  for (const part of ['lab', 'long'] as const) {
    if (!selected.includes(part)) continue;
    if (obstacle === undefined) results.push(...(await runLabSuites(part, filters)));
    else {
      say(`test: THE LAB WAS NOT RUN (real LVM on two nodes, test/lab): ${obstacle}`);
      if (isRoot && isBuilt) results.push(oneFailure(`the lab was not run: ${obstacle}`));
    }
  }
  return sum(results);
}

const words = process.argv.slice(2);
const chosen = words.filter(isPart);
const filters = words.filter((word) => !isPart(word));
let counts: Counts;
try {
  counts = await runParts(chosen.length > 0 ? chosen : usual, filters);
} catch (error) {
  counts = oneFailure(error instanceof Error ? error.message : String(error));
}
if (counts.passed + counts.failures.length === 0) say('test: no test matched');
for (const line of summarize(counts)) say(line);
process.exitCode = counts.failures.length > 0 || counts.passed === 0 ? 1 : 0;

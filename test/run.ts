/**
 * The test command:
 *
 *     npm test                       everything
 *     npm test -- lab clone          parts (house, unit, lab) and vitest's own filters, in any order
 *
 * As root on Debian it installs the packages the tests need and runs everything; a lab that does not come up is a
 * failure then. An ordinary user gets house and unit tests, and is told what was not run and why. The last line says
 * `N passed, M failed` over all parts.
 */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { checkout } from './lab/layout.ts';
import { installPackages, missingPackages } from './lab/packages.ts';
import { runInLab } from './lab/up.ts';

const parts = ['house', 'unit', 'lab'] as const;
type Part = (typeof parts)[number];

interface Counts {
  readonly passed: number;
  readonly failed: number;
}

/** What this program reads of vitest's JSON report. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
}

type Runner = (command: readonly string[]) => Promise<number>;

const oneFailure: Counts = { passed: 0, failed: 1 };

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

/** Runs vitest on some projects; a run that fails without naming a failed test counts as one. */
async function runVitest(run: Runner, projects: readonly Part[], filters: readonly string[]): Promise<Counts> {
  const directory = join(checkout, 'node_modules/.cache');
  fs.mkdirSync(directory, { recursive: true });
  const file = join(directory, `cxm-test-${process.pid}-${projects.join('-')}.json`);
  const report = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const selected = projects.flatMap((project) => ['--project', project]);
  const vitest = [process.execPath, join(checkout, 'node_modules/vitest/vitest.mjs'), 'run'];
  try {
    const exitCode = await run([...vitest, '--passWithNoTests', ...report, ...selected, ...filters]);
    const counts = fs.existsSync(file) ? count(JSON.parse(fs.readFileSync(file, 'utf8')) as Report) : oneFailure;
    return exitCode !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
  } finally {
    fs.rmSync(file, { force: true });
  }
}

/** A file that could not even be loaded has no tests to count, and is a failure. */
function count(report: Report): Counts {
  const broken = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  return { passed: report.numPassedTests, failed: report.numFailedTests + broken.length };
}

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
  if (!isBuilt) results.push(oneFailure);
  const obstacle = isBuilt ? missing : 'the build failed';
  const here = selected.filter((part) => part !== 'lab');
  if (here.length > 0) results.push(await runVitest(runHere, here, filters));
  if (selected.includes('lab')) {
    if (obstacle === undefined) results.push(await runVitest(runInLab, ['lab'], filters));
    else {
      say(`test: THE LAB WAS NOT RUN (real LVM on two nodes, test/lab): ${obstacle}`);
      if (isRoot && isBuilt) results.push(oneFailure);
    }
  }
  const sum = (of: keyof Counts): number => results.reduce((total, result) => total + result[of], 0);
  return { passed: sum('passed'), failed: sum('failed') };
}

const words = process.argv.slice(2);
const chosen = words.filter(isPart);
const filters = words.filter((word) => !isPart(word));
let counts: Counts;
try {
  counts = await runParts(chosen.length > 0 ? chosen : parts, filters);
} catch (error) {
  say(`test: ${error instanceof Error ? error.message : String(error)}`);
  counts = oneFailure;
}
if (counts.passed + counts.failed === 0) say('test: no test matched');
say(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;

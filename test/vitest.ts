/** Running vitest for the test command, and counting what it found. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join, relative } from 'node:path';
import { checkout } from './lab/layout.ts';

export interface Counts {
  readonly passed: number;
  /** A text for each failure: the test, and the first line of what it said. */
  readonly failures: readonly string[];
}

/** What could not be run at all counts as one failure. */
export function oneFailure(why: string): Counts {
  return { passed: 0, failures: [why] };
}

/** Runs a command to its end; resolves to its exit code. */
export type Runner = (command: readonly string[]) => Promise<number>;

/** What this program reads of vitest's JSON report. */
interface Report {
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

const program = [process.execPath, join(checkout, 'node_modules/vitest/vitest.mjs')] as const;
let runs = 0;

/**
 * Runs vitest on some projects; a run that fails without naming a failed test counts as one.
 * @param reporter `verbose` tells of each test as it ends, `default` of each file
 */
export async function runVitest(
  run: Runner,
  projects: readonly string[],
  filters: readonly string[],
  reporter: 'default' | 'verbose' = 'default',
): Promise<Counts> {
  const directory = join(checkout, 'node_modules/.cache');
  fs.mkdirSync(directory, { recursive: true });
  const file = join(directory, `cxm-test-${process.pid}-${(runs += 1)}.json`);
  const report = [`--reporter=${reporter}`, '--reporter=json', `--outputFile.json=${file}`];
  const selected = projects.flatMap((project) => ['--project', project]);
  try {
    const exitCode = await run([...program, 'run', '--passWithNoTests', ...report, ...selected, ...filters]);
    const counts = fs.existsSync(file)
      ? count(JSON.parse(fs.readFileSync(file, 'utf8')) as Report)
      : { passed: 0, failures: [] };
    if (exitCode === 0 || counts.failures.length > 0) return counts;
    const where = [...projects, ...filters].join(' ');
    return { ...counts, failures: [`${where}: the run ended with exit code ${exitCode}, and no test failed in it`] };
  } finally {
    fs.rmSync(file, { force: true });
  }
}

/** The files of a project that the filters select, as absolute paths. */
export function listFiles(project: string, filters: readonly string[]): readonly string[] {
  const [node, ...vitest] = [...program, 'list', '--filesOnly', '--json', '--project', project, ...filters];
  const listed = execFileSync(node, vitest, { cwd: checkout, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  return (JSON.parse(listed) as readonly { readonly file: string }[]).map(({ file }) => file);
}

/** A file that could not even be loaded has no tests to count, and is a failure. */
function count(report: Report): Counts {
  const failures = report.testResults.flatMap((file) => {
    const name = relative(checkout, file.name);
    if (file.status === 'failed' && file.assertionResults.length === 0) return [describe(name, file.message)];
    return file.assertionResults
      .filter(({ status }) => status === 'failed')
      .map(({ fullName, failureMessages }) => describe(`${name} > ${fullName}`, failureMessages[0]));
  });
  return { passed: report.numPassedTests, failures };
}

function describe(test: string, message = ''): string {
  const [firstLine = ''] = message.trim().split('\n', 1);
  return firstLine === '' ? test : `${test}\n    ${firstLine}`;
}

export function sum(counts: readonly Counts[]): Counts {
  return {
    passed: counts.reduce((total, { passed }) => total + passed, 0),
    failures: counts.flatMap(({ failures }) => failures),
  };
}

/** The end of a test command's output: every failure by name, since what said it may be far up by now. */
export function summarize({ passed, failures }: Counts): readonly string[] {
  return [...failures.map((failure) => `failed: ${failure}`), `${passed} passed, ${failures.length} failed`];
}

/** Running vitest for the test command, and counting what it found. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { checkout } from './lab/layout.ts';

export interface Counts {
  readonly passed: number;
  readonly failed: number;
}

export const oneFailure: Counts = { passed: 0, failed: 1 };

/** Runs a command to its end; resolves to its exit code. */
export type Runner = (command: readonly string[]) => Promise<number>;

/** What this program reads of vitest's JSON report. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
}

const program = [process.execPath, join(checkout, 'node_modules/vitest/vitest.mjs')] as const;
let runs = 0;

/** Runs vitest on some projects; a run that fails without naming a failed test counts as one. */
export async function runVitest(run: Runner, projects: readonly string[], filters: readonly string[]): Promise<Counts> {
  const directory = join(checkout, 'node_modules/.cache');
  fs.mkdirSync(directory, { recursive: true });
  const file = join(directory, `cxm-test-${process.pid}-${(runs += 1)}.json`);
  const report = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const selected = projects.flatMap((project) => ['--project', project]);
  try {
    const exitCode = await run([...program, 'run', '--passWithNoTests', ...report, ...selected, ...filters]);
    const counts = fs.existsSync(file) ? count(JSON.parse(fs.readFileSync(file, 'utf8')) as Report) : oneFailure;
    return exitCode !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
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
  const broken = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  return { passed: report.numPassedTests, failed: report.numFailedTests + broken.length };
}

export function sum(counts: readonly Counts[]): Counts {
  const of = (key: keyof Counts): number => counts.reduce((total, each) => total + each[key], 0);
  return { passed: of('passed'), failed: of('failed') };
}

/**
 * The lab's test files, each in a lab of its own: none sees what another one has left. A lab uses little more than half
 * a core, so that there are more of them side by side than cores where the machine has room, the longest first; what a
 * file's run says is shown when it ends.
 */
import { availableParallelism, freemem } from 'node:os';
import { basename, relative } from 'node:path';
import { listFiles, runVitest, type Counts } from '../vitest.ts';
import { checkout } from './layout.ts';
import { runInLab } from './up.ts';

/** What a lab's kernels and disks may take. */
const labBytes = 6 * 1024 ** 3;

/** What is not here comes after them. */
const longestFirst: readonly string[] = [
  'faults',
  'move',
  'vmm',
  'cxm',
  'subcommands',
  'persistent',
  'drivers',
  'changes',
];

/** cxmd on the lab's nodes takes itself for overloaded beside other labs. */
const daemonFile = 'test/lab/daemon.test.ts';
const clusterDirectory = 'test/lab/cluster/';
/** The drivers' life of a VM, under the simulated xl. */
const machinesFile = 'test/lab/vmm.test.ts';

/** Not among the usual tests: the cluster, and what the sandbox and real Xen show, too. */
function isLong(file: string): boolean {
  return file === daemonFile || file === machinesFile || file.startsWith(clusterDirectory);
}

/**
 * @param part of the test command: what is long is left out of the lab's own, unless it is named
 * @param filters vitest's: words choose files; with an option among them, all run in one lab
 */
export async function runLabSuites(part: 'lab' | 'long', filters: readonly string[]): Promise<readonly Counts[]> {
  const files = listFiles('lab', filters)
    .map((file) => relative(checkout, file))
    .filter((file) => (part === 'long' ? isLong(file) : filters.length > 0 || !isLong(file)));
  if (files.length === 0) return [];
  if (filters.some((word) => word.startsWith('-'))) return [await runVitest(runInLab, ['lab'], [...files, ...filters])];
  const alone = files.filter((file) => file === daemonFile || files.length === 1);
  const results: Counts[] = [];
  for (const file of alone) results.push(await runVitest(runInLab, ['lab'], [file]));
  return [...results, ...(await runSideBySide(files.filter((file) => !alone.includes(file))))];
}

async function runSideBySide(files: readonly string[]): Promise<readonly Counts[]> {
  const waiting = [...files].sort((a, b) => rank(a) - rank(b));
  const results: Counts[] = [];
  const work = async (firstCore: number): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      results.push(await runSuite(next, firstCore));
    }
  };
  const labs = Math.min(Math.ceil(availableParallelism() * 1.5), Math.max(1, Math.floor(freemem() / labBytes)));
  await Promise.all(Array.from({ length: labs }, (_, firstCore) => work(firstCore)));
  return results;
}

function rank(file: string): number {
  const place = longestFirst.indexOf(basename(file, '.test.ts'));
  return place < 0 ? longestFirst.length : place;
}

async function runSuite(file: string, firstCore: number): Promise<Counts> {
  const said: Buffer[] = [];
  process.stdout.write(`lab: ${file} started\n`);
  const run = (command: readonly string[]): Promise<number> =>
    runInLab(command, { firstCore, onOutput: (chunk) => said.push(chunk) });
  try {
    return await runVitest(run, ['lab'], [file]);
  } finally {
    process.stdout.write(Buffer.concat(said));
  }
}

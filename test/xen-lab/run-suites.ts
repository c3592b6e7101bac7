/**
 * The suites, each on a cluster of its own: none sees what another one has left. A cluster keeps little more than one
 * core busy, so two of them run side by side where the machine has room, the longest suites first; what a suite says is
 * shown when it ends then, but for a line a test.
 */
import { existsSync } from 'node:fs';
import { availableParallelism, freemem } from 'node:os';
import { basename } from 'node:path';
import { runInLab } from '../lab/up.ts';
import { listFiles, runVitest, type Counts, type Runner } from '../vitest.ts';
import { currentImages, frozenCluster } from './layout.ts';

export interface Outcome extends Counts {
  readonly suite: string;
  readonly seconds: number;
}

/** What is under way ends by itself then (test/lab/up.ts); nothing is begun after it. */
const stopping = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What the memory and disks of a node may take. */
const nodeBytes = 2 * 1024 ** 3;

/** The longest ones; what is not here comes after them. Daemons keep their nodes busy, and `core` wants to be answered. */
const longestFirst: readonly string[] = ['core', 'drivers', 'failures', 'one-3.8', 'daemon', 'xl', 'xl-migration'];

/** On half a core daemons pause for seconds, and these end at their time-outs: nothing runs beside them. */
const alone: readonly string[] = ['daemon-faults', 'daemon-rounds'];

/** What others show, too, and what takes too long. */
const onlyNamed: readonly string[] = ['short', ...alone];

/**
 * @param selected when none is named, all but those that others contain
 * @param nodes of each cluster
 * @throws Error naming one that does not exist
 */
export async function runSuites(
  selected: readonly string[],
  nodes: number,
  say: (line: string) => void,
): Promise<readonly Outcome[]> {
  const suites = listFiles('xen', []).map((file) => ({ file, name: basename(file, '.test.ts') }));
  const unknown = selected.find((name) => !suites.some((suite) => suite.name === name));
  if (unknown !== undefined) {
    throw new Error(`there is no suite ${unknown}, but ${suites.map(({ name }) => name).join(', ')}`);
  }
  const wanted = suites.filter(({ name }) =>
    selected.length === 0 ? !onlyNamed.includes(name) : selected.includes(name),
  );
  const last = wanted.filter(({ name }) => alone.includes(name));
  const waiting = wanted.filter((suite) => !last.includes(suite)).sort((a, b) => rank(a.name) - rank(b.name));
  const room = Math.floor(freemem() / (nodeBytes * nodes));
  const clusters = Math.min(2, waiting.length, availableParallelism(), Math.max(1, room));
  // Two at once would both want to make it.
  if (clusters > 1 && !existsSync(frozenCluster(currentImages(), nodes).directory)) {
    if ((await runInLab(['true'])) !== 0) throw new Error('the nodes do not come up');
  }
  const outcomes: Outcome[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      outcomes.push(await runSuite(next.name, next.file, clusters > 1 ? say : undefined));
    }
  };
  const stop = (): void => void (waiting.length = last.length = 0);
  for (const signal of stopping) process.on(signal, stop);
  try {
    await Promise.all(Array.from({ length: clusters }, work));
    for (let next = last.shift(); next !== undefined; next = last.shift()) {
      outcomes.push(await runSuite(next.name, next.file));
    }
  } finally {
    for (const signal of stopping) process.off(signal, stop);
  }
  return outcomes;
}

function rank(suite: string): number {
  const place = longestFirst.indexOf(suite);
  return place < 0 ? longestFirst.length : place;
}

/** @param say of a suite that has others beside it */
async function runSuite(suite: string, file: string, say?: (line: string) => void): Promise<Outcome> {
  const start = performance.now();
  const said: Buffer[] = [];
  const tell = endedTests((line) => say?.(`${suite}: ${line}`));
  const onOutput = (chunk: Buffer): void => {
    said.push(chunk);
    tell(chunk.toString());
  };
  const besideOthers: Runner = (command) => runInLab(command, { firstCore: 0, onOutput });
  say?.(`${suite} started`);
  try {
    const counts = await runVitest(say === undefined ? runInLab : besideOthers, ['xen'], [file], 'verbose');
    return { suite, ...counts, seconds: (performance.now() - start) / 1000 };
  } finally {
    process.stdout.write(Buffer.concat(said));
  }
}

/** Of what vitest says, in pieces: its sign for the end of a test, and the name without that of the file. */
function endedTests(tell: (line: string) => void): (text: string) => void {
  let rest = '';
  return (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const [, sign, name] = /^ *([✓×]) .*?\.test\.ts > (.*)/.exec(line) ?? [];
      if (sign !== undefined && name !== undefined) tell(`${sign} ${name}`);
    }
  };
}

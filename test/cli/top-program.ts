/** Top on the real terminal of this process, over a node that never answers; with `throws` it dies of an error. */
import { ClusterWatch } from '../../src/cluster/metrics-watch.ts';
import { processParts } from '../../src/cli/process.ts';
import { styleOf } from '../../src/cli/style.ts';
import { runScreen } from '../../src/cli/top.ts';
import { realClock } from '../../src/host/clock.ts';

const { liveTerminal, onInterrupt, terminal } = processParts();
const live = liveTerminal?.();
if (live === undefined) throw new Error('there is no terminal');
const gone = new AbortController();
onInterrupt(() => gone.abort());
const programs = { run: () => new Promise<never>(() => undefined) };
const asked = { usage: true, physicalVolumes: false };
const world = {
  watch: new ClusterWatch([{ name: 'node1', programs }], asked, realClock),
  nodes: ['node1'],
  clock: realClock,
  today: () => new Date(),
  signal: gone.signal,
  style: styleOf(terminal.stdout, terminal.env),
};
if (process.argv[2] === 'throws') {
  setTimeout(() => {
    throw new Error('a mistake');
  }, 500);
}
await runScreen(world, { intervalSeconds: 3, sort: 'cpu', node: undefined }, live);
process.exit(0);

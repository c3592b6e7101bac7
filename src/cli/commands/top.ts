/** `cxm top`: how busy nodes and VMs are, again and again; on a terminal as a screen, elsewhere as tables. */
import { ClusterWatch } from '../../cluster/metrics-watch.ts';
import { nodeNamed } from '../../cluster/cluster.ts';
import type { CommandBody } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { styleOf } from '../style.ts';
import { runBatch, runScreen, type TopWorld } from '../top.ts';

const usualIntervalSeconds = 3;

export const top: CommandBody = async (context) => {
  const { environment, options } = context;
  const cluster = await context.open();
  const { stdout, env } = environment.terminal;
  const { forceNode, json } = options;
  const node = forceNode === undefined ? undefined : nodeNamed(cluster, forceNode).name;
  const gone = new AbortController();
  const end = (): void => gone.abort();
  const stop = environment.onInterrupt(end);
  stdout.on?.('error', end);
  const world: TopWorld = {
    watch: new ClusterWatch(cluster.nodes, { usage: true, physicalVolumes: json }, cluster.clock),
    nodes: cluster.nodes.map(({ name }) => name),
    clock: cluster.clock,
    today: () => new Date(),
    signal: gone.signal,
    style: styleOf(stdout, env),
  };
  const choice = {
    intervalSeconds: options.interval ?? usualIntervalSeconds,
    sort: options.sort ?? 'cpu',
    node,
  } as const;
  const wantsTables = options.batch || json || options.iterations !== undefined;
  try {
    const terminal = wantsTables ? undefined : environment.liveTerminal?.();
    if (terminal !== undefined) {
      await runScreen(world, choice, terminal);
      return exitCodes.done;
    }
    const batch = { ...choice, json, iterations: options.iterations ?? Infinity, columns: world.style.width };
    const complete = await runBatch(world, batch, (text) => void stdout.write(text));
    return complete ? exitCodes.done : exitCodes.error;
  } finally {
    stop();
  }
};

/**
 * Plays the `events` of a scenario on the protocol and writes its log: what was done to the cluster and what the nodes
 * decided, in words, in seconds since the first event. Nothing is drawn at random unless the scenario gives a seed, so the
 * times change with the protocol only. The checkers of S1, S2 and S3 look on as in the simulator.
 */
import { isMember } from '../../src/ha/protocol/blocks.ts';
import { clusterState } from '../../src/ha/protocol/panic.ts';
import { World } from '../simulation/world.ts';
import { perform } from './commands.ts';

interface Script {
  readonly settings: ReadonlyMap<string, string>;
  readonly events: readonly { readonly atMs: number; readonly command: string }[];
}

/** Settings first (`nodes 3`), then events (`12.5 node1 loses power`), at last `60 end`; `#` begins a comment. */
export function parseEvents(text: string): Script {
  const lines = text
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '');
  const isEvent = (line: string): boolean => /^[0-9.]+ /.test(line);
  const settings = lines.filter((line) => !isEvent(line)).map((line) => splitOnce(line));
  const events = lines.filter(isEvent).map((line) => {
    const [seconds, command] = splitOnce(line);
    return { atMs: Number(seconds) * 1000, command };
  });
  return { settings: new Map(settings), events };
}

function splitOnce(line: string): readonly [string, string] {
  const at = line.indexOf(' ');
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1).trim()];
}

export function runScenario(text: string): string {
  const { settings, events } = parseEvents(text);
  const number = (key: string, otherwise: number): number => Number(settings.get(key) ?? otherwise);
  const lines: string[] = [];
  let zeroMs = Infinity;
  const fencing = (['with-status', 'unconfirmed', 'disabled'] as const).find((one) => one === settings.get('fencing'));
  const world = new World({
    seed: number('seed', 1),
    isSteady: !settings.has('seed'),
    nodes: number('nodes', 3) + number('spare', 0),
    vmsPerNode: number('vms', 1),
    timerSeconds: number('timer', 3),
    watchdogMs: 1000 * number('watchdog', 0),
    fencing: fencing ?? 'with-status',
    tell: (atMs, node, line) => {
      const words = atMs < zeroMs ? undefined : inWords(line);
      if (words !== undefined) lines.push(`${stamp(atMs - zeroMs)}  ${node.padEnd(6)} ${words}`);
    },
  });
  world.checks.mayFence = !settings.has('nobody-is-fenced');
  world.power.watch();
  begin(world, number('nodes', 3), settings.has('from-the-start'));
  zeroMs = world.queue.nowMs;
  for (const { atMs, command } of events) {
    world.run(Math.max(0, zeroMs + atMs - world.queue.nowMs));
    if (command === 'end') break;
    lines.push(`${stamp(world.queue.nowMs - zeroMs)}  ------ ${command}`);
    perform(world, command);
  }
  return [...withoutRepeats(lines), '', ...ending(world)].join('\n') + '\n';
}

/** Boots all but the spare ones, and waits until they are a cluster, unless the scenario is about that. */
function begin(world: World, size: number, atOnce: boolean): void {
  const names = world.names.slice(0, size);
  for (const node of world.nodes) {
    if (node.index < size && names.length < world.names.length) world.lists.set(node.index, names);
    if (node.index >= size) node.vms.clear();
    else if (!atOnce) node.boot();
  }
  if (atOnce) return;
  const isReady = (): boolean =>
    world.nodes.every(({ index, state }) => index >= size || (isMember(state.role) && state.role !== 'voting'));
  for (let second = 0; second < 60 && !isReady(); second += 1) world.run(1000);
  world.run(10_000);
}

function stamp(ms: number): string {
  return `+${(ms / 1000).toFixed(1)}`.padStart(6);
}

/** Steps in between, and what is said twice. */
const details = [
  / is being started$/,
  / arrives from /,
  /: votes$/,
  /: claims epoch /,
  /: own pause$/,
  /: alarm$/,
  /: panic$/,
  /: may start here$/,
  /: may come from /,
  /^fence command ended/,
  /^cxmd is gone$/,
  /^trapped/,
];

/** Decisions that say nothing without what they rest on. */
const needsEvidence =
  /: (presumed dead|fence|order refused|off|no longer master|not let in|not started|not started here|slot can not be read|slot was not mended|recovered|claim void|out of the cluster|left|taken out|is to leave .*)$/;

function inWords(line: string): string | undefined {
  const match = /^(.*?: .*?) \((.*)\)$/s.exec(line);
  const [, decision, evidence] = match ?? [undefined, line, ''];
  if (decision === undefined || details.some((detail) => detail.test(decision))) return undefined;
  const clean = decision.replace(/^alarm: /, 'ALARM ').replace(/^(node\d+): \1 /, '$1 ');
  return needsEvidence.test(decision) ? `${clean}: ${evidence ?? ''}` : clean;
}

function withoutRepeats(lines: readonly string[]): readonly string[] {
  const body = (line: string | undefined): string => line?.slice(8) ?? '';
  return lines.filter((line, at) => at === 0 || body(line) !== body(lines[at - 1]));
}

function ending(world: World): readonly string[] {
  const said = world.nodes.map(({ name, powered, alive, state, vms }) => {
    const flags = [
      state.maintenance ? 'in maintenance' : '',
      state.switches.disarmed.on ? 'disarmed' : '',
      clusterState(state) === 'panic' ? 'in panic' : '',
    ].filter((flag) => flag !== '');
    const role = { active: 'master', passive: 'member' }[state.role as string] ?? state.role;
    const what = !powered ? 'off' : alive ? [role, ...flags].join(', ') : 'without cxmd';
    return `finally ${name} ${what}; runs ${vms.size === 0 ? 'nothing' : [...vms].sort().join(' ')}`;
  });
  const highest = Math.max(...world.nodes.map(({ state }) => state.epoch));
  return [...said, `finally epoch ${String(highest)}, ${String(world.power.fences)} fenced`];
}

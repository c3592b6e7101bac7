/**
 * What `npm run bench -- balance` measures: each part sets the balancer against a rival on the same clusters, in the same
 * run, and returns lines with a ratio and, where there is one, the target it has to meet.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseClusterFile } from '../../src/balance/file.ts';
import { scoreOf } from '../../src/balance/model.ts';
import { planBalance, type BalancePlan } from '../../src/balance/plan.ts';
import type { BalanceLimits, ClusterState } from '../../src/balance/state.ts';
import { exhaustive } from '../balance/exhaustive.ts';
import { makeCluster, type ClusterShape } from '../balance/generate.ts';
import { runHbal } from '../balance/hbal.ts';
import { layered } from '../balance/layered.ts';
import { replayDay } from '../balance/replay.ts';
import { checkout } from '../lab/layout.ts';
import { median } from './results.ts';
import { say } from './say.ts';

export interface Line {
  readonly what: string;
  readonly rival: string;
  readonly ours: string;
  readonly ratio: string;
  readonly target: string;
  /** Undefined where there is no target. */
  readonly met: boolean | undefined;
}

export interface Part {
  readonly title: string;
  readonly lines: readonly Line[];
  readonly note?: string;
}

const placings = ['random', 'skewed', 'new-node'] as const;
const wide = { maxVmsPerNode: 1000, minGainPercent: 0 };

function shapes(nodes: number, vms: number, fills: readonly number[]): ClusterShape[] {
  return placings.flatMap((placing) =>
    fills.flatMap((fillPercent) =>
      (['few', 'any'] as const).map((sizes) => ({ nodes, vms, placing, fillPercent, sizes })),
    ),
  );
}

function clusters(nodes: number, vms: number, fills: readonly number[], seeds: readonly number[]): ClusterState[] {
  return seeds.flatMap((seed) => shapes(nodes, vms, fills).map((shape, at) => makeCluster(seed * 1000 + at, shape)));
}

/** The files of the corpus that rules and odd nodes don't make unfit for the rivals. */
function corpus(): ClusterState[] {
  const directory = join(checkout, 'test/fixtures/balance');
  return readdirSync(directory)
    .map((name) => parseClusterFile(readFileSync(join(directory, name), 'utf8'), name))
    .filter(
      ({ state, rules }) =>
        Object.keys(rules).length === 0 && state.nodes.every((node) => node.ready && node.accepting),
    )
    .map(({ state }) => state);
}

function timed<T>(work: () => T): { result: T; seconds: number } {
  const from = performance.now();
  const result = work();
  return { result, seconds: (performance.now() - from) / 1000 };
}

function best(state: ClusterState, limits: Partial<BalanceLimits>): { result: BalancePlan; seconds: number } {
  return timed(() => planBalance(state, limits, { choice: 'best' }));
}

/** The score of a balanced cluster is small, so that equal means equal to six digits. */
const notWorse = (ours: number, rival: number): boolean => ours <= rival + 1e-6;

const count = (values: readonly boolean[]): number => values.filter(Boolean).length;
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const share = (values: readonly boolean[]): string => `${count(values)} of ${values.length}`;

export function duration(seconds: number): string {
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  return `${seconds < 10 ? seconds.toFixed(1) : seconds.toFixed(0)} s`;
}

export function againstExhaustive(seeds: number): Part {
  const cases = [...corpus(), ...clusters(4, 10, [60, 95], range(seeds))].filter(
    ({ nodes, vms }) => nodes.length <= 4 && vms.length <= 10,
  );
  const limits = { maxMigrations: 3, maxVmsPerNode: 6 };
  const results = cases.map((state, at) => {
    if (at % 10 === 0) say(`exhaustive search: ${at} of ${cases.length}`);
    const { result, seconds } = best(state, { ...limits, minGainPercent: 0 });
    const rival = timed(() => exhaustive(state, limits));
    return { same: Math.abs(result.after.score - (rival.result[3] ?? 0)) < 1e-6, seconds, rival: rival.seconds };
  });
  const same = results.map((one) => one.same);
  const [ours, rival] = [median(results.map((one) => one.seconds)), median(results.map((one) => one.rival))];
  return {
    title: 'Every plan of up to 3 migrations: up to 4 nodes and 10 VMs',
    lines: [
      {
        what: 'same score',
        rival: 'the lowest there is',
        ours: share(same),
        ratio: (count(same) / same.length).toFixed(2),
        target: 'all',
        met: same.every(Boolean),
      },
      faster('time, median', rival, ours, undefined),
    ],
  };
}

function faster(what: string, rival: number, ours: number, target: number | undefined, atLeast = ''): Line {
  return {
    what,
    rival: `${atLeast}${duration(rival)}`,
    ours: duration(ours),
    ratio: `${atLeast}${(rival / ours).toPrecision(3)} × faster`,
    target: target === undefined ? '' : `≥ ${target} × faster`,
    met: target === undefined ? undefined : rival / ours >= target,
  };
}

const range = (length: number): number[] => Array.from({ length }, (_, at) => at + 1);

/** The old algorithm where it ends, and at 8 × 60 for as long as it is given. */
export function againstLayered(seeds: number, patienceSeconds: number): Part {
  const limits = { maxMigrations: 3, maxVmsPerNode: 20, minGainPercent: 5 };
  const small = [...corpus(), ...clusters(4, 10, [60, 95], range(seeds)), ...clusters(6, 14, [80], [1])].filter(
    ({ vms }) => vms.length <= 14,
  );
  const results = small.map((state, at) => {
    if (at % 10 === 0) say(`the old algorithm: ${at} of ${small.length}`);
    const until = performance.now() + 20_000;
    const old = layered(state, limits, () => performance.now() > until);
    return { ours: best(state, limits).result.after.score, old: old.score };
  });
  const same = results.map(({ ours, old }) => notWorse(ours, old));
  const better = results.map(({ ours, old }) => ours < old - 1e-6);
  const big = placings.map((placing) => makeCluster(8, { nodes: 8, vms: 60, placing, fillPercent: 70, sizes: 'any' }));
  const lines = big.map((state, at): Line & { score: boolean } => {
    say(`the old algorithm, 8 nodes × 60 VMs, ${placings[at] ?? ''}: at most ${patienceSeconds} s`);
    const until = performance.now() + patienceSeconds * 1000;
    const runs = range(5).map(() => best(state, { ...limits, maxVmsPerNode: 60 }));
    const old = timed(() => layered(state, { ...limits, maxVmsPerNode: 60 }, () => performance.now() > until));
    const ours = median(runs.map(({ seconds }) => seconds));
    const what = `time, 8 nodes × 60 VMs × 3 migrations, ${placings[at] ?? ''}`;
    const line = faster(what, old.seconds, ours, 100, old.result.ended ? '' : '> ');
    return { ...line, score: notWorse(runs[0]?.result.after.score ?? Infinity, old.result.score) };
  });
  return {
    title: 'The old algorithm, reimplemented from its description',
    lines: [
      {
        what: 'score never worse, up to 6 nodes and 14 VMs',
        rival: `better in ${count(results.map(({ ours, old }) => !notWorse(ours, old)))}`,
        ours: `${share(same)}, better in ${count(better)}`,
        ratio: (mean(results.map(({ ours }) => ours)) / mean(results.map(({ old }) => old))).toFixed(2),
        target: 'all',
        met: same.every(Boolean),
      },
      ...lines.map(({ score, ...line }) => ({ ...line, met: line.met === true && score })),
    ],
    note: `“>”: it had not ended after ${patienceSeconds} s. The ratio of scores is that of their means`,
  };
}

/** Standard deviations over nodes as hbal has them: of the free share of RAM, of the sum of dynamic CPU load. */
function deviations({ nodes, vms }: ClusterState, ends: ReadonlyMap<string, string>): number {
  const highest = Math.max(1, ...vms.map(({ cpuPercent }) => cpuPercent));
  const at = (vm: ClusterState['vms'][number]): string | undefined => ends.get(vm.name) ?? vm.node;
  const spread = (pick: (vm: ClusterState['vms'][number]) => number, scale: (node: number) => number): number => {
    const values = nodes.map(
      ({ name }, node) => vms.reduce((sum, vm) => sum + (at(vm) === name ? pick(vm) : 0), 0) / scale(node),
    );
    const middle = mean(values);
    return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
  };
  return (
    spread(
      ({ memoryMib }) => memoryMib,
      (node) => nodes[node]?.memoryMib ?? 1,
    ) +
    spread(
      ({ cpuPercent }) => cpuPercent / highest,
      () => 1,
    )
  );
}

interface HbalCase {
  readonly ours: number;
  readonly hbal: number;
  readonly migrations: number;
  readonly hbalMigrations: number;
  readonly deviation: number;
  readonly hbalDeviation: number;
  readonly seconds: number;
  readonly hbalSeconds: number;
}

function compareWithHbal(state: ClusterState, maxMoves: number | undefined): HbalCase {
  const hbal = runHbal(state, maxMoves);
  const theirs = new Map(hbal.moves.map(({ vm, destination }) => [vm, destination]));
  const after = { ...state, vms: state.vms.map((vm) => ({ ...vm, node: theirs.get(vm.name) ?? vm.node })) };
  const { result, seconds } = best(state, { ...wide, maxMigrations: hbal.moves.length });
  const own = new Map(result.plan.map(({ vm, destination }) => [vm, destination]));
  return {
    ours: result.after.score,
    hbal: scoreOf(after).score,
    migrations: result.plan.length,
    hbalMigrations: hbal.moves.length,
    deviation: deviations(state, own),
    hbalDeviation: deviations(state, theirs),
    seconds,
    hbalSeconds: hbal.seconds,
  };
}

export function againstHbal(version: string, quick: boolean): Part {
  const seeds = quick ? [1] : [1, 2, 3];
  const sizes = quick
    ? ([[4, 20]] as const)
    : ([
        [4, 20],
        [8, 60],
        [12, 100],
        [16, 200],
      ] as const);
  const cases = sizes.flatMap(([nodes, vms]) =>
    clusters(nodes, vms, [50, 90], nodes === 16 ? [1] : seeds).map((state) => state),
  );
  const lines = [3, 10, undefined].map((limit) => {
    const all = [...corpus(), ...cases].map((state, at) => {
      if (at % 20 === 0) say(`hbal, ${limit ?? 'any number of'} migrations: ${at} of ${cases.length}`);
      return compareWithHbal(state, limit);
    });
    return { what: limit === undefined ? 'as many migrations as hbal wants' : `up to ${limit} migrations`, all };
  });
  const every = { what: 'all', all: lines.flatMap(({ all }) => all) };
  return {
    title: `Ganeti's hbal ${version}`,
    lines: [...lines, every].flatMap(({ what, all }) => hbalLines(what, all, what === 'all')),
    note: `each case was given to hbal first and then to cxm, with at most as many migrations as hbal had used. hbal has no limit of VMs on a node, so there was none for cxm. “Deviations” are what hbal itself minimises, the standard deviation of the nodes' RAM plus that of their CPU load; cxm minimises its own score and not this. hbal's time includes the start of its process`,
  };
}

function hbalLines(what: string, all: readonly HbalCase[], isTotal: boolean): Line[] {
  const equal = all.map((one) => notWorse(one.ours, one.hbal) && one.migrations <= one.hbalMigrations);
  const even = all.map((one) => one.deviation <= one.hbalDeviation + 1e-9);
  const ours = mean(all.map((one) => one.ours));
  const rival = mean(all.map((one) => one.hbal));
  const [own, theirs] = [mean(all.map((one) => one.deviation)), mean(all.map((one) => one.hbalDeviation))];
  const total: Line[] = [
    {
      what: 'all: deviations equal or lower',
      rival: `mean ${theirs.toFixed(3)}`,
      ours: `${share(even)}, mean ${own.toFixed(3)}`,
      ratio: (own / theirs).toFixed(2),
      target: '',
      met: undefined,
    },
    faster(
      'all: time, median',
      median(all.map((one) => one.hbalSeconds)),
      median(all.map((one) => one.seconds)),
      undefined,
    ),
  ];
  return [
    {
      what: `${what}: score equal or lower with no more migrations`,
      rival: `mean ${rival.toFixed(2)}`,
      ours: `${share(equal)}, mean ${ours.toFixed(2)}`,
      ratio: (ours / rival).toFixed(2),
      target: isTotal ? '≥ 95 %' : '',
      met: isTotal ? count(equal) >= 0.95 * equal.length : undefined,
    },
    ...(isTotal ? total : []),
  ];
}

/** Times and memory of processes of their own, see balance-size.ts. */
export function sizeLine(size: readonly [number, number], target: number, runs: readonly SizeRun[]): Line {
  const slowest = Math.max(...runs.map(({ seconds }) => seconds));
  const memory = Math.max(...runs.map(({ memoryMib }) => memoryMib));
  return {
    what: `${size[0]} nodes × ${size[1].toLocaleString('en').replaceAll(',', ' ')} VMs, plan of up to 20 migrations`,
    rival: `${target} s, 200 MiB`,
    ours: `${duration(slowest)}, ${Math.round(memory)} MiB; score ${runs.map(({ before, after }) => `${before.toFixed(2)} → ${after.toFixed(2)}`).join(', ')}`,
    ratio: (slowest / target).toFixed(2),
    target: `≤ ${target} s and 200 MiB`,
    met: slowest <= target && memory <= 200,
  };
}

export interface SizeRun {
  readonly seconds: number;
  /** The process's peak, with Node itself. */
  readonly memoryMib: number;
  readonly before: number;
  readonly after: number;
}

export function replay(seeds: number): Part {
  const results = range(seeds).map((seed) => {
    say(`a day's replay: ${seed} of ${seeds}`);
    const day = { seed, nodes: 6, vms: 48, hours: 24 };
    return {
      careful: replayDay({ ...day, mode: 'hysteresis' }),
      eager: replayDay({ ...day, mode: 'eager' }),
      none: replayDay({ ...day, mode: 'none' }),
    };
  });
  const sum = (pick: (one: (typeof results)[number]) => number): number =>
    results.reduce((all, one) => all + pick(one), 0);
  const careful = sum(({ careful: one }) => one.migrations);
  const eager = sum(({ eager: one }) => one.migrations);
  const returns = sum(({ careful: one }) => one.returns);
  const score = (pick: (one: (typeof results)[number]) => number): number => sum(pick) / seeds;
  const [own, without] = [score((one) => one.careful.meanScore), score((one) => one.none.meanScore)];
  return {
    title: `${seeds === 1 ? 'A day' : `${seeds} days`} of changing load: 6 nodes, 48 VMs, sampled each minute`,
    lines: [
      {
        what: 'VMs moved back within an hour',
        rival: `${sum(({ eager: one }) => one.returns)} (a plan each minute)`,
        ours: `${returns} (hysteresis)`,
        ratio: '',
        target: '0',
        met: returns === 0,
      },
      {
        what: 'migrations a day',
        rival: (eager / seeds).toFixed(0),
        ours: (careful / seeds).toFixed(0),
        ratio: (careful / eager).toFixed(3),
        target: '',
        met: undefined,
      },
      {
        what: 'mean score over the day',
        rival: `${without.toFixed(1)} (no balancing), ${score((one) => one.eager.meanScore).toFixed(1)} (a plan each minute)`,
        ours: own.toFixed(1),
        ratio: `${(own / without).toFixed(2)} of no balancing`,
        target: '',
        met: undefined,
      },
    ],
  };
}

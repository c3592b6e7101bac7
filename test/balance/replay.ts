/**
 * A day of a cluster as a model: VMs with their own rhythm (office hours, nightly jobs, constant ones), noise and short
 * peaks, sampled each minute; plans are carried out at once. Counts migrations, and VMs that come back.
 */
import { scoreOf } from '../../src/balance/model.ts';
import { planBalance } from '../../src/balance/plan.ts';
import { decide, emptyHistory, type AutomaticOptions } from '../../src/balance/hysteresis.ts';
import type { ClusterState } from '../../src/balance/state.ts';
import { makeCluster, randomFrom } from './generate.ts';

export interface Replay {
  readonly migrations: number;
  /** Migrations of a VM to a node that it left less than an hour ago. */
  readonly returns: number;
  /** Of all minutes. */
  readonly meanScore: number;
}

export interface ReplayOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly vms: number;
  readonly hours: number;
  /** How each minute's plan is made: with hysteresis, or anew each time; or never. */
  readonly mode: 'hysteresis' | 'eager' | 'none';
  readonly automatic?: AutomaticOptions;
}

const minute = 60;

export function replayDay(options: ReplayOptions): Replay {
  const { seed, nodes, vms, hours, mode } = options;
  const random = randomFrom(seed);
  const base = makeCluster(seed, { nodes, vms, placing: 'random', fillPercent: 60, sizes: 'few' });
  const habits = base.vms.map(({ cpuPercent }) => ({
    level: cpuPercent,
    kind: Math.floor(random() * 3),
    shift: random() * 3 - 1.5,
  }));
  const places = new Map(base.vms.map(({ name, node }) => [name, node]));
  const left = new Map<string, number>();
  let history = emptyHistory;
  let [migrations, returns, scores] = [0, 0, 0];
  for (let now = 0; now < hours * 3600; now += minute) {
    const state: ClusterState = {
      nodes: base.nodes,
      vms: base.vms.map((vm, at) => {
        const { level, kind, shift } = habits[at] ?? { level: 0, kind: 0, shift: 0 };
        const hour = now / 3600 + shift;
        const rhythm = kind === 0 ? 1 : kind === 1 ? 0.2 + 2 * bump(hour, 13, 4) : 0.2 + 3 * bump(hour, 2, 2);
        const peak = random() < 0.01 ? 3 : 1;
        const cpuPercent = Math.round(level * rhythm * peak * (0.7 + 0.6 * random()) * 1000) / 1000;
        return { ...vm, node: places.get(vm.name), cpuPercent };
      }),
    };
    scores += scoreOf(state).score;
    const { plan, next } = planOf(mode, history, state, now, options.automatic);
    history = next;
    for (const { vm, source, destination } of plan) {
      migrations += 1;
      if (now - (left.get(`${vm} ${destination}`) ?? -Infinity) < 3600) returns += 1;
      left.set(`${vm} ${source}`, now);
      places.set(vm, destination);
    }
  }
  return { migrations, returns, meanScore: scores / (hours * 60) };
}

function planOf(
  mode: ReplayOptions['mode'],
  history: typeof emptyHistory,
  state: ClusterState,
  now: number,
  automatic: AutomaticOptions | undefined,
): { plan: ReturnType<typeof planBalance>['plan']; next: typeof emptyHistory } {
  if (mode === 'none') return { plan: [], next: history };
  if (mode === 'eager') return { plan: planBalance(state, automatic?.limits).plan, next: history };
  const decision = decide(history, state, now, automatic);
  return { plan: decision.plan?.plan ?? [], next: decision.history };
}

function bump(hour: number, middle: number, width: number): number {
  return Math.exp(-(((hour - middle) / width) ** 2));
}

/**
 * What is done without a person at intervals, by the master alone, and only while everything is well: balancing the load,
 * mending migrations that were cut off. It works as somebody who calls `cxm` on the master: by the library of the cluster,
 * under its locks.
 *
 * Guarantees: one round at a time, however long it takes; what speaks against a round speaks against each piece of its work,
 * too, looked at again before every one.
 */
import type { BootClock } from '../effects/boot-clock.ts';
import type { MasterWork } from '../effects/master-work.ts';
import { nameOf, type NodeState } from '../protocol/state.ts';
import type { EventName, Logger } from './log.ts';
import { aliveNodes, nodesOf, stateOfCluster } from './view.ts';

export interface MasterRoundsParts {
  readonly work: MasterWork;
  /** As which it is told. */
  readonly event: EventName;
  readonly clock: BootClock;
  readonly log: Logger;
  /** Undefined before the daemon has one. */
  state(): NodeState | undefined;
  /** As it is at the moment; 0: never. */
  intervalMs(): number;
}

/** How often is looked whether it is time. */
const lookMs = 1000;

export class MasterRounds {
  private timer: NodeJS.Timeout | undefined;
  private lastMs: number;
  private isBusy = false;

  constructor(private readonly parts: MasterRoundsParts) {
    this.lastMs = parts.clock();
  }

  start(): void {
    this.timer = setInterval(() => void this.look(), lookMs);
  }

  end(): void {
    clearInterval(this.timer);
  }

  private async look(): Promise<void> {
    const { work, event, clock, log, state, intervalMs } = this.parts;
    const now = clock();
    const interval = intervalMs();
    const current = state();
    if (this.isBusy || interval === 0 || now - this.lastMs < interval || current === undefined) return;
    this.lastMs = now;
    const obstacle = (): string | undefined => {
      const latest = state();
      return latest === undefined ? 'cxmd has ended' : obstacleToRounds(latest, clock());
    };
    if (obstacle() !== undefined) return;
    this.isBusy = true;
    const maintenance = nodesOf(current, now).flatMap((node) => (node.maintenance ? node.name : []));
    const nodes = aliveNodes(current, now);
    try {
      await work.round({ nodes, maintenance, obstacle, tell: (text) => log(event, text) });
    } finally {
      this.isBusy = false;
    }
  }
}

/** Why nothing is to be done without a person now; undefined if it may. Pure. */
export function obstacleToRounds(state: NodeState, nowMs: number): string | undefined {
  const { timing } = state.config;
  if (state.role !== 'active') return 'this node is not the master';
  if (nowMs - state.lastTickMs > timing.gapMs + timing.periodMs) return 'this node was asleep';
  const cluster = stateOfCluster(state, nowMs);
  if (cluster !== 'normal') return `the cluster is in ${cluster}`;
  if (state.switches.disarmed.on) return 'fencing is turned off: somebody is at work';
  const alive = new Set(aliveNodes(state, nowMs));
  const nodes = nodesOf(state, nowMs).filter(({ role }) => role !== 'off');
  const lost = nodes.find(({ name }) => !alive.has(name));
  if (lost !== undefined) return `${lost.name} is neither alive nor off for certain`;
  const mute = nodes.find(({ disk }) => disk !== 'ok');
  if (mute !== undefined) return `${mute.name} is not seen on the heartbeat disk`;
  const { evacuation } = state;
  // One migration at a time; without a VM it is only being asked.
  const isMoving = evacuation !== undefined && evacuation.vm !== '';
  return isMoving ? `${nameOf(state, evacuation.node)} is being emptied` : undefined;
}

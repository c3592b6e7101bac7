/** The end of a VM beside others who work on it, on the nodes of the model: what has been started since is not ended by it. */
import { describe, expect, test } from 'vitest';
import type { Cluster } from '../../src/cluster/cluster.ts';
import { startVm } from '../../src/cluster/start.ts';
import { destroyVm, shutdownVm } from '../../src/cluster/stop.ts';
import { allPromises, Operator } from './model/operator.ts';
import { Random, Scheduler } from './model/scheduler.ts';
import { emptyNode, isLive, World, type Disk, type ModelDomain, type ModelNode } from './model/world.ts';

const seeds = Array.from({ length: 60 }, (_, index) => index + 1);
const disks: readonly Disk[] = [{ group: 'san', volume: 'web-0', readOnly: false }];

/** Two nodes, with `web` on the first. */
class Play {
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly world: World;
  readonly home: ModelNode;
  readonly first: ModelDomain;
  readonly notes: string[] = [];
  private readonly watchers: (() => boolean)[] = [];

  constructor(seed: number, own: readonly Disk[]) {
    this.random = new Random(seed);
    this.scheduler = new Scheduler(this.random, () => this.look());
    this.home = emptyNode('node1', 1000);
    this.world = new World(this.scheduler, { nodes: [this.home, emptyNode('node2', 1000)], sharedVolumes: new Set() });
    for (const { configs } of this.world.nodes) configs.set('web', { memoryMib: 100, disks: own });
    for (const { volume } of own) this.home.active.add(volume);
    this.first = this.world.addDomain(this.home, 'web', 'running', { memoryMib: 100, disks: own });
    this.world.attach(this.home, this.first);
  }

  private look(): void {
    for (const watcher of [...this.watchers]) {
      if (watcher()) this.watchers.splice(this.watchers.indexOf(watcher), 1);
    }
  }

  /** Acts as soon as that is so. */
  once(isSo: () => boolean, act: () => void): void {
    this.watchers.push(() => {
      if (!isSo()) return false;
      act();
      return true;
    });
  }

  cluster(name: string): Cluster {
    const faults = { call: 0, migration: 0, deafGuest: 0, slowCreate: 0 };
    const operator = new Operator(name, this.world, this.random, { faults, promises: allPromises });
    return {
      nodes: operator.nodes(),
      settings: {
        ...{ shutdownTimeoutMs: 15_000, migrateTimeoutMs: 30_000, busyTimeoutMs: 2000, lockTimeoutMs: 20_000 },
        postMigrationHook: undefined,
      },
      reporter: { step: () => undefined, note: (_severity, text) => void this.notes.push(text) },
      clock: { now: () => this.scheduler.now, sleep: (milliseconds) => operator.sleep(milliseconds) },
      signal: new AbortController().signal,
    };
  }

  /** @returns what became of it: its result, or its error */
  async outcomeOf(work: Promise<unknown>): Promise<unknown> {
    const outcome = work.catch((error: unknown) => error);
    expect(await this.scheduler.drain(6000)).toBe(true);
    return outcome;
  }

  /** Ids of the domains of the VM that run. */
  live(): readonly number[] {
    return this.world.nodes.flatMap(({ domains }) => domains.filter(isLive).map(({ id }) => id));
  }

  get isGone(): boolean {
    return !this.home.domains.includes(this.first);
  }
}

describe('a shutdown', () => {
  test.each([
    ['with volumes', disks],
    ['without volumes', []],
  ])('leaves alone what somebody else has started since (a VM %s)', async (_what, own) => {
    for (const seed of seeds) {
      const play = new Play(seed, own);
      let started: Promise<string> | undefined;
      play.once(
        () => play.isGone,
        () => void (started = startVm(play.cluster('another'), 'web', { node: 'node1' })),
      );
      const outcome = await play.outcomeOf(shutdownVm(play.cluster('admin'), 'web'));
      expect(await started).toBe('node1');
      // Either it was over before the other one began, or it says that it has left something alone.
      if (outcome instanceof Error)
        expect(outcome).toMatchObject({
          code: expect.stringMatching(/^(REFUSED|IN_USE)$/) as string,
          changed: 'maybe',
        });
      else expect(outcome).toEqual({ node: 'node1', ended: 'shutdown' });
      expect({ seed, live: play.live() }).toEqual({ seed, live: [expect.any(Number)] });
    }
  });

  test('leaves alone what somebody else has started and what is rebooting just then', async () => {
    for (const seed of seeds) {
      const play = new Play(seed, disks);
      play.once(
        () => play.isGone,
        () => void startVm(play.cluster('another'), 'web', { node: 'node1' }),
      );
      play.once(
        () => play.live().some((id) => id !== play.first.id),
        () => {
          const [domain] = play.home.domains.filter(isLive);
          if (domain !== undefined) play.world.guestReboots(play.home, domain);
        },
      );
      await play.outcomeOf(shutdownVm(play.cluster('admin'), 'web'));
      expect({ seed, live: play.live(), violation: play.world.violation }).toEqual({
        ...{ seed, live: [expect.any(Number)], violation: undefined },
      });
    }
  });

  test.each([
    ['with volumes', disks],
    ['without volumes', []],
  ])('ends a guest that reboots instead (a VM %s)', async (_what, own) => {
    for (const seed of seeds) {
      const play = new Play(seed, own);
      play.world.ending.set('web', 1);
      play.once(
        () => play.scheduler.trace.some((line) => line.includes('xl shutdown')),
        () => play.scheduler.later(play.random.below(900), '', () => play.world.guestReboots(play.home, play.first)),
      );
      const outcome = await play.outcomeOf(shutdownVm(play.cluster('admin'), 'web'));
      expect({ seed, outcome }).toEqual({ seed, outcome: { node: 'node1', ended: 'shutdown' } });
      expect({ seed, live: play.live() }).toEqual({ seed, live: [] });
    }
  });
});

test('a destroy ends a guest that reboots meanwhile, though it has no volumes', async () => {
  for (const seed of seeds) {
    const play = new Play(seed, []);
    play.scheduler.later(play.random.below(3000), '', () => play.world.guestReboots(play.home, play.first));
    const outcome = await play.outcomeOf(destroyVm(play.cluster('admin'), 'web'));
    if (!(outcome instanceof Error)) expect({ seed, live: play.live() }).toEqual({ seed, live: [] });
  }
});

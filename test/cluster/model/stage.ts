/**
 * Three nodes of the model with one VM on the first of them, for tests that want a certain history instead of a drawn one:
 * nothing fails unless a test makes it, and what the nodes were told is kept.
 */
import type { Cluster } from '../../../src/cluster/cluster.ts';
import type { ClusterNode } from '../../../src/cluster/node.ts';
import { quiet } from './kinds.ts';
import { allPromises, Operator } from './operator.ts';
import { Random, Scheduler } from './scheduler.ts';
import { emptyNode, isLive, World, type ModelNode, type Phase } from './world.ts';

export interface StageOptions {
  /** Lock manager of the volume group; none when left out. */
  readonly lockType?: string;
  /** Instead of what xl does. */
  readonly migrate?: () => Promise<never>;
}

export const vm = 'web';
export const volume = 'web-0';
export const configPath = `/etc/xen/vm/${vm}`;

export class Stage {
  readonly scheduler: Scheduler;
  readonly world: World;
  readonly warnings: string[] = [];
  readonly hooks: string[] = [];
  /** Of each activation that has lasted: `node volume` and how. */
  readonly modes = new Map<string, string>();
  /** Called after every event. */
  watch: () => void = () => undefined;
  private readonly random = new Random(1);

  constructor(private readonly options: StageOptions = {}) {
    this.scheduler = new Scheduler(this.random, () => this.watch());
    const nodes = ['node1', 'node2', 'node3'].map((name) => emptyNode(name, 1000));
    this.world = new World(this.scheduler, { nodes, sharedVolumes: new Set() });
    for (const node of nodes) node.configs.set(vm, { memoryMib: 100, disks: [disk] });
  }

  /** A domain of the VM, with its volume. */
  put(name: string, phase: Phase = 'running'): void {
    const node = this.world.node(name);
    node.active.add(volume);
    const domain = this.world.addDomain(node, vm, phase, { memoryMib: 100, disks: [disk] });
    domain.open = true;
  }

  operator(name: string): Operator {
    return new Operator(name, this.world, this.random, { faults: { ...quiet.faults }, promises: allPromises });
  }

  cluster(operator = this.operator('somebody')): Cluster {
    return {
      nodes: operator.nodes().map((node) => this.kept(node)),
      settings: {
        shutdownTimeoutMs: 15_000,
        migrateTimeoutMs: 30_000,
        busyTimeoutMs: 2000,
        lockTimeoutMs: 20_000,
        postMigrationHook: '/usr/local/sbin/hook',
      },
      reporter: {
        step: () => undefined,
        note: (severity, text) => void (severity === 'WARN' && this.warnings.push(text)),
      },
      clock: { now: () => this.scheduler.now, sleep: (milliseconds) => operator.sleep(milliseconds) },
      signal: new AbortController().signal,
    };
  }

  private kept(node: ClusterNode): ClusterNode {
    const { migrate } = this.options;
    return {
      ...node,
      under: (locked) => this.kept(node.under(locked)),
      toolstack: { ...node.toolstack, ...(migrate === undefined ? {} : { migrate }) },
      system: {
        ...node.system,
        startDetached: (_program, args) => Promise.resolve(void this.hooks.push(`${node.name}: ${args.join(' ')}`)),
      },
      inventory: async () => {
        const { groups, volumes } = await node.inventory();
        return { groups: groups.map((group) => ({ ...group, lockType: this.options.lockType ?? '' })), volumes };
      },
      volumes: (group) => {
        const volumes = node.volumes(group);
        return {
          ...volumes,
          activate: async (name, mode) => {
            const found = await volumes.activate(name, mode);
            this.modes.set(`${node.name} ${name}`, mode);
            return found;
          },
          deactivate: async (name) => {
            await volumes.deactivate(name);
            this.modes.delete(`${node.name} ${name}`);
          },
        };
      },
    };
  }

  /** Until nothing happens any more. */
  async play<T>(work: Promise<T>): Promise<T> {
    const settled = work.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    await this.scheduler.drain(10_000);
    const result = await settled;
    if ('error' in result) throw result.error;
    return result.value;
  }

  /** Names of nodes, by what they have of the VM. */
  get state() {
    const names = (has: (node: ModelNode) => boolean): string[] => this.world.nodes.filter(has).map(({ name }) => name);
    return {
      runsOn: names(({ domains }) => domains.some(isLive)),
      domainsOn: names(({ domains }) => domains.length > 0),
      activeOn: names(({ active }) => active.has(volume)),
      linkedOn: names(({ links }) => links.has(vm)),
      movesOn: names(({ moves }) => moves.has(vm)),
    };
  }
}

const disk = { group: 'san', volume, readOnly: false };

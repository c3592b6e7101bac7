/**
 * One history of the model, drawn from a seed: a cluster, some operators who work on its VMs at the same time, and what
 * befalls them. Checked after every event: the world's rules (world.ts). Checked after every operation that nobody else
 * disturbed: what it has reported is so.
 */
import type { Cluster, ClusterSettings } from '../../../src/cluster/cluster.ts';
import { activateVm, deactivateIdle, deactivateVm } from '../../../src/cluster/activate.ts';
import { concludeMigration, migrateVm } from '../../../src/cluster/migrate.ts';
import { startVm } from '../../../src/cluster/start.ts';
import { destroyVm, rebootVm, shutdownVm } from '../../../src/cluster/stop.ts';
import { CxmError } from '../../../src/errors.ts';
import type { ClusterNode } from '../../../src/cluster/node.ts';
import { drawKind, ifAbsent, ifPresent, kinds, quiet, type Kind, type KindName, type Operation } from './kinds.ts';
import { actByHand } from './people.ts';
import { allPromises, Operator, type NodePromises } from './operator.ts';
import { Random, Scheduler } from './scheduler.ts';
import { Watch } from './watch.ts';
import { emptyNode, isLive, World, type Disk, type ModelConfig, type ModelDomain, type ModelNode } from './world.ts';

export interface HistoryOptions {
  /** Only histories of this kind; drawn when left out. */
  readonly kind?: KindName;
  /** What the nodes do for the library. */
  readonly promises?: NodePromises;
  /** Stands between the library and the nodes, for one operation. */
  readonly wrap?: (nodes: readonly ClusterNode[]) => ClusterNode[];
}

export interface History {
  readonly seed: number;
  readonly violation: string | undefined;
  readonly trace: readonly string[];
  readonly operations: number;
  readonly succeeded: number;
}

const settings: ClusterSettings = {
  shutdownTimeoutMs: 15_000,
  migrateTimeoutMs: 30_000,
  busyTimeoutMs: 2000,
  lockTimeoutMs: 20_000,
  postMigrationHook: undefined,
};

const maxEvents = 6000;

export async function playHistory(seed: number, options: HistoryOptions = {}): Promise<History> {
  const play = new Play(seed, options);
  await play.run();
  return {
    seed,
    violation: play.world.violation,
    trace: play.scheduler.trace,
    operations: play.operations,
    succeeded: play.succeeded,
  };
}

class Play {
  operations = 0;
  succeeded = 0;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly world: World;
  private readonly kind: Kind;
  private readonly vms: readonly string[];
  private readonly running = new Set<Operation>();
  private unfinished = 0;

  constructor(
    seed: number,
    private readonly options: HistoryOptions,
  ) {
    this.random = new Random(seed);
    this.scheduler = new Scheduler(this.random, () => this.world.check());
    this.kind = drawKind(this.random, options.kind);
    this.vms = ['vm1', 'vm2', 'vm3'].slice(0, this.kind.deadStarters === true ? 1 : 1 + this.random.below(3));
    this.world = this.drawWorld();
  }

  async run(): Promise<void> {
    const operators = 1 + this.random.below(3);
    for (let number = 1; number <= operators; number += 1) this.beginOperator(`operator${number}`);
    if (this.kind.outages) this.scheduleOutages();
    if (this.kind.guests) this.scheduleGuests();
    if (this.kind.hands === true) this.scheduleHands();
    const isQuiet = await this.scheduler.drain(maxEvents);
    if (!isQuiet) this.world.fail('it never came to rest');
    if (this.unfinished > 0) this.world.fail('an operation never ended');
  }

  private drawWorld(): World {
    const { random } = this;
    const count = 2 + random.below(3);
    const sharing = random.chance(0.15) && this.vms.length > 1;
    const nodes = Array.from({ length: count }, (_, index): ModelNode => {
      const isForeign = index === count - 1 && count > 2 && random.chance(0.15);
      return emptyNode(`node${index + 1}`, random.pick([150, 300, 1000]), isForeign ? 'other' : 'san');
    });
    const world = new World(this.scheduler, { nodes, sharedVolumes: new Set(sharing ? ['common'] : []) });
    const iso = random.chance(0.2);
    for (const [index, vm] of this.vms.entries()) {
      const config = this.drawConfig(vm, { iso, common: sharing && index < 2 });
      for (const node of nodes) node.configs.set(vm, config);
      if (random.chance(0.15)) {
        random.pick(nodes).configs.set(vm, { ...config, disks: [disk(`${vm}-other`), ...config.disks] });
      }
      this.settle(world, vm);
    }
    return world;
  }

  private drawConfig(vm: string, { iso, common }: { readonly iso: boolean; readonly common: boolean }): ModelConfig {
    const { random } = this;
    const disks: Disk[] = random.chance(this.kind.deadStarters === true ? 0.7 : 0.05) ? [] : [disk(`${vm}-0`)];
    if (random.chance(0.2)) disks.push(disk(`${vm}-1`));
    if (common) disks.push(disk('common'));
    if (iso) disks.push(disk('iso', true));
    return { memoryMib: 100, disks };
  }

  /** Where the VM is in the beginning. */
  private settle(world: World, vm: string): void {
    const { random } = this;
    const node = random.pick(world.nodes);
    if (random.chance(0.6)) node.links.set(vm, `/etc/xen/vm/${vm}`);
    const config = node.configs.get(vm);
    if (config === undefined || this.kind.deadStarters === true || random.chance(0.45)) return;
    const isTaken = config.disks.some(
      ({ volume }) => world.sharedVolumes.has(volume) && world.nodes.some(({ active }) => active.has(volume)),
    );
    if (isTaken || node.domains.length > 0) return;
    for (const { volume } of config.disks) node.active.add(volume);
    world.attach(node, world.addDomain(node, vm, 'running', config));
    if (random.chance(0.1)) for (const domain of node.domains) domain.hasMonitor = false;
    this.scheduler.note(`${vm} runs on ${node.name}`);
  }

  private beginOperator(name: string): void {
    const { faults } = this.kind;
    const operator = new Operator(name, this.world, this.random, {
      faults,
      promises: this.options.promises ?? allPromises,
    });
    this.operators.push(operator);
    const number = 1 + this.random.below(3);
    this.unfinished += 1;
    const work = async (): Promise<void> => {
      for (let done = 0; done < number; done += 1) await this.perform(operator, this.drawOperation());
      this.unfinished -= 1;
    };
    const begun = work();
    begun.catch((error: unknown) => this.world.fail(`the model failed: ${String(error)}`));
    if (!this.kind.kills || !this.random.chance(0.6)) return;
    this.scheduler.later(this.drawMs(), '', () => this.kill(operator));
  }

  private readonly operators: Operator[] = [];

  private kill(operator: Operator): void {
    if (operator.killed) return;
    operator.kill();
    this.unfinished -= 1;
    const { world } = this;
    world.disturbances += 1;
    for (const operation of [...this.running]) {
      if (this.owners.get(operation) !== operator) continue;
      this.endOperation(operation, true);
      // What it has sent may still arrive, until another one has the lock.
      if (operation.kind === 'migrate') world.cutOff(operation.vm);
    }
  }

  private readonly owners = new Map<Operation, Operator>();

  /** Mostly what makes sense now, though it may not any more when its turn comes; sometimes anything. */
  private drawOperation(): Operation {
    const { random } = this;
    const vm = random.pick(this.vms);
    const place = this.world.nodes.find((node) => node.domains.some((domain) => domain.vm === vm));
    if (this.kind.deadStarters === true) return { kind: 'start', vm, node: random.pick(this.world.nodes).name };
    const limits = place === undefined ? ifAbsent : ifPresent;
    const draw = random.next();
    const kind = random.chance(0.2)
      ? random.pick(kinds)
      : (kinds[limits.findIndex((limit) => draw < limit)] ?? 'start');
    const others = this.world.nodes.filter((node) => node !== place);
    const node = random.pick(kind === 'migrate' && random.chance(0.9) ? others : this.world.nodes).name;
    return { kind, vm, node: kind === 'start' && random.chance(0.4) ? undefined : node };
  }

  private clusterOf(operator: Operator): Cluster {
    const wrap = this.options.wrap ?? ((nodes: readonly ClusterNode[]) => nodes);
    return {
      nodes: wrap(operator.nodes()),
      settings,
      reporter: {
        step: () => undefined,
        note: (severity, text) => {
          this.scheduler.note(`  ${operator.name} ${severity}: ${text}`);
          if (severity === 'WARN') operator.warnings.push(text);
        },
      },
      clock: { now: () => this.scheduler.now, sleep: (milliseconds) => operator.sleep(milliseconds) },
      signal: new AbortController().signal,
    };
  }

  private async perform(operator: Operator, operation: Operation): Promise<void> {
    const { kind, vm, node } = operation;
    this.operations += 1;
    const words = `${operator.name}: ${kind} ${vm} ${node ?? ''}`;
    this.scheduler.note(`${words} begins`);
    const watch = new Watch(this.world, operation, [...this.running]);
    this.beginOperation(operator, operation);
    operator.warnings.length = 0;
    const faults = operator.faults;
    let result: unknown;
    let error: unknown;
    try {
      result = await this.carryOut(this.clusterOf(operator), operation);
      this.succeeded += 1;
      this.scheduler.note(`${words} has ended: ${JSON.stringify(result)}`);
    } catch (thrown) {
      error = thrown;
      const said = error instanceof CxmError ? `${error.code} ${error.changed} ${error.message}` : String(error);
      this.scheduler.note(`${words} has failed: ${said}`);
    }
    const wasFaulty = operator.faults > faults;
    const isClean =
      !wasFaulty && operator.warnings.length === 0 && !(error instanceof CxmError && error.changed === 'maybe');
    this.endOperation(operation, !isClean);
    if (error !== undefined && !(error instanceof CxmError)) return this.world.fail(`${words}: ${String(error)}`);
    if (error instanceof CxmError && error.code === 'INTERNAL') return this.world.fail(`${words}: ${error.message}`);
    const isAlone = watch.wasAlone([...this.running]);
    if (isAlone && error !== undefined && error.changed !== 'maybe' && !watch.isAtRest()) {
      return this.world.fail(`${words}: ${error.changed}, but xl is still at work`);
    }
    if (!isAlone || !watch.isAtRest()) return;
    if (error?.changed === 'maybe' && this.kind === quiet) this.world.fail(`${words}: 'maybe' without a fault`);
    if (error !== undefined) watch.requireNoTrace(error, words);
    else if (!wasFaulty && operator.warnings.length === 0) watch.requireEffect(result, words);
  }

  private carryOut(cluster: Cluster, { kind, vm, node }: Operation): Promise<unknown> {
    const named = node ?? '';
    switch (kind) {
      case 'start':
        return startVm(cluster, vm, node === undefined ? { localNode: 'node1' } : { node });
      case 'shutdown':
        return shutdownVm(cluster, vm);
      case 'destroy':
        return destroyVm(cluster, vm);
      case 'reboot':
        return rebootVm(cluster, vm, (where) => startVm(cluster, vm, { node: where }));
      case 'migrate':
        return migrateVm(cluster, { vm, destination: named });
      case 'activate':
        return activateVm(cluster, vm, named);
      case 'deactivate':
        return deactivateVm(cluster, vm, named);
      case 'idle':
        return deactivateIdle(cluster, named);
      case 'conclude':
        return concludeMigration(cluster, vm);
    }
  }

  private beginOperation(operator: Operator, operation: Operation): void {
    this.running.add(operation);
    this.owners.set(operation, operator);
    const { world } = this;
    const { kind, vm } = operation;
    if (kind === 'shutdown' || kind === 'destroy') world.ending.set(vm, (world.ending.get(vm) ?? 0) + 1);
    if (kind !== 'migrate') return;
    // Its two nodes; which one is the source is known to nobody yet.
    for (const { name } of world.nodes) world.excused.add(`${vm} ${name}`);
  }

  private endOperation(operation: Operation, mayLeaveVolumes: boolean): void {
    const { world } = this;
    this.running.delete(operation);
    const { kind, vm } = operation;
    // What a killed one has asked of a guest or begun on a node may still come.
    if (kind === 'shutdown' || kind === 'destroy') {
      world.endedMs.set(vm, world.scheduler.now);
      if (!mayLeaveVolumes) world.ending.set(vm, (world.ending.get(vm) ?? 1) - 1);
    }
    if (kind !== 'migrate') return;
    const another = [...this.running].some((other) => other.kind === 'migrate' && other.vm === vm);
    for (const { name } of world.nodes) {
      if (mayLeaveVolumes) for (const volume of world.node(name).active) world.excused.add(`${vm} ${name} ${volume}`);
      if (!another) world.excused.delete(`${vm} ${name}`);
    }
  }

  private scheduleOutages(): void {
    for (let outages = 1 + this.random.below(2); outages > 0; outages -= 1) {
      const node = this.random.pick(this.world.nodes);
      const isPower = this.random.chance(0.5);
      this.scheduler.later(this.drawMs(), '', () => this.beginOutage(node, isPower));
    }
  }

  private beginOutage(node: ModelNode, isPower: boolean): void {
    const { world, scheduler } = this;
    if (!node.up || !node.reachable) return;
    scheduler.note(`${node.name} ${isPower ? 'loses power' : 'is cut off'}`);
    world.disturbances += 1;
    for (const operator of this.operators) operator.disconnect(node);
    if (isPower) world.losePower(node);
    else node.reachable = false;
    this.scheduler.later(1000 + this.drawMs(), '', () => {
      scheduler.note(`${node.name} is back`);
      world.disturbances += 1;
      node.up = true;
      node.reachable = true;
      world.wake(node);
    });
  }

  private scheduleGuests(): void {
    // Nobody reboots before it has booted.
    const isSettled = (domain: ModelDomain): boolean =>
      isLive(domain) && (domain.bornMs === 0 || this.scheduler.now - domain.bornMs > 4000);
    for (let acts = 1 + this.random.below(4); acts > 0; acts -= 1) {
      this.scheduler.later(this.drawMs(), '', () => {
        const places = this.world.nodes.flatMap((node) =>
          node.domains.filter(isSettled).map((domain) => ({ node, domain })),
        );
        if (places.length === 0) return;
        const { node, domain } = this.random.pick(places);
        this.world.disturbances += 1;
        const reboots = this.random.chance(0.8);
        this.scheduler.note(`${node.name}: the guest ${domain.vm} ${reboots ? 'reboots' : 'shuts down'} by itself`);
        if (reboots) this.world.guestReboots(node, domain);
        else this.world.guestShutsDown(node, domain);
      });
    }
  }

  private scheduleHands(): void {
    const isIdle = (vm: string): boolean =>
      [...this.running].every((operation) => operation.vm !== vm && operation.kind !== 'idle');
    for (let acts = 1 + this.random.below(4); acts > 0; acts -= 1) {
      this.scheduler.later(this.drawMs(), '', () => actByHand(this.world, this.random, this.vms, isIdle));
    }
  }

  /** Some time within what the operators do. */
  private drawMs(): number {
    return this.random.next() * this.random.pick([3000, 10_000, 25_000]);
  }
}

function disk(volume: string, readOnly = false): Disk {
  return { group: 'san', volume, readOnly };
}

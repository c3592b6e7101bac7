/**
 * One history of the model, drawn from a seed: a cluster, some operators who work on its VMs at the same time, and what
 * befalls them. Checked after every event: the world's rules (world.ts). Checked after every operation that nobody else
 * disturbed: what it has reported is so.
 */
import type { Cluster, ClusterSettings } from '../../../src/cluster/cluster.ts';
import { activateVm, deactivateIdle, deactivateVm } from '../../../src/cluster/activate.ts';
import { migrateVm } from '../../../src/cluster/migrate.ts';
import { startVm } from '../../../src/cluster/start.ts';
import { destroyVm, rebootVm, shutdownVm } from '../../../src/cluster/stop.ts';
import { CxmError } from '../../../src/errors.ts';
import type { ClusterNode } from '../../../src/cluster/node.ts';
import { allPromises, Operator, type Faults, type NodePromises } from './operator.ts';
import { Random, Scheduler } from './scheduler.ts';
import { isLive, World, type Disk, type ModelConfig, type ModelDomain, type ModelNode } from './world.ts';

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

interface Kind {
  /** One VM, often without volumes, is started again and again by operators who die. */
  readonly deadStarters?: boolean;
  readonly faults: Faults;
  readonly kills: boolean;
  readonly outages: boolean;
  readonly guests: boolean;
}

const quiet: Kind = {
  faults: { call: 0, migration: 0, deafGuest: 0.2, slowCreate: 0.1 },
  kills: false,
  outages: false,
  guests: false,
};

const rough: Faults = { call: 0.04, migration: 0.5, deafGuest: 0.2, slowCreate: 0.1 };

/** What befalls the operators; `share` of all histories. */
const kindTable = {
  quiet: { share: 0.25, kind: quiet },
  guests: { share: 0.15, kind: { ...quiet, guests: true } },
  faults: { share: 0.15, kind: { ...quiet, faults: rough } },
  kills: { share: 0.1, kind: { ...quiet, kills: true } },
  deadStarters: {
    share: 0.07,
    kind: { ...quiet, kills: true, deadStarters: true, faults: { ...quiet.faults, call: 0.02, slowCreate: 0.6 } },
  },
  outages: { share: 0.08, kind: { ...quiet, outages: true } },
  everything: {
    share: 0.2,
    kind: { kills: true, outages: true, guests: true, faults: { ...rough, call: 0.02, migration: 0.3 } },
  },
} as const satisfies Readonly<Record<string, { readonly share: number; readonly kind: Kind }>>;

export type KindName = keyof typeof kindTable;

function drawKind(random: Random, wanted: KindName | undefined): Kind {
  let draw = random.next();
  if (wanted !== undefined) return kindTable[wanted].kind;
  const found = Object.values(kindTable).find(({ share }) => (draw -= share) < 0);
  return found?.kind ?? quiet;
}

interface Operation {
  readonly kind: 'start' | 'shutdown' | 'destroy' | 'reboot' | 'migrate' | 'activate' | 'deactivate' | 'idle';
  readonly vm: string;
  /** Of the operation; undefined lets the library choose. */
  readonly node: string | undefined;
}

const kinds = ['start', 'migrate', 'shutdown', 'destroy', 'reboot', 'activate', 'deactivate', 'idle'] as const;
const ifAbsent = [0.75, 0.8, 0.8, 0.83, 0.83, 0.93, 0.97, 1];
const ifPresent = [0.12, 0.6, 0.72, 0.84, 0.92, 0.94, 0.96, 1];

/** What an operation may leave no trace in. */
interface Snapshot {
  readonly active: ReadonlySet<string>;
  readonly links: string;
  readonly domains: string;
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
      return {
        name: `node${index + 1}`,
        totalMemoryMib: random.pick([150, 300, 1000]),
        groupUuid: isForeign ? 'other' : 'san',
        up: true,
        reachable: true,
        domains: [],
        active: new Set(),
        links: new Map(),
        configs: new Map(),
        locks: new Map(),
        tokens: new Map(),
        busy: new Map(),
        waiters: [],
        boots: 0,
      };
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

  /** Some time within what the operators do. */
  private drawMs(): number {
    return this.random.next() * this.random.pick([3000, 10_000, 25_000]);
  }
}

function disk(volume: string, readOnly = false): Disk {
  return { group: 'san', volume, readOnly };
}

/** Looks at what an operation that nobody disturbs does to its VM. */
class Watch {
  private readonly before: Snapshot;
  private readonly disturbances: number;
  private readonly wasAloneAtFirst: boolean;
  private readonly volumes: ReadonlySet<string>;

  constructor(
    private readonly world: World,
    private readonly operation: Operation,
    others: readonly Operation[],
  ) {
    const configs = world.nodes.flatMap((node) => node.configs.get(operation.vm) ?? []);
    this.volumes = new Set(
      configs.flatMap(({ disks }) => disks.filter((own) => !own.readOnly).map(({ volume }) => volume)),
    );
    this.wasAloneAtFirst = others.length === 0 && this.isAtRest() && world.scheduler.now >= world.restlessUntil;
    this.disturbances = world.disturbances;
    this.before = this.snapshot();
    world.watches.add(this);
  }

  disturbed = false;

  wasAlone(others: readonly Operation[]): boolean {
    this.world.watches.delete(this);
    for (const watch of this.world.watches) watch.disturbed = true;
    return (
      this.wasAloneAtFirst && !this.disturbed && others.length === 0 && this.world.disturbances === this.disturbances
    );
  }

  /** Nothing of an earlier operation is still at work. */
  isAtRest(): boolean {
    return this.world.nodes.every(({ busy }) => [...busy.values()].every((count) => count === 0));
  }

  private snapshot(): Snapshot {
    const { vm } = this.operation;
    const { nodes } = this.world;
    const active = nodes.flatMap((node) =>
      [...node.active].filter((volume) => this.volumes.has(volume)).map((volume) => `${node.name} ${volume}`),
    );
    const domains = nodes.flatMap((node) =>
      node.domains
        .filter((domain) => domain.vm === vm && domain.phase !== 'dying')
        .map((domain) => `${node.name} ${domain.id} ${domain.phase}`),
    );
    const links = nodes.filter((node) => node.links.has(vm)).map(({ name }) => name);
    return { active: new Set(active), domains: domains.join(', '), links: links.join(', ') };
  }

  requireNoTrace(error: CxmError, words: string): void {
    if (error.changed === 'maybe') return;
    const after = this.snapshot();
    const { before, world } = this;
    const added = [...after.active].filter((volume) => !before.active.has(volume));
    if (added.length > 0) world.fail(`${words}: ${error.changed}, but active are now ${added.join(', ')}`);
    if (after.links !== before.links)
      world.fail(`${words}: ${error.changed}, but links were ${before.links}, are ${after.links}`);
    if (after.domains !== before.domains) {
      world.fail(`${words}: ${error.changed}, but domains were ${before.domains}, are ${after.domains}`);
    }
  }

  requireEffect(result: unknown, words: string): void {
    const { operation, world } = this;
    const { kind, vm } = operation;
    const where = world.nodes.filter((node) => node.domains.some((domain) => domain.vm === vm && isLive(domain)));
    const places = where.map(({ name }) => name).join(' and ');
    const rows = world.nodes.filter((node) =>
      node.domains.some((domain) => domain.vm === vm && domain.phase !== 'dying'),
    );
    // What runs may have been started from one node's own configuration.
    const running = where.flatMap((node) => node.domains).find((domain) => domain.vm === vm && isLive(domain));
    const named = world.nodes.find(({ name }) => name === operation.node)?.configs.get(vm);
    const own = running?.disks ?? (kind === 'activate' || kind === 'deactivate' ? named?.disks : undefined);
    const volumes = own?.filter(({ readOnly }) => !readOnly).map(({ volume }) => volume) ?? [...this.volumes];
    const activeOn = world.nodes.filter(({ active }) =>
      volumes.some((volume) => active.has(volume) && !world.sharedVolumes.has(volume)),
    );
    const isOnly = (list: readonly ModelNode[], name: string): boolean =>
      list.every((node) => node.name === name || node.groupUuid !== world.node(name).groupUuid);
    switch (kind) {
      case 'start':
        if (places !== result || !isOnly(activeOn, places)) world.fail(`${words}: runs on ${places}`);
        return;
      case 'migrate':
        if (places !== operation.node) world.fail(`${words}: runs on ${places}`);
        if (!(result as { alreadyThere: boolean }).alreadyThere && !isOnly(activeOn, places)) {
          world.fail(`${words}: volumes are active on ${activeOn.map(({ name }) => name).join(', ')}`);
        }
        return;
      case 'shutdown':
      case 'destroy':
        if (rows.length > 0) world.fail(`${words}: it is on ${rows.map(({ name }) => name).join(', ')}`);
        if (activeOn.some((node) => node.groupUuid === world.node((result as { node: string }).node).groupUuid)) {
          world.fail(`${words}: volumes are active on ${activeOn.map(({ name }) => name).join(', ')}`);
        }
        return;
      case 'reboot':
        if (where.length !== 1) world.fail(`${words}: runs on ${places}`);
        return;
      case 'activate':
        if (activeOn.length > 0 && !isOnly(activeOn, operation.node ?? '')) world.fail(`${words}: active on several`);
        return;
      case 'deactivate':
        if (activeOn.some(({ name }) => name === operation.node)) world.fail(`${words}: still active`);
        return;
      case 'idle':
        return;
    }
  }
}

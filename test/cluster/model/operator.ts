/**
 * An operator, one cxm process: the library's view of the model's nodes. Each call is an event at its node and another one
 * when the answer comes back; either may be lost, and with a killed operator everything that has not arrived may be.
 */
import type { ClusterNode, NodeLock, NodeVolumes } from '../../../src/cluster/node.ts';
import type { NodeFiles } from '../../../src/cluster/node-files.ts';
import { CxmError, type Changed } from '../../../src/errors.ts';
import type { Inventory } from '../../../src/lvm/inventory.ts';
import type { GroupedVolume } from '../../../src/lvm/report.ts';
import { monitorGraceMs, needsMonitor, type HostInfo } from '../../../src/xen/domain-list.ts';
import type { ShutdownOutcome, Toolstack } from '../../../src/xen/toolstack.ts';
import { create, migrate, runProgram, xlError, type MigrationFault, type Stages } from './programs.ts';
import type { Random } from './scheduler.ts';
import { detailsOf, rowOf, type ModelConfig, type ModelNode, type World } from './world.ts';

export interface Faults {
  /** Of a call whose request or answer is lost. */
  readonly call: number;
  readonly migration: number;
  readonly deafGuest: number;
  readonly slowCreate: number;
}

/** What nodes do for the library; a test of the model itself switches one off. */
export interface NodePromises {
  readonly locksWait: boolean;
  readonly busyWaits: boolean;
  readonly lateStepsRefused: boolean;
}

export const allPromises: NodePromises = { locksWait: true, busyWaits: true, lateStepsRefused: true };

interface HeldLock {
  readonly node: ModelNode;
  readonly vm: string;
  readonly token: string;
  held: boolean;
}

export class Operator {
  killed = false;
  /** Calls that failed because a fault was drawn. */
  faults = 0;
  readonly warnings: string[] = [];
  readonly locks: HeldLock[] = [];
  private tokens = new Map<string, string>();
  private nextToken = 0;

  constructor(
    readonly name: string,
    readonly world: World,
    private readonly random: Random,
    private readonly options: { readonly faults: Faults; readonly promises: NodePromises },
  ) {}

  nodes(): ClusterNode[] {
    return this.world.nodes.map((node) => this.body(node, undefined));
  }

  kill(): void {
    this.killed = true;
    this.world.scheduler.note(`${this.name} is killed`);
    for (const lock of this.locks) {
      this.world.scheduler.soon(`${lock.node.name}: ${this.name}'s lock of ${lock.vm} is free`, () => this.free(lock));
    }
  }

  /** The connection to a node breaks: what it held there is free at once, and this side notices later. */
  disconnect(node: ModelNode): void {
    for (const lock of this.locks.filter((one) => one.node === node)) {
      this.world.freeLock(node, lock.vm, lock.token);
      this.world.scheduler.soon(`${this.name} notices that ${node.name} is gone`, () => (lock.held = false));
    }
  }

  private free(lock: HeldLock): void {
    lock.held = false;
    this.world.freeLock(lock.node, lock.vm, lock.token);
  }

  private unreachable(node: ModelNode, changed: Changed): CxmError {
    return new CxmError('HOST_UNREACHABLE', `${node.name} does not answer`, { changed });
  }

  private drawFault(): boolean {
    if (!this.random.chance(this.options.faults.call)) return false;
    this.faults += 1;
    return true;
  }

  /** Never settles for an operator who is dead by then. */
  private call<T>(node: ModelNode, label: string, effect: () => T): Promise<T> {
    return this.arrive(node, label, (reply) => {
      const value = effect();
      if (this.drawFault()) throw this.unreachable(node, 'maybe');
      reply(() => value);
    });
  }

  /** `begin` at the node; its answer comes whenever it calls `reply`. */
  private arrive<T>(node: ModelNode, label: string, begin: (reply: (outcome: () => T) => void) => void): Promise<T> {
    const { scheduler } = this.world;
    return new Promise<T>((resolve, reject) => {
      const reply = (outcome: () => T): void =>
        scheduler.soon('', () => {
          if (this.killed) return;
          try {
            if (!node.up || !node.reachable) throw this.unreachable(node, 'maybe');
            resolve(outcome());
          } catch (error) {
            reject(error as Error);
          }
        });
      const failure = (error: unknown): void => scheduler.soon('', () => void (this.killed || reject(error as Error)));
      if (this.killed) return;
      let isLate = false;
      const event = `${this.name} > ${node.name}: ${label}`;
      const act = (): void => {
        if (this.killed && !isLate) {
          // What the dead have sent is lost, arrives, or arrives much later.
          if (this.random.chance(0.4)) return;
          isLate = this.random.chance(0.5);
          if (isLate) return scheduler.later(5000 + this.random.below(20_000), `${event}, late`, act);
        }
        try {
          if (!node.up || !node.reachable) throw this.unreachable(node, 'nothing');
          if (this.drawFault()) throw this.unreachable(node, 'nothing');
          begin(reply);
        } catch (error) {
          scheduler.note(`  ${this.name} < ${error instanceof Error ? error.message : String(error)}`);
          failure(error);
        }
      };
      scheduler.soon(event, act);
    });
  }

  private body(node: ModelNode, lockedVm: string | undefined): ClusterNode {
    return {
      name: node.name,
      toolstack: this.toolstack(node, lockedVm),
      files: this.files(node, lockedVm),
      system: {
        bridges: () => Promise.resolve(['br0']),
        cpuFlags: () => Promise.resolve(['fpu']),
        dynamicIrqs: () => Promise.resolve(0),
        ping: () => Promise.resolve('silence'),
        reach: (other) =>
          this.call(node, `ssh ${other}`, () => {
            if (!this.world.node(other).up) throw new CxmError('HOST_UNREACHABLE', `no route to ${other}`);
          }),
        startDetached: () => Promise.resolve(),
      },
      programs: { run: () => Promise.reject(new Error('the model runs no programs')) },
      inventory: () => this.call(node, 'lvs', () => this.inventory(node)),
      volumes: (group) => this.volumes(node, group, lockedVm),
      lock: (vm, waitMs) => this.lock(node, vm, waitMs),
      under: (vm) => this.body(node, vm),
    };
  }

  /** What begins only when another one has the lock is refused. */
  private requireToken(node: ModelNode, vm: string | undefined): void {
    if (vm === undefined || !this.options.promises.lateStepsRefused) return;
    if (node.tokens.get(vm) !== this.tokens.get(`${node.name} ${vm}`)) {
      throw new CxmError('INTERRUPTED', `another cxm has taken the lock of ${vm} on ${node.name}`);
    }
  }

  private lock(node: ModelNode, vm: string, waitMs: number): Promise<NodeLock> {
    const { scheduler } = this.world;
    const { promises } = this.options;
    return this.arrive<NodeLock>(node, `lock ${vm}`, (reply) => {
      let isDone = false;
      const take = (): void => {
        if (isDone || this.killed || !node.up || !node.reachable) return;
        if (promises.locksWait && node.locks.has(vm)) return;
        if (promises.busyWaits && (node.busy.get(vm) ?? 0) > 0) return;
        isDone = true;
        node.waiters = node.waiters.filter((waiter) => waiter.grant !== take);
        const token = `${this.name} ${(this.nextToken += 1)}`;
        const lock: HeldLock = { node, vm, token, held: true };
        node.locks.set(vm, { owner: this.name, token });
        node.tokens.set(vm, token);
        this.world.newToken(node, vm);
        this.tokens.set(`${node.name} ${vm}`, token);
        this.locks.push(lock);
        scheduler.note(`  ${this.name} holds ${vm} on ${node.name}`);
        reply(() => ({
          get held() {
            return lock.held;
          },
          release: () =>
            new Promise<void>((resolve) =>
              scheduler.soon(`${this.name} > ${node.name}: release ${vm}`, () => {
                this.free(lock);
                if (!this.killed) resolve();
              }),
            ),
        }));
      };
      node.waiters.push({ vm, grant: take });
      take();
      if (isDone) return;
      scheduler.later(waitMs, '', () => {
        if (isDone) return;
        isDone = true;
        node.waiters = node.waiters.filter((waiter) => waiter.grant !== take);
        reply(() => {
          throw new CxmError('IN_USE', `another cxm works on ${vm}`);
        });
      });
    });
  }

  private inventory(node: ModelNode): Inventory {
    const names = new Set(
      this.world.nodes
        .flatMap((any) => [...any.configs.values()])
        .flatMap(({ disks }) => disks.map(({ volume }) => volume)),
    );
    const group = { name: 'san', uuid: node.groupUuid, sizeBytes: 0, freeBytes: 0, extentBytes: 0, lockType: '' };
    return { groups: [group], volumes: [...names].map((name) => this.volumeOf(node, name)) };
  }

  private volumeOf(node: ModelNode, name: string): GroupedVolume {
    return {
      group: 'san',
      name,
      uuid: `${node.groupUuid} ${name}`,
      sizeBytes: 1,
      tags: [],
      active: node.active.has(name),
      open: this.world.isOpen(node, name),
      path: `/dev/san/${name}`,
      origin: '',
    };
  }

  private volumes(node: ModelNode, group: string, lockedVm: string | undefined): NodeVolumes {
    return {
      find: (name) => this.call(node, `lvs ${name}`, () => this.volumeOf(node, name)),
      activate: (name, mode) =>
        this.call(node, `activate ${group}/${name} (${mode})`, () => {
          this.requireToken(node, lockedVm);
          node.active.add(name);
          return this.volumeOf(node, name);
        }),
      deactivate: (name) =>
        this.call(node, `deactivate ${group}/${name}`, () => {
          this.requireToken(node, lockedVm);
          if (this.world.isOpen(node, name)) throw new CxmError('IN_USE', `${name} is in use`);
          node.active.delete(name);
        }),
    };
  }

  private files(node: ModelNode, lockedVm: string | undefined): NodeFiles {
    const read = (vm: string, config: ModelConfig) => ({ vm, path: `/etc/xen/vm/${vm}`, text: configText(vm, config) });
    return {
      readConfig: (vm) =>
        this.call(node, `read ${vm}`, () => {
          const config = node.configs.get(vm);
          return config === undefined ? undefined : read(vm, config);
        }),
      readConfigs: () => this.call(node, 'read all', () => [...node.configs].map(([vm, config]) => read(vm, config))),
      links: () => this.call(node, 'links', () => new Map(node.links)),
      setLink: (vm, path) =>
        this.call(node, `link ${vm}`, () => {
          this.requireToken(node, lockedVm);
          node.links.set(vm, path);
        }),
      removeLink: (vm) =>
        this.call(node, `unlink ${vm}`, () => {
          this.requireToken(node, lockedVm);
          node.links.delete(vm);
        }),
    };
  }

  private toolstack(node: ModelNode, lockedVm: string | undefined): Toolstack {
    const unused = (): never => {
      throw new Error('the library does not use this');
    };
    const { world } = this;
    return {
      list: () => this.call(node, 'xl list', () => node.domains.map(rowOf)),
      find: (id) => this.call(node, `xl list ${id}`, () => node.domains.map(rowOf).find((row) => row.id === id)),
      details: () =>
        this.call(node, 'xl list -l', () => node.domains.filter(({ phase }) => phase !== 'dying').map(detailsOf)),
      info: () => this.call(node, 'xl info', () => infoOf(node)),
      create: (path) => {
        const vm = path.slice('/etc/xen/vm/'.length);
        return this.program(node, { vm, lockedVm, label: `xl create ${vm}` }, () =>
          create(world, node, vm, this.createDelayMs()),
        );
      },
      migrate: (id, destination, options) => {
        const vm = node.domains.find((domain) => domain.id === id)?.vm ?? '';
        const migration = {
          source: node,
          destination: world.node(destination),
          domainId: Number(id),
          deadlineMs: options?.deadlineMs ?? 3_600_000,
          fault: this.migrationFault(),
        };
        const label = `xl migrate ${vm} ${destination}${migration.fault === 'none' ? '' : ` (${migration.fault})`}`;
        return this.program(node, { vm, lockedVm, label }, () => migrate(world, this.random, migration));
      },
      destroy: (id) =>
        this.call(node, `xl destroy ${id}`, () => {
          this.requireToken(node, lockedVm);
          const domain = node.domains.find((one) => one.id === id);
          if (domain === undefined) throw xlError('unknownDomain');
          if (domain.phase !== 'dying') world.tearDown(node, domain);
        }),
      shutdown: (id, options) => this.shutdown(node, Number(id), options.timeoutMs),
      reboot: (id) =>
        this.call(node, `xl reboot ${id}`, () => {
          const domain = node.domains.find((one) => one.id === id);
          if (domain === undefined) throw xlError('unknownDomain');
          world.stir();
          world.scheduler.later(1000, `${node.name}: ${domain.vm} reboots`, () => world.guestReboots(node, domain));
        }),
      vcpuList: unused,
      pause: unused,
      unpause: unused,
      rename: unused,
      save: unused,
      restore: unused,
      blockAttach: unused,
      blockDetach: unused,
      blockList: unused,
      networkAttach: unused,
      networkDetach: unused,
      networkList: unused,
      setMemory: unused,
      setMaximumMemory: unused,
      setVcpus: unused,
    };
  }

  private createDelayMs(): number | undefined {
    return this.random.chance(this.options.faults.slowCreate) ? 5000 + this.random.below(20_000) : undefined;
  }

  private migrationFault(): MigrationFault {
    if (!this.random.chance(this.options.faults.migration)) return 'none';
    this.faults += 1;
    return this.random.pick(['early', 'late', 'late', 'lostBeforeGo', 'lostAfterGo'] as const);
  }

  private program(
    node: ModelNode,
    { vm, lockedVm, label }: { readonly vm: string; readonly lockedVm: string | undefined; readonly label: string },
    begin: () => Stages,
  ): Promise<void> {
    const { world } = this;
    return this.arrive<void>(node, label, (reply) => {
      this.requireToken(node, lockedVm);
      const boots = node.boots;
      world.setBusy(node, vm, 1);
      runProgram(world, node, begin(), {
        label,
        ended: (result) => {
          if (node.boots === boots) world.setBusy(node, vm, -1);
          reply(() => {
            if (result === 'done') return;
            throw result === 'gone' ? this.unreachable(node, 'maybe') : result;
          });
        },
      });
      if (!this.drawFault()) return;
      world.scheduler.note(`  the connection of ${this.name} to ${label} breaks`);
      throw this.unreachable(node, 'maybe');
    });
  }

  /** As xl.ts asks and waits. */
  private async shutdown(node: ModelNode, id: number, timeoutMs: number): Promise<ShutdownOutcome> {
    const { world } = this;
    const deadline = world.scheduler.now + timeoutMs;
    const deaf = this.random.chance(this.options.faults.deafGuest);
    const wasThere = await this.call(node, `xl shutdown ${id}`, () => {
      const domain = node.domains.find((one) => one.id === id);
      if (domain === undefined) return false;
      world.stir();
      if (!deaf) {
        const act = (): void => world.guestShutsDown(node, domain);
        world.scheduler.later(1000, `${node.name}: ${domain.vm} shuts down`, act);
      }
      return true;
    });
    if (!wasThere) return 'gone';
    let unattendedSince: number | undefined;
    for (;;) {
      const row = await this.call(node, 'xl list', () => node.domains.map(rowOf).find((one) => one.id === id));
      const { now } = world.scheduler;
      if (row === undefined) return 'gone';
      unattendedSince = needsMonitor(row) ? (unattendedSince ?? now) : undefined;
      if (unattendedSince !== undefined && now - unattendedSince >= monitorGraceMs) return 'leftBehind';
      if (now >= deadline) return unattendedSince === undefined ? 'stillRunning' : 'leftBehind';
      await this.sleep(1000);
    }
  }

  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) =>
      this.world.scheduler.later(milliseconds, '', () => void (this.killed || resolve())),
    );
  }
}

function infoOf(node: ModelNode): HostInfo {
  const used = node.domains.reduce((sum, { memoryMib }) => sum + memoryMib, 0);
  return {
    host: node.name,
    cpus: 1,
    cpuMhz: 1,
    totalMemoryMib: node.totalMemoryMib,
    freeMemoryMib: node.totalMemoryMib - used,
    xenVersion: '4.17',
    cpuFeatures: '',
    simulated: true,
    fields: {},
  };
}

function configText(vm: string, { memoryMib, disks }: ModelConfig): string {
  const items = disks.map(({ group, volume, readOnly }, index) => {
    const vdev = `xvd${String.fromCharCode(97 + index)}`;
    return `"phy:/dev/${group}/${volume},${vdev},${readOnly ? 'r' : 'w'}"`;
  });
  return `name = "${vm}"\nmemory = ${memoryMib}\ndisk = [${items.join(', ')}]\n`;
}

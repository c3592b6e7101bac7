/**
 * An operator, one cxm process: the library's view of the model's nodes. Each call is an event at its node and another one
 * when the answer comes back; either may be lost, and with a killed operator everything that has not arrived may be.
 */
import type { ClusterNode, NodeLock, NodeVolumes } from '../../../src/cluster/node.ts';
import type { NodeFiles } from '../../../src/cluster/node-files.ts';
import type { NodeMoves } from '../../../src/cluster/node-moves.ts';
import { CxmError, type Changed } from '../../../src/errors.ts';
import { configText, inventoryOf, volumeOf } from './answers.ts';
import type { Random } from './scheduler.ts';
import { ModelToolstack } from './toolstack.ts';
import type { ModelConfig, ModelNode, World } from './world.ts';

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
    readonly random: Random,
    readonly options: { readonly faults: Faults; readonly promises: NodePromises },
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

  unreachable(node: ModelNode, changed: Changed): CxmError {
    return new CxmError('HOST_UNREACHABLE', `${node.name} does not answer`, { changed });
  }

  drawFault(): boolean {
    if (!this.random.chance(this.options.faults.call)) return false;
    this.faults += 1;
    return true;
  }

  /** Never settles for an operator who is dead by then. */
  call<T>(node: ModelNode, label: string, effect: () => T): Promise<T> {
    return this.arrive(node, label, (reply) => {
      const value = effect();
      if (this.drawFault()) throw this.unreachable(node, 'maybe');
      reply(() => value);
    });
  }

  /** `begin` at the node; its answer comes whenever it calls `reply`. */
  arrive<T>(node: ModelNode, label: string, begin: (reply: (outcome: () => T) => void) => void): Promise<T> {
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
      toolstack: new ModelToolstack(this).of(node, lockedVm),
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
      moves: this.moves(node, lockedVm),
      programs: { run: () => Promise.reject(new Error('the model runs no programs')) },
      inventory: () => this.call(node, 'lvs', () => inventoryOf(this.world, node)),
      volumes: (group) => this.volumes(node, group, lockedVm),
      lock: (vm, waitMs) => this.lock(node, vm, waitMs),
      holders: (vm) =>
        this.call(node, `holders of ${vm}`, () => {
          const [latest = '', former = ''] = node.tokens.get(vm) ?? [];
          return { latest, former };
        }),
      under: (vm) => this.body(node, vm),
    };
  }

  /** What begins only when another one has the lock is refused. */
  requireToken(node: ModelNode, vm: string | undefined): void {
    if (vm === undefined || !this.options.promises.lateStepsRefused) return;
    if (node.tokens.get(vm)?.[0] !== this.tokens.get(`${node.name} ${vm}`)) {
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
        node.tokens.set(vm, [token, ...(node.tokens.get(vm) ?? [])]);
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

  private volumes(node: ModelNode, group: string, lockedVm: string | undefined): NodeVolumes {
    return {
      find: (name) => this.call(node, `lvs ${name}`, () => volumeOf(this.world, node, name)),
      activate: (name, mode) =>
        this.call(node, `activate ${group}/${name} (${mode})`, () => {
          this.requireToken(node, lockedVm);
          node.active.add(name);
          return volumeOf(this.world, node, name);
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

  private moves(node: ModelNode, lockedVm: string | undefined): NodeMoves {
    const change = (label: string, effect: () => void): Promise<void> =>
      this.call(node, label, () => {
        this.requireToken(node, lockedVm);
        effect();
      });
    return {
      read: (vm) => this.call(node, `read the move of ${vm}`, () => node.moves.get(vm)),
      write: (vm, move) => change(`note the move of ${vm}`, () => void node.moves.set(vm, move)),
      remove: (vm) => change(`forget the move of ${vm}`, () => void node.moves.delete(vm)),
      begun: () => this.call(node, 'list the moves', () => [...node.moves.keys()]),
    };
  }

  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) =>
      this.world.scheduler.later(milliseconds, '', () => void (this.killed || resolve())),
    );
  }
}

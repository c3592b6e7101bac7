/** VMs: where they run, whether they answer, how they start and migrate, and where they would fit. */
import { bystandersOf, obstacleToWork } from '../../src/ha/daemon/view.ts';
import type { Effect, PingResult } from '../../src/ha/protocol/messages.ts';
import type { SimNode } from './node.ts';
import type { World } from './world.ts';

export class Guests {
  /** Those that should run. */
  readonly wanted = new Set<string>();
  startFails = 0;
  startUnknown = 0;
  startMs = 3000;
  migrationMs = 4000;
  /** Where best-fit would find no place, once. */
  shortages = 0;
  /** Told when a VM is being started. */
  began: (vm: string) => void = () => undefined;
  private readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  hostOf(vm: string): SimNode | undefined {
    return this.world.nodes.find(({ vms }) => vms.has(vm));
  }

  up(node: SimNode, vm: string): void {
    node.vms.add(vm);
    this.world.log(node, `${vm} runs`);
    this.world.checks.running(vm);
    this.changed(node);
  }

  down(node: SimNode, vm: string): void {
    if (!node.vms.delete(vm)) return;
    this.world.log(node, `${vm} ends`);
    this.changed(node);
  }

  /** The poll of each second finds it. */
  private changed(node: SimNode): void {
    node.listVms(this.world.random.between(0, 1000));
  }

  ping(node: SimNode, effect: Extract<Effect, { kind: 'ping' }>): void {
    const { world } = this;
    const finish = node.finisher(effect.id);
    const lateMs = node.troubles.pingsLateMs;
    world.queue.after(world.random.between(0.3, 0.95) * effect.deadlineMs + lateMs, () => {
      const results = effect.vms.map((vm): PingResult => {
        if (node.troubles.pingsUnresolved) return 'unknown';
        const host = this.hostOf(vm);
        return host !== undefined && world.network.pings(node.index, host.index) ? 'answer' : 'silent';
      });
      finish({ kind: 'ping', results });
    });
  }

  plan(node: SimNode, effect: Extract<Effect, { kind: 'plan' }>): void {
    const { world } = this;
    const finish = node.finisher(effect.id);
    if (new Set(effect.vms).size < effect.vms.length) world.checks.fail('L1', `a place is sought twice for one VM`);
    world.queue.after(world.random.between(20, 200), () => {
      if (this.shortages > 0) {
        this.shortages -= 1;
        const left = effect.vms.map((vm) => ({ vm, reason: 'not enough RAM', panic: true }));
        return finish({ kind: 'plan', placements: [], left });
      }
      const placements = effect.vms.flatMap((vm) => {
        const untried = effect.nodes.filter((to) => !effect.failed.some((one) => one.vm === vm && one.node === to));
        const nodes = untried.length > 0 ? untried : effect.nodes;
        return nodes.length === 0 ? [] : [{ vm, node: world.random.pick(nodes) }];
      });
      const placed = new Set(placements.map(({ vm }) => vm));
      const left = effect.vms.filter((vm) => !placed.has(vm)).map((vm) => ({ vm, reason: 'no node', panic: false }));
      finish({ kind: 'plan', placements, left });
    });
  }

  start(node: SimNode, effect: Extract<Effect, { kind: 'start' }>): void {
    const finish = node.finisher(effect.id);
    if (node.clockMs > effect.notAfterMs) {
      return finish({ kind: 'start', outcome: 'failed', reason: 'too late' });
    }
    // From here on its claim speaks for it, whoever is master.
    this.world.checks.startBegins(node, effect);
    this.began(effect.vm);
    const { vm, source } = effect;
    // Who counts as alive at this moment is asked as one, and all others are these.
    const bystanders = new Set(this.world.asksNoBystander ? [] : bystandersOf(node.state, node.clockMs));
    this.world.cxm.ordered({
      ...{ vm, at: node, source, isOrder: true },
      obstacle: () => {
        const holder = this.bystanderWith(node, bystanders, effect);
        if (holder !== undefined) return `${holder.name} has it`;
        return obstacleToWork(node.state, node.clockMs, effect.id);
      },
      end: (outcome, reason) => finish({ kind: 'start', outcome, reason }),
    });
  }

  /** The shell asks nodes that are not alive to it, as far as it reaches them. */
  private bystanderWith(
    node: SimNode,
    bystanders: ReadonlySet<string>,
    { vm, source }: Extract<Effect, { kind: 'start' }>,
  ): SimNode | undefined {
    return this.world.nodes.find(
      (other) =>
        bystanders.has(other.name) &&
        other.index !== source &&
        other.powered &&
        !this.world.network.isCut(node.index, other.index) &&
        (other.vms.has(vm) || other.arriving.has(vm)),
    );
  }

  /** The toolstack goes on when cxmd dies. */
  create(node: SimNode, vm: string, end: (outcome: 'running' | 'failed' | 'unknown', reason: string) => void): void {
    const { world } = this;
    const { powerCycle } = node;
    const durationMs = world.random.between(0.3, 1.5) * this.startMs;
    const fails = world.random.chance(this.startFails);
    world.log(node, `${vm} is being started`);
    node.building.add(vm);
    if (node.troubles.toolstackHung) return this.hang(node, vm, end);
    world.queue.after(durationMs, () => {
      if (node.powerCycle !== powerCycle) return;
      node.building.delete(vm);
      if (!fails) this.up(node, vm);
      if (world.random.chance(this.startUnknown)) return end('unknown', 'no word');
      end(fails ? 'failed' : 'running', fails ? 'xl create failed' : '');
    });
  }

  /** Ended by the shell at the deadline, with everything it had begun. */
  private hang(node: SimNode, vm: string, end: (outcome: 'failed', reason: string) => void): void {
    const { world } = this;
    const { powerCycle } = node;
    world.queue.after(world.timing.startDeadlineMs, () => {
      if (node.powerCycle !== powerCycle) return;
      node.building.delete(vm);
      end('failed', 'xl create took too long');
    });
  }

  migrate(
    node: SimNode,
    vm: string,
    source: number,
    end: (outcome: 'running' | 'failed' | 'unknown', reason: string) => void,
  ): void {
    const { world } = this;
    const from = world.node(source);
    const cycles = [node.powerCycle, from.powerCycle] as const;
    const isThrough = (): boolean =>
      node.powerCycle === cycles[0] &&
      from.powerCycle === cycles[1] &&
      !world.network.isCut(source, node.index) &&
      !world.network.isCut(node.index, source);
    node.arriving.add(vm);
    world.queue.after(world.random.between(0.3, 1.5) * this.migrationMs, () => {
      if (node.powerCycle !== cycles[0]) return;
      node.arriving.delete(vm);
      if (!isThrough() || !from.vms.has(vm)) return end('failed', 'xl migrate failed');
      world.log(node, `${vm} arrives from ${from.name}`);
      this.down(from, vm);
      this.up(node, vm);
      end(world.random.chance(this.startUnknown) ? 'unknown' : 'running', '');
    });
  }
}

/**
 * The toolstack that an operator sees: xl of the model's nodes, whose programs run on when whoever has begun them is gone.
 * What it draws by itself is how migrations fail, how slow a create is, and which guest hears nothing.
 */
import { monitorGraceMs, needsMonitor } from '../../../src/xen/domain-list.ts';
import type { ShutdownOutcome, Toolstack } from '../../../src/xen/toolstack.ts';
import { infoOf } from './answers.ts';
import type { Operator } from './operator.ts';
import { create, migrate, runProgram, xlError, type MigrationFault, type Stages } from './programs.ts';
import { detailsOf, rowOf, type ModelNode } from './world.ts';

export class ModelToolstack {
  constructor(private readonly operator: Operator) {}

  of(node: ModelNode, lockedVm: string | undefined): Toolstack {
    const unused = (): never => {
      throw new Error('the library does not use this');
    };
    const { world } = this.operator;
    return {
      list: () => this.operator.call(node, 'xl list', () => node.domains.map(rowOf)),
      find: (id) =>
        this.operator.call(node, `xl list ${id}`, () => node.domains.map(rowOf).find((row) => row.id === id)),
      details: () =>
        this.operator.call(node, 'xl list -l', () =>
          node.domains.filter(({ phase }) => phase !== 'dying').map(detailsOf),
        ),
      info: () => this.operator.call(node, 'xl info', () => infoOf(node)),
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
        return this.program(node, { vm, lockedVm, label }, () => migrate(world, this.operator.random, migration));
      },
      destroy: (id) =>
        this.operator.call(node, `xl destroy ${id}`, () => {
          this.operator.requireToken(node, lockedVm);
          const domain = node.domains.find((one) => one.id === id);
          if (domain === undefined) throw xlError('unknownDomain');
          if (domain.phase !== 'dying') world.tearDown(node, domain);
        }),
      shutdown: (id, options) => this.shutdown(node, Number(id), options.timeoutMs),
      reboot: (id) =>
        this.operator.call(node, `xl reboot ${id}`, () => {
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
    return this.operator.random.chance(this.operator.options.faults.slowCreate)
      ? 5000 + this.operator.random.below(20_000)
      : undefined;
  }

  private migrationFault(): MigrationFault {
    if (!this.operator.random.chance(this.operator.options.faults.migration)) return 'none';
    this.operator.faults += 1;
    return this.operator.random.pick(['early', 'late', 'late', 'lostBeforeGo', 'lostAfterGo'] as const);
  }

  private program(
    node: ModelNode,
    { vm, lockedVm, label }: { readonly vm: string; readonly lockedVm: string | undefined; readonly label: string },
    begin: () => Stages,
  ): Promise<void> {
    const { world } = this.operator;
    return this.operator.arrive<void>(node, label, (reply) => {
      this.operator.requireToken(node, lockedVm);
      const boots = node.boots;
      world.setBusy(node, vm, 1);
      runProgram(world, node, begin(), {
        label,
        ended: (result) => {
          if (node.boots === boots) world.setBusy(node, vm, -1);
          reply(() => {
            if (result === 'done') return;
            throw result === 'gone' ? this.operator.unreachable(node, 'maybe') : result;
          });
        },
      });
      if (!this.operator.drawFault()) return;
      world.scheduler.note(`  the connection of ${this.operator.name} to ${label} breaks`);
      throw this.operator.unreachable(node, 'maybe');
    });
  }

  /** As xl.ts asks and waits. */
  private async shutdown(node: ModelNode, id: number, timeoutMs: number): Promise<ShutdownOutcome> {
    const { world } = this.operator;
    const deadline = world.scheduler.now + timeoutMs;
    const deaf = this.operator.random.chance(this.operator.options.faults.deafGuest);
    const wasThere = await this.operator.call(node, `xl shutdown ${id}`, () => {
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
      const row = await this.operator.call(node, 'xl list', () => node.domains.map(rowOf).find((one) => one.id === id));
      const { now } = world.scheduler;
      if (row === undefined) return 'gone';
      unattendedSince = needsMonitor(row) ? (unattendedSince ?? now) : undefined;
      if (unattendedSince !== undefined && now - unattendedSince >= monitorGraceMs) return 'leftBehind';
      if (now >= deadline) return unattendedSince === undefined ? 'stillRunning' : 'leftBehind';
      await this.operator.sleep(1000);
    }
  }
}

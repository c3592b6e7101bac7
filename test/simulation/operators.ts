/** What administrators do, well or badly, as faults: leave, maintenance, panic, migrations with and without cxm. */
import type { Fault } from './faults.ts';
import type { World } from './world.ts';

export type OperatorFault = Extract<
  Fault,
  {
    kind:
      | 'leave'
      | 'election'
      | 'maintenance'
      | 'disarm'
      | 'panic'
      | 'raw-migrate'
      | 'managed-migrate'
      | 'restart-vm'
      | 'create'
      | 'kill';
  }
>;

export function operate(world: World, fault: OperatorFault): void {
  const { queue } = world;
  switch (fault.kind) {
    case 'leave': {
      const node = world.node(fault.node);
      node.call({ kind: 'leave' });
      queue.after(fault.forMs, () => {
        node.boot();
      });
      return;
    }
    case 'election':
      world.master()?.call({ kind: 'force-election' });
      return;
    case 'maintenance':
    case 'disarm': {
      const node = world.node(fault.node);
      node.call({ kind: fault.kind, on: true });
      queue.after(fault.forMs, () => {
        node.call({ kind: fault.kind, on: false });
      });
      return;
    }
    case 'panic':
      world.node(fault.node).call({ kind: 'force-panic', reason: 'a person said so' });
      return;
    case 'raw-migrate':
      return rawMigrate(world, fault.from, fault.to);
    case 'managed-migrate':
      return managedMigrate(world, fault.from, fault.to);
    case 'restart-vm':
      return restartVm(world, fault.from, fault.to);
    case 'create':
      return createVm(world, fault.node, fault.vm);
    case 'kill':
      world.master()?.call({ kind: 'kill', node: fault.node, confirmedOff: !world.node(fault.node).powered });
      return;
  }
}

/** `xl migrate` by hand, which asks nobody. */
export function rawMigrate(world: World, from: number, to: number): void {
  const [vm] = world.node(from).vms;
  const target = world.node(to);
  if (vm === undefined || !target.powered || from === to) return;
  world.guests.migrate(target, vm, from, () => undefined);
}

/** `cxm migrate`, called at the destination. */
function managedMigrate(world: World, from: number, to: number): void {
  const [vm] = world.node(from).vms;
  if (vm === undefined || from === to) return;
  world.cxm.byHand(world.node(to), vm, from);
}

/** Shut down here, and at once started there through cxm. */
function restartVm(world: World, from: number, to: number): void {
  const node = world.node(from);
  const [vm] = node.vms;
  if (vm === undefined) return;
  world.guests.down(node, vm);
  createVm(world, to, vm);
}

/** `cxm create`, called on the node where it is to run. */
export function createVm(world: World, to: number, vm: string): void {
  world.cxm.byHand(world.node(to), vm, -1);
}

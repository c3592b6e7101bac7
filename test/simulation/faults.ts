/** What can go wrong, each as data, so that a plan can be printed, shrunk and written down as a scenario. */
import type { FenceMode } from './power.ts';
import type { World } from './world.ts';

export type Fault =
  | { readonly kind: 'power-loss'; readonly node: number; readonly forMs: number }
  | { readonly kind: 'crash'; readonly node: number; readonly forMs: number }
  | { readonly kind: 'pause'; readonly node: number; readonly forMs: number; readonly midway: boolean }
  | { readonly kind: 'cut'; readonly from: number; readonly to: number; readonly forMs: number }
  | { readonly kind: 'isolate'; readonly node: number; readonly forMs: number; readonly pings: boolean }
  | { readonly kind: 'partition'; readonly nodes: readonly number[]; readonly forMs: number; readonly pings: boolean }
  | { readonly kind: 'lan-gone'; readonly forMs: number; readonly pings: boolean }
  | {
      readonly kind: 'noise';
      readonly loss: number;
      readonly spreadMs: number;
      readonly duplicates: number;
      readonly forMs: number;
    }
  | {
      readonly kind: 'san-cut';
      readonly node: number;
      readonly mode: 'hung' | 'failing' | 'slow';
      readonly slowMs: number;
      readonly ghosts: boolean;
      readonly forMs: number;
    }
  | {
      readonly kind: 'san-all';
      readonly mode: 'hung' | 'failing' | 'slow';
      readonly slowMs: number;
      readonly forMs: number;
    }
  | {
      readonly kind: 'stuck-write';
      readonly node: number;
      readonly leaseOnly?: boolean;
      readonly count: number;
      readonly forMs: number;
      readonly ghosts: boolean;
    }
  | { readonly kind: 'torn'; readonly block: number; readonly forMs: number }
  | { readonly kind: 'wall-clock'; readonly node: number; readonly byMs: number }
  | { readonly kind: 'fence-mode'; readonly mode: FenceMode }
  | { readonly kind: 'starts'; readonly fails: number; readonly unknown: number; readonly startMs: number }
  | { readonly kind: 'unresolved'; readonly node: number; readonly forMs: number }
  | { readonly kind: 'leave'; readonly node: number; readonly forMs: number }
  | { readonly kind: 'election' }
  | { readonly kind: 'maintenance'; readonly node: number; readonly forMs: number }
  | { readonly kind: 'disarm'; readonly node: number; readonly forMs: number }
  | { readonly kind: 'panic'; readonly node: number }
  | { readonly kind: 'raw-migrate'; readonly from: number; readonly to: number }
  | { readonly kind: 'managed-migrate'; readonly from: number; readonly to: number }
  | { readonly kind: 'restart-vm'; readonly from: number; readonly to: number }
  | { readonly kind: 'kill'; readonly node: number }
  | { readonly kind: 'wipe-disk' }
  /** All lose power at once; those of `off` stay without it for long. */
  | { readonly kind: 'cold-boot'; readonly off: readonly number[]; readonly tornLease: boolean; readonly forMs: number }
  | { readonly kind: 'pings-cut'; readonly node: number; readonly forMs: number }
  /** At the next effect of this kind, on any node: before it is carried out. */
  | {
      readonly kind: 'trap';
      readonly effect: Trapped;
      readonly action: 'pause' | 'crash' | 'power-loss';
      readonly forMs: number;
    };

export type Trapped = 'fence' | 'start' | 'ask' | 'plan' | 'write-lease' | 'write-slot' | 'fence-status';

export function apply(world: World, fault: Fault): void {
  const { network, disk, queue } = world;
  world.log(undefined, `FAULT ${JSON.stringify(fault)}`);
  switch (fault.kind) {
    case 'power-loss':
      world.node(fault.node).powerOff();
      queue.after(fault.forMs, () => {
        powerOn(world, fault.node);
      });
      return;
    case 'crash': {
      const node = world.node(fault.node);
      node.crash();
      queue.after(fault.forMs, () => {
        if (!node.stopped) node.boot();
      });
      return;
    }
    case 'pause':
      return world.node(fault.node).pause(fault.forMs, fault.midway);
    case 'cut':
      network.cut(fault.from, fault.to);
      queue.after(fault.forMs, () => {
        network.cut(fault.from, fault.to, false);
      });
      return;
    case 'isolate':
      return part(world, [fault.node], fault.forMs, fault.pings);
    case 'partition':
      return part(world, fault.nodes, fault.forMs, fault.pings);
    case 'lan-gone':
      for (const { index } of world.nodes) part(world, [index], fault.forMs, fault.pings);
      return;
    case 'noise':
      network.loss = fault.loss;
      network.spreadMs = fault.spreadMs;
      network.duplicates = fault.duplicates;
      queue.after(fault.forMs, () => {
        network.loss = 0;
        network.spreadMs = 3;
        network.duplicates = 0;
      });
      return;
    case 'san-cut':
      return breakPath(world, fault.node, fault);
    case 'san-all':
      for (const { index } of world.nodes) breakPath(world, index, { ...fault, ghosts: false });
      return;
    case 'stuck-write': {
      const path = disk.path(fault.node);
      path.stuckWrites = fault.count;
      path.stuckMs = fault.forMs;
      path.stuckLeaseOnly = fault.leaseOnly === true;
      path.ghosts = fault.ghosts;
      return;
    }
    case 'torn':
      return tear(world, fault.block, fault.forMs);
    case 'fence-mode':
      world.power.mode = fault.mode;
      return;
    case 'starts':
      world.guests.startFails = fault.fails;
      world.guests.startUnknown = fault.unknown;
      world.guests.startMs = fault.startMs;
      return;
    case 'wipe-disk':
      world.checks.forgetEpochs();
      return disk.wipe();
    case 'cold-boot':
      return coldBoot(world, fault);
    case 'pings-cut':
      network.pingCut[fault.node] = true;
      queue.after(fault.forMs, () => {
        network.pingCut[fault.node] = false;
      });
      return;
    case 'trap':
      world.trap = fault;
      return;
    default:
      return actOnNode(world, fault);
  }
}

type NodeFault = Extract<
  Fault,
  {
    kind:
      | 'wall-clock'
      | 'unresolved'
      | 'leave'
      | 'election'
      | 'maintenance'
      | 'disarm'
      | 'panic'
      | 'raw-migrate'
      | 'managed-migrate'
      | 'restart-vm'
      | 'kill';
  }
>;

/** What administrators do. */
function actOnNode(world: World, fault: NodeFault): void {
  const { queue } = world;
  switch (fault.kind) {
    case 'wall-clock':
      world.node(fault.node).wallOffsetMs += fault.byMs;
      return;
    case 'unresolved':
      world.node(fault.node).pingsUnresolved = true;
      queue.after(fault.forMs, () => {
        world.node(fault.node).pingsUnresolved = false;
      });
      return;
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
    case 'kill':
      world.master()?.call({ kind: 'kill', node: fault.node, confirmedOff: !world.node(fault.node).powered });
      return;
  }
}

export function powerOn(world: World, index: number): void {
  const node = world.node(index);
  if (node.powered) return;
  node.powerOn();
  const { powerCycle } = node;
  world.queue.after(world.random.between(5000, 30_000), () => {
    if (node.powerCycle === powerCycle) node.boot();
  });
}

function coldBoot(world: World, fault: Extract<Fault, { kind: 'cold-boot' }>): void {
  for (const node of world.nodes) {
    node.powerOff();
    const forMs = fault.off.includes(node.index) ? fault.forMs + 100_000 : fault.forMs;
    world.queue.after(forMs, () => {
      powerOn(world, node.index);
    });
  }
  if (fault.tornLease) world.disk.lease = 'torn';
}

function part(world: World, nodes: readonly number[], forMs: number, pings: boolean): void {
  const set = (isCut: boolean): void => {
    for (const node of nodes) {
      for (const { index } of world.nodes) {
        if (nodes.includes(index)) continue;
        world.network.cut(node, index, isCut);
        world.network.cut(index, node, isCut);
      }
      if (pings) world.network.pingCut[node] = isCut;
    }
  };
  set(true);
  world.queue.after(forMs, () => {
    set(false);
  });
}

function breakPath(
  world: World,
  node: number,
  fault: { mode: 'hung' | 'failing' | 'slow'; slowMs: number; ghosts: boolean; forMs: number },
): void {
  const path = world.disk.path(node);
  path.mode = fault.mode;
  path.slowMs = fault.slowMs;
  path.ghosts = fault.ghosts;
  world.queue.after(fault.forMs, () => {
    world.disk.heal(node);
  });
}

/** A block keeps a wrong checksum until it's written again; -1 is the lease. */
function tear(world: World, block: number, forMs: number): void {
  const { disk, queue } = world;
  const untilMs = queue.nowMs + forMs;
  const again = (): void => {
    if (block < 0) disk.lease = 'torn';
    else disk.slots[block] = 'torn';
    if (queue.nowMs < untilMs) queue.after(world.random.between(100, 1500), again);
  };
  again();
}

/** `xl migrate` by hand, which asks nobody. */
function rawMigrate(world: World, from: number, to: number): void {
  const [vm] = world.node(from).vms;
  const target = world.node(to);
  if (vm === undefined || !target.powered || from === to) return;
  world.guests.migrate(target, vm, from, () => undefined);
}

/** A migration through cxm: the destination claims first. */
function managedMigrate(world: World, from: number, to: number): void {
  const [vm] = world.node(from).vms;
  const target = world.node(to);
  if (vm === undefined || from === to) return;
  claimed(target, vm, from, (end) => {
    world.guests.migrate(target, vm, from, end);
  });
}

/** Shut down here, and at once started there through cxm. */
function restartVm(world: World, from: number, to: number): void {
  const node = world.node(from);
  const [vm] = node.vms;
  if (vm === undefined) return;
  world.guests.down(node, vm);
  createVm(world, to, vm);
}

/** `cxm create`: only under a claim of the node's cxmd. */
export function createVm(world: World, to: number, vm: string): void {
  const target = world.node(to);
  claimed(target, vm, -1, (end) => {
    world.guests.create(target, vm, end);
  });
}

function claimed(target: World['nodes'][number], vm: string, source: number, go: (end: () => void) => void): void {
  const { powerCycle } = target;
  target.call({ kind: 'claim', vm, source }, ({ ok }) => {
    if (!ok || target.powerCycle !== powerCycle) return;
    go(() => {
      target.call({ kind: 'release', vm });
    });
  });
}

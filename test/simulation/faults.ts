/** What can go wrong, each as data, so that a plan can be printed, shrunk and written down as a scenario. */
import type { Effect } from '../../src/ha/protocol/messages.ts';
import type { FenceMode } from './power.ts';
import { operate } from './operators.ts';
import type { SimNode } from './node.ts';
import type { World } from './world.ts';

/** Whoever is master at that moment. */
export const theMaster = -1;
/** The first one that isn't. */
export const notTheMaster = -2;

export type Fault =
  | { readonly kind: 'power-loss'; readonly node: number; readonly forMs: number }
  | { readonly kind: 'crash'; readonly node: number; readonly forMs: number }
  /** The process is stopped. `deaf`: the whole machine is, and what arrives meanwhile is lost. */
  | {
      readonly kind: 'pause';
      readonly node: number;
      readonly forMs: number;
      readonly midway: boolean;
      readonly deaf?: boolean;
    }
  /** A machine that gets hardly any time: deaf most of the time, awake in between. */
  | {
      readonly kind: 'stutter';
      readonly node: number;
      readonly times: number;
      readonly deafMs: number;
      readonly awakeMs: number;
    }
  | { readonly kind: 'cut'; readonly from: number; readonly to: number; readonly forMs: number }
  /** Of the others, nobody hears it; the master does. */
  | { readonly kind: 'heard-by-master-only'; readonly node: number; readonly forMs: number }
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
      /** `claim`: the first write of the lease in an epoch. */
      readonly only?: 'lease' | 'claim';
      readonly count: number;
      readonly forMs: number;
      readonly ghosts: boolean;
    }
  | {
      readonly kind: 'stuck-read';
      readonly node: number;
      readonly count: number;
      /** `vacant`: such as find the lease released, after the first one of them. */
      readonly only?: 'vacant';
      readonly forMs: number;
    }
  /** Its disk hangs as soon as it has become master. */
  | { readonly kind: 'hung-when-master'; readonly node: number; readonly forMs: number }
  /** The storage says that the lease was written, and loses it. */
  | { readonly kind: 'lost-renewals'; readonly forMs: number }
  | { readonly kind: 'torn'; readonly block: number; readonly forMs: number }
  | { readonly kind: 'wall-clock'; readonly node: number; readonly byMs: number }
  | { readonly kind: 'fence-mode'; readonly mode: FenceMode }
  | { readonly kind: 'starts'; readonly fails: number; readonly unknown: number; readonly startMs: number }
  /** `xl` hangs: no list of domains, and what is started does not come back before the deadline. */
  | { readonly kind: 'toolstack-hung'; readonly node: number; readonly forMs: number }
  /** The next so many plans find no room. */
  | { readonly kind: 'shortage'; readonly count: number }
  /** Pings come back so much later than they should. */
  | { readonly kind: 'late-pings'; readonly node: number; readonly byMs: number; readonly forMs: number }
  /** The watchdog can't be fed. */
  | { readonly kind: 'watchdog-unfed'; readonly node: number; readonly forMs: number }
  | { readonly kind: 'unresolved'; readonly node: number; readonly forMs: number }
  | { readonly kind: 'leave'; readonly node: number; readonly forMs: number }
  | { readonly kind: 'election' }
  | { readonly kind: 'maintenance'; readonly node: number; readonly forMs: number }
  | { readonly kind: 'disarm'; readonly node: number; readonly forMs: number }
  | { readonly kind: 'panic'; readonly node: number }
  | { readonly kind: 'raw-migrate'; readonly from: number; readonly to: number }
  | { readonly kind: 'managed-migrate'; readonly from: number; readonly to: number }
  | { readonly kind: 'restart-vm'; readonly from: number; readonly to: number }
  | { readonly kind: 'create'; readonly node: number; readonly vm: string }
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

/** `order`: asking a node to start or receive a VM. */
export type Trapped = 'fence' | 'start' | 'ask' | 'order' | 'plan' | 'write-lease' | 'write-slot' | 'fence-status';

export function springs(trapped: Trapped, effect: Effect): boolean {
  if (trapped !== 'order') return effect.kind === trapped;
  return effect.kind === 'ask' && (effect.request.kind === 'start' || effect.request.kind === 'receive');
}

export function apply(world: World, fault: Fault): void {
  const { network, disk, queue } = world;
  world.log(undefined, `FAULT ${JSON.stringify(fault)}`);
  switch (fault.kind) {
    case 'power-loss':
      losePower(world, victim(world, fault.node), fault.forMs);
      return;
    case 'crash': {
      const node = victim(world, fault.node);
      node.crash();
      queue.after(fault.forMs, () => {
        if (!node.stopped) node.boot();
      });
      return;
    }
    case 'pause':
      return victim(world, fault.node).pause(fault.forMs, fault);
    case 'stutter':
      return stutter(world, victim(world, fault.node), fault);
    case 'cut': {
      const { index: to } = victim(world, fault.to);
      network.cut(fault.from, to);
      queue.after(fault.forMs, () => {
        network.cut(fault.from, to, false);
      });
      return;
    }
    case 'heard-by-master-only':
      return hideFromOthers(world, victim(world, fault.node).index, fault.forMs);
    case 'isolate':
      return part(world, [victim(world, fault.node).index], fault.forMs, fault.pings);
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
      return breakPath(world, victim(world, fault.node).index, fault);
    case 'san-all':
      for (const { index } of world.nodes) breakPath(world, index, { ...fault, ghosts: false });
      return;
    case 'stuck-write': {
      const path = disk.path(victim(world, fault.node).index);
      path.stuckWrites = fault.count;
      path.stuckMs = fault.forMs;
      path.stuckOnly = fault.only ?? 'any';
      path.ghosts = fault.ghosts;
      return;
    }
    case 'stuck-read': {
      const path = disk.path(fault.node);
      path.stuckReads = fault.count;
      path.stuckReadMs = fault.forMs;
      path.stuckReadsOnly = fault.only ?? 'any';
      return;
    }
    case 'hung-when-master':
      disk.path(fault.node).hangsMasterMs = fault.forMs;
      return;
    case 'lost-renewals':
      disk.leaseLostUntilMs = queue.nowMs + fault.forMs;
      return;
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
    case 'pings-cut': {
      const { index } = victim(world, fault.node);
      network.pingCut[index] = true;
      queue.after(fault.forMs, () => {
        network.pingCut[index] = false;
      });
      return;
    }
    case 'trap':
      world.trap = fault;
      return;
    case 'wall-clock':
      world.node(fault.node).wallOffsetMs += fault.byMs;
      return;
    case 'unresolved':
    case 'toolstack-hung':
    case 'watchdog-unfed':
    case 'late-pings':
    case 'shortage':
      return breakHost(world, fault);
    default:
      return operate(world, fault);
  }
}

function victim(world: World, node: number): SimNode {
  if (node >= 0) return world.node(node);
  const master = world.master() ?? world.node(0);
  return node === theMaster ? master : (world.nodes.find((one) => one !== master) ?? master);
}

function hideFromOthers(world: World, node: number, forMs: number): void {
  const master = world.master()?.index;
  const others = world.nodes.filter(({ index }) => index !== node && index !== master);
  for (const { index } of others) world.network.cut(node, index);
  world.queue.after(forMs, () => {
    for (const { index } of others) world.network.cut(node, index, false);
  });
}

function losePower(world: World, node: SimNode, forMs: number): void {
  node.powerOff();
  const { powerCycle } = node;
  world.queue.after(forMs, () => {
    if (node.powerCycle === powerCycle) powerOn(world, node.index);
  });
}

function stutter(world: World, node: SimNode, fault: Extract<Fault, { kind: 'stutter' }>): void {
  if (fault.times === 0) return;
  node.pause(fault.deafMs, { midway: false, deaf: true });
  world.queue.after(fault.deafMs + fault.awakeMs, () => {
    stutter(world, node, { ...fault, times: fault.times - 1 });
  });
}

type HostFault = Extract<
  Fault,
  { kind: 'unresolved' | 'toolstack-hung' | 'watchdog-unfed' | 'late-pings' | 'shortage' }
>;

/** What the programs of a machine do wrong. */
function breakHost(world: World, fault: HostFault): void {
  if (fault.kind === 'shortage') {
    world.guests.shortages = fault.count;
    return;
  }
  const { troubles } = world.node(fault.node);
  const set = (isOn: boolean): void => {
    switch (fault.kind) {
      case 'unresolved':
        troubles.pingsUnresolved = isOn;
        return;
      case 'toolstack-hung':
        troubles.toolstackHung = isOn;
        return;
      case 'watchdog-unfed':
        troubles.watchdogUnfed = isOn;
        return;
      case 'late-pings':
        troubles.pingsLateMs = isOn ? fault.byMs : 0;
        return;
    }
  };
  set(true);
  world.queue.after(fault.forMs, () => {
    set(false);
  });
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
    const { powerCycle } = node;
    const forMs = fault.off.includes(node.index) ? fault.forMs + 100_000 : fault.forMs;
    world.queue.after(forMs, () => {
      if (node.powerCycle === powerCycle) powerOn(world, node.index);
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
    else disk.tearSlot(block);
    if (queue.nowMs < untilMs) queue.after(world.random.between(100, 1500), again);
  };
  again();
}

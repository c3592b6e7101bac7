/**
 * The world of the model: nodes with domains, volumes and locks, guests that reboot and shut down by themselves, and the
 * rules that must never be broken. It behaves as real xl, LVM and flock were seen to; nothing in here knows the library.
 */
import type { BegunMove } from '../../../src/cluster/node-moves.ts';
import type { DomainDetails, DomainRow } from '../../../src/xen/domain-list.ts';
import type { Scheduler } from './scheduler.ts';

export type Phase =
  'building' | 'running' | 'paused' | 'incoming' | 'suspended' | 'away' | 'poweredOff' | 'rebooting' | 'dying';

export interface Disk {
  readonly group: string;
  readonly volume: string;
  readonly readOnly: boolean;
}

export interface ModelDomain {
  readonly id: number;
  readonly vm: string;
  readonly memoryMib: number;
  /** More than its configuration's when somebody has attached one. */
  disks: readonly Disk[];
  readonly bornMs: number;
  phase: Phase;
  hasMonitor: boolean;
  /** Its backends hold the devices. */
  open: boolean;
}

export interface ModelConfig {
  readonly memoryMib: number;
  readonly disks: readonly Disk[];
}

export interface Waiter {
  readonly vm: string;
  readonly grant: () => void;
}

export interface ModelNode {
  readonly name: string;
  readonly totalMemoryMib: number;
  /** Uuid of its volume group `san`: the same on nodes that see the same storage. */
  readonly groupUuid: string;
  up: boolean;
  reachable: boolean;
  domains: ModelDomain[];
  /** Names of active volumes. */
  readonly active: Set<string>;
  readonly links: Map<string, string>;
  readonly configs: Map<string, ModelConfig>;
  readonly locks: Map<string, { readonly owner: string; readonly token: string }>;
  /** Who has taken the lock of a VM, the latest one first. */
  readonly tokens: Map<string, readonly string[]>;
  readonly busy: Map<string, number>;
  readonly moves: Map<string, BegunMove>;
  waiters: Waiter[];
  /** Counts its boots: what was begun before one is gone after it. */
  boots: number;
}

export function emptyNode(name: string, totalMemoryMib: number, groupUuid = 'san'): ModelNode {
  return {
    ...{ name, totalMemoryMib, groupUuid, up: true, reachable: true, domains: [], active: new Set() },
    ...{ links: new Map(), configs: new Map(), locks: new Map(), tokens: new Map(), busy: new Map() },
    ...{ moves: new Map(), waiters: [], boots: 0 },
  };
}

/** Its guest runs, or will when somebody unpauses it. */
export const isLive = ({ phase }: ModelDomain): boolean => phase === 'running' || phase === 'paused';

export interface WorldOptions {
  readonly nodes: readonly ModelNode[];
  readonly sharedVolumes: ReadonlySet<string>;
}

export class World {
  private nextDomainId = 1;
  /** Volumes that may be active on two nodes, because a migration of that VM is or was at work: `vm node`. */
  readonly excused = new Set<string>();
  readonly endedMs = new Map<string, number>();
  /** VMs whose volumes may be taken from a reboot: somebody wants them ended. */
  readonly ending = new Map<string, number>();
  /** Volumes that people have attached to guests. */
  readonly hotVolumes = new Set<string>();
  /** Of operations under way: each is disturbed by whichever ends beside it. */
  readonly watches = new Set<{ disturbed: boolean }>();
  violation: string | undefined;
  /** Until then guests and their monitors may be doing what they were asked to, or have begun themselves. */
  restlessUntil = 0;
  /** How often something happened that no operator has asked for. */
  disturbances = 0;
  readonly nodes: readonly ModelNode[];
  readonly sharedVolumes: ReadonlySet<string>;
  readonly scheduler: Scheduler;

  constructor(scheduler: Scheduler, { nodes, sharedVolumes }: WorldOptions) {
    this.scheduler = scheduler;
    this.nodes = nodes;
    this.sharedVolumes = sharedVolumes;
  }

  node(name: string): ModelNode {
    const found = this.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  /** A guest is about to end or to reboot. */
  stir(): void {
    this.restlessUntil = Math.max(this.restlessUntil, this.scheduler.now + 8000);
  }

  fail(text: string): void {
    this.violation ??= text;
  }

  addDomain(node: ModelNode, vm: string, phase: Phase, { memoryMib, disks }: ModelConfig): ModelDomain {
    const id = this.nextDomainId++;
    const domain: ModelDomain = {
      id,
      vm,
      memoryMib,
      disks,
      bornMs: this.scheduler.now,
      phase,
      hasMonitor: phase !== 'incoming',
      open: false,
    };
    node.domains.push(domain);
    return domain;
  }

  isOpen(node: ModelNode, volume: string): boolean {
    return node.domains.some(({ open, disks }) => open && disks.some((disk) => disk.volume === volume));
  }

  /** As the block script: all devices are there, and nobody of this node writes to them. */
  attach(node: ModelNode, domain: ModelDomain): 'missingDisk' | 'diskInUse' | undefined {
    if (domain.disks.some(({ volume }) => !node.active.has(volume))) return 'missingDisk';
    const taken = node.domains.some(
      (other) =>
        other !== domain &&
        other.open &&
        other.disks.some((disk) =>
          domain.disks.some((own) => own.volume === disk.volume && !(own.readOnly && disk.readOnly)),
        ),
    );
    if (taken) return 'diskInUse';
    domain.open = true;
    return undefined;
  }

  /** A create makes it run: the one moment at which the exclusive activation rule knows no excuse. */
  goLive(node: ModelNode, domain: ModelDomain): void {
    domain.phase = 'running';
    for (const { volume, readOnly } of domain.disks) {
      if (readOnly || this.sharedVolumes.has(volume)) continue;
      for (const other of this.sharing(node)) {
        if (other.active.has(volume)) {
          this.fail(`${domain.vm} was started on ${node.name} while ${volume} is active on ${other.name}`);
        }
      }
    }
  }

  /** The end of a migration: a link elsewhere would start the VM a second time, should everybody die now. */
  arrive(node: ModelNode, domain: ModelDomain): void {
    domain.phase = 'running';
    domain.hasMonitor = true;
    const link = this.nodes.find((other) => other !== node && other.links.has(domain.vm));
    if (link !== undefined) this.fail(`${domain.vm} came to ${node.name} and has an autostart link on ${link.name}`);
  }

  private sharing(node: ModelNode): ModelNode[] {
    return this.nodes.filter((other) => other !== node && other.groupUuid === node.groupUuid);
  }

  remove(node: ModelNode, domain: ModelDomain): void {
    node.domains = node.domains.filter((other) => other !== domain);
  }

  /** Torn down: without a name first, then gone; only then its devices are free. */
  tearDown(node: ModelNode, domain: ModelDomain, afterwards: () => void = () => undefined): void {
    domain.phase = 'dying';
    domain.hasMonitor = false;
    const boots = node.boots;
    this.scheduler.later(700, `${node.name}: domain ${domain.id} of ${domain.vm} is gone`, () => {
      if (node.boots !== boots) return;
      this.remove(node, domain);
      afterwards();
    });
  }

  /** What guest and monitor do when the guest reboots. */
  guestReboots(node: ModelNode, domain: ModelDomain): void {
    if (domain.phase !== 'running') return;
    this.stir();
    domain.phase = 'rebooting';
    if (!domain.hasMonitor) return;
    const boots = node.boots;
    const still = (): boolean => node.boots === boots && node.domains.includes(domain) && domain.phase === 'rebooting';
    this.scheduler.later(800, `${node.name}: the monitor of ${domain.vm} acts`, () => {
      if (!still()) return;
      this.tearDown(node, domain, () => {
        this.scheduler.later(1500, `${node.name}: the monitor makes ${domain.vm} again`, () => {
          if (node.boots === boots) this.monitorCreates(node, domain);
        });
      });
    });
  }

  private monitorCreates(node: ModelNode, old: ModelDomain): void {
    if (node.domains.some(({ vm, phase }) => vm === old.vm && phase !== 'dying')) return;
    const domain = this.addDomain(node, old.vm, 'building', old);
    const fault = this.attach(node, domain);
    if (fault !== undefined) {
      this.remove(node, domain);
      const isWanted =
        (this.ending.get(old.vm) ?? 0) > 0 || (this.endedMs.get(old.vm) ?? -Infinity) > this.scheduler.now - 4000;
      if (!isWanted && !domain.disks.some(({ volume }) => this.sharedVolumes.has(volume))) {
        this.fail(`${old.vm} could not reboot on ${node.name}: its volumes were taken away (${fault})`);
      }
      return;
    }
    const boots = node.boots;
    this.scheduler.later(400, `${node.name}: ${old.vm} runs again`, () => {
      if (node.boots === boots && domain.phase === 'building') domain.phase = 'running';
    });
  }

  guestShutsDown(node: ModelNode, domain: ModelDomain): void {
    if (domain.phase !== 'running') return;
    this.stir();
    domain.phase = 'poweredOff';
    if (!domain.hasMonitor) return;
    this.scheduler.later(900, `${node.name}: the monitor removes ${domain.vm}`, () => {
      if (node.domains.includes(domain) && domain.phase === 'poweredOff') this.tearDown(node, domain);
    });
  }

  losePower(node: ModelNode): void {
    node.up = false;
    node.boots += 1;
    node.domains = [];
    node.active.clear();
    node.locks.clear();
    node.tokens.clear();
    node.busy.clear();
    node.moves.clear();
    node.waiters = [];
  }

  freeLock(node: ModelNode, vm: string, token: string): void {
    if (node.locks.get(vm)?.token === token) node.locks.delete(vm);
    this.wake(node);
  }

  setBusy(node: ModelNode, vm: string, change: 1 | -1): void {
    node.busy.set(vm, Math.max(0, (node.busy.get(vm) ?? 0) + change));
    this.wake(node);
  }

  /** Whoever waits for a lock may have it now; the first of them takes it. */
  wake(node: ModelNode): void {
    for (const waiter of [...node.waiters]) waiter.grant();
  }

  check(): void {
    if (this.violation !== undefined) return;
    const live = this.nodes.flatMap((node) => node.domains.filter(isLive).map((domain) => ({ node, domain })));
    for (const { node, domain } of live) {
      const twin = live.find((other) => other.domain !== domain && other.domain.vm === domain.vm);
      if (twin !== undefined) this.fail(`${domain.vm} runs twice: on ${node.name} and on ${twin.node.name}`);
      for (const disk of domain.disks) this.checkDisk(node, domain, disk, live);
    }
  }

  private checkDisk(
    node: ModelNode,
    domain: ModelDomain,
    { volume, readOnly }: Disk,
    live: readonly { readonly node: ModelNode; readonly domain: ModelDomain }[],
  ): void {
    if (readOnly) return;
    for (const other of live) {
      if (other.domain === domain || other.node.groupUuid !== node.groupUuid) continue;
      if (other.domain.disks.some((disk) => disk.volume === volume)) {
        this.fail(`${domain.vm} on ${node.name} and ${other.domain.vm} on ${other.node.name} use ${volume}`);
      }
    }
    if (this.sharedVolumes.has(volume)) return;
    for (const other of this.sharing(node)) {
      if (!other.active.has(volume)) this.excused.delete(`${domain.vm} ${other.name} ${volume}`);
      else if (!this.isExcused(domain.vm, other.name, volume)) {
        this.fail(`${volume} is active on ${other.name} while ${domain.vm} runs on ${node.name}`);
      }
    }
  }

  private readonly cutOffs = new Set<string>();

  cutOff(vm: string): void {
    for (const { name } of this.nodes) this.cutOffs.add(`${vm} ${name}`);
  }

  /** What an operator without the lock had sent comes to nothing from now on; what is active stays so. */
  newToken(node: ModelNode, vm: string): void {
    if (!this.cutOffs.delete(`${vm} ${node.name}`)) return;
    for (const volume of node.active) this.excused.add(`${vm} ${node.name} ${volume}`);
  }

  /** With the volume: since a migration that was cut off, as long as the volume stays active there. */
  private isExcused(vm: string, node: string, volume: string): boolean {
    return (
      this.cutOffs.has(`${vm} ${node}`) ||
      this.excused.has(`${vm} ${node}`) ||
      this.excused.has(`${vm} ${node} ${volume}`)
    );
  }
}

const stateOf: Readonly<Record<Phase, Partial<DomainRow['state']>>> = {
  building: { paused: true },
  running: { blocked: true },
  paused: { paused: true },
  incoming: { paused: true },
  suspended: { shutdown: 'suspend' },
  away: { shutdown: 'suspend' },
  poweredOff: { shutdown: 'powerOff' },
  rebooting: { shutdown: 'reboot' },
  dying: { paused: true, shutdown: 'reboot' },
};

function nameOf({ vm, phase }: ModelDomain): string | undefined {
  if (phase === 'dying') return undefined;
  return phase === 'incoming' ? `${vm}--incoming` : phase === 'away' ? `${vm}--migratedaway` : vm;
}

export function rowOf(domain: ModelDomain): DomainRow {
  const isNew = domain.phase === 'building' || domain.phase === 'incoming';
  return {
    id: domain.id,
    name: nameOf(domain),
    memoryMib: isNew ? 0 : domain.memoryMib,
    vcpus: isNew ? 0 : 1,
    state: {
      running: false,
      blocked: false,
      paused: false,
      shutdown: undefined,
      dying: false,
      ...stateOf[domain.phase],
    },
    cpuSeconds: isNew ? 0 : 3,
  };
}

export function detailsOf(domain: ModelDomain): DomainDetails {
  return {
    id: domain.id,
    name: nameOf(domain),
    uuid: undefined,
    type: 'pv',
    maximumMemoryKib: undefined,
    targetMemoryKib: undefined,
    maximumVcpus: undefined,
    disks: domain.disks.map(({ group, volume, readOnly }) => ({
      target: `/dev/${group}/${volume}`,
      vdev: 'xvda',
      readOnly,
    })),
    nics: [],
  };
}

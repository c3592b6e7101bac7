/**
 * Looks at what an operation that nobody disturbs does to its VM: one that failed and says that nothing was changed must have
 * left no trace, one that succeeded must have had its effect.
 */
import type { CxmError } from '../../../src/errors.ts';
import type { Operation } from './kinds.ts';
import { isLive, type Disk, type ModelNode, type World } from './world.ts';

/** What an operation may leave no trace in. */
interface Snapshot {
  readonly active: ReadonlySet<string>;
  readonly links: string;
  readonly domains: string;
}

export class Watch {
  private readonly before: Snapshot;
  private readonly disturbances: number;
  private readonly wasAloneAtFirst: boolean;
  private readonly volumes: ReadonlySet<string>;
  /** Of domains that were there. */
  private readonly ownedVolumes: readonly string[];

  constructor(
    private readonly world: World,
    private readonly operation: Operation,
    others: readonly Operation[],
  ) {
    const configs = world.nodes.flatMap((node) => node.configs.get(operation.vm) ?? []);
    this.volumes = new Set(configs.flatMap(({ disks }) => writable(disks)));
    const domains = world.nodes.flatMap((node) => node.domains.filter(({ vm }) => vm === operation.vm));
    this.ownedVolumes = domains.flatMap(({ disks }) => writable(disks));
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
    const activeOn = this.activeFor(own === undefined ? [...this.volumes] : writable(own));
    const isOnly = (list: readonly ModelNode[], name: string): boolean =>
      list.every((node) => node.name === name || node.groupUuid !== world.node(name).groupUuid);
    switch (kind) {
      case 'start':
        if (places !== result || !isOnly(activeOn, places)) world.fail(`${words}: runs on ${places}`);
        return;
      case 'migrate':
      case 'conclude':
        if (where.length !== 1 || (kind === 'migrate' && places !== operation.node)) {
          world.fail(`${words}: runs on ${places}`);
        } else if (!isOnly(activeOn, places)) world.fail(`${words}: volumes are active on ${namesOf(activeOn)}`);
        return;
      case 'shutdown':
      case 'destroy':
        if (rows.length > 0) world.fail(`${words}: it is on ${namesOf(rows)}`);
        this.requireReleased(world.node((result as { node: string }).node), words);
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

  /** Those of its domain, and of the configuration where it was. */
  private requireReleased(node: ModelNode, words: string): void {
    const configured = node.configs.get(this.operation.vm)?.disks ?? [];
    const left = this.activeFor([...this.ownedVolumes, ...writable(configured)]);
    if (left.every(({ groupUuid }) => groupUuid !== node.groupUuid)) return;
    this.world.fail(`${words}: volumes are active on ${namesOf(left)}`);
  }

  /** Nodes on which one of the volumes is active that belong to one VM. */
  private activeFor(volumes: readonly string[]): readonly ModelNode[] {
    const { nodes, sharedVolumes } = this.world;
    return nodes.filter(({ active }) => volumes.some((volume) => active.has(volume) && !sharedVolumes.has(volume)));
  }
}

function writable(disks: readonly Disk[]): readonly string[] {
  return disks.filter(({ readOnly }) => !readOnly).map(({ volume }) => volume);
}

function namesOf(nodes: readonly ModelNode[]): string {
  return nodes.map(({ name }) => name).join(', ');
}

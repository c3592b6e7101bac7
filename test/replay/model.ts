/**
 * What should be where: an independent and simple idea of what every action does, on hosts that share one volume group
 * and one system datastore. It knows nothing of how the drivers do it.
 */
import type { Seen, SeenDomain, SeenVolume } from './observe.ts';

/** A call in the model's words. */
export interface Deed {
  readonly driver: 'tm' | 'vmm';
  readonly action: string;
  readonly vmId: number;
  /** Translated arguments. */
  readonly argv: readonly string[];
  /** Where the VMM works. */
  readonly node: string;
  /** `datastore/VM` */
  readonly directory: string;
  readonly disk: number;
  /** Disks by their guest device, and NICs, of the guest that is started. */
  readonly guest: Pick<SeenDomain, 'disks' | 'macs'> & { readonly name: string };
  /** Content and size of a new disk. */
  readonly fresh: { readonly content: string; readonly mib: number };
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

export class Model {
  volumes: Record<string, Writable<SeenVolume>> = {};
  domains: Record<string, Writable<SeenDomain>> = {};
  configurations: Record<string, number> = {};
  autostart = new Set<string>();
  entries: Record<string, string> = {};
  /** Disks of stopped VMs on the frontend. */
  private readonly parked = new Map<string, { readonly content: string; readonly mib: number }>();

  /** @param configurationPlace the words for where a node's configurations are */
  constructor(private readonly configurationPlace: (node: string) => string) {}

  expected(): Seen {
    return {
      volumes: this.volumes,
      domains: this.domains,
      configurations: this.configurations,
      autostart: [...this.autostart].sort(),
      entries: this.entries,
      litter: [],
    };
  }

  apply(deed: Deed): void {
    if (deed.driver === 'tm') this.transfer(deed);
    else this.machine(deed);
  }

  nameOf(vmId: number): string | undefined {
    const disk = new RegExp(`^lv-one-${vmId}-`);
    return Object.entries(this.domains).find(([, { disks }]) =>
      Object.values(disks).some((name) => disk.test(name)),
    )?.[0];
  }

  volumesOf(vmId: number): string[] {
    return Object.keys(this.volumes).filter((name) => new RegExp(`^lv-one-${vmId}-\\d+(_snap\\d+)?$`).test(name));
  }

  private transfer(deed: Deed): void {
    const { action, argv, vmId, directory, disk, node } = deed;
    const name = `lv-one-${vmId}-${disk}`;
    const entry = `${directory}/disk.${disk}`;
    switch (action) {
      case 'clone':
      case 'ln':
      case 'mkimage':
      case 'mkswap':
      case 'context': {
        const before = action === 'context' ? (this.volumes[name]?.active ?? []) : [];
        this.volumes[name] = { ...deed.fresh, active: sorted([...before, node]) };
        this.entries[entry] = `-> ${name}`;
        return;
      }
      case 'mv':
        return this.move(deed, name, entry);
      case 'delete':
        return argv[0]?.endsWith(`/disk.${disk}`) === true ? this.forgetDisk(name, entry) : this.forgetVm(deed);
      case 'mvds':
        return this.forgetDisk(name, entry);
      case 'resize':
        return void this.change(name, { mib: Math.max(this.volumes[name]?.mib ?? 0, Number(argv[1])) });
      case 'snap_create':
      case 'snap_create_live':
        this.volumes[`${name}_snap${argv[1]}`] = { ...this.required(name), active: [] };
        return;
      case 'snap_delete':
        delete this.volumes[`${name}_snap${argv[1]}`];
        return;
      case 'snap_revert':
        return void this.change(name, { content: this.required(`${name}_snap${argv[1]}`).content });
      case 'premigrate':
        return this.eachOf(vmId, (volume) => (volume.active = sorted([...volume.active, this.destination(deed)])));
      case 'postmigrate':
        return this.eachOf(vmId, (volume) => (volume.active = without(volume.active, this.source(deed))));
      case 'failmigrate':
        return this.eachOf(vmId, (volume) => (volume.active = without(volume.active, this.destination(deed))));
      case 'prebackup':
      case 'prebackup_live':
        this.entries[`${directory}/backup`] = `directory of disk.${argv[1]}.0 vm.xml`;
        return;
      case 'postbackup':
      case 'postbackup_live':
        delete this.entries[`${directory}/backup`];
        return;
      case 'cpds':
      case 'monitor':
        return;
      default:
        throw new Error(`the model does not know tm/${action}`);
    }
  }

  /** 7.x names the source first, 3.8 the destination: then the document is an argument. */
  private source({ argv }: Deed): string {
    return (argv[5]?.length ?? 0) > 100 ? (argv[1] ?? '') : (argv[0] ?? '');
  }

  private destination({ argv }: Deed): string {
    return (argv[5]?.length ?? 0) > 100 ? (argv[0] ?? '') : (argv[1] ?? '');
  }

  private move({ argv, disk }: Deed, name: string, entry: string): void {
    const [from = '', to = ''] = argv.map((word) => word.replace(/:.*/, ''));
    // Directories are shared.
    if (argv[0]?.endsWith(`/disk.${disk}`) !== true) return;
    const isNode = (host: string): boolean => host.startsWith('node');
    if (isNode(from) && isNode(to)) {
      this.change(name, { active: sorted([...without(this.required(name).active, from), to]) });
    } else if (isNode(from)) {
      this.parked.set(name, this.required(name));
      delete this.volumes[name];
      this.entries[entry] = 'file';
    } else {
      const { content = '', mib = 0 } = this.parked.get(name) ?? {};
      this.volumes[name] = { content, mib, active: [to] };
      this.entries[entry] = `-> ${name}`;
    }
  }

  private forgetDisk(name: string, entry: string): void {
    for (const volume of Object.keys(this.volumes)) {
      if (volume === name || volume.startsWith(`${name}_snap`)) delete this.volumes[volume];
    }
    delete this.entries[entry];
  }

  private forgetVm({ vmId, directory }: Deed): void {
    for (const volume of this.volumesOf(vmId)) delete this.volumes[volume];
    for (const entry of Object.keys(this.entries)) {
      if (entry.startsWith(`${directory}/`)) delete this.entries[entry];
    }
  }

  private machine(deed: Deed): void {
    const { action, vmId, directory, node, argv, guest } = deed;
    const name = this.nameOf(vmId);
    switch (action) {
      case 'deploy':
        this.start(deed, guest.name);
        this.entries[`${directory}/${argv[0]?.replace(/.*\//, '')}`] = `-> ${guest.name}`;
        return;
      case 'restore':
        this.start(deed, guest.name);
        // It would be out of date from the first moment on.
        delete this.entries[`${directory}/checkpoint`];
        return;
      case 'shutdown':
      case 'cancel':
        if (name !== undefined && this.domains[name]?.node === node) delete this.domains[name];
        for (const key of Object.keys(this.configurations)) {
          if (key.startsWith(`${this.configurationPlace(node)}/`) && this.configurations[key] === vmId) {
            delete this.configurations[key];
            this.autostart.delete(key.replace(/^.*\//, `${node}/`));
          }
        }
        return this.deactivate(vmId, node);
      case 'save':
        if (name === undefined) throw new Error(`VM ${vmId} does not run`);
        delete this.domains[name];
        this.autostart.delete(`${node}/${name}`);
        this.entries[`${directory}/checkpoint`] = 'file';
        return this.deactivate(vmId, node);
      case 'migrate':
        return this.migrate(deed, name);
      default:
        return this.change_(deed, name);
    }
  }

  private change_({ action, vmId, argv, disk }: Deed, name: string | undefined): void {
    const domain = name === undefined ? undefined : this.domains[name];
    switch (action) {
      case 'attach_disk':
        if (domain !== undefined) domain.disks = { ...domain.disks, [argv[2] ?? '']: `lv-one-${vmId}-${disk}` };
        return;
      case 'detach_disk': {
        if (domain === undefined) return;
        const { [argv[2] ?? '']: _, ...others } = domain.disks;
        domain.disks = others;
        const volume = `lv-one-${vmId}-${disk}`;
        return void this.change(volume, { active: without(this.required(volume).active, domain.node) });
      }
      case 'attach_nic':
        if (domain !== undefined) domain.macs = sorted([...domain.macs, argv[1] ?? '']);
        return;
      case 'detach_nic':
        if (domain !== undefined) domain.macs = without(domain.macs, argv[1] ?? '');
        return;
      case 'reboot':
      case 'reset':
      case 'poll':
      case 'resize_disk':
      case 'prereconfigure':
      case 'reconfigure':
        return;
      default:
        throw new Error(`the model does not know vmm/${action}`);
    }
  }

  private start({ vmId, node, guest: { disks, macs } }: Deed, name: string): void {
    this.domains[name] = { node, state: 'running', memoryMib: 256, vcpus: 2, disks, macs: sorted(macs) };
    this.configurations[`${this.configurationPlace(node)}/${name}`] = vmId;
    this.autostart.add(`${node}/${name}`);
    for (const volume of Object.values(disks)) {
      this.change(volume, { active: sorted([...this.required(volume).active, node]) });
    }
  }

  private migrate({ vmId, argv, node }: Deed, name: string | undefined): void {
    const domain = name === undefined ? undefined : this.domains[name];
    if (name === undefined || domain === undefined) throw new Error(`VM ${vmId} does not run`);
    const to = argv[1] ?? '';
    domain.node = to;
    delete this.configurations[`${this.configurationPlace(node)}/${name}`];
    this.configurations[`${this.configurationPlace(to)}/${name}`] = vmId;
    this.autostart.delete(`${node}/${name}`);
    this.autostart.add(`${to}/${name}`);
    for (const volume of Object.values(domain.disks)) {
      this.change(volume, { active: sorted([...this.required(volume).active, to]) });
    }
    this.deactivate(vmId, node);
  }

  private deactivate(vmId: number, node: string): void {
    this.eachOf(vmId, (volume) => (volume.active = without(volume.active, node)));
  }

  private eachOf(vmId: number, change: (volume: Writable<SeenVolume>) => void): void {
    for (const name of this.volumesOf(vmId)) {
      if (!name.includes('_snap')) change(this.required(name));
    }
  }

  change(name: string, change: Partial<SeenVolume>): void {
    this.volumes[name] = { ...this.required(name), ...change };
  }

  private required(name: string): Writable<SeenVolume> {
    const volume = this.volumes[name];
    if (volume === undefined) throw new Error(`the model has no volume ${name}`);
    return volume;
  }
}

function sorted(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}

function without(names: readonly string[], name: string): string[] {
  return names.filter((one) => one !== name);
}

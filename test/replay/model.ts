/**
 * What should be where: an independent and simple idea of what every action does, on hosts that share one volume group
 * and one system datastore. It knows nothing of how the drivers do it.
 */
import type { Seen, SeenConfiguration, SeenDevices, SeenDomain, SeenVolume } from './observe.ts';

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
  readonly contextDisk: number | undefined;
  /** Of the guest that is started. */
  readonly guest: Pick<SeenDomain, 'memoryMib' | 'vcpus' | 'disks' | 'macs'> & { readonly name: string };
  readonly fresh: FreshDisk;
}

/** A new disk. */
export interface FreshDisk {
  /** Of a disk of an image: what it holds is what the image holds. */
  readonly imageId: number | undefined;
  readonly persistent: boolean;
  readonly content: string;
  readonly mib: number;
}

/** Where the hosts have their configurations. */
export interface Places {
  /** All nodes that have them where this one has them, joined by `+`. */
  configurations(node: string): string;
  /** The directory, as links to it are seen. */
  readonly configurationPath: string;
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

export class Model {
  readonly volumes: Record<string, Writable<SeenVolume>> = {};
  readonly domains: Record<string, Writable<SeenDomain>> = {};
  readonly entries: Record<string, string> = {};
  private readonly configurations: Record<string, Writable<SeenConfiguration>> = {};
  private readonly autostart = new Set<string>();
  /** Disks of stopped VMs on the frontend. */
  private readonly parked = new Map<string, SeenVolume>();

  constructor(
    private readonly places: Places,
    /** Contents of images by their file's name. */
    readonly images: Record<string, string>,
  ) {}

  expected(): Seen {
    return {
      volumes: this.volumes,
      domains: this.domains,
      configurations: this.configurations,
      autostart: [...this.autostart].sort(),
      entries: this.entries,
      images: this.images,
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
        const { content, mib } = deed.fresh;
        this.volumes[name] = { content, mib, tags: tagsOf(deed), active: sorted([...before, node]) };
        this.entries[entry] = deviceLink(name);
        return;
      }
      case 'mv':
        return this.move(deed, name, entry);
      case 'delete':
        return argv[0]?.endsWith(`/disk.${disk}`) === true ? this.deleteDisk(name, entry) : this.forgetVm(deed);
      case 'mvds':
        this.save(name, fileName(argv[1]));
        return this.forgetDisk(name, entry);
      case 'cpds':
        // From 4.14 on with the id of a snapshot, or -1, as the third argument.
        return this.save(argv.length > 4 && argv[2] !== '-1' ? `${name}_snap${argv[2]}` : name, fileName(argv[1]));
      case 'resize':
        return void this.change(name, { mib: Math.max(this.volumes[name]?.mib ?? 0, Number(argv[1])) });
      case 'snap_create':
      case 'snap_create_live':
        this.volumes[`${name}_snap${argv[1]}`] = { ...this.required(name), tags: snapshotTags(deed), active: [] };
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

  private move(deed: Deed, name: string, entry: string): void {
    const { vmId, argv, disk } = deed;
    const [from = '', to = ''] = argv.map((word) => word.replace(/:.*/, ''));
    const isNode = (host: string): boolean => host.startsWith('node');
    if (argv[0]?.endsWith(`/disk.${disk}`) !== true) {
      // The directory itself is shared, but the context goes with it, and nothing may start the VM where it was.
      const { configurations } = this.places;
      for (const key of isNode(from) ? this.configurationsOf(vmId, from) : []) {
        this.autostart.delete(`${from}/${fileName(key)}`);
        if (!isNode(to) || configurations(from) !== configurations(to)) delete this.configurations[key];
      }
      if (deed.contextDisk === undefined) return;
      name = `lv-one-${vmId}-${deed.contextDisk}`;
      entry = `${deed.directory}/disk.${deed.contextDisk}`;
    }
    if (isNode(from) && isNode(to)) {
      this.change(name, { active: sorted([...without(this.required(name).active, from), to]) });
    } else if (isNode(from)) {
      this.parked.set(name, this.required(name));
      delete this.volumes[name];
      this.entries[entry] = 'file';
    } else {
      const parked = this.parked.get(name);
      if (parked === undefined) throw new Error(`the model has no file for ${name}`);
      this.parked.delete(name);
      this.volumes[name] = { ...parked, active: [to] };
      this.entries[entry] = deviceLink(name);
    }
  }

  /** The image becomes what the disk is. */
  private save(name: string, image: string): void {
    const disk = this.parked.get(name) ?? this.required(name);
    this.images[image] = disk.content.replace(/^ext4 /, '');
  }

  /** What a VM wrote to a persistent image is never lost. */
  private deleteDisk(name: string, entry: string): void {
    const { tags = [] } = this.parked.get(name) ?? this.volumes[name] ?? {};
    const imageId = tags.map((tag) => /^cxm_image=(\d+)$/.exec(tag)?.[1]).find((id) => id !== undefined);
    if (tags.includes('cxm_persistent')) this.save(name, `image-${imageId}`);
    this.forgetDisk(name, entry);
  }

  private forgetDisk(name: string, entry: string): void {
    for (const volume of Object.keys(this.volumes)) {
      if (volume === name || volume.startsWith(`${name}_snap`)) delete this.volumes[volume];
    }
    this.parked.delete(name);
    delete this.entries[entry];
  }

  private forgetVm({ vmId, directory }: Deed): void {
    for (const name of this.volumesOf(vmId)) {
      // One that was not saved back is kept.
      if (!this.required(name).tags.includes('cxm_persistent')) delete this.volumes[name];
    }
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
        this.entries[`${directory}/${fileName(argv[0])}`] = `-> ${this.places.configurationPath}/${guest.name}`;
        return;
      case 'restore':
        this.start(deed, guest.name);
        // It would be out of date from the first moment on.
        delete this.entries[`${directory}/checkpoint`];
        return;
      case 'shutdown':
      case 'cancel':
        if (name !== undefined && this.domains[name]?.node === node) delete this.domains[name];
        for (const key of this.configurationsOf(vmId, node)) {
          delete this.configurations[key];
          this.autostart.delete(`${node}/${fileName(key)}`);
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
        return this.changeGuest(deed, name);
    }
  }

  private configurationsOf(vmId: number, node: string): string[] {
    const here = `${this.places.configurations(node)}/`;
    return Object.keys(this.configurations).filter(
      (key) => key.startsWith(here) && this.configurations[key]?.vmId === vmId,
    );
  }

  private changeGuest({ action, vmId, argv, disk }: Deed, name: string | undefined): void {
    const domain = name === undefined ? undefined : this.domains[name];
    if (name === undefined || domain === undefined) {
      if (action === 'reset' || action === 'poll') return;
      throw new Error(`VM ${vmId} does not run`);
    }
    const [, mac = '', target = ''] = argv;
    const volume = `lv-one-${vmId}-${disk}`;
    switch (action) {
      case 'attach_disk':
        this.change(volume, { active: sorted([...this.required(volume).active, domain.node]) });
        return this.changeDevices(name, { disks: { ...domain.disks, [target]: volume }, macs: domain.macs });
      case 'detach_disk': {
        const disks = Object.fromEntries(Object.entries(domain.disks).filter(([device]) => device !== target));
        this.change(volume, { active: without(this.required(volume).active, domain.node) });
        return this.changeDevices(name, { disks, macs: domain.macs });
      }
      case 'attach_nic':
        return this.changeDevices(name, { disks: domain.disks, macs: sorted([...domain.macs, mac]) });
      case 'detach_nic':
        return this.changeDevices(name, { disks: domain.disks, macs: without(domain.macs, mac) });
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

  /** What is plugged in is in the configuration, too, for the next start. */
  private changeDevices(name: string, { disks, macs }: SeenDevices): void {
    const domain = this.domains[name];
    const configuration = this.configurations[`${this.places.configurations(domain?.node ?? '')}/${name}`];
    for (const one of [domain, configuration]) if (one !== undefined) Object.assign(one, { disks, macs });
  }

  private start({ vmId, node, guest: { memoryMib, vcpus, disks, macs } }: Deed, name: string): void {
    this.domains[name] = { node, state: 'running', memoryMib, vcpus, disks, macs: sorted(macs) };
    this.configurations[`${this.places.configurations(node)}/${name}`] = { vmId, disks, macs: sorted(macs) };
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
    const { disks, macs } = domain;
    delete this.configurations[`${this.places.configurations(node)}/${name}`];
    this.configurations[`${this.places.configurations(to)}/${name}`] = { vmId, disks, macs };
    this.autostart.delete(`${node}/${name}`);
    this.autostart.add(`${to}/${name}`);
    for (const volume of Object.values(domain.disks)) {
      this.change(volume, { active: sorted([...this.required(volume).active, to]) });
    }
    this.deactivate(vmId, node);
  }

  deactivate(vmId: number, node: string): void {
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

function tagsOf({ vmId, disk, fresh: { imageId, persistent } }: Deed): string[] {
  const image = imageId === undefined ? [] : [`cxm_image=${imageId}`];
  const tags = ['cxm', 'cxm_cloud=replay', `cxm_disk=${disk}`, ...image, `cxm_vm=${vmId}`];
  return persistent ? [...tags, 'cxm_persistent'].sort() : tags;
}

function snapshotTags({ vmId, disk }: Deed): string[] {
  return ['cxm', 'cxm_cloud=replay', `cxm_disk=${disk}`, `cxm_vm=${vmId}`];
}

/** Of a disk in the VM's directory. */
function deviceLink(volume: string): string {
  return `-> /dev/VG0/${volume}`;
}

function fileName(path = ''): string {
  return path.replace(/^.*\//, '');
}

function sorted(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}

function without(names: readonly string[], name: string): string[] {
  return names.filter((one) => one !== name);
}

/**
 * What can be seen on the hosts of a sandbox, without the drivers: volumes with what is on them, domains, links of VMs.
 * The tour compares it before and after each step, and its checks believe nothing else.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, readlinkSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readGroup } from '../host/group-file.ts';
import { volumeGroup, type Layout, type NodeLayout } from '../layout.ts';
import { systemDatastore } from '../one/records.ts';
import { Store } from '../xl/store.ts';

export interface SeenVolume {
  readonly name: string;
  /** `san`, or the node that alone has it. */
  readonly storage: string;
  readonly sizeBytes: number;
  /** Blocks that the file takes: what was really written. */
  readonly storedBytes: number;
  readonly content: string;
  readonly tags: readonly string[];
  readonly activeOn: readonly string[];
  readonly file: string;
}

export interface SeenDomain {
  readonly node: string;
  readonly id: number;
  readonly name: string;
  readonly memoryMib: number;
  readonly vcpus: number;
  /** Drawn when the guest boots: the same after a save or a migration. */
  readonly bootId: string;
  readonly disks: readonly string[];
  readonly macs: readonly string[];
}

export interface World {
  readonly volumes: readonly SeenVolume[];
  readonly domains: readonly SeenDomain[];
  /** Files and links in the directories of VMs: path below the datastore and what it is. */
  readonly files: ReadonlyMap<string, string>;
}

export function lookAround(layout: Layout): World {
  const groups = new Map(layout.nodes.map((node) => [node.groupDirectory, node]));
  return {
    volumes: [...groups.values()].flatMap((node) => volumesOf(layout, node)),
    domains: layout.nodes.flatMap(domainsOf),
    files: filesOf(join(layout.datastores, String(systemDatastore))),
  };
}

/** Domains of that name on any node. */
export function domainsNamed(world: World, name: string): readonly SeenDomain[] {
  return world.domains.filter((domain) => domain.name === name);
}

/** The volume of a VM's disk; undefined if no node has one. */
export function volumeOf(world: World, vmId: number, diskId: number): SeenVolume | undefined {
  return world.volumes.find(({ name }) => name === `lv-one-${vmId}-${diskId}`);
}

/**
 * A file of a volume that holds an ext file system; undefined if there is none. debugfs reads the volume as it lies
 * there, mounted or not.
 */
export function fileOnVolume(volume: SeenVolume, path: string): string | undefined {
  const args = ['-R', `cat ${path}`, volume.file];
  const content = execFileSync('debugfs', args, { stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8' });
  return content === '' ? undefined : content;
}

/** Copies a directory of such a volume into a directory of this machine. */
export function copyFromVolume(volume: SeenVolume, path: string, destination: string): void {
  execFileSync('debugfs', ['-R', `rdump ${path} ${destination}`, volume.file], { stdio: 'ignore' });
}

/** A file of an archive; undefined if there is none. */
export function fileInArchive(archive: string, path: string): string | undefined {
  const { status, stdout } = spawnSync('tar', ['--extract', '--to-stdout', `--file=${archive}`, path], {
    encoding: 'utf8',
  });
  return status === 0 ? stdout : undefined;
}

/** Writes a file to a volume, as its guest would. @param source a file of this machine */
export function writeOnVolume(volume: SeenVolume, path: string, source: string): void {
  execFileSync('debugfs', ['-w', '-R', `write ${source} ${path}`, volume.file], { stdio: 'ignore' });
}

/** Whether a volume begins with all the bytes of a file. */
export function sameContent(volume: string, image: string): boolean {
  const args = ['--silent', `--bytes=${statSync(image).size}`, volume, image];
  return spawnSync('cmp', args, { stdio: 'ignore' }).status === 0;
}

function volumesOf(layout: Layout, node: NodeLayout): SeenVolume[] {
  const storage = node.storage === 'san' ? 'san' : node.name;
  const seeing = layout.nodes.filter(({ groupDirectory }) => groupDirectory === node.groupDirectory);
  return Object.entries(readGroup(node.groupDirectory).volumes).map(([name, record]) => {
    const file = join(node.groupDirectory, name);
    const activeOn = seeing.filter(({ devices }) => existsSync(join(devices, volumeGroup, name)));
    return {
      name,
      storage,
      sizeBytes: record.sizeBytes,
      storedBytes: statSync(file).blocks * 512,
      content: contentOf(file),
      tags: record.tags,
      activeOn: activeOn.map((one) => one.name),
      file,
    };
  });
}

/** What the well-known places of a disk say. */
function contentOf(path: string): string {
  const file = openSync(path, 'r');
  try {
    const at = (offset: number, length: number): string => {
      const buffer = Buffer.alloc(length);
      readSync(file, buffer, 0, length, offset);
      return buffer.toString('latin1');
    };
    if (at(1080, 2) === '\x53\xef') return 'ext4';
    if (at(4086, 10) === 'SWAPSPACE2') return 'swap';
    if (at(32_769, 5) === 'CD001') return 'iso9660';
    return at(510, 2) === '\x55\xaa' ? 'partitions' : 'data';
  } finally {
    closeSync(file);
  }
}

function domainsOf(node: NodeLayout): SeenDomain[] {
  return new Store(node.xen).domains().map(({ id, name, settings, guest }) => ({
    node: node.name,
    id,
    name,
    memoryMib: Math.floor(settings.memoryKib / 1024),
    vcpus: settings.vcpus,
    bootId: guest.bootId,
    disks: settings.disks.map(({ vdev, target }) => `${vdev}=${target}`),
    macs: settings.nics.map(({ mac }) => mac),
  }));
}

function filesOf(directory: string): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(directory.length + 1);
    if (entry.isSymbolicLink()) files.set(name, `-> ${readlinkSync(path)}`);
    else if (entry.isFile()) files.set(name, `${statSync(path).size} bytes`);
  }
  return files;
}

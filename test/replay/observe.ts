/**
 * What is really there, in the form in which the model says what should be there. Nothing is asked of the drivers: the
 * volume group, the nodes' /dev, the simulated Xen's own records and the directories are read.
 */
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { readGroup } from '../../src/sandbox/host/group-file.ts';
import { nodeOf, volumeGroup, type Layout, type NodeLayout } from '../../src/sandbox/layout.ts';
import { readSettings } from '../../src/sandbox/xl/configuration.ts';
import type { DomainSettings } from '../../src/sandbox/xl/domain.ts';
import { Store } from '../../src/sandbox/xl/store.ts';
import { contentOf, imageContentOf } from './contents.ts';

export interface SeenVolume {
  readonly content: string;
  readonly mib: number;
  /** Sorted. */
  readonly tags: readonly string[];
  /** Nodes, sorted. */
  readonly active: readonly string[];
}

/** What a guest has, by its configuration or in fact. */
export interface SeenDevices {
  /** Volumes by guest device. */
  readonly disks: Readonly<Record<string, string>>;
  /** Sorted. */
  readonly macs: readonly string[];
}

export interface SeenDomain extends SeenDevices {
  readonly node: string;
  readonly state: string;
  readonly memoryMib: number;
  readonly vcpus: number;
}

export interface SeenConfiguration extends SeenDevices {
  /** Whose mark the file carries. */
  readonly vmId: number;
}

export interface Seen {
  readonly volumes: Readonly<Record<string, SeenVolume>>;
  /** By name. */
  readonly domains: Readonly<Record<string, SeenDomain>>;
  /** `node/name`, or `node+node/name` where nodes share the directory. */
  readonly configurations: Readonly<Record<string, SeenConfiguration>>;
  /** `node/name`, sorted. */
  readonly autostart: readonly string[];
  /** By `datastore/VM/entry`: `file`, `directory` or `-> path` of what it leads to. */
  readonly entries: Readonly<Record<string, string>>;
  /** Contents of images by their file's name. */
  readonly images: Readonly<Record<string, string>>;
  /** What an action should not have left anywhere, such as temporary files. */
  readonly litter: readonly string[];
}

export function observe(layout: Layout): Seen {
  const nodes = layout.nodes;
  return {
    volumes: volumesOf(nodes),
    domains: Object.fromEntries(nodes.flatMap((node) => domainsOf(node))),
    configurations: Object.fromEntries(nodes.flatMap((node) => configurationsOf(layout, node))),
    autostart: nodes.flatMap((node) => autostartOf(node)).sort(),
    entries: Object.fromEntries(['102', '103', '105'].flatMap((id) => entriesOf(layout, id))),
    images: imagesOf(layout),
    litter: litterOf(layout),
  };
}

/** Of each guest, what changes only when it boots. */
export function bootIds(layout: Layout): ReadonlyMap<string, string> {
  return new Map(
    layout.nodes.flatMap((node) => new Store(node.xen).domains().map(({ name, guest }) => [name, guest.bootId])),
  );
}

function volumesOf(nodes: readonly NodeLayout[]): Record<string, SeenVolume> {
  const volumes: Record<string, SeenVolume> = {};
  for (const directory of new Set(nodes.map(({ groupDirectory }) => groupDirectory))) {
    const seeing = nodes.filter(({ groupDirectory }) => groupDirectory === directory);
    for (const [name, { sizeBytes, tags }] of Object.entries(readGroup(directory).volumes)) {
      const active = seeing.filter(({ devices }) => existsSync(join(devices, volumeGroup, name)));
      volumes[name] = {
        content: contentOf(join(directory, name)),
        mib: sizeBytes / 1024 ** 2,
        tags: [...tags].sort(),
        active: active.map((node) => node.name).sort(),
      };
    }
  }
  return volumes;
}

function devicesOf({ disks, nics }: DomainSettings): SeenDevices {
  return {
    disks: Object.fromEntries(disks.map(({ vdev, target }) => [vdev, basename(target)])),
    macs: nics.map(({ mac }) => mac).sort(),
  };
}

function domainsOf(node: NodeLayout): [string, SeenDomain][] {
  return new Store(node.xen).domains().map(({ name, settings, paused, shutdown, building }) => {
    const state = paused || building !== undefined ? 'paused' : shutdown === undefined ? 'running' : 'ended';
    const memoryMib = Math.floor(settings.memoryKib / 1024);
    return [name, { node: node.name, state, memoryMib, vcpus: settings.vcpus, ...devicesOf(settings) }];
  });
}

/** Where a node's configurations are, by the names of all nodes that have them there. */
export function configurationPlace(layout: Layout, nodeName: string): string {
  const { configDirectory } = nodeOf(layout, nodeName);
  const sharing = layout.nodes.filter((node) => node.configDirectory === configDirectory);
  return sharing.map(({ name }) => name).join('+');
}

function configurationsOf(layout: Layout, { name, configDirectory }: NodeLayout): [string, SeenConfiguration][] {
  return listed(configDirectory).map((file) => {
    const path = join(configDirectory, file);
    const text = readFileSync(path, 'utf8');
    const mark = /^# OpenNebula VM (\d+) /.exec(text);
    const devices = devicesOf(readSettings(text, path, '', () => undefined));
    return [`${configurationPlace(layout, name)}/${file}`, { vmId: Number(mark?.[1] ?? Number.NaN), ...devices }];
  });
}

/** A link that does not lead to the configuration of its name is seen with its target. */
function autostartOf({ name, autostartDirectory, configDirectory }: NodeLayout): string[] {
  return listed(autostartDirectory).map((one) => {
    const target = readlinkSync(join(autostartDirectory, one));
    const right = target === join(configDirectory, one) && existsSync(target);
    return right ? `${name}/${one}` : `${name}/${one} -> ${target}`;
  });
}

function entriesOf(layout: Layout, datastore: string): [string, string][] {
  const directory = join(layout.datastores, datastore);
  return listed(directory).flatMap((vm) =>
    listed(join(directory, vm)).map((entry): [string, string] => [
      `${datastore}/${vm}/${entry}`,
      kindOf(layout, join(directory, vm, entry)),
    ]),
  );
}

/** Volumes have the same path on all nodes of a real SAN; here each node has a /dev of its own. */
function kindOf(layout: Layout, path: string): string {
  const found = lstatSync(path);
  if (found.isDirectory()) return `directory of ${listed(path).join(' ')}`;
  if (!found.isSymbolicLink()) return 'file';
  const target = readlinkSync(path);
  const node = layout.nodes.find(({ directory }) => target.startsWith(`${directory}/`));
  const shared = target.startsWith(layout.directory) ? target.slice(layout.directory.length) : target;
  return `-> ${node === undefined ? shared : target.slice(node.directory.length)}`;
}

function imagesOf(layout: Layout): Record<string, string> {
  const directory = join(layout.datastores, 'images');
  const names = listed(directory).filter((name) => imageName.test(name));
  const scratch = join(layout.temporary, 'scratch');
  return Object.fromEntries(names.map((name) => [name, imageContentOf(join(directory, name), scratch)]));
}

const imageName = /^image-\d+$/;

function litterOf(layout: Layout): string[] {
  const images = listed(join(layout.datastores, 'images')).filter((name) => !imageName.test(name));
  const temporary = listed(layout.temporary).filter((name) => name !== 'scratch');
  const groups = layout.nodes.flatMap(({ groupDirectory, devices }) => {
    const known = new Set([...Object.keys(readGroup(groupDirectory).volumes), 'group.json', 'lock']);
    const files = [...listed(groupDirectory), ...listed(join(devices, volumeGroup))];
    return files.filter((name) => !known.has(name));
  });
  return [...images, ...temporary, ...groups];
}

function listed(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory).sort() : [];
}

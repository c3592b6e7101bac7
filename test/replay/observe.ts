/**
 * What is really there, in the form in which the model says what should be there. Nothing is asked of the drivers: the
 * volume group, the nodes' /dev, the simulated Xen's own records and the directories are read.
 */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  statSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { readGroup } from '../../src/sandbox/host/group-file.ts';
import { nodeOf, volumeGroup, type Layout, type NodeLayout } from '../../src/sandbox/layout.ts';
import { Store } from '../../src/sandbox/xl/store.ts';

export interface SeenVolume {
  readonly content: string;
  readonly mib: number;
  /** Nodes, sorted. */
  readonly active: readonly string[];
}

export interface SeenDomain {
  readonly node: string;
  readonly state: string;
  readonly memoryMib: number;
  readonly vcpus: number;
  /** Volumes by guest device. */
  readonly disks: Readonly<Record<string, string>>;
  readonly macs: readonly string[];
}

export interface Seen {
  readonly volumes: Readonly<Record<string, SeenVolume>>;
  /** By name. */
  readonly domains: Readonly<Record<string, SeenDomain>>;
  /** `node/name`, or `node+node/name` where nodes share the directory: the VM whose mark the file carries. */
  readonly configurations: Readonly<Record<string, number>>;
  /** `node/name`, sorted. */
  readonly autostart: readonly string[];
  /** By `datastore/VM/entry`: `file`, `directory` or `-> name` of what it leads to. */
  readonly entries: Readonly<Record<string, string>>;
  /** What an action should not have left anywhere, such as temporary files. */
  readonly litter: readonly string[];
}

/** By path; a file that was not written since has the same content. */
const contents = new Map<string, { readonly key: string; readonly content: string }>();

export function observe(layout: Layout): Seen {
  const nodes = layout.nodes;
  const domains = nodes.flatMap((node) => domainsOf(node));
  return {
    volumes: volumesOf(nodes),
    domains: Object.fromEntries(domains),
    configurations: Object.fromEntries(nodes.flatMap((node) => configurationsOf(layout, node))),
    autostart: nodes.flatMap((node) => autostartOf(node)).sort(),
    entries: Object.fromEntries(['102', '103', '105'].flatMap((id) => entriesOf(layout, id))),
    litter: [...listed(join(layout.datastores, 'images')), ...listed(layout.temporary)].filter(
      (name) => !/^(image-\d+|scratch)$/.test(name),
    ),
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
    for (const [name, { sizeBytes }] of Object.entries(readGroup(directory).volumes)) {
      const active = seeing.filter(({ devices }) => existsSync(join(devices, volumeGroup, name)));
      volumes[name] = {
        content: contentOf(join(directory, name)),
        mib: sizeBytes / 1024 ** 2,
        active: active.map((node) => node.name).sort(),
      };
    }
  }
  return volumes;
}

function domainsOf(node: NodeLayout): [string, SeenDomain][] {
  return new Store(node.xen).domains().map(({ name, settings, paused, shutdown, building }) => {
    const state = paused || building !== undefined ? 'paused' : shutdown === undefined ? 'running' : 'ended';
    const disks = settings.disks.map(({ vdev, target }) => [vdev, basename(target)] as const);
    const memoryMib = Math.floor(settings.memoryKib / 1024);
    const macs = settings.nics.map(({ mac }) => mac).sort();
    return [name, { node: node.name, state, memoryMib, vcpus: settings.vcpus, disks: Object.fromEntries(disks), macs }];
  });
}

/** Where a node's configurations are, by the names of all nodes that have them there. */
export function configurationPlace(layout: Layout, nodeName: string): string {
  const { configDirectory } = nodeOf(layout, nodeName);
  const sharing = layout.nodes.filter((node) => node.configDirectory === configDirectory);
  return sharing.map(({ name }) => name).join('+');
}

function configurationsOf(layout: Layout, { name, configDirectory }: NodeLayout): [string, number][] {
  return listed(configDirectory).map((file) => {
    const mark = /^# OpenNebula VM (\d+) /.exec(readFileSync(join(configDirectory, file), 'utf8'));
    return [`${configurationPlace(layout, name)}/${file}`, Number(mark?.[1] ?? Number.NaN)];
  });
}

/** A link that does not lead to the configuration of its name is seen with its target. */
function autostartOf({ name, autostartDirectory, configDirectory }: NodeLayout): string[] {
  return listed(autostartDirectory).map((one) => {
    const target = readlinkSync(join(autostartDirectory, one));
    return target === join(configDirectory, one) && existsSync(target) ? `${name}/${one}` : `${name}/${one} -> ${target}`;
  });
}

function entriesOf(layout: Layout, datastore: string): [string, string][] {
  const directory = join(layout.datastores, datastore);
  return listed(directory).flatMap((vm) =>
    listed(join(directory, vm)).map((entry): [string, string] => [
      `${datastore}/${vm}/${entry}`,
      kindOf(join(directory, vm, entry)),
    ]),
  );
}

function kindOf(path: string): string {
  const found = lstatSync(path);
  if (found.isSymbolicLink()) return `-> ${basename(readlinkSync(path))}`;
  if (found.isDirectory()) return `directory of ${listed(path).join(' ')}`;
  return 'file';
}

function listed(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory).sort() : [];
}

/** What a disk holds, by what well-known places of it say. */
export function contentOf(path: string): string {
  const { mtimeMs, ino, size } = statSync(path);
  const key = `${ino} ${mtimeMs} ${size}`;
  const known = contents.get(path);
  if (known?.key === key) return known.content;
  const content = readContent(path);
  contents.set(path, { key, content });
  return content;
}

function readContent(path: string): string {
  const file = openSync(path, 'r');
  const at = (offset: number, length: number): string => {
    const buffer = Buffer.alloc(length);
    readSync(file, buffer, 0, length, offset);
    return buffer.toString('latin1');
  };
  try {
    const head = at(0, 64);
    if (head.startsWith('cxm-replay ')) return head.slice(11, head.indexOf('\n'));
    if (at(1080, 2) === '\x53\xef') return `${extTypeOf(at(1024, 1024))} ${markerOf(path)}`.trim();
    if (at(4086, 10) === 'SWAPSPACE2') return 'swap';
    return at(32_769, 5) === 'CD001' ? 'iso' : 'zeros';
  } finally {
    closeSync(file);
  }
}

/** By the features: only ext4 has extents. */
function extTypeOf(superblock: string): string {
  const incompatible = Buffer.from(superblock, 'latin1').readUInt32LE(0x60);
  return (incompatible & 0x40) === 0 ? 'ext3' : 'ext4';
}

function markerOf(path: string): string {
  return execFileSync('debugfs', ['-R', 'cat /marker', path], {
    stdio: ['ignore', 'pipe', 'ignore'],
    encoding: 'utf8',
  });
}

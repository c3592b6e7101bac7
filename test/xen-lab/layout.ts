/**
 * Where the Xen lab keeps what is expensive to make, and the sizes of its machines. Images and frozen clusters lie in one
 * directory outside the tree, under names that say what they were made of; everything else lives and dies with a run.
 */
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkout, disksDirectory, oneadmin, type NodeName } from '../lab/layout.ts';

/** May be set to another directory with 4 GB of room. */
export const cacheVariable = 'CXM_LAB_CACHE';
export const cacheDirectory = process.env[cacheVariable] ?? '/var/cache/cxm-lab';

/** The mirror that the nodes' packages come from; Debian's own when left out. */
export const mirrorVariable = 'CXM_LAB_MIRROR';

/** `stock`: Xen's own hotplug scripts, ten times slower, with the check whether a disk is in use. */
export const hotplugVariable = 'CXM_LAB_HOTPLUG';

export const recipeDirectory = fileURLToPath(new URL('recipe', import.meta.url));

/** Mebibytes. dom0 gets its share of the machine, guests the rest. */
export const memory = { machine: 1536, dom0: 512 } as const;

/** Sparse. */
export const sharedDiskSize = '4G';
export const rootDiskSize = '3G';

/** The base disk of all nodes, Xen, kernel and initramfs of dom0, keys and the guest's files. */
export interface Images {
  readonly directory: string;
  readonly rootDisk: string;
  readonly xen: string;
  readonly kernel: string;
  readonly initramfs: string;
  readonly keys: string;
  /** A small Linux as files, as root made them: what an image of it is packed from. */
  readonly guestTree: string;
}

export function imagesIn(directory: string): Images {
  return {
    directory,
    rootDisk: join(directory, 'dom0.ext4'),
    xen: join(directory, 'xen'),
    kernel: join(directory, 'vmlinuz'),
    initramfs: join(directory, 'dom0-initramfs'),
    keys: join(directory, 'keys'),
    guestTree: join(directory, 'guest'),
  };
}

/** The images that fit this checkout, made or not: their name changes with whatever they are made of. */
export function currentImages(): Images {
  const sources = [
    ...readdirSync(recipeDirectory).map((name) => join(recipeDirectory, name)),
    ...['test/xen-lab/images.ts', 'test/lab/machines.ts', 'test/lab/layout.ts'].map((path) => join(checkout, path)),
  ];
  const hash = createHash('sha256').update(process.version);
  for (const path of sources.sort()) hash.update(path.slice(checkout.length)).update(readFileSync(path));
  return imagesIn(join(cacheDirectory, `images-${hash.digest('hex').slice(0, 12)}`));
}

/** A cluster that waits to be thawed: memory and disk of each node, and the shared disk. */
export interface Frozen {
  readonly directory: string;
  memoryOf(name: NodeName): string;
  overlayOf(name: NodeName): string;
  readonly sharedDisk: string;
}

/** @param nodes how many */
export function frozenCluster(images: Images, nodes: number): Frozen {
  const directory = join(images.directory, `frozen-${nodes}-${hotplug()}`);
  return {
    directory,
    memoryOf: (name) => join(directory, `${name}.memory`),
    overlayOf: (name) => join(directory, `${name}.qcow2`),
    sharedDisk: join(directory, 'shared.raw'),
  };
}

export function hotplug(): 'fast' | 'stock' {
  return process.env[hotplugVariable] === 'stock' ? 'stock' : 'fast';
}

/**
 * Shell text that shows a node the datastore which all nodes share, once it has booted or was thawed: QEMU freezes no
 * machine that has a directory of its host mounted.
 */
const datastore = `${oneadmin.home}/datastores/0`;
export const mountDatastore = `mountpoint -q ${datastore} || mount -t 9p -o trans=virtio,version=9p2000.L,msize=131072 datastore ${datastore}`;

/** Within a run. */
export const sharedDisk = `${disksDirectory}/san.img`;
export function overlayOf(name: NodeName): string {
  return `${disksDirectory}/${name}.qcow2`;
}

/**
 * Where everything of the lab is: names, addresses, paths. The supervisor (inside.ts), the control of nodes (nodes.ts)
 * and the tests' side (lab.ts) are different processes that agree through this file and nothing else.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

/** Root of the checkout: the same path on the machine, on the frontend and on the nodes. */
export const checkout = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** A tmpfs that exists inside the lab's mount namespace only. */
export const labDirectory = '/run/cxm-lab';

/** The nodes' disks. */
export const disksDirectory = `${labDirectory}/disks`;

/** Set in the environment of whatever runs inside the lab. */
export const labVariable = 'CXM_LAB';

/** What the nodes are: user-mode-linux kernels with LVM, or dom0s of a real Xen in QEMU (test/xen-lab). */
export const labKindVariable = 'CXM_LAB_KIND';
export type LabKind = 'uml' | 'xen';
export const labKind: LabKind = process.env[labKindVariable] === 'xen' ? 'xen' : 'uml';

/** In the environment of a lab that shares the machine with another: the core of its first node; 0 when left out. */
export const firstCoreVariable = 'CXM_LAB_FIRST_CORE';
const firstCore = Number(process.env[firstCoreVariable] ?? 0);

/** node1 and node2 share the SAN; node3 stands alone, with a local volume group of the same name. */
export const nodeNames = ['node1', 'node2', 'node3'] as const;
export type NodeName = (typeof nodeNames)[number];

/** How many nodes run from the start; a third one of the Xen lab sees the SAN, too. */
export const nodeCountVariable = 'CXM_LAB_NODES';

/** What runs when a command starts inside the lab; otherwise node3 is started by the tests that need it. */
export const startedNodes: readonly NodeName[] = nodeNames.slice(0, process.env[nodeCountVariable] === '3' ? 3 : 2);

export const volumeGroup = 'VG0';
export const oneadmin = { name: 'oneadmin', uid: 9869, gid: 9869, home: '/var/lib/one' } as const;

/** Datastore ids. Tests say by the id which kind of system datastore a VM's directory is in. */
export const datastores = {
  /** System datastore, one directory on node1 and node2; the frontend and node3 have their own. */
  sharedSystem: 0,
  /** System datastore, private on each node. */
  privateSystem: 100,
  /** Image datastore of the frontend. */
  image: 1,
} as const;

const network = '10.77.0';
export const bridge = 'lab0';
export const frontendAddress = `${network}.254`;

export interface NodeLayout {
  readonly name: NodeName;
  readonly number: number;
  readonly address: string;
  readonly tap: string;
  readonly mac: string;
  readonly directory: string;
  /** The disk with the volume group; its device is /dev/ubda on the node. */
  readonly volumeDisk: string;
  /** The node's own disk: what it changed of its root file system. */
  readonly rootDisk: string;
  readonly console: string;
  /** Holds the id of the node's process, which leads its process group. */
  readonly pidFile: string;
  readonly memoryMebibytes: number;
  /** The machine's core that the node is pinned to: 2 to 4 times faster than unpinned. */
  readonly core: number;
}

export function nodeLayout(name: NodeName): NodeLayout {
  const number = nodeNames.indexOf(name) + 1;
  const directory = `${labDirectory}/${name}`;
  const standsAlone = name === 'node3' && labKind === 'uml';
  return {
    name,
    number,
    address: `${network}.${number}`,
    tap: `tap${number}`,
    mac: `52:54:00:77:00:0${number}`,
    directory,
    volumeDisk: `${disksDirectory}/${standsAlone ? 'local' : 'san'}.img`,
    rootDisk: `${disksDirectory}/${name}-root.img`,
    console: `${directory}/console.log`,
    pidFile: `${directory}/pid`,
    memoryMebibytes: standsAlone ? 768 : 1536,
    core: (firstCore + number - 1) % availableParallelism(),
  };
}

/** The root file system that all nodes start from; they never write to it. */
export const nodeRoot = `${labDirectory}/node-root`;
export const sharedSystemDatastore = `${labDirectory}/system-datastore`;
export const keysDirectory = `${labDirectory}/keys`;
/** Configuration of the connections that tests keep open to the nodes, as root. */
export const sshConfig = `${labDirectory}/ssh_config`;
export const modulesDirectory = '/usr/lib/uml/modules';

/** Sparse sizes: memory is used by what is written. */
export const diskSizes = { san: '12G', local: '4G', root: '8G' } as const;

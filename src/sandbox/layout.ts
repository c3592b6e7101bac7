/**
 * Where everything lies in a sandbox: three nodes and a frontend as directories of one directory. Paths within a machine
 * are named as on a real one; what two machines share (the SAN, the datastores) lies beside them.
 */
import { join } from 'node:path';

/** The volume group on each of the nodes. */
export const volumeGroup = 'VG0';
/** The sparse files of a group may claim this much in all. */
export const groupBytes = 64 * 1024 ** 3;

/** Name of the machine on which OpenNebula runs. */
export const frontendName = 'frontend';

export interface NodeKind {
  readonly name: string;
  /** OpenNebula's number for it. */
  readonly hostId: number;
  /** `san` is shared by all nodes that have it; `own` disks are seen by this node alone. */
  readonly storage: 'san' | 'own';
}

export const nodeKinds: readonly NodeKind[] = [
  { name: 'node1', hostId: 0, storage: 'san' },
  { name: 'node2', hostId: 1, storage: 'san' },
  { name: 'node3', hostId: 2, storage: 'own' },
];

/** The environment by which the stand-ins know where they are. */
export const sandboxVariable = 'CXM_SANDBOX';
export const nodeVariable = 'CXM_SANDBOX_NODE';
/** `yes`: volumes may be mounted through loop devices. */
export const mountVariable = 'CXM_SANDBOX_MOUNTS';
/** Programs read and write the connection by themselves, as on real hosts; nobody counts bytes then. */
export const rawVariable = 'CXM_SANDBOX_RAW';

export interface NodeLayout extends NodeKind {
  readonly directory: string;
  readonly home: string;
  /** Stands for /dev: active volumes appear in it. */
  readonly devices: string;
  /** The files that are the volumes of its group, with their metadata. */
  readonly groupDirectory: string;
  /** The nodes of the cluster keep the same configurations, those of the SAN here. */
  readonly configDirectory: string;
  readonly autostartDirectory: string;
  /** Its own cxm.conf. The sandbox's counts where there is none, for `cxm` alone: the drivers take such a node for a host of its own. */
  readonly clusterConf: string;
  /** State of its simulated xl. */
  readonly xen: string;
  /** Where OpenNebula copies the drivers to; /var/tmp/one on a real host. */
  readonly scripts: string;
  readonly runDirectory: string;
  readonly syslog: string;
  /** The node answers to nobody while this file exists. */
  readonly downFile: string;
}

export interface Layout {
  readonly directory: string;
  /** Programs of the frontend's and of the nodes' that stand in for real ones. */
  readonly frontendPrograms: string;
  readonly nodePrograms: string;
  /** The bundles that the stand-ins start. */
  readonly library: string;
  readonly temporary: string;
  /** /var/lib/one of the frontend; its datastores are shared with the nodes, as over NFS. */
  readonly one: string;
  readonly remotes: string;
  readonly datastores: string;
  /** What the stand-in for oned remembers. */
  readonly oned: string;
  /** One line an operation of cxm-host: bytes in and out. */
  readonly traffic: string;
  /** cxm.conf of all nodes. */
  readonly clusterConf: string;
  readonly nodes: readonly NodeLayout[];
}

export function layoutOf(directory: string): Layout {
  const one = join(directory, 'var/lib/one');
  return {
    directory,
    frontendPrograms: join(directory, 'programs/frontend'),
    nodePrograms: join(directory, 'programs/node'),
    library: join(directory, 'programs/library'),
    temporary: join(directory, 'tmp'),
    one,
    remotes: join(one, 'remotes'),
    datastores: join(one, 'datastores'),
    oned: join(directory, 'oned'),
    traffic: join(directory, 'oned/traffic'),
    clusterConf: join(directory, 'cluster/etc/xen/cxm.conf'),
    nodes: nodeKinds.map((kind) => nodeLayout(directory, kind)),
  };
}

/** @throws Error for a name that no node has */
export function nodeOf(layout: Layout, name: string): NodeLayout {
  const node = layout.nodes.find((candidate) => candidate.name === name);
  if (node === undefined) throw new Error(`the sandbox has no node ${name}`);
  return node;
}

function nodeLayout(directory: string, kind: NodeKind): NodeLayout {
  const own = join(directory, 'nodes', kind.name);
  return {
    ...kind,
    directory: own,
    home: join(own, 'home'),
    devices: join(own, 'dev'),
    groupDirectory: kind.storage === 'san' ? join(directory, 'san', volumeGroup) : join(own, 'disks', volumeGroup),
    configDirectory: join(kind.storage === 'san' ? join(directory, 'cluster') : own, 'etc/xen/vm'),
    autostartDirectory: join(own, 'etc/xen/auto'),
    clusterConf: join(own, 'etc/xen/cxm.conf'),
    xen: join(own, 'xen'),
    scripts: join(own, 'var/tmp/one'),
    runDirectory: join(own, 'run/cxm'),
    syslog: join(own, 'var/log/syslog'),
    downFile: join(own, 'down'),
  };
}

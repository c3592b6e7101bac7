/**
 * The schema of /etc/xen/cxm.conf, the configuration of the cluster: one table from which validation, the commented
 * example and the reference in docs/ come. The file used to be executed as Python; the same text is only read here.
 * Keys of the old program keep their names, defaults and meaning.
 */
import { balanceContradiction } from './balance-keys.ts';
import type { ConfigurationOf, ConfigurationTable, KeySchema } from './schema.ts';
import { isHostName } from '../host-name.ts';
import {
  decimal,
  devicePath,
  hostNames,
  integer,
  isIpv4,
  oneOf,
  path,
  program,
  searchPath,
  socketPath,
  text,
  texts,
  truth,
  wordLists,
} from './types.ts';
import type { ValueType } from './types.ts';

type Group = 'Cluster' | 'Heartbeat' | 'Fencing' | 'Virtual machines' | 'Load balancer' | 'Nodes' | 'Messages';

function key<T>(group: Group, type: ValueType<T>, fallback: string, meaning: string): KeySchema<T> {
  return { group, type, fallback, meaning };
}

/** A key that may be without a value; then it is undefined. */
function optional<T>(group: Group, type: ValueType<T>, meaning: string): KeySchema<T | undefined> {
  return { group, type, fallback: 'None', meaning };
}

function isNodeAddress(text: string): boolean {
  const [name = '', address = '', ...more] = text.split('=');
  return isHostName(name) && isIpv4(address) && more.length === 0;
}

const keys = {
  CLUSTER_NAME: optional(
    'Cluster',
    text('a name of at most 64 letters, digits and . _ -', /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
    'Nodes with the same name form a cluster; messages of others are ignored. cxmd needs it.',
  ),
  ALLOWED_NODES: key(
    'Cluster',
    hostNames(),
    '[]',
    'The nodes that may join the cluster, by the names under which they reach each other. Their order is that of the slots on the heartbeat disk: add new ones at the end, and move none.',
  ),
  CLUSTER_KEY: key(
    'Cluster',
    path(),
    '"/etc/xen/cxmd.key"',
    'A file with the key by which the nodes know each other, the same on all of them and readable by root alone. cxmd needs it. A second line is a key that is accepted, too, while it is being changed.',
  ),
  NODE_ADDRESSES: key(
    'Cluster',
    texts('written node=IPv4 address', isNodeAddress),
    '[]',
    "Addresses of nodes for heartbeats and calls, several of one node for several networks. A node without one is looked up by its name, which should not need a name server then. This node's own are those on which cxmd listens; without one it listens on all.",
  ),
  HB_DISK: optional(
    'Heartbeat',
    devicePath(),
    'The block device on the SAN through which the nodes see each other when the network fails; its contents are lost when it is formatted. cxmd needs it.',
  ),
  TIMER: key(
    'Heartbeat',
    integer(1, 600, 'seconds'),
    '3',
    'A node counts as lost after three times this time without a heartbeat; a master that can not renew its lease stops after twice. The same on all nodes: a node with another one is not let in.',
  ),
  UDP_PORT: key('Heartbeat', integer(1, 65_535), '1255', 'Port of heartbeats and elections.'),
  TCP_PORT: key('Heartbeat', integer(1, 65_535), '1255', 'Port of calls from one cxmd to another.'),
  UNIX_PORT: key('Heartbeat', socketPath(), '"/var/run/cxmd.socket"', 'Socket on which cxmd answers this node.'),
  HB_CAST: key(
    'Heartbeat',
    oneOf(['unicast', 'broadcast', 'multicast']),
    '"unicast"',
    'How heartbeats go out: to each node by itself, or one for all.',
  ),
  HB_INTERFACES: key(
    'Heartbeat',
    texts('the name of a network interface', (name) => /^[A-Za-z0-9][A-Za-z0-9._@:-]{0,14}$/.test(name)),
    '[]',
    'The interfaces of heartbeats that go to all. Without one, all that are up.',
  ),
  HB_GROUP: key(
    'Heartbeat',
    text('an address from 224.0.0.0 to 239.255.255.255', /^2(2[4-9]|3\d)(\.\d{1,3}){3}$/),
    '"239.255.12.55"',
    'The group to which multicast heartbeats go.',
  ),
  CXMD_GROUP: optional(
    'Heartbeat',
    text('the name of a group', /^[a-z_][a-z0-9_-]{0,31}$/),
    'A group of the system whose members may ask cxmd how things are, on the socket UNIX_PORT with .read behind it. Whoever is to change something must be root.',
  ),
  STATE_DIR: key('Heartbeat', path(), '"/var/lib/cxm"', 'Where cxmd keeps the journal of what it has decided and why.'),
  FENCE_CMD: key(
    'Fencing',
    program(),
    '"cxm_fence"',
    "The program that powers a node off. The node's name is its first argument; it ends with 0 only when the node is off. No program of the default name is installed: see docs/ha.md.",
  ),
  FENCE_STATUS_CMD: optional(
    'Fencing',
    program(),
    "A program that tells whether a node has power: the node's name is its first argument, its first word on standard output is on or off. With it, a fenced node counts as off only when it says so.",
  ),
  FENCE_TIMEOUT: key(
    'Fencing',
    integer(1, 600, 'seconds'),
    '60',
    'Each of the two programs is ended after this time, and has failed then.',
  ),
  DISABLE_FENCING: key(
    'Fencing',
    truth(),
    'False',
    'Fence nobody. A recovery that would have to fence a node ends in panic then.',
  ),
  WATCHDOG: optional(
    'Fencing',
    devicePath(),
    'A watchdog device, for instance /dev/watchdog of xen_wdt: a node that can neither write its mark nor be heard resets itself.',
  ),
  WATCHDOG_TIMEOUT: key(
    'Fencing',
    integer(2, 600, 'seconds'),
    '30',
    'The time-out that the watchdog device has: 60 for xen_wdt, unless it is loaded with timeout=. cxmd does not set it, and refuses a device that waits longer. It should be at least six times TIMER (cxmd does not check that), so that a daemon that was killed is let in again in time. It may differ between nodes: each tells the others its own.',
  ),
  NO_RESTART: key(
    'Virtual machines',
    texts('the name of a VM', isHostName),
    '[]',
    'VMs that are not started elsewhere when their node has failed.',
  ),
  RESTART_FIRST: key(
    'Virtual machines',
    texts('the name of a VM', isHostName),
    '[]',
    'VMs that are started before all others when their node has failed, in this order, and get their room before them.',
  ),
  SHUTDOWN_TIMEOUT: key(
    'Virtual machines',
    integer(1, 3600, 'seconds'),
    '60',
    'A VM that ignores a shutdown for so long is destroyed.',
  ),
  MIGRATE_TIMEOUT: key(
    'Virtual machines',
    integer(10, 86_400, 'seconds'),
    '1800',
    'A live migration that takes longer is ended; the VM stays where it runs.',
  ),
  POST_MIGRATION_HOOK: optional(
    'Virtual machines',
    program(),
    'A program that is run after each migration, on the source node, with the name of the VM, source and destination. Nobody waits for it, and its failure is only logged.',
  ),
  VMCONF_DIR: key('Virtual machines', path(), '"/etc/xen/vm/"', 'Where the configuration files of the VMs are.'),
  AUTO_DIR: key('Virtual machines', path(), '"/etc/xen/auto/"', 'Where the autostart links are.'),
  LB_MAX_VM_PER_NODE: key('Load balancer', integer(1, 10_000), '20', 'No more VMs are brought to a node than these.'),
  LB_MAX_MIGRATION: key('Load balancer', integer(1, 10_000), '3', 'A plan has no more migrations than these.'),
  LB_MIN_GAIN: key(
    'Load balancer',
    integer(0, 100, '%'),
    '5',
    'A plan must make the score of the cluster better by so much, or it is not proposed.',
  ),
  LB_COST_PER_MIGRATION: key(
    'Load balancer',
    decimal(0, 100, '%'),
    '0',
    'What each migration of cxm loadbalance has to earn, in percent of the score before, beside LB_MIN_GAIN.',
  ),
  LB_COST_PER_GIB: key(
    'Load balancer',
    decimal(0, 100, '%'),
    '0',
    'The same for each GiB of memory that is moved, so that large VMs are moved only when it is worth it.',
  ),
  LB_PIN: key(
    'Load balancer',
    wordLists('the name of a VM and of the nodes on which it may be, with blanks between them', 2, isHostName),
    '[]',
    "VMs that may be on some nodes only: ['shop.example.org node1 node2']. cxm start, eject and loadbalance take no other node for them, and loadbalance brings one home that is elsewhere.",
  ),
  LB_IGNORE: key(
    'Load balancer',
    wordLists('the name of a VM', 1, isHostName),
    '[]',
    "VMs that cxm loadbalance and eject never move: ['router.example.org'].",
  ),
  LB_TOGETHER: key(
    'Load balancer',
    wordLists('the names of two or more VMs, with blanks between them', 2, isHostName),
    '[]',
    "Groups of VMs that belong on one node: ['shop.example.org db.example.org'].",
  ),
  LB_APART: key(
    'Load balancer',
    wordLists('the names of two or more VMs, with blanks between them', 2, isHostName),
    '[]',
    "Groups of VMs of which no node may have two: ['ns1.example.org ns2.example.org']. One for which there is no other node is not started by cxm start.",
  ),
  LB_EMPTY: key(
    'Load balancer',
    hostNames(),
    '[]',
    'Nodes that get no VM from cxm start, eject and loadbalance, and that lose those they have by loadbalance.',
  ),
  LB_INTERVAL: key(
    'Load balancer',
    integer(0, 86_400, 'seconds'),
    '0',
    'How often the master of cxmd looks whether VMs should be moved, and moves them; 0: never by itself.',
  ),
  LB_THRESHOLD: key(
    'Load balancer',
    decimal(0, 100, '%'),
    '15',
    'cxmd does nothing while the score of the cluster is below, as cxm loadbalance shows it.',
  ),
  LB_HOLD: key(
    'Load balancer',
    integer(0, 86_400, 'seconds'),
    '600',
    'The score must have been above LB_THRESHOLD for so long before cxmd moves a VM.',
  ),
  LB_COOLDOWN: key(
    'Load balancer',
    integer(0, 604_800, 'seconds'),
    '3600',
    'cxmd leaves a VM alone for so long after it was moved, by whomever.',
  ),
  SSH_USER: optional(
    'Nodes',
    text('a user name', /^[a-z_][a-z0-9_-]{0,31}$/),
    'The user as whom other nodes are reached; None for the one whom ssh would take. Programs of another user than root are run with sudo.',
  ),
  CONNECT_TIMEOUT: key(
    'Nodes',
    integer(1, 300, 'seconds'),
    '10',
    'A node that has not let us in after so long counts as out of reach.',
  ),
  NOREFRESH: key(
    'Nodes',
    truth(),
    'False',
    'Before a VM uses volumes that are active on its node already, do not load them anew from the metadata of LVM, as with --no-refresh. Dangerous where LVM has no cluster-wide lock: another node may have extended or moved them.',
  ),
  PATH: optional('Nodes', searchPath(), 'Directories in which programs are looked for first, with : between them.'),
  API_DEBUG: key('Messages', truth(), 'False', 'The library logs every step.'),
  DAEMON_DEBUG: key('Messages', truth(), 'False', 'cxmd logs every step.'),
  QUIET: key('Messages', truth(), 'False', 'No questions and no more output than needed, as with --quiet.'),
} as const;

export const cxmConfTable: ConfigurationTable<typeof keys> = {
  name: 'cxm.conf',
  literals: 'python',
  keys,
  contradictionIn: balanceContradiction,
};

export type CxmConfKey = keyof typeof keys;

/** A complete, validated configuration of the cluster. */
export type CxmConf = ConfigurationOf<typeof keys>;

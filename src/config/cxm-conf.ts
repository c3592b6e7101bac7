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
  path,
  program,
  searchPath,
  socketPath,
  text,
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
    'The nodes that may join the cluster, by the names under which they reach each other. Without cxmd these are the nodes.',
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
    'The master counts as lost after twice this time without a heartbeat, another node after three times. The same on all nodes.',
  ),
  UDP_PORT: key('Heartbeat', integer(1, 65_535), '1255', 'Port of heartbeats and elections.'),
  TCP_PORT: key('Heartbeat', integer(1, 65_535), '1255', 'Port of calls from one cxmd to another.'),
  UNIX_PORT: key('Heartbeat', socketPath(), '"/var/run/cxmd.socket"', 'Socket on which cxmd answers this node.'),
  FENCE_CMD: key(
    'Fencing',
    program(),
    '"cxm_fence"',
    "The program that powers a node off. The node's name is its first argument; it ends with 0 only when the node is off.",
  ),
  DISABLE_FENCING: key(
    'Fencing',
    truth(),
    'False',
    'Fence nobody. A recovery that would have to fence a node ends in panic then.',
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

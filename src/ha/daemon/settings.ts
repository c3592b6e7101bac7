/**
 * From cxm.conf to what the daemon runs with. Guarantees: what can't work, or would not be safe, is refused before anything
 * is opened; a list of nodes that is changed while the daemon runs may only get longer. Pure.
 */
import type { CxmConf } from '../../config/cxm-conf.ts';
import { CxmError } from '../../errors.ts';
import type { NodeConfig } from '../protocol/parts.ts';
import { deriveTiming } from '../protocol/timing.ts';
import { maxNodes } from '../records.ts';

/** Locks and looks before and after a migration. */
const aroundMigrationMs = 60_000;

export interface DaemonSettings {
  readonly cluster: string;
  readonly diskPath: string;
  /** All but the identity of the disk. */
  readonly node: Omit<NodeConfig, 'diskId'>;
}

/** @throws CxmError CONFIG */
export function daemonSettings(conf: CxmConf, localName: string): DaemonSettings {
  const { CLUSTER_NAME: cluster, HB_DISK: diskPath, ALLOWED_NODES: nodes } = conf;
  if (cluster === undefined) throw missing('CLUSTER_NAME', 'the name of the cluster');
  if (diskPath === undefined) throw missing('HB_DISK', 'the device of the disk heartbeat');
  if (nodes.length === 0) throw missing('ALLOWED_NODES', 'the nodes of the cluster');
  if (nodes.length > maxNodes) {
    throw new CxmError('CONFIG', `ALLOWED_NODES has ${nodes.length} nodes, but a cluster has at most ${maxNodes}`);
  }
  const self = nodes.indexOf(localName);
  if (self < 0) {
    throw new CxmError('CONFIG', `ALLOWED_NODES does not name this node, ${localName}`, {
      hint: `its nodes are ${nodes.join(', ')}; the name is that of the host`,
    });
  }
  return { cluster, diskPath, node: { self, nodes, timing: timingOf(conf), ...fencingOf(conf) } };
}

function timingOf({ TIMER, WATCHDOG, WATCHDOG_TIMEOUT, MIGRATE_TIMEOUT }: CxmConf): NodeConfig['timing'] {
  return deriveTiming(TIMER, {
    // The toolstack's own deadline comes first, so that it can say how it ended.
    migrateDeadlineMs: MIGRATE_TIMEOUT * 1000 + aroundMigrationMs,
    ...(WATCHDOG === undefined ? {} : { watchdogMs: WATCHDOG_TIMEOUT * 1000 }),
  });
}

export function fencingOf(conf: CxmConf): Pick<NodeConfig, 'fencing' | 'watchdogArmed'> {
  const fencing = conf.DISABLE_FENCING
    ? 'disabled'
    : conf.FENCE_STATUS_CMD === undefined
      ? 'unconfirmed'
      : 'with-status';
  return { fencing, watchdogArmed: conf.WATCHDOG !== undefined };
}

/** Keys that are read at the start only. */
const fixedKeys = [
  'CLUSTER_NAME',
  'HB_DISK',
  'TIMER',
  'UDP_PORT',
  'TCP_PORT',
  'UNIX_PORT',
  'CXMD_GROUP',
  'HB_CAST',
  'HB_INTERFACES',
  'HB_GROUP',
  'STATE_DIR',
  'WATCHDOG',
  'WATCHDOG_TIMEOUT',
  'MIGRATE_TIMEOUT',
  'DAEMON_DEBUG',
] as const satisfies readonly (keyof CxmConf)[];

export interface Reloaded {
  /** The new configuration, with what has to wait for a restart as it was. */
  readonly conf: CxmConf;
  /** What that is. */
  readonly waiting: readonly string[];
}

/**
 * What a running daemon takes over of a new configuration.
 * @throws CxmError CONFIG one with which it could not begin: a file that is gone says nothing of what is wanted
 */
export function reloaded(before: CxmConf, after: CxmConf, localName: string): Reloaded {
  daemonSettings(after, localName);
  const changed = fixedKeys.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
  const waiting = changed.map((key) => `${key} has changed: it takes effect when cxmd is restarted`);
  const longer = isLonger(before.ALLOWED_NODES, after.ALLOWED_NODES);
  if (!longer) {
    waiting.push('ALLOWED_NODES has not only got longer: it stays as it was until cxmd is restarted on all nodes');
  }
  const kept = Object.fromEntries(fixedKeys.map((key) => [key, before[key]])) as Pick<
    CxmConf,
    (typeof fixedKeys)[number]
  >;
  const ALLOWED_NODES = longer ? after.ALLOWED_NODES : before.ALLOWED_NODES;
  return { conf: { ...after, ...kept, ALLOWED_NODES }, waiting };
}

/** Nodes are added at the end: the place in the list is the number of the slot. */
export function isLonger(before: readonly string[], after: readonly string[]): boolean {
  return after.length <= maxNodes && before.every((name, index) => after[index] === name);
}

function missing(key: string, what: string): CxmError {
  return new CxmError('CONFIG', `cxm.conf does not set ${key}, ${what}, which cxmd needs`, {
    hint: 'see docs/cxm.conf.md',
  });
}

/** A cluster from its configuration: which nodes, how they are reached, how long things may take. */
import { CxmError } from '../errors.ts';
import type { CxmConf } from '../config/cxm-conf.ts';
import { realClock } from '../host/clock.ts';
import type { Machine } from '../host/hold.ts';
import type { Cluster, Reporter } from './cluster.ts';
import { commandNode } from './node-body.ts';

export interface ClusterRequest {
  readonly configuration: CxmConf;
  /** Only these nodes; all of ALLOWED_NODES when left out. */
  readonly only?: readonly string[];
  /** How programs are run on a node. */
  machineOf(node: string): Machine;
  /** False as NOREFRESH: True. */
  readonly refresh: boolean;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

/** On every node, of root alone; empty after a boot, as locks should be. */
const runDirectory = '/run/cxm';
/** How long the backends of a domain that has ended may hold its volumes. */
const busyTimeoutMs = 30_000;
/** How long another cxm may work on a VM until we give up waiting. */
const lockTimeoutMs = 60_000;

/** Reaches no node yet. @throws CxmError CONFIG without nodes, NOT_FOUND for a node that the configuration doesn't allow */
export function openCluster(request: ClusterRequest): Cluster {
  const { configuration, only, machineOf, refresh, reporter, signal } = request;
  const { SHUTDOWN_TIMEOUT, MIGRATE_TIMEOUT, POST_MIGRATION_HOOK, VMCONF_DIR, AUTO_DIR, NOREFRESH } = configuration;
  const paths = { configDirectory: VMCONF_DIR, autostartDirectory: AUTO_DIR, runDirectory };
  const habits = { refreshesVolumes: refresh && !NOREFRESH };
  return {
    nodes: chosenNodes(configuration.ALLOWED_NODES, only).map((name) =>
      commandNode(name, machineOf(name), paths, habits),
    ),
    settings: {
      shutdownTimeoutMs: SHUTDOWN_TIMEOUT * 1000,
      migrateTimeoutMs: MIGRATE_TIMEOUT * 1000,
      busyTimeoutMs,
      lockTimeoutMs,
      postMigrationHook: POST_MIGRATION_HOOK,
    },
    reporter,
    clock: realClock,
    signal,
  };
}

function chosenNodes(allowed: readonly string[], only: readonly string[] | undefined): readonly string[] {
  if (allowed.length === 0) {
    throw new CxmError('CONFIG', 'cxm.conf names no nodes', {
      hint: "set ALLOWED_NODES, for instance to ['node1', 'node2']",
    });
  }
  const stranger = only?.find((name) => !allowed.includes(name));
  if (stranger !== undefined) {
    const hint = `ALLOWED_NODES of cxm.conf are ${allowed.join(', ')}`;
    throw new CxmError('NOT_FOUND', `${stranger} is no node of the cluster`, { hint });
  }
  return only === undefined ? allowed : allowed.filter((name) => only.includes(name));
}

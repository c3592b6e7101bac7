/**
 * The surroundings of cxm in a sandbox: its three nodes, whose programs run through the stand-in for ssh, and their paths
 * there. The local node is the one on which cxm was called; on the frontend, which is none, it is node1.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { daemonOf, membershipFrom, turnout } from '../../cli/daemon.ts';
import type { CliEnvironment } from '../../cli/environment.ts';
import { processParts } from '../../cli/process.ts';
import type { Cluster, Reporter } from '../../cluster/cluster.ts';
import { nodeNamed } from '../../cluster/cluster.ts';
import type { ClusterNode } from '../../cluster/node.ts';
import { commandNode } from '../../cluster/node-body.ts';
import type { CxmConf } from '../../config/cxm-conf.ts';
import { readCxmConf } from '../../config/cxm-conf-file.ts';
import { realClock } from '../../host/clock.ts';
import { frontendName, layoutOf, nodeOf, nodeVariable, sandboxVariable, type Layout } from '../layout.ts';
import { Store } from '../xl/store.ts';
import { sandboxMachine } from './machine.ts';

export function sandboxEnvironment(): CliEnvironment {
  const layout = layoutOf(process.env[sandboxVariable] ?? '');
  const here = process.env[nodeVariable] ?? '';
  const localName = here === '' || here === frontendName ? 'node1' : here;
  const configuration = () => readCxmConf(confPath(layout, localName));
  const daemon = daemonOf(() => configuration().configuration);
  return {
    ...processParts(),
    localName,
    commands: sandboxMachine(localName),
    configuration,
    daemon,
    async open(request) {
      const conf = configuration().configuration;
      const commands = sandboxMachine(localName);
      const facts = { daemon: await daemon(), conf, machineOf: sandboxMachine, commands };
      const { nodes, requireUsable } = await turnout(request, facts);
      const { refresh, reporter, signal } = request;
      const cluster = sandboxCluster(layout, { conf, nodes, refresh, reporter, signal });
      return { cluster: { ...cluster, requireUsable }, close: () => Promise.resolve() };
    },
    async membership() {
      return membershipFrom(await daemon(), configuration().configuration.ALLOWED_NODES, localName);
    },
    attachConsole: (domainId) => attach(localName, domainId),
  };
}

/** The cxm.conf of a node. */
export function confPath(layout: Layout, node: string): string {
  const own = nodeOf(layout, node).clusterConf;
  return process.env['CXM_CONF'] ?? (existsSync(own) ? own : layout.clusterConf);
}

export interface SandboxClusterRequest {
  readonly conf: CxmConf;
  /** All when left out. */
  readonly nodes: readonly string[] | undefined;
  /** The metadata of LVM before volumes are activated. */
  readonly refresh: boolean;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

export function sandboxCluster(layout: Layout, request: SandboxClusterRequest): Cluster {
  const { conf, nodes, refresh, reporter, signal } = request;
  const all = conf.ALLOWED_NODES.map((name) => sandboxNode(layout, name, refresh && !conf.NOREFRESH));
  const cluster: Cluster = {
    nodes: all,
    settings: {
      shutdownTimeoutMs: conf.SHUTDOWN_TIMEOUT * 1000,
      migrateTimeoutMs: conf.MIGRATE_TIMEOUT * 1000,
      busyTimeoutMs: 10_000,
      lockTimeoutMs: 5000,
      postMigrationHook: conf.POST_MIGRATION_HOOK,
    },
    reporter,
    clock: realClock,
    signal,
  };
  return { ...cluster, nodes: nodes?.map((name) => nodeNamed(cluster, name)) ?? all };
}

function sandboxNode(layout: Layout, name: string, refreshesVolumes: boolean): ClusterNode {
  const { configDirectory, autostartDirectory, runDirectory, xen } = nodeOf(layout, name);
  const paths = { configDirectory, autostartDirectory, runDirectory };
  const node = commandNode(name, sandboxMachine(name), paths, { refreshesVolumes });
  // The bridges of this machine are none of the simulated host's.
  const system = {
    ...node.system,
    bridges: () =>
      sandboxMachine(name)
        .run('true', [])
        .then(() => new Store(xen).host.bridges),
  };
  return { ...node, system };
}

function attach(node: string, domainId: number): Promise<number> {
  const child = spawn('ssh', [node, `xl console ${domainId}`], { stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}

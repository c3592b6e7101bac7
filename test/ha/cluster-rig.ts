/**
 * A cluster of three real cxmd on this machine: an address of the loopback network for each, a file as their heartbeat disk,
 * the simulated xl of the sandbox, and a fence command that writes down what it was asked, ends the daemon of the node and
 * takes the node's power. Where the nodes are can be said otherwise (fault-rig.ts).
 */
import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { diskBytes } from '../../src/ha/disk/format.ts';
import type { JournalEntry } from '../../src/ha/daemon/journal.ts';
import type { NodeReport, StatusReport } from '../../src/ha/daemon/view.ts';
import { nodeOf, nodeVariable } from '../../src/sandbox/layout.ts';
import { createCaller, frontendEnvironment } from '../../src/sandbox/one/calls.ts';
import { Lifecycle } from '../../src/sandbox/one/lifecycle.ts';
import { CliSandbox } from '../cli/sandbox.ts';
import { endOf, type Ended } from '../sandbox/guest-house.ts';

export const nodeNames = ['node1', 'node2', 'node3'] as const;
export type NodeName = (typeof nodeNames)[number];

/** Where the nodes are, if not all of them here. */
export interface NodePlaces {
  address(node: NodeName): string;
  /** The device under which a node sees the heartbeat disk that this file is. */
  disk(node: NodeName, file: string): string;
  /** The command line that runs another one on the node. */
  inside(node: NodeName, words: readonly string[]): readonly string[];
  /** What its daemon has in its environment besides; it knows the node's name from the host name. @param directory the rig's */
  environment(node: NodeName, directory: string): Readonly<Record<string, string>>;
}

export interface RigOptions {
  /** Third part of the nodes' addresses and part of the ports, so that tests don't meet. */
  readonly number: number;
  readonly timerSeconds?: number;
  /** Lines added to every cxm.conf. */
  readonly settings?: readonly string[];
  readonly places?: NodePlaces;
}

export class ClusterRig {
  readonly sandbox = new CliSandbox();
  readonly directory: string;
  readonly timerMs: number;
  readonly udpPort: number;
  readonly tcpPort: number;
  private readonly daemons = new Map<NodeName, ChildProcess>();
  private readonly logs = new Map<NodeName, string>();

  constructor(private readonly options: RigOptions) {
    this.directory = join(this.sandbox.layout.directory, 'ha');
    this.timerMs = (options.timerSeconds ?? 3) * 1000;
    this.udpPort = 13_000 + options.number;
    this.tcpPort = 13_000 + options.number;
    fs.mkdirSync(join(this.directory, 'programs'), { recursive: true });
    fs.mkdirSync(join(this.directory, 'network'));
    this.writeKey('key', 1);
    fs.writeFileSync(join(this.directory, 'disk'), '');
    fs.truncateSync(join(this.directory, 'disk'), diskBytes);
    this.writeProgram('fence', fenceScript);
    this.writeProgram('power', powerScript);
    this.writeProgram('fping', fpingScript);
    for (const node of nodeNames) this.configure(node);
  }

  address(node: NodeName): string {
    const loopback = `127.0.${100 + this.options.number}.${nodeNames.indexOf(node) + 1}`;
    return this.options.places?.address(node) ?? loopback;
  }

  writeKey(file: string, secret: number): void {
    const text = Buffer.alloc(32, secret).toString('hex');
    fs.writeFileSync(join(this.directory, file), `${text}\n`, { mode: 0o600 });
  }

  configure(node: NodeName, change: Readonly<Record<string, string>> = {}): void {
    const names = (all: readonly string[]): string => `[${all.map((one) => `'${one}'`).join(', ')}]`;
    const disk = join(this.directory, 'disk');
    const values: Record<string, string> = {
      CLUSTER_NAME: '"lab"',
      ALLOWED_NODES: names(nodeNames),
      NODE_ADDRESSES: names(nodeNames.map((name) => `${name}=${this.address(name)}`)),
      CLUSTER_KEY: `"${join(this.directory, 'key')}"`,
      HB_DISK: `"${this.options.places?.disk(node, disk) ?? disk}"`,
      TIMER: String(this.timerMs / 1000),
      UDP_PORT: String(this.udpPort),
      TCP_PORT: String(this.tcpPort),
      UNIX_PORT: `"${join(this.directory, `${node}.socket`)}"`,
      STATE_DIR: `"${join(this.directory, `${node}.state`)}"`,
      FENCE_CMD: `"${join(this.directory, 'programs/fence')}"`,
      FENCE_STATUS_CMD: `"${join(this.directory, 'programs/power')}"`,
      PATH: `"${join(this.directory, 'programs')}"`,
      ...change,
    };
    const lines = Object.entries(values).map(([key, value]) => `${key} = ${value}`);
    fs.writeFileSync(this.confOf(node), [...lines, ...(this.options.settings ?? []), ''].join('\n'));
  }

  /** On node1. */
  format(...more: readonly string[]): Promise<Ended> {
    return this.ctl('node1', '--format', '--yes', ...more);
  }

  start(...nodes: readonly NodeName[]): void {
    for (const node of nodes) {
      const { places } = this.options;
      const own = [process.execPath, join(this.sandbox.build, 'sandbox/cxmd')];
      const [program = '', ...args] = places?.inside(node, own) ?? own;
      const child = spawn(program, args, {
        cwd: this.directory,
        env:
          places === undefined
            ? this.environment(node)
            : { ...this.environment(node), [nodeVariable]: undefined, ...places.environment(node, this.directory) },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (chunk: Buffer) => this.logs.set(node, this.log(node) + chunk.toString()));
      }
      this.daemons.set(node, child);
      fs.writeFileSync(join(this.directory, `${node}.pid`), String(child.pid));
    }
  }

  log(node: NodeName): string {
    return this.logs.get(node) ?? '';
  }

  /** The number of its daemon's process, which may have ended. */
  processId(node: NodeName): number {
    return this.daemons.get(node)?.pid ?? 0;
  }

  signal(node: NodeName, signal: NodeJS.Signals): void {
    this.daemons.get(node)?.kill(signal);
  }

  /** Its exit code, or the signal that ended it. */
  async ended(node: NodeName): Promise<number | string> {
    const child = this.daemons.get(node);
    if (child === undefined) return 'never started';
    if (child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => child.once('exit', resolve));
    return child.exitCode ?? child.signalCode ?? 'ended';
  }

  ctl(node: NodeName, ...words: readonly string[]): Promise<Ended> {
    const child = spawn(process.execPath, [join(this.sandbox.build, 'sbin/cxmd_ctl'), ...words], {
      env: this.environment(node),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    child.stdin.end();
    return endOf(child);
  }

  /** The command line of the cluster, called on a node where cxmd runs. */
  cxm(node: NodeName, ...words: readonly string[]): Promise<Ended> {
    return this.sandbox.cxm(words, { at: node, env: { CXM_CONF: this.confOf(node) } });
  }

  /**
   * OpenNebula, to whose drivers the nodes are those of a cluster from now on, and which is told by the hook. To be called
   * before the daemons are started.
   */
  openNebula(): Lifecycle {
    const { layout } = this.sandbox;
    for (const node of nodeNames) {
      this.configure(node, { POST_MIGRATION_HOOK: `"${join(layout.library, 'one-migrate')}"` });
      fs.symlinkSync(this.confOf(node), nodeOf(layout, node).clusterConf);
    }
    return new Lifecycle(layout, createCaller({ layout, mounts: false }));
  }

  /** Undefined when it does not answer. */
  async status(node: NodeName): Promise<StatusReport | undefined> {
    const { exitCode, stdout } = await this.ctl(node, '--status', '--json');
    return exitCode === 0 ? (JSON.parse(stdout) as StatusReport) : undefined;
  }

  async nodes(node: NodeName): Promise<readonly NodeReport[]> {
    return JSON.parse((await this.ctl(node, '--list-nodes', '--json')).stdout) as readonly NodeReport[];
  }

  async why(node: NodeName, subject: string): Promise<readonly JournalEntry[]> {
    return JSON.parse((await this.ctl(node, '--why', subject, '--json')).stdout) as readonly JournalEntry[];
  }

  /** One line a call: `fence NODE`. */
  fenced(): readonly string[] {
    const file = join(this.directory, 'fence.log');
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim().split('\n') : [];
  }

  /** How often a VM was made, over all nodes, by what the daemons have said. */
  startsOf(vm: string): number {
    return nodeNames.reduce((sum, node) => sum + this.log(node).split(`${vm}: may start here`).length - 1, 0);
  }

  /** The VM answers to pings. */
  setAnswering(vm: string, answers: boolean): void {
    const file = join(this.directory, 'network', vm);
    if (answers) fs.writeFileSync(file, '');
    else fs.rmSync(file, { force: true });
  }

  async close(): Promise<void> {
    for (const child of this.daemons.values()) child.kill('SIGKILL');
    await this.sandbox.close();
  }

  private confOf(node: NodeName): string {
    return join(this.directory, `${node}.conf`);
  }

  private environment(node: NodeName): NodeJS.ProcessEnv {
    return {
      ...frontendEnvironment(this.sandbox.layout, false),
      [nodeVariable]: node,
      CXM_CONF: this.confOf(node),
    };
  }

  writeProgram(name: string, text: string): void {
    fs.writeFileSync(join(this.directory, 'programs', name), text, { mode: 0o755 });
  }
}

const fenceScript = `#!/bin/sh
directory=\${0%/*}/..
# Whoever loses its power loses its daemon, too.
echo "fence $1" >>"$directory/fence.log"
[ -e "$directory/fence-fails" ] && { echo 'no answer from the switch' >&2; exit 1; }
[ -e "$directory/fence-spares-daemons" ] || kill -9 "$(cat "$directory/$1.pid")" 2>/dev/null
node "$CXM_SANDBOX/programs/library/cxm_fence" "$1"
`;

const powerScript = `#!/bin/sh
[ -e "$CXM_SANDBOX/nodes/$1/down" ] && echo off || echo on
`;

const fpingScript = `#!/bin/sh
directory=\${0%/*}/..
while [ "$1" != -- ]; do shift; done
shift
for name; do
  [ -e "$directory/network/$name" ] && echo "$name is alive" || echo "$name is unreachable"
done
exit 1
`;

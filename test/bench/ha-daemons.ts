/**
 * Real cxmd on this machine, as they are installed, for measuring: each believes to be another host (a UTS namespace of its
 * own), has an address of the loopback network, and a stand-in for `xl` that prints a list of VMs and does nothing else.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectLocally } from '../../src/ha/calls/local-calls.ts';
import type { StatusReport } from '../../src/ha/daemon/view.ts';
import { diskBytes } from '../../src/ha/disk/format.ts';
import { formatDevice } from '../../src/ha/disk/prepare.ts';
import { readClusterKeys, type ClusterKey } from '../../src/ha/wire/cluster-key.ts';
import { checkout } from '../lab/layout.ts';

export const cluster = 'bench';
const port = 13_900;
const clockTicksASecond = 100;

export interface Usage {
  /** Of one core, by the daemon itself with all its threads. */
  readonly cpuPercent: number;
  /** Of one core, by the programs that it has started and that have ended: the stand-in for xl. */
  readonly childrenPercent: number;
  readonly residentMib: number;
  /** Asked of the kernel by reads, which is nearly all from the heartbeat disk. */
  readonly readKibASecond: number;
}

interface Counters {
  readonly atMs: number;
  readonly own: number;
  readonly children: number;
  readonly readBytes: number;
}

export class BenchDaemons {
  readonly directory = fs.mkdtempSync(join(tmpdir(), 'cxm-bench-ha-'));
  readonly disk = join(this.directory, 'disk');
  readonly diskId: string;
  readonly port = port;
  readonly names: readonly string[];
  private readonly children = new Map<number, ChildProcess>();

  /** @param nodes of the cluster. @param vms on each of them. @param processor all daemons share it, with what they start */
  constructor(
    nodes: number,
    vms: number,
    private readonly processor?: number,
  ) {
    this.names = Array.from({ length: nodes }, (_, at) => `node${at + 1}`);
    fs.writeFileSync(this.disk, '');
    fs.truncateSync(this.disk, diskBytes);
    const empty = { sizeBytes: diskBytes, carries: undefined, cluster: undefined, users: [] };
    this.diskId = formatDevice(this.disk, cluster, empty, false);
    fs.writeFileSync(join(this.directory, 'key'), `${'5a'.repeat(32)}\n`, { mode: 0o600 });
    fs.mkdirSync(join(this.directory, 'programs'));
    for (const index of this.names.keys()) this.configure(index, vms);
  }

  key(): ClusterKey {
    const [key] = readClusterKeys(join(this.directory, 'key'), cluster);
    if (key === undefined) throw new Error('no key');
    return key;
  }

  address(index: number): string {
    return `127.0.90.${index + 1}`;
  }

  start(index: number): void {
    const name = this.names[index] ?? '';
    const words = ['--uts', 'sh', '-c', 'hostname "$0" && exec "$@"', name];
    const log = fs.openSync(join(this.directory, `${name}.log`), 'a');
    const pinned = this.processor === undefined ? [] : ['taskset', '--cpu-list', String(this.processor)];
    const [program = '', ...rest] = [
      ...pinned,
      'unshare',
      ...words,
      process.execPath,
      join(checkout, 'dist/sbin/cxmd'),
    ];
    const child = spawn(program, rest, {
      cwd: this.directory,
      env: { ...process.env, CXM_CONF: join(this.directory, `${name}.conf`) },
      stdio: ['ignore', log, log],
    });
    fs.closeSync(log);
    this.children.set(index, child);
  }

  /** All that were started are members, and there is one master. */
  async settle(): Promise<void> {
    for (let tries = 0; tries < 240; tries += 1) {
      const all = await Promise.all([...this.children.keys()].map((index) => this.status(index)));
      const masters = new Set(all.map((status) => status?.master));
      if (all.every((status) => status?.isMember === true) && masters.size === 1 && !masters.has(undefined)) return;
      await sleep(500);
    }
    throw new Error(`the daemons have not come together:\n${this.logs()}`);
  }

  async status(index: number): Promise<StatusReport | undefined> {
    try {
      const connection = await connectLocally(this.socketOf(index));
      const status = (await connection.ask('status', {})) as StatusReport;
      connection.close();
      return status;
    } catch {
      return undefined;
    }
  }

  /** Of all that were started, over the same time. */
  async measure(seconds: number): Promise<readonly Usage[]> {
    const before = [...this.children.values()].map((child) => countersOf(child));
    await sleep(seconds * 1000);
    return [...this.children.values()].map((child, at) => {
      const [from, to] = [before[at], countersOf(child)];
      if (from === undefined) throw new Error('a daemon is missing');
      const passed = (to.atMs - from.atMs) / 1000;
      return {
        cpuPercent: (100 * (to.own - from.own)) / passed,
        childrenPercent: (100 * (to.children - from.children)) / passed,
        residentMib: residentMib(child),
        readKibASecond: (to.readBytes - from.readBytes) / 1024 / passed,
      };
    });
  }

  /** What they have decided: for whoever wonders about a figure. */
  logs(): string {
    const files = fs.readdirSync(this.directory).filter((file) => file.endsWith('.log'));
    return files.map((file) => `${file}\n${fs.readFileSync(join(this.directory, file), 'utf8')}`).join('\n');
  }

  async end(): Promise<void> {
    for (const child of this.children.values()) child.kill('SIGKILL');
    await sleep(200);
    fs.rmSync(this.directory, { recursive: true, force: true });
  }

  private socketOf(index: number): string {
    return join(this.directory, `${this.names[index] ?? ''}.socket`);
  }

  private configure(index: number, vms: number): void {
    const name = this.names[index] ?? '';
    const programs = join(this.directory, 'programs', name);
    const list = (words: readonly string[]): string => `[${words.map((word) => `'${word}'`).join(', ')}]`;
    fs.mkdirSync(programs);
    fs.writeFileSync(join(programs, 'list'), domainList(name, vms));
    fs.writeFileSync(join(programs, 'xl'), `#!/bin/sh\nexec cat ${join(programs, 'list')}\n`, { mode: 0o755 });
    const values: Readonly<Record<string, string>> = {
      CLUSTER_NAME: `'${cluster}'`,
      ALLOWED_NODES: list(this.names),
      NODE_ADDRESSES: list(this.names.map((one, at) => `${one}=${this.address(at)}`)),
      CLUSTER_KEY: `'${join(this.directory, 'key')}'`,
      HB_DISK: `'${this.disk}'`,
      UDP_PORT: String(port),
      TCP_PORT: String(port),
      UNIX_PORT: `'${this.socketOf(index)}'`,
      STATE_DIR: `'${join(this.directory, `${name}.state`)}'`,
      DISABLE_FENCING: 'True',
      PATH: `'${programs}'`,
    };
    const lines = Object.entries(values).map(([key, value]) => `${key} = ${value}\n`);
    fs.writeFileSync(join(this.directory, `${name}.conf`), lines.join(''));
  }
}

export function vmName(node: string, at: number): string {
  return `vm${at}-on-${node}.customers.example.org`;
}

/** As `xl list -v` prints it. */
function domainList(node: string, vms: number): string {
  const row = (name: string, id: number): string => {
    const uuid = `00000000-0000-0000-0000-${String(id).padStart(12, '0')}`;
    return `${name.padEnd(40)} ${String(id).padStart(5)}  1024     1     -b----      12.3 ${uuid}        -                -\n`;
  };
  const head =
    'Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID                            Reason-Code\tSecurity Label\n';
  return head + row('Domain-0', 0) + Array.from({ length: vms }, (_, at) => row(vmName(node, at), at + 1)).join('');
}

/** Its own times and those of its children that have ended, in seconds. */
function countersOf({ pid = 0 }: ChildProcess): Counters {
  // Behind the name, which may have blanks: the state is the third field.
  const fields = fs
    .readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
    .map(Number);
  const seconds = (...places: readonly number[]): number =>
    places.reduce((sum, place) => sum + (fields[place - 3] ?? Number.NaN), 0) / clockTicksASecond;
  const read = /rchar: (\d+)/.exec(fs.readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1];
  return { atMs: performance.now(), own: seconds(14, 15), children: seconds(16, 17), readBytes: Number(read) };
}

function residentMib({ pid = 0 }: ChildProcess): number {
  return Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

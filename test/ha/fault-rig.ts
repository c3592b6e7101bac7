/**
 * The cluster of cluster-rig.ts on three nodes that can be hurt from outside: each has a network, a host name, a path to
 * the heartbeat disk and, if wanted, a time of day of its own. As root only.
 *
 * Guarantees: the time of a fault is taken before anything of it is done; a VM that ran on two nodes at once at any time is
 * known at the end; nothing is left of it but after a SIGKILL of this process, and then only files.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { JournalEntry } from '../../src/ha/daemon/journal.ts';
import { nodeOf } from '../../src/sandbox/layout.ts';
import { Store } from '../../src/sandbox/xl/store.ts';
import { ClusterRig, nodeNames, type NodeName, type NodePlaces } from './cluster-rig.ts';
import { DiskPaths } from './disk-paths.ts';
import { clockFile, fakeClock, fpingScript, sshScript, timedFence, timedPower } from './fault-programs.ts';
import { NodeSpaces } from './node-spaces.ts';
import { until } from './until.ts';
import { runningOn, Witness } from './witness.ts';

export interface FaultOptions {
  readonly timerSeconds?: number;
  /** libfaketime's library, if the nodes are to have times of day of their own. */
  readonly clockLibrary?: string;
}

/** Milliseconds since 1970. */
export interface Fencing {
  readonly node: string;
  readonly beganMs: number;
  /** When the power state was known; undefined before. */
  readonly endedMs: number | undefined;
}

const joinMs = 60_000;

export class FaultRig {
  readonly witness: Witness;

  private constructor(
    readonly cluster: ClusterRig,
    private readonly spaces: NodeSpaces,
    private readonly disks: DiskPaths,
  ) {
    this.witness = new Witness(cluster.sandbox.layout);
    fs.mkdirSync(join(cluster.sandbox.layout.directory, 'cut'));
    for (const [name, text] of Object.entries({ fence: timedFence, power: timedPower })) {
      const program = join(cluster.directory, 'programs', name);
      fs.renameSync(program, `${program}.plain`);
      cluster.writeProgram(name, text);
    }
    cluster.writeProgram('fping', fpingScript);
    const ssh = join(cluster.sandbox.layout.frontendPrograms, 'ssh');
    fs.renameSync(ssh, `${ssh}.plain`);
    fs.writeFileSync(ssh, sshScript, { mode: 0o755 });
    for (const node of nodeNames) this.stepClock(node, 0);
  }

  static async open({ timerSeconds = 3, clockLibrary }: FaultOptions = {}): Promise<FaultRig> {
    const spaces = await NodeSpaces.open(nodeNames);
    const disks = new DiskPaths();
    const places: NodePlaces = {
      address: (node) => spaces.address(node),
      disk: (node, file) => disks.of(node, file),
      inside: (node, words) => spaces.inside(node, words),
      environment: (node, directory) => (clockLibrary === undefined ? {} : fakeClock(clockLibrary, directory, node)),
    };
    try {
      return new FaultRig(new ClusterRig({ number: 0, timerSeconds, places }), spaces, disks);
    } catch (error) {
      disks.close();
      spaces.close();
      throw error;
    }
  }

  /** Formats the disk, starts all nodes, and returns when they are members and see each other. @param first is master then */
  async start(first: NodeName): Promise<void> {
    const { exitCode, stderr } = await this.cluster.format();
    if (exitCode !== 0) throw new Error(`the disk was not formatted: ${stderr}`);
    this.witness.start();
    this.cluster.start(first);
    await until(`${first} is master`, joinMs, async () => (await this.cluster.status(first))?.role === 'active');
    this.cluster.start(...nodeNames.filter((node) => node !== first));
    await this.settled(nodeNames);
  }

  /** All of these are members, have one master, and are heard and seen by it. */
  async settled(nodes: readonly NodeName[]): Promise<NodeName> {
    return until(`${nodes.join(', ')} are one cluster`, joinMs, async () => {
      const all = await Promise.all(nodes.map((node) => this.cluster.status(node)));
      const masters = new Set(all.map((status) => status?.master));
      const [master] = masters;
      if (masters.size !== 1 || master === undefined) return undefined;
      if (all.some((status) => status?.isMember !== true || status.state !== 'normal')) return undefined;
      const reports = await this.cluster.nodes(master as NodeName);
      const seen = reports.filter(({ net, disk }) => net === 'ok' && disk === 'ok').map(({ name }) => name);
      return nodes.every((node) => seen.includes(node)) ? (master as NodeName) : undefined;
    });
  }

  /** Starts VMs on a node by `cxm`, and waits until they stand in its slot, for the others to read. */
  async startVms(node: NodeName, vms: readonly string[]): Promise<void> {
    const { cluster } = this;
    for (const vm of vms) {
      cluster.sandbox.addVm(vm, node === 'node3' ? { on: 'node3' } : {});
      const { exitCode, stderr } = await cluster.cxm(node, 'create', vm, '-f', node, '--quiet');
      if (exitCode !== 0) throw new Error(`${vm} was not started: ${stderr}`);
    }
    for (const other of nodeNames.filter((name) => name !== node)) {
      await until(`${other} knows what runs on ${node}`, 30_000, async () => {
        const known = (await cluster.nodes(other)).find(({ name }) => name === node)?.vms ?? [];
        return vms.every((vm) => known.includes(vm));
      });
    }
  }

  /** Of the daemon, of all that it has started, and of its VMs. @returns when, in milliseconds since 1970 */
  powerLoss(node: NodeName): number {
    const { layout } = this.cluster.sandbox;
    const place = nodeOf(layout, node);
    const domains = new Store(place.xen).domains();
    const atMs = Date.now();
    this.cluster.signal(node, 'SIGKILL');
    fs.writeFileSync(place.downFile, '');
    for (const { holders } of domains) for (const { pid } of holders) kill(pid);
    this.spaces.setLink(node, false);
    for (const processId of this.spaces.processesOn(node)) kill(processId);
    fs.rmSync(place.devices, { recursive: true, force: true });
    return atMs;
  }

  restorePower(node: NodeName): void {
    this.cluster.sandbox.setDown(node, false);
    this.spaces.setLink(node, true);
  }

  /** The stand-in for ssh goes past the network, so it is told. */
  setLink(node: NodeName, isUp: boolean): number {
    const mark = join(this.cluster.sandbox.layout.directory, 'cut', node);
    const atMs = Date.now();
    this.spaces.setLink(node, isUp);
    if (isUp) fs.rmSync(mark);
    else fs.writeFileSync(mark, '');
    return atMs;
  }

  /**
   * The daemon stands still, as a machine that hangs would. Its VMs answer to nobody and go on running until it is fenced;
   * the fence command ends them, and leaves the daemon, which is to wake.
   */
  freeze(node: NodeName): number {
    fs.writeFileSync(join(this.cluster.directory, 'fence-spares-daemons'), '');
    const atMs = Date.now();
    this.cluster.signal(node, 'SIGSTOP');
    return atMs;
  }

  /** It wakes on a node that has power again, so that nothing but cxmd keeps it from starting VMs. */
  thaw(node: NodeName): void {
    this.cluster.sandbox.setDown(node, false);
    this.cluster.signal(node, 'SIGCONT');
  }

  setDiskBroken(node: NodeName, isBroken: boolean): number {
    const atMs = Date.now();
    this.disks.setBroken(node, isBroken);
    return atMs;
  }

  /** @param seconds what the node's time of day is ahead of the true one; needs a rig with `clockLibrary` */
  stepClock(node: NodeName, seconds: number): number {
    const atMs = Date.now();
    const sign = seconds < 0 ? '-' : '+';
    fs.writeFileSync(clockFile(this.cluster.directory, node), `${sign}${Math.abs(seconds)}s\n`);
    return atMs;
  }

  /** What the daemon of a node has decided since a time, with the time of each decision. */
  journal(node: NodeName, sinceMs: number): readonly (JournalEntry & { readonly atMs: number })[] {
    const file = join(this.cluster.directory, `${node}.state`, 'journal');
    const lines = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n') : [];
    const entries = lines.filter((line) => line.endsWith('}')).map((line) => JSON.parse(line) as JournalEntry);
    return entries.map((entry) => ({ ...entry, atMs: Date.parse(entry.at) })).filter(({ atMs }) => atMs >= sinceMs);
  }

  fencings(): readonly Fencing[] {
    const file = join(this.cluster.directory, 'fence.times');
    const lines = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim().split('\n') : [];
    const events = lines
      .map((line) => line.split(' '))
      .map(([what, node = '', at]) => ({ what, node, at: Number(at) }));
    return events
      .filter(({ what }) => what === 'begins')
      .map(({ node, at }) => {
        const end = events.find((other) => other.what === 'ends' && other.node === node && other.at >= at);
        return { node, beganMs: at, endedMs: end?.at };
      });
  }

  /** When each of these VMs was started or came to where it runs now, if it runs elsewhere than on that node. */
  arrivals(vms: readonly string[], notOn: NodeName): readonly number[] {
    const others = this.cluster.sandbox.layout.nodes.filter(({ name }) => name !== notOn);
    const domains = others.flatMap((node) => runningOn(node));
    return domains.filter(({ name }) => vms.includes(name)).map(({ createdMs }) => createdMs);
  }

  async close(): Promise<void> {
    this.witness.stop();
    // What sleeps can't be ended in order.
    for (const node of nodeNames) this.cluster.signal(node, 'SIGKILL');
    await Promise.all(nodeNames.map((node) => this.cluster.ended(node)));
    await this.cluster.close();
    this.disks.close();
    this.spaces.close();
  }
}

function kill(processId: number): void {
  try {
    process.kill(processId, 'SIGKILL');
  } catch {
    // It has ended by itself meanwhile.
  }
}

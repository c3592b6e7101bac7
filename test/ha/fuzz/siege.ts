/**
 * Two real cxmd under assault on all ports and the heartbeat disk, and what must hold: they live, decide nothing, write
 * nothing but a line a minute and kind, take no more memory with time, and answer cxmd_ctl meanwhile.
 *
 * Memory is what the kernel counts as resident for the process (VmRSS), after a round of everything that brings the heap to
 * its working size, and then after each round, with a second for garbage to go.
 */
import { createSocket, type Socket } from 'node:dgram';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { connectLocally } from '../../../src/ha/calls/local-calls.ts';
import type { JournalEntry } from '../../../src/ha/daemon/journal.ts';
import type { NodeState } from '../../../src/ha/protocol/state.ts';
import { readClusterKeys } from '../../../src/ha/wire/cluster-key.ts';
import { Random } from '../../simulation/random.ts';
import { ClusterRig, type NodeName } from '../cluster-rig.ts';
import { assaults, type Target } from './attacks.ts';
import { assailDisk } from './disk-attack.ts';

export const nodes = ['node1', 'node2'] as const satisfies readonly NodeName[];
type Node = (typeof nodes)[number];

export interface SiegeOptions {
  readonly number: number;
  readonly timerSeconds: number;
}

export interface Round {
  /** What must not be; nothing when all is well. */
  readonly findings: readonly string[];
  readonly residentKib: Readonly<Record<Node, number>>;
  /** The longest that cxmd_ctl --ping took. */
  readonly slowestAnswerMs: number;
  /** What the daemons have counted as refused in all so far. */
  readonly refused: number;
}

interface Sight {
  readonly state: string;
  readonly journal: readonly JournalEntry[];
  readonly logLines: number;
}

/** Groups get the second socket only from root. */
const isRoot = process.getuid?.() === 0;

export class Siege {
  readonly rig: ClusterRig;
  private readonly ear: Socket = createSocket('udp4');
  private readonly recorded: Buffer[] = [];
  private readonly startedMs = performance.now();

  constructor(private readonly options: SiegeOptions) {
    const settings = isRoot ? ["CXMD_GROUP = 'daemon'"] : [];
    this.rig = new ClusterRig({ ...options, settings });
  }

  /** Both are members; node3 is nobody but the ear that hears what they send. */
  async begin(): Promise<void> {
    const { rig } = this;
    this.ear.on('message', (bytes) => {
      if (this.recorded.length < 200) this.recorded.push(bytes);
    });
    this.ear.bind(rig.udpPort, rig.address('node3'));
    if ((await rig.format()).exitCode !== 0) throw new Error('the heartbeat disk could not be formatted');
    rig.start(...nodes);
    for (;;) {
      const all = await Promise.all(nodes.map((node) => rig.status(node)));
      const masters = new Set(all.map((status) => status?.master));
      if (all.every((status) => status?.isMember === true) && masters.size === 1 && !masters.has(undefined)) break;
      await pause(500);
    }
    // Until each has seen the other one for long enough, decisions about that are still made.
    await pause(2 * rig.timerMs);
  }

  /** All assaults at once on both, for a while. */
  async round(seed: number, durationMs: number): Promise<Round> {
    const before = await this.sights();
    const untilMs = performance.now() + durationMs;
    const answering = this.answersUntil(untilMs);
    const disk = { path: join(this.rig.directory, 'disk'), cluster: 'lab', live: [0, 1], headerMs: 1500 };
    await Promise.all([
      ...nodes.flatMap((node, at) => {
        const target = this.target(node);
        return Object.values(assaults).map((assault, stream) =>
          assault(target, new Random(seed, 10 * stream + at), untilMs),
        );
      }),
      assailDisk(disk, new Random(seed, 1000), untilMs),
    ]);
    const slowestAnswerMs = await answering;
    await pause(2000);
    const after = await this.sights();
    return {
      findings: nodes.flatMap((node) => this.judge(node, before[node], after[node])),
      residentKib: { node1: this.residentKib('node1'), node2: this.residentKib('node2') },
      slowestAnswerMs,
      refused: await this.refused(),
    };
  }

  async end(): Promise<void> {
    this.ear.close();
    await this.rig.close();
  }

  residentKib(node: Node): number {
    const pid = fs.readFileSync(join(this.rig.directory, `${node}.pid`), 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  }

  private target(node: Node): Target {
    const { rig } = this;
    const keyOf = (file: string) => {
      const [key] = readClusterKeys(join(rig.directory, file), 'lab');
      if (key === undefined) throw new Error('no key');
      return key;
    };
    rig.writeKey('wrong-key', 99);
    const path = join(rig.directory, `${node}.socket`);
    return {
      host: rig.address(node),
      udpPort: rig.udpPort,
      tcpPort: rig.tcpPort,
      sockets: isRoot ? [path, `${path}.read`] : [path],
      network: `127.0.${100 + this.options.number}.`,
      recorded: { datagrams: this.recorded, cluster: 'lab', right: keyOf('key'), wrong: keyOf('wrong-key') },
    };
  }

  private async answersUntil(untilMs: number): Promise<number> {
    let slowestMs = 0;
    while (performance.now() < untilMs) {
      for (const node of nodes) {
        const beginMs = performance.now();
        const { stdout, stderr } = await this.rig.ctl(node, '--ping');
        if (stdout !== 'OK\n') throw new Error(`${node} does not answer: ${stderr}`);
        slowestMs = Math.max(slowestMs, performance.now() - beginMs);
      }
      await pause(300);
    }
    return slowestMs;
  }

  private async sights(): Promise<Record<Node, Sight>> {
    const [node1, node2] = await Promise.all(nodes.map((node) => this.sight(node)));
    if (node1 === undefined || node2 === undefined) throw new Error('a node is missing');
    return { node1, node2 };
  }

  private async sight(node: Node): Promise<Sight> {
    const { state } = (await this.ask(node, 'dump')) as { state: NodeState };
    const journal = (await this.ask(node, 'why')) as readonly JournalEntry[];
    return { state: lasting(state), journal, logLines: this.rig.log(node).split('\n').length - 1 };
  }

  private async ask(node: Node, method: string): Promise<unknown> {
    const connection = await connectLocally(join(this.rig.directory, `${node}.socket`));
    try {
      return await connection.ask(method, {});
    } finally {
      connection.close();
    }
  }

  private async refused(): Promise<number> {
    const dumps = await Promise.all(nodes.map((node) => this.ask(node, 'dump')));
    const counts = dumps.flatMap((dump) => (dump as { rejections: readonly { count: number }[] }).rejections);
    return counts.reduce((sum, { count }) => sum + count, 0);
  }

  private judge(node: Node, before: Sight, after: Sight): readonly string[] {
    const known = before.journal.at(-1);
    const place = after.journal.findIndex((entry) => JSON.stringify(entry) === JSON.stringify(known));
    const entries = after.journal.slice(place + 1).filter(({ decision }) => !isOfTheMachine(decision));
    const decided = entries.filter((entry) => !isOfTheDisk(entry));
    // By subject: the later one stays.
    const slots = new Map(entries.filter(isOfTheDisk).map(({ subject, decision }) => [subject, decision]));
    const log = this.rig.log(node).split('\n');
    const strange = log.slice(before.logLines, -1).filter((line) => !isAllowed(line));
    const told = log.filter((line) => line.includes('CXM080'));
    const kinds = new Set(told.map((line) => line.replace(/: \d+ since.*/, '')));
    const minutes = 1 + Math.ceil((performance.now() - this.startedMs) / 60_000);
    return [
      ...(before.state === after.state ? [] : [`${node}: its state was ${before.state} and is ${after.state}`]),
      ...decided.map((entry) => `${node} has decided: ${entry.subject}: ${entry.decision} (${entry.evidence})`),
      ...[...slots].filter(([, last]) => last !== mended).map(([slot]) => `${node} can't read ${slot} any more`),
      ...strange.map((line) => `${node} has written: ${line}`),
      ...(told.length <= kinds.size * minutes ? [] : [`${node} has told ${told.length} times of what it refused`]),
      ...this.rig.fenced().map((line) => `somebody was fenced: ${line}`),
    ];
  }
}

/** A machine with other work stops a daemon for a moment, now and then, and that is noted. */
function isOfTheMachine(decision: string): boolean {
  return decision === 'own pause';
}

const mended = 'slot can be read again';

/** A slot that an assault has destroyed is told; that it can be read again must be told, too, when the assault is over. */
function isOfTheDisk({ decision }: JournalEntry): boolean {
  return decision === 'slot can not be read' || decision === mended;
}

/** Refusals, the header and slots of the disk while they were false, and pauses. */
function isAllowed(line: string): boolean {
  return /CXM080 |CXM031 |CXM085 |CXM082 (read|write of the (slot|lease)) (fails|works again)/.test(line);
}

/** What of a state stays the same while nothing happens: all but times and counters that count heartbeats. */
function lasting(state: NodeState): string {
  const { role, epoch, epochOwner, switches, ledger, maintenance, isolated, incarnation, vms, works } = state;
  const { errands, recovery, evacuation, locks, joinRefused, claiming, config, verdicts } = state;
  const peers = state.peers.map(({ slot, netIncarnation, ghosts, datagram, seenAlive }) => {
    const { name, incarnation: own, role: said, maintenance: rests, vms: runs, ledger: knows } = slot ?? {};
    const heard = [datagram?.role, datagram?.state, datagram?.switches, datagram?.epoch];
    return [name, own, said, rests, runs, knows, netIncarnation, ghosts, seenAlive, heard];
  });
  const held = [state.held?.epoch, state.held?.releasing];
  const own = { role, epoch, epochOwner, switches, ledger, maintenance, isolated, incarnation, vms, works, errands };
  return JSON.stringify({ ...own, recovery, evacuation, locks, joinRefused, claiming, config, verdicts, peers, held });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

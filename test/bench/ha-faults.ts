/**
 * The faults of `npm run bench -- ha`, one round of each: a fresh cluster of three cxmd at TIMER=3, the fault, and what came
 * of it. Every round also says how often a VM ran on two nodes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { nodeNames, type NodeName } from '../ha/cluster-rig.ts';
import { findClockLibrary } from '../ha/fault-programs.ts';
import { FaultRig } from '../ha/fault-rig.ts';
import { until } from '../ha/until.ts';
import type { Measured, Unit } from './ha-figures.ts';
import { measureIdle } from './ha-idle.ts';

const timerMs = 3000;
/** Longer than any silence after which something is decided, with what follows from it. */
const watchMs = 8 * timerMs;
const failoverMs = 300_000;
const firstStarted = 'first VM started elsewhere';
const vms = ['web.example.org', 'mail.example.org', 'db.example.org'];

/** The first to start is master; its storage and that of node2 are the same, so each can take over the other's VMs. */
const nodeOfRole = { member: 'node2', master: 'node1' } as const;
type Role = keyof typeof nodeOfRole;

export type Note = (what: string, value: number, unit?: Unit, atMost?: number) => void;

interface Round {
  readonly rig: FaultRig;
  readonly note: Note;
}

export interface Fault {
  readonly title: string;
  readonly ownClocks?: boolean;
  run(round: Round): Promise<void>;
}

export const faults: Readonly<Record<string, Fault>> = {
  'member-power': { title: 'Power loss of a member', run: (round) => powerLoss(round, 'member') },
  'master-power': { title: 'Power loss of the master', run: (round) => powerLoss(round, 'master') },
  'member-freeze': { title: 'A member hangs, and wakes after the failover', run: (round) => freeze(round, 'member') },
  'master-freeze': { title: 'The master hangs, and wakes after the failover', run: (round) => freeze(round, 'master') },
  'member-disk': { title: 'Errors of the heartbeat disk on a member', run: (round) => diskErrors(round, 'member') },
  'master-disk': { title: 'Errors of the heartbeat disk on the master', run: (round) => diskErrors(round, 'master') },
  'member-link': { title: 'Link of a member down', run: (round) => linkDown(round, 'member') },
  'master-link': { title: 'Link of the master down', run: (round) => linkDown(round, 'master') },
  calm: { title: 'Nothing that is to start a failover', ownClocks: true, run: calm },
  idle: { title: 'cxmd with nothing to do', run: idle },
};

/** @throws Error when the cluster does not come to where it must come to; what it has said then is its `cause` */
export async function runFault({ title, ownClocks = false, run }: Fault): Promise<readonly Measured[]> {
  const measured: Measured[] = [];
  const note: Note = (what, value, unit = 'seconds', atMost) =>
    void measured.push({ group: title, what, unit, value, ...(atMost === undefined ? {} : { atMost }) });
  const clockLibrary = ownClocks ? requireClockLibrary() : undefined;
  const rig = await FaultRig.open(clockLibrary === undefined ? {} : { clockLibrary });
  // A person who has seen enough leaves nothing behind either.
  const interrupted = (): void => void rig.close().finally(() => process.exit(130));
  process.once('SIGINT', interrupted);
  try {
    await rig.start('node1');
    await run({ rig, note });
    rig.witness.look();
  } catch (error) {
    const logs = nodeNames.map((node) => `--- ${node}\n${rig.cluster.log(node)}`).join('\n');
    throw new Error(error instanceof Error ? error.message : String(error), { cause: logs });
  } finally {
    process.off('SIGINT', interrupted);
    await rig.close();
  }
  for (const sentence of rig.witness.twice) process.stderr.write(`bench: ${sentence}\n`);
  const group = 'All rounds';
  return [
    { group, what: 'VMs on two nodes', unit: 'VMs', value: rig.witness.twice.length, atMost: 0 },
    ...measured.filter(({ what }) => what === firstStarted).map((one) => ({ ...one, group })),
    ...measured,
  ];
}

function requireClockLibrary(): string {
  const library = findClockLibrary();
  if (library === undefined) throw new Error('the clocks need the Debian package libfaketime');
  return library;
}

/** The VMs are elsewhere, each of them once, by one fencing. @returns when the first one was started there */
async function failedOver({ rig }: Round, victim: NodeName): Promise<readonly number[]> {
  const arrivals = await until(`the VMs of ${victim} run elsewhere`, failoverMs, () => {
    const all = rig.arrivals(vms, victim);
    return all.length >= vms.length ? all : undefined;
  });
  const fenced = rig.cluster.fenced();
  if (fenced.length !== 1) throw new Error(`fenced: ${fenced.join(', ')}`);
  const wrong = vms.filter((vm) => rig.cluster.startsOf(vm) !== 1);
  if (wrong.length > 0) throw new Error(`not started once: ${wrong.join(', ')}`);
  return arrivals;
}

/** When one of the others was the first to decide something about it. */
function decidedMs(rig: FaultRig, about: NodeName, decision: string, sinceMs: number): number {
  const found = nodeNames
    .filter((node) => node !== about)
    .flatMap((node) => rig.journal(node, sinceMs))
    .filter((entry) => entry.subject === about && entry.decision.startsWith(decision));
  if (found.length === 0) throw new Error(`nobody has decided on ${about}: ${decision}`);
  return Math.min(...found.map(({ atMs }) => atMs));
}

async function noteFailover(round: Round, victim: NodeName, faultMs: number, role: Role): Promise<void> {
  const { rig, note } = round;
  const arrivals = await failedOver(round, victim);
  const [fencing] = rig.fencings();
  const fencedMs = (fencing?.endedMs ?? Number.NaN) - (fencing?.beganMs ?? Number.NaN);
  const decided = decidedMs(rig, victim, 'presumed dead', faultMs);
  const [decidedAtMost, startedAtMost] = role === 'member' ? [3 * (timerMs / 1000) + 1.5, 15] : [undefined, 18];
  const first = Math.min(...arrivals) - faultMs;
  note('recovery decided', (decided - faultMs) / 1000, 'seconds', decidedAtMost);
  note(firstStarted, first / 1000);
  note('the same without the fence command', (first - fencedMs) / 1000, 'seconds', startedAtMost);
  note(`all ${vms.length} VMs started`, (Math.max(...arrivals) - faultMs) / 1000);
}

async function powerLoss(round: Round, role: Role): Promise<void> {
  const victim = nodeOfRole[role];
  await round.rig.startVms(victim, vms);
  const faultMs = round.rig.powerLoss(victim);
  await noteFailover(round, victim, faultMs, role);
  await round.rig.settled(nodeNames.filter((node) => node !== victim));
}

/** What wakes finds that it was fenced: it must start nothing, and end no VM that runs elsewhere by now. */
async function freeze(round: Round, role: Role): Promise<void> {
  const { rig } = round;
  const victim = nodeOfRole[role];
  await rig.startVms(victim, vms);
  const faultMs = rig.freeze(victim);
  await noteFailover(round, victim, faultMs, role);
  rig.thaw(victim);
  await sleep(4 * timerMs);
  await failedOver(round, victim);
}

async function diskErrors({ rig, note }: Round, role: Role): Promise<void> {
  const victim = nodeOfRole[role];
  await rig.startVms(victim, vms);
  const faultMs = rig.setDiskBroken(victim, true);
  const arrivals = await until(`the VMs of ${victim} were moved away`, failoverMs, () => {
    const all = rig.arrivals(vms, victim);
    return all.length >= vms.length ? all : undefined;
  });
  await until(`${victim} is fenced`, failoverMs, () => rig.fencings()[0]?.endedMs);
  note('first VM has moved away, running', (Math.min(...arrivals) - faultMs) / 1000);
  note(`all ${vms.length} VMs have moved away`, (Math.max(...arrivals) - faultMs) / 1000);
  note('the empty node is fenced', ((rig.fencings()[0]?.beganMs ?? Number.NaN) - faultMs) / 1000);
  note('VMs that were started anew', vms.filter((vm) => rig.cluster.startsOf(vm) > 0).length, 'VMs', 0);
}

async function linkDown({ rig, note }: Round, role: Role): Promise<void> {
  const victim = nodeOfRole[role];
  await rig.startVms(victim, vms);
  const faultMs = rig.setLink(victim, false);
  await sleep(watchMs);
  if (role === 'master') {
    const masters = nodeNames.filter((node) => node !== victim);
    const times = masters.flatMap((node) =>
      rig.journal(node, faultMs).filter(({ decision }) => decision.startsWith('master,')),
    );
    note('another one is master', (Math.min(...times.map(({ atMs }) => atMs)) - faultMs) / 1000);
  }
  const mendedMs = rig.setLink(victim, true);
  await rig.settled(nodeNames);
  note('three members again, after the link is up', (Date.now() - mendedMs) / 1000);
  note('failovers', failoversOf(rig, victim), 'failovers', 0);
}

/** Nodes that were fenced, and VMs that were started or are not where they were. */
function failoversOf(rig: FaultRig, home: NodeName): number {
  const strays = vms.filter(
    (vm) => rig.cluster.sandbox.nodesWith(vm).join(' ') !== home || rig.cluster.startsOf(vm) > 0,
  );
  return rig.cluster.fenced().length + strays.length;
}

async function calm({ rig, note }: Round): Promise<void> {
  const [home, master] = [nodeOfRole.member, nodeOfRole.master];
  await rig.startVms(home, vms);
  let before = 0;
  const watch = async (what: string): Promise<void> => {
    await sleep(4 * timerMs);
    const failovers = failoversOf(rig, home);
    note(what, failovers - before, 'failovers', 0);
    before = failovers;
  };
  for (const node of [home, master]) {
    rig.stepClock(node, 3600);
    await watch('time of day an hour forwards');
    rig.stepClock(node, 0);
    await watch('time of day an hour backwards');
  }
  for (const node of [home, master]) {
    await rig.cluster.ctl(node, '--quit');
    await watch('clean leave');
    rig.cluster.start(node);
    await rig.settled(nodeNames);
  }
  for (const node of nodeNames) {
    rig.cluster.signal(node, 'SIGTERM');
    await rig.cluster.ended(node);
    rig.cluster.start(node);
    await watch('restart');
  }
  await rig.settled(nodeNames);
}

async function idle({ rig, note }: Round): Promise<void> {
  await rig.startVms(nodeOfRole.member, vms);
  await sleep(2 * timerMs);
  for (const { percent, megabytes } of await measureIdle(nodeNames.map((node) => rig.cluster.processId(node)))) {
    note('a core, of one cxmd', percent, 'percent', 1);
    note('resident memory of one cxmd', megabytes, 'megabytes', 80);
  }
}

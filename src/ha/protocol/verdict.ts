/**
 * What the master makes of the evidence: the table net × disk, and the suspicion of itself.
 *
 * Guarantees: only a node that has been seen alive in our time, and is lost on both channels with certainty, is presumed
 * dead. In a cluster of more than two, a master to whom everybody is lost at once suspects itself: on the network it steps
 * down and stays silent, on the disk it calls a person.
 */
import { isMember, type NodeIndex } from './blocks.ts';
import { diskChannel, hold, isHeard, netChannel, netSilenceMs } from './evidence.ts';
import { isOut } from './election.ts';
import { releaseLease, seconds } from './lease.ts';
import { raisePanic } from './panic.ts';
import type { Channel } from './rules.ts';
import { alarm, because, nameOf, peerAt, type Step } from './state.ts';

export type Verdict = 'alive' | 'cut-off' | 'without-disk' | 'dead' | 'unclear';

/** Other members: their last slot says so, they didn't say goodbye, and nobody took them out. */
export function otherMembers(step: Step): readonly NodeIndex[] {
  const { state } = step;
  const members: NodeIndex[] = [];
  for (let node = 0; node < state.peers.length; node += 1) {
    const { slot, datagram } = peerAt(state, node);
    if (node === state.config.self || slot === undefined || !isMember(slot.role) || isOut(state, node)) continue;
    const said = datagram?.incarnation === slot.incarnation ? datagram.role : slot.role;
    if (said !== 'leaving' && said !== 'alone' && !isReturning(step, node)) members.push(node);
  }
  return members;
}

/** A new daemon of the node wants in, or out again, so its slot stands still for a good reason. */
function isReturning({ state, timing }: Step, node: NodeIndex): boolean {
  const { slot, datagram } = peerAt(state, node);
  if (datagram?.role !== 'joining' && datagram?.role !== 'leaving') return false;
  if (datagram.incarnation <= (slot?.incarnation ?? 0)) return false;
  return isHeard(state, node, timing.netLostMs);
}

/** The channels of a node at this moment. */
export function channels(step: Step, node: NodeIndex): readonly [Channel, Channel] {
  return [netChannel(step, node), diskChannel(step, node)];
}

/** Lost on both channels, dead or not: it can't be asked, and has no news. */
export function isSilent(step: Step, node: NodeIndex): boolean {
  return channels(step, node).every((channel) => channel === 'lost');
}

/** It has VMs of which the disk does not know, by its last word, or more than its slot can name. */
export function hasUnlistedVms({ state }: Step, node: NodeIndex): boolean {
  const { slot, datagram } = peerAt(state, node);
  return slot?.partial === true || (datagram?.unlisted === true && datagram.incarnation === slot?.incarnation);
}

export function judge(step: Step, node: NodeIndex): Verdict {
  const { state, rules } = step;
  const [net, disk] = channels(step, node);
  if (net === 'ok' && disk === 'ok') return 'alive';
  if (!peerAt(state, node).seenAlive && !rules.judgesUnseen) return 'unclear';
  // Nobody is fenced of whom our list of nodes doesn't know; whoever has the longer list will be asked to be master.
  if ((state.config.nodes[node] ?? '') === '') return 'unclear';
  if (rules.presumedDead(net, disk)) return 'dead';
  if (net === 'lost' && disk === 'ok') return 'cut-off';
  return net === 'ok' && disk === 'lost' && hadTimeToWrite(step, node) ? 'without-disk' : 'unclear';
}

/** Who has just come back on the network, from a sleep perhaps, is given the time to come back on the disk, too. */
function hadTimeToWrite({ state, timing }: Step, node: NodeIndex): boolean {
  return state.nowMs - peerAt(state, node).heardSinceMs >= timing.timerMs;
}

/** Notes every change of a channel with what it rests on, and returns whether the master may trust its own view. */
export function lookAround(step: Step): boolean {
  const { state, timing } = step;
  const members = otherMembers(step);
  for (const node of members) noteChannels(step, node);
  // Those whom we have never seen are not lost to us.
  const seen = members.filter((node) => peerAt(state, node).seenAlive);
  const onDisk = lostAtOnce(step, seen, (node) => peerAt(state, node).slotChangedMs, timing.diskLostMs);
  if (onDisk.length > 1 && onDisk.every((node) => state.verdicts[node]?.[1] === 'lost')) {
    raisePanicOnce(step, 'the marks of all other nodes on the heartbeat disk stand still');
    return false;
  }
  const onNet = lostAtOnce(step, seen, (node) => state.nowMs - netSilenceMs(step, node), timing.netLostMs);
  if (onNet.length > 1 && onNet.every((node) => state.verdicts[node]?.[0] === 'lost')) {
    // Whether they are dead or we are deaf, their slots will tell.
    if (!onNet.some((node) => state.verdicts[node]?.[1] === 'ok')) return false;
    state.isolated = true;
    releaseLease(step, 'nobody is heard: it may be this node that is cut off');
    return false;
  }
  for (const node of seen) tellOfTrouble(step, node);
  return true;
}

/**
 * Without those who are lost altogether and were so on this channel before: others lived on to us on it, so it isn't we who
 * are cut off from them.
 */
function lostAtOnce(
  step: Step,
  nodes: readonly NodeIndex[],
  lastMs: (node: NodeIndex) => number,
  lostMs: number,
): readonly NodeIndex[] {
  const latestMs = Math.max(...nodes.map(lastMs));
  return nodes.filter((node) => !isSilent(step, node) || latestMs - lastMs(node) < lostMs);
}

function tellOfTrouble(step: Step, node: NodeIndex): void {
  const trouble = oneChannelLost[judge(step, node)];
  const name = nameOf(step.state, node);
  if (trouble !== undefined)
    hold(step, `trouble/${String(node)}/${trouble}`, () => alarm(step, name, `${name} ${trouble}`));
}

/**
 * Whom nobody hears, though others live, stays silent; when none of them lives any more, it wasn't that. Nor was it when
 * nobody has become master for long: if all suspect themselves, somebody has to speak first.
 */
export function endIsolation(step: Step): void {
  const { state, timing } = step;
  if (!state.isolated) return;
  const isVacant = state.readIssuedMs - state.leaseChangedMs >= timing.holdMs;
  if (!isVacant && otherMembers(step).some((node) => diskChannel(step, node) !== 'lost')) return;
  state.isolated = false;
}

export function raisePanicOnce(step: Step, reason: string): void {
  if (!step.state.switches.panic.on) raisePanic(step, reason);
}

function noteChannels(step: Step, node: NodeIndex): void {
  const { state } = step;
  const now = channels(step, node);
  const before = state.verdicts[node] ?? ['unknown', 'unknown'];
  if (before[0] === now[0] && before[1] === now[1]) return;
  const verdicts = [...state.verdicts];
  while (verdicts.length < node) verdicts.push(['unknown', 'unknown']);
  verdicts[node] = now;
  state.verdicts = verdicts;
  because(step, nameOf(state, node), `net ${now[0]}, disk ${now[1]}`, evidenceOf(step, node));
}

/** A person should know, also of a node on which nothing runs. */
const oneChannelLost: Partial<Record<Verdict, string>> = {
  'cut-off': 'is cut off from the network and alive on the disk: it is emptied, and not fenced',
  'without-disk': 'has lost its path to the heartbeat disk: it is emptied, and fenced when nothing runs on it',
};

export function evidenceOf(step: Step, node: NodeIndex): string {
  const { state } = step;
  const { slotChangedMs, slot, seenAlive } = peerAt(state, node);
  const silence = netSilenceMs(step, node);
  const net = silence > 9e8 ? 'never heard' : `last heard ${seconds(silence)} ago by us or a member we hear`;
  const disk =
    slot === undefined ? 'no slot' : `slot unchanged for ${seconds(Math.max(0, state.readIssuedMs - slotChangedMs))}`;
  return `${net}; ${disk}${seenAlive ? '' : '; not seen alive since we started'}`;
}

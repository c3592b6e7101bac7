/**
 * Three real cxmd over a network that loses packets, for a while: no false alarm may come of it. What is a false alarm: every
 * decision but notes of a pause of the daemon itself, which are the machine's, and of a channel that was lost for a moment,
 * on which nothing is done; and whatever the fence command is asked.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterRig, nodeNames, type NodeName } from './cluster-rig.ts';
import { LossyNetwork } from './lossy-network.ts';

export interface SoakOptions {
  readonly number: number;
  readonly durationMs: number;
  readonly lossPercent: number;
  readonly seed: number;
  /** Each minute. */
  progress?(text: string): void;
}

export interface SoakResult {
  readonly falseAlarms: readonly string[];
  /** Channels that were noted as lost, or ok again. */
  readonly channelNotes: readonly string[];
  readonly sent: number;
  readonly lost: number;
}

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const rig = new ClusterRig({ number: options.number });
  const network = await LossyNetwork.between(rig, options.lossPercent, options.seed);
  try {
    if ((await rig.format()).exitCode !== 0) throw new Error('the heartbeat disk could not be formatted');
    rig.start(...nodeNames);
    const { master, epoch } = await settled(rig);
    // What is decided about a node that has just come is no alarm.
    await sleep(2 * rig.timerMs);
    const known = nodeNames.map((node) => decisionsOf(rig, node).length);
    const [sent, lost] = [network.sent, network.lost];
    await watch(options);
    const end = await settled(rig);
    const decided = nodeNames.flatMap((node, at) => decisionsOf(rig, node).slice(known[at] ?? 0));
    const all = decided.filter((line) => !/: own pause /.test(line));
    const isNote = (line: string): boolean => /: net (ok|lost|unknown), disk ok /.test(line);
    return {
      falseAlarms: [
        ...all.filter((line) => !isNote(line)),
        ...rig.fenced(),
        ...(end.master === master && end.epoch === epoch ? [] : [`${end.master} is master, and was ${master}`]),
      ],
      channelNotes: all.filter(isNote),
      sent: network.sent - sent,
      lost: network.lost - lost,
    };
  } finally {
    network.close();
    await rig.close();
  }
}

async function watch({ durationMs, progress }: SoakOptions): Promise<void> {
  const endMs = performance.now() + durationMs;
  for (let minute = 1; performance.now() < endMs; minute += 1) {
    await sleep(Math.min(60_000, Math.max(0, endMs - performance.now())));
    progress?.(`minute ${minute}`);
  }
}

/** What was written to the log: every decision and alarm is. Refusals and addresses are none. */
function decisionsOf(rig: ClusterRig, node: NodeName): readonly string[] {
  const lines = rig.log(node).split('\n').slice(0, -1);
  return lines.filter((line) => !/CXM08[01] /.test(line)).map((line) => `${node}: ${line}`);
}

async function settled(rig: ClusterRig): Promise<{ readonly master: string; readonly epoch: number }> {
  for (let tries = 0; tries < 300; tries += 1) {
    const all = await Promise.all(nodeNames.map((node) => rig.status(node)));
    const masters = new Set(all.map((status) => status?.master));
    const [status] = all;
    if (all.every((one) => one?.isMember === true) && masters.size === 1 && status?.master !== undefined) {
      return { master: status.master, epoch: status.epoch };
    }
    await sleep(500);
  }
  throw new Error('the three daemons have not come together');
}

/**
 * Rounds of random faults: which one hits whom for how long is drawn from a seed, so that a round that failed can be played
 * again. Every kind of fault comes up once before any comes up twice.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { lab } from '../lab/lab.ts';
import { nodeLayout, type NodeName } from '../lab/layout.ts';
import { Random } from '../simulation/random.ts';
import { foundOff, freeSan, hangSan, signalDaemon, startDaemon } from './daemons.ts';
import { throttleSan } from './qemu.ts';

interface Fault {
  readonly words: string;
  /** How long it lasts, from and to; without, until the node has been fenced. */
  readonly seconds?: readonly [number, number];
}

const faults = {
  power: { words: 'the power fails' },
  freeze: { words: 'it freezes' },
  isolation: { words: 'its network is cut and its SAN hangs' },
  doze: { words: 'it freezes and wakes', seconds: [2, 35] },
  lan: { words: 'its network is cut', seconds: [5, 60] },
  sanHang: { words: 'its SAN hangs', seconds: [5, 60] },
  sanSlow: { words: 'its SAN is slow', seconds: [30, 60] },
  crash: { words: 'its cxmd is killed, and started again', seconds: [1, 40] },
} as const satisfies Readonly<Record<string, Fault>>;
type FaultKind = keyof typeof faults;

export interface Round {
  readonly number: number;
  readonly kind: FaultKind;
  readonly role: 'master' | 'member';
  /** 0 for what ends with a fence. */
  readonly seconds: number;
  /** Of a slow SAN. */
  readonly kibPerSecond: number;
}

export function drawRounds(seed: number, count: number): readonly Round[] {
  const random = new Random(seed);
  let deck: FaultKind[] = [];
  return Array.from({ length: count }, (_, at) => {
    if (deck.length === 0) deck = Object.keys(faults) as FaultKind[];
    const kind = random.pick(deck);
    deck = deck.filter((one) => one !== kind);
    const { seconds: range }: Fault = faults[kind];
    const seconds = range === undefined ? 0 : random.integer(...range);
    const role = random.pick(['master', 'member'] as const);
    return { number: at + 1, kind, role, seconds, kibPerSecond: random.pick([32, 128, 512]) };
  });
}

export function describeRound({ number, kind, role, seconds, kibPerSecond }: Round): string {
  const slow = kind === 'sanSlow' ? ` (${kibPerSecond} KiB/s)` : '';
  const end = seconds === 0 ? 'until it is fenced' : `for ${seconds} s`;
  return `${number}. the ${role}: ${faults[kind].words}${slow} ${end}`;
}

/** Does it to the node. When it is over the node is off, and known to be, or the fault has been taken away. */
export async function inflict({ kind, seconds, kibPerSecond }: Round, victim: NodeName): Promise<void> {
  const lasts = (): Promise<void> => sleep(seconds * 1000);
  switch (kind) {
    case 'power':
      await lab.kill(victim);
      return foundOff(victim);
    case 'freeze':
      lab.stop(victim);
      return foundOff(victim);
    case 'isolation':
      lab.cut(victim);
      await hangSan(victim);
      await foundOff(victim);
      return lab.heal(victim);
    case 'doze':
      lab.stop(victim);
      await lasts();
      // Fenced nodes don't wake.
      if (lab.isRunning(victim)) lab.cont(victim);
      return;
    case 'lan':
      lab.cut(victim);
      await lasts();
      return lab.heal(victim);
    case 'sanHang':
      await hangSan(victim);
      await lasts();
      return freeSan(victim);
    case 'sanSlow':
      await throttleSan(nodeLayout(victim), kibPerSecond * 1024);
      await lasts();
      return freeSan(victim);
    case 'crash':
      await signalDaemon(victim, 'KILL');
      await lasts();
      if (lab.isRunning(victim)) await startDaemon(victim);
      return;
  }
}

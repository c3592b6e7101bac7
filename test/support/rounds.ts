/**
 * Rounds of random faults: which one hits whom for how long is drawn from a seed, so that a round that failed can be played
 * again. Every kind of fault comes up once before any comes up twice. Pure.
 */
import { Random } from '../simulation/random.ts';

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
  const end = seconds === 0 ? 'until it is fenced' : `${seconds} s`;
  return `${number}. the ${role}: ${faults[kind].words}${slow}, ${end}`;
}

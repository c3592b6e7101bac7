/** What befalls the operators of a history, and what they do: the shares of each, out of which a seed draws. */
import type { Faults } from './operator.ts';
import type { Random } from './scheduler.ts';

export interface Kind {
  /** One VM, often without volumes, is started again and again by operators who die. */
  readonly deadStarters?: boolean;
  readonly faults: Faults;
  readonly kills: boolean;
  readonly outages: boolean;
  readonly guests: boolean;
  /** People work with xl and LVM beside cxm. */
  readonly hands?: boolean;
}

export const quiet: Kind = {
  faults: { call: 0, migration: 0, deafGuest: 0.2, slowCreate: 0.1 },
  kills: false,
  outages: false,
  guests: false,
};

const rough: Faults = { call: 0.04, migration: 0.5, deafGuest: 0.2, slowCreate: 0.1 };

/** What befalls the operators; `share` of all histories. */
const kindTable = {
  quiet: { share: 0.2, kind: quiet },
  guests: { share: 0.15, kind: { ...quiet, guests: true } },
  faults: { share: 0.15, kind: { ...quiet, faults: rough } },
  kills: { share: 0.1, kind: { ...quiet, kills: true } },
  deadStarters: {
    share: 0.07,
    kind: { ...quiet, kills: true, deadStarters: true, faults: { ...quiet.faults, call: 0.02, slowCreate: 0.6 } },
  },
  hands: { share: 0.1, kind: { ...quiet, guests: true, hands: true } },
  outages: { share: 0.08, kind: { ...quiet, outages: true } },
  everything: {
    share: 0.15,
    kind: { kills: true, outages: true, guests: true, faults: { ...rough, call: 0.02, migration: 0.3 } },
  },
} as const satisfies Readonly<Record<string, { readonly share: number; readonly kind: Kind }>>;

export type KindName = keyof typeof kindTable;

export function drawKind(random: Random, wanted: KindName | undefined): Kind {
  let draw = random.next();
  if (wanted !== undefined) return kindTable[wanted].kind;
  const found = Object.values(kindTable).find(({ share }) => (draw -= share) < 0);
  return found?.kind ?? quiet;
}

export interface Operation {
  readonly kind: (typeof kinds)[number];
  readonly vm: string;
  /** Of the operation; undefined lets the library choose. */
  readonly node: string | undefined;
}

export const kinds = [
  'start',
  'migrate',
  'shutdown',
  'destroy',
  'reboot',
  'activate',
  'deactivate',
  'idle',
  'conclude',
] as const;
/** Up to which draw each of them is taken, when the VM is on no node, and when it is on one. */
export const ifAbsent = [0.75, 0.8, 0.8, 0.83, 0.83, 0.93, 0.96, 0.98, 1];
export const ifPresent = [0.12, 0.57, 0.68, 0.79, 0.86, 0.88, 0.9, 0.94, 1];

/**
 * vm/status: which VMs have changed their state since the last report, and now and then the whole list.
 * One look is not believed against a VM: its domain vanishes for moments while it restarts, and its monitor
 * removes a domain some time after the guest has ended. A VM that is gone is reported as unknown, not as powered off,
 * because a cluster may have moved it.
 */
import type { MonitoredDomain } from '../../agent/operations/monitor.ts';
import { machinesOf, stateOf } from './machines.ts';

/** The words of monitord; it takes FAILURE for "state unknown". */
export type ReportedState = 'RUNNING' | 'POWEROFF' | 'FAILURE';

export interface RememberedMachine {
  readonly deployId: string;
  /** What monitord was told last. */
  readonly state: ReportedState;
  /** How many looks in a row said otherwise. */
  readonly doubts: number;
  /** A domain of it that was not running, but about to go on, and in how many looks at least. */
  readonly waiting?: { readonly domainId: number; readonly looks: number };
}

/** What one report leaves for the next. */
export interface StatusMemory {
  /** /proc/uptime at the last whole list. */
  readonly syncedAtSeconds: number;
  /** By VM id. */
  readonly machines: Readonly<Record<string, RememberedMachine>>;
}

export interface StatusInput {
  /** Undefined for the first report. */
  readonly memory: StatusMemory | undefined;
  readonly domains: readonly MonitoredDomain[];
  readonly uptimeSeconds: number;
  /** How often the whole list is due. */
  readonly syncSeconds: number;
}

export interface StatusReport {
  readonly lines: readonly string[];
  readonly memory: StatusMemory;
}

/** Looks in a row, at 5 s each by default. */
const endedLooks = 2;
const missingLooks = 3;
/** A reboot, a hand-over and most saves are over by then. */
const waitingLooks = 6;

export function statusReport({ memory, domains, uptimeSeconds, syncSeconds }: StatusInput): StatusReport {
  const before = memory?.machines ?? {};
  const now: Record<string, RememberedMachine> = {};
  const changed: string[] = [];
  for (const { vmId, domain } of machinesOf(domains)) {
    const next = lookedAt(before[vmId], domain);
    if (next === undefined) continue;
    now[vmId] = next;
    if (before[vmId]?.state !== next.state || before[vmId].deployId !== next.deployId) changed.push(line(vmId, next));
  }
  for (const [vmId, known] of Object.entries(before)) {
    if (now[vmId] !== undefined) continue;
    const doubts = known.doubts + 1;
    if (doubts < missingLooks) now[vmId] = { ...known, doubts };
    else if (known.state === 'RUNNING') changed.push(line(vmId, { ...known, state: 'FAILURE' }));
  }
  const age = memory === undefined ? Infinity : uptimeSeconds - memory.syncedAtSeconds;
  if (age >= 0 && age < syncSeconds) {
    return { lines: changed, memory: { syncedAtSeconds: memory?.syncedAtSeconds ?? uptimeSeconds, machines: now } };
  }
  const all = Object.entries(now).map(([vmId, machine]) => line(vmId, machine));
  return {
    lines: ['SYNC_STATE=yes', 'MISSING_STATE=UNKNOWN', ...all],
    memory: { syncedAtSeconds: uptimeSeconds, machines: now },
  };
}

/** What to remember of a VM whose domain is here; undefined for one that there is nothing to say about yet. */
function lookedAt(known: RememberedMachine | undefined, domain: MonitoredDomain): RememberedMachine | undefined {
  const state = stateOf(domain);
  switch (state) {
    case 'running':
      return { deployId: domain.name, state: 'RUNNING', doubts: 0 };
    case 'changing':
      return known === undefined ? undefined : waited(known, domain);
    case 'elsewhere':
      return undefined;
    case 'ended':
    case 'failed': {
      const reported = state === 'ended' ? 'POWEROFF' : 'FAILURE';
      const doubts = (known?.doubts ?? 0) + 1;
      if (known === undefined || known.state !== 'RUNNING' || doubts >= endedLooks) {
        return { deployId: domain.name, state: reported, doubts: 0 };
      }
      return { ...known, doubts };
    }
  }
}

/**
 * A guest that has suspended itself stays so for ever, and so does one that reboots after it has lost its monitor, which
 * a save or migration that failed has cost it. While oned itself saves or moves a VM it does not heed this.
 */
function waited(known: RememberedMachine, { id, meaning }: MonitoredDomain): RememberedMachine {
  const { waiting, ...others } = known;
  if (meaning === 'building') return others;
  const looks = Math.min(waitingLooks, (waiting?.domainId === id ? waiting.looks : 0) + 1);
  const state = looks < waitingLooks ? known.state : 'FAILURE';
  return { ...others, state, waiting: { domainId: id, looks } };
}

function line(vmId: number | string, { deployId, state }: Pick<RememberedMachine, 'deployId' | 'state'>): string {
  return `VM = [ ID="${vmId}", DEPLOY_ID="${deployId}", STATE="${state}" ]`;
}

export function formatStatusMemory(memory: StatusMemory): string {
  return JSON.stringify(memory);
}

/** What formatStatusMemory wrote. Anything else is forgotten: then the next report is a whole list. */
export function parseStatusMemory(text: string): StatusMemory | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return isMemory(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function isMemory(value: unknown): value is StatusMemory {
  if (!isRecord(value) || !Number.isFinite(value['syncedAtSeconds']) || !isRecord(value['machines'])) return false;
  return Object.entries(value['machines']).every(
    ([vmId, machine]) =>
      /^\d{1,10}$/.test(vmId) &&
      isRecord(machine) &&
      typeof machine['deployId'] === 'string' &&
      /^[A-Za-z0-9_.+@-]{1,255}$/.test(machine['deployId']) &&
      ['RUNNING', 'POWEROFF', 'FAILURE'].includes(String(machine['state'])) &&
      Number.isSafeInteger(machine['doubts']) &&
      (machine['waiting'] === undefined || isWaiting(machine['waiting'])),
  );
}

function isWaiting(value: unknown): boolean {
  return isRecord(value) && Number.isSafeInteger(value['domainId']) && Number.isSafeInteger(value['looks']);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

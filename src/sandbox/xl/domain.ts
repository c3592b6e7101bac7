/**
 * What the simulated xl keeps about a domain, and what follows from it at a moment: its memory while it is built, its
 * CPU time, the letters of its state. Records are plain JSON, one file a domain, so that a test can read and write them.
 */
import type { ShutdownCause } from '../../xen/domain-list.ts';

export interface SimulatedDisk {
  readonly vdev: string;
  readonly target: string;
  readonly readOnly: boolean;
  readonly format: string;
}

export interface SimulatedNic {
  readonly index: number;
  readonly mac: string;
  readonly bridge: string;
}

/** What a create, a save file and a migration stream carry. */
export interface DomainSettings {
  readonly name: string;
  readonly uuid: string;
  readonly type: 'pv' | 'hvm' | 'pvh';
  readonly memoryKib: number;
  readonly maximumMemoryKib: number;
  readonly vcpus: number;
  readonly maximumVcpus: number;
  readonly kernel: string | undefined;
  readonly ramdisk: string | undefined;
  readonly cmdline: string | undefined;
  readonly disks: readonly SimulatedDisk[];
  readonly nics: readonly SimulatedNic[];
  readonly onPoweroff: string;
  readonly onReboot: string;
  readonly onCrash: string;
}

/** The guest's memory, as far as anyone looks: it survives a save or a migration, and not a reboot. */
export interface GuestState {
  /** Drawn when the guest boots. */
  readonly bootId: string;
  /** How often the state was moved: saves, restores and migrations each carry one more. */
  readonly moves: number;
}

/** A process that keeps files open; `startTicks` tells it from a later one of the same number. */
export interface ProcessReference {
  readonly pid: number;
  readonly startTicks: string;
}

export interface Holder extends ProcessReference {
  /** The guest devices whose files it keeps open. */
  readonly vdevs: readonly string[];
  /** It is the guest's program, which does something while the domain runs. */
  readonly isGuest?: true;
}

export interface SimulatedDomain {
  readonly id: number;
  /** As listed: `NAME--incoming` and `NAME--migratedaway` while a migration is under way. */
  readonly name: string;
  readonly settings: DomainSettings;
  readonly guest: GuestState;
  /** The kernel's boot id: domains of an earlier boot are gone. */
  readonly hostBootId: string;
  readonly holders: readonly Holder[];
  /** Indices of interfaces that were detached. */
  readonly staleNics?: readonly number[];
  readonly paused: boolean;
  readonly shutdown: ShutdownCause | undefined;
  /** What xl has asked of a guest that did not listen: the request stays, and is obeyed when the guest runs again. */
  readonly asked?: 'powerOff' | 'reboot';
  /** Set while the domain is built: who builds it, and when its memory will be there. */
  readonly building:
    { readonly by: ProcessReference; readonly sinceMs: number; readonly durationMs: number } | undefined;
  /** A process carries out on_poweroff and on_reboot. */
  readonly monitored: boolean;
  /** Milliseconds since 1970. */
  readonly createdMs: number;
  readonly cpu: { readonly seconds: number; readonly sinceMs: number };
}

/** A disk whose attach failed is the domain's, and nobody has its file open. */
export function isConnected({ holders }: SimulatedDomain, { vdev }: SimulatedDisk): boolean {
  return holders.some(({ vdevs }) => vdevs.includes(vdev));
}

/** A guest uses a twentieth of a CPU. */
const cpuShare = 0.05;
const bootSeconds = 0.5;

export function cpuSecondsOf(domain: SimulatedDomain, nowMs: number): number {
  if (domain.building !== undefined) return 0;
  const idle = domain.paused || domain.shutdown !== undefined;
  return domain.cpu.seconds + (idle ? 0 : (Math.max(0, nowMs - domain.cpu.sinceMs) / 1000) * cpuShare);
}

export function startedCpu(nowMs: number): SimulatedDomain['cpu'] {
  return { seconds: bootSeconds, sinceMs: nowMs };
}

/** A domain that was created paused has used no CPU at all, which is how the list tells it from one that was paused. */
export function neverRan(nowMs: number): SimulatedDomain['cpu'] {
  return { seconds: 0, sinceMs: nowMs };
}

/** The same CPU time, counted from now on: wanted whenever a domain is paused, continued or shut down. */
export function settledCpu(domain: SimulatedDomain, nowMs: number): SimulatedDomain['cpu'] {
  return { seconds: cpuSecondsOf(domain, nowMs), sinceMs: nowMs };
}

/** The list knows a domain before it has its name. */
export function listedNameOf({ name, building }: SimulatedDomain, nowMs: number): string {
  const isNameless = building !== undefined && building.durationMs > 0 && builtPart(building, nowMs) < namedFrom;
  return isNameless && !name.endsWith('--incoming') ? '(null)' : name;
}

/** What the list shows: nothing at first, then what has arrived. */
export function memoryMibOf(domain: SimulatedDomain, nowMs: number): number {
  const full = Math.floor(domain.settings.memoryKib / 1024);
  if (domain.building === undefined) return full;
  const part = builtPart(domain.building, nowMs);
  if (domain.name.endsWith('--incoming')) return Math.floor(full * part);
  return part < devicesFrom ? 0 : full;
}

/** Those of a domain that is being built are there once its memory is: until its devices are, too, it waits paused. */
export function vcpusOf(domain: SimulatedDomain, nowMs: number): number {
  if (domain.building === undefined) return domain.settings.vcpus;
  const complete = !domain.name.endsWith('--incoming') && builtPart(domain.building, nowMs) >= devicesFrom;
  return complete ? domain.settings.vcpus : 0;
}

/** From this part of a creation on the domain has its name. */
const namedFrom = 0.1;
/** From this part of a creation on only the devices are missing. */
const devicesFrom = 0.5;

function builtPart({ sinceMs, durationMs }: NonNullable<SimulatedDomain['building']>, nowMs: number): number {
  return durationMs <= 0 ? 0 : Math.min(1, Math.max(0, (nowMs - sinceMs) / durationMs));
}

export function stateLetters(domain: SimulatedDomain): string {
  const causes: Readonly<Record<ShutdownCause, string>> = {
    powerOff: '-',
    reboot: 'r',
    suspend: 's',
    crash: 'c',
    watchdog: 'w',
    softReset: 'S',
    unknown: '?',
  };
  const paused = domain.paused || domain.building !== undefined;
  const ended = domain.shutdown !== undefined;
  return `-${paused || ended ? '-' : 'b'}${paused ? 'p' : '-'}${ended ? 's' : '-'}${ended ? causes[domain.shutdown ?? 'unknown'] : '-'}-`;
}

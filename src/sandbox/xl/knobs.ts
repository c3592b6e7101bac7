/**
 * How the simulated host is made (`host.json`) and how it misbehaves on request (`knobs.json`), both in the state
 * directory and both optional. Tests write them; an unknown key is an error, because a misspelt one would test nothing.
 */

/** Where a migration fails, on the receiving side; `hang` never answers. */
export type MigrationFailure = 'receive' | 'copy' | 'ready' | 'start' | 'handshake' | 'hang';

export interface Knobs {
  /** True for every guest, or the names of those that never acknowledge a request. */
  readonly guestIgnoresShutdown: boolean | readonly string[];
  /** How long xl waits for an acknowledgement; 60 000 as real xl. */
  readonly acknowledgeTimeoutMs: number;
  /** From the acknowledgement to the guest's end. */
  readonly shutdownDelayMs: number;
  /** From the guest's end to the domain's removal by its monitor. */
  readonly teardownMs: number;
  /** How long a domain is still listed while it is destroyed. */
  readonly destroyMs: number;
  readonly createMs: number;
  readonly migrateCopyMs: number;
  readonly migrateFailsAt: MigrationFailure | '';
  readonly saveFails: 'ENOSPC' | '';
  /** From the guest's suspension to the first byte of its memory. */
  readonly saveMs: number;
  /** What `xl unpause` does: refuse, or let the guest run and then say that it failed. */
  readonly unpauseFails: 'before' | 'after' | '';
  /** Kernels and ramdisks need not exist. */
  readonly ignoreMissingKernel: boolean;
  /** The text that `xl create` prints, with exit code 3, instead of creating anything. */
  readonly createFails: string;
  /**
   * What every guest does while it runs: a program that gets the domain's name, the guest's boot id and the disks' targets.
   * One process, which stands still while the domain does and is gone with it; the domain is gone when it ends. After a save
   * or a migration it is begun anew, with the same boot id.
   */
  readonly guestProgram: string;
}

export const defaultKnobs: Knobs = {
  guestIgnoresShutdown: false,
  acknowledgeTimeoutMs: 60_000,
  shutdownDelayMs: 300,
  teardownMs: 200,
  destroyMs: 0,
  createMs: 0,
  migrateCopyMs: 200,
  migrateFailsAt: '',
  saveFails: '',
  saveMs: 0,
  unpauseFails: '',
  ignoreMissingKernel: false,
  createFails: '',
  guestProgram: '',
};

export interface SimulatedHost {
  /** The machine's own name when left empty. */
  readonly name: string;
  readonly cpus: number;
  readonly cpuMhz: number;
  readonly memoryMib: number;
  readonly domainZeroMemoryMib: number;
  /** Names of the bridges; any name is a bridge when left empty. */
  readonly bridges: readonly string[];
}

export const defaultHost: SimulatedHost = {
  name: '',
  cpus: 4,
  cpuMhz: 2300,
  memoryMib: 8192,
  domainZeroMemoryMib: 512,
  bridges: [],
};

/** The defaults with what the file sets. @throws Error naming file and key */
export function merge<Settings extends object>(
  fileName: string,
  defaults: Settings,
  text: string | undefined,
): Settings {
  if (text === undefined) return defaults;
  const given: unknown = JSON.parse(text);
  if (typeof given !== 'object' || given === null) throw new Error(`${fileName} holds no object`);
  for (const key of Object.keys(given)) {
    if (!(key in defaults)) throw new Error(`${fileName} has the unknown key ${key}`);
  }
  return { ...defaults, ...given };
}

/**
 * How busy domains are. Xen counts CPU seconds; a rate needs two readings. Instead of waiting for a second one, a short
 * history of earlier readings is kept: the rate counts from the newest reading that is old enough to make it exact
 * (xl counts tenths of a second), so a report costs no waiting and any number of reporters share one history.
 * Everything here is a function of its input; who reads the clock and keeps the history is outside.
 */
import type { DomainRow } from './domain-list.ts';

/** CPU seconds of all domains at one moment. */
export interface CpuReading {
  /** Seconds since the host started, as in /proc/uptime: they never go back. */
  readonly uptimeSeconds: number;
  /** By `domainKey`. */
  readonly cpuSeconds: Readonly<Record<string, number>>;
}

/** Readings, the oldest first. */
export type CpuHistory = readonly CpuReading[];

/** Readings closer than this give rough rates: a tenth of a second within 10 s is 1 %. */
const exactSeconds = 10;
/** What is nearer than this is not taken at all. */
const usableSeconds = 1;
/** One to count from, one that becomes old enough. */
const maxReadings = 2;
const maxHistoryCharacters = 1024 * 1024;

/** Tells a domain from its successor: ids are not reused while the host is up, uuids are the VM's over restarts. */
export function domainKey({ id, uuid }: Pick<DomainRow, 'id' | 'uuid'>): string {
  return `${id} ${uuid ?? ''}`;
}

export function cpuReading(rows: readonly DomainRow[], uptimeSeconds: number): CpuReading {
  return { uptimeSeconds, cpuSeconds: Object.fromEntries(rows.map((row) => [domainKey(row), row.cpuSeconds])) };
}

/** The reading that rates count from at this moment; undefined while there is none that would do. */
export function baselineOf(history: CpuHistory, uptimeSeconds: number): CpuReading | undefined {
  const age = (reading: CpuReading): number => uptimeSeconds - reading.uptimeSeconds;
  const newestFirst = [...history].reverse();
  return (
    newestFirst.find((reading) => age(reading) >= exactSeconds) ??
    history.find((reading) => age(reading) >= usableSeconds)
  );
}

/** The history with a reading more, or the same one when its last reading is still too new to be followed. */
export function withReading(history: CpuHistory, reading: CpuReading): CpuHistory {
  const past = history.filter(({ uptimeSeconds }) => uptimeSeconds <= reading.uptimeSeconds);
  const last = past.at(-1);
  if (last !== undefined && reading.uptimeSeconds - last.uptimeSeconds < exactSeconds) {
    return past.length === history.length ? history : past;
  }
  return [...past, reading].slice(-maxReadings);
}

/**
 * What a domain used since the baseline, in percent of one CPU: 100 is one full CPU, never more than its VCPUs. A
 * domain that the baseline doesn't know has started since.
 */
export function cpuPercent(row: DomainRow, baseline: CpuReading, uptimeSeconds: number): number {
  const elapsed = uptimeSeconds - baseline.uptimeSeconds;
  const used = row.cpuSeconds - (baseline.cpuSeconds[domainKey(row)] ?? 0);
  if (elapsed <= 0 || used <= 0) return 0;
  return Math.min((used / elapsed) * 100, Math.max(1, row.vcpus) * 100);
}

/** The same of all domains together, domain 0 included, never more than the host's CPUs. */
export function hostCpuPercent(
  rows: readonly DomainRow[],
  cpus: number,
  baseline: CpuReading,
  uptimeSeconds: number,
): number {
  const sum = rows.reduce((total, row) => total + cpuPercent(row, baseline, uptimeSeconds), 0);
  return Math.min(sum, cpus * 100);
}

export function formatCpuHistory(history: CpuHistory): string {
  return JSON.stringify(history);
}

/** What formatCpuHistory wrote. Anything else is no history: rates then begin anew. */
export function parseCpuHistory(text: string): CpuHistory {
  if (text.length > maxHistoryCharacters) return [];
  try {
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) && parsed.every(isReading) ? parsed.slice(-maxReadings) : [];
  } catch {
    return [];
  }
}

function isReading(value: unknown): value is CpuReading {
  if (typeof value !== 'object' || value === null) return false;
  const { uptimeSeconds, cpuSeconds } = value as Record<string, unknown>;
  if (!Number.isFinite(uptimeSeconds) || typeof cpuSeconds !== 'object' || cpuSeconds === null) return false;
  return Object.values(cpuSeconds).every((seconds) => Number.isFinite(seconds));
}

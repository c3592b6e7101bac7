/**
 * Readings of `xentop -b -f`: one sample an iteration, one record a domain. The CPU percentage of the first sample is
 * always 0 (xentop has nothing to compare with), so a rate wants two samples, or the seconds of two runs.
 */
import { CxmError } from '../errors.ts';
import type { DomainRow } from './domain-list.ts';

export interface DomainUsage {
  readonly name: string;
  readonly cpuSeconds: number;
  /** 100 is one full CPU. */
  readonly cpuPercent: number;
  readonly memoryKib: number;
  /** Undefined for a domain without a limit, as domain 0 often is. */
  readonly maximumMemoryKib: number | undefined;
  readonly vcpus: number;
  /** What the guest sent and received, in KiB since it started. */
  readonly networkSentKib: number;
  readonly networkReceivedKib: number;
  readonly diskReads: number;
  readonly diskWrites: number;
  /** 512-byte sectors since the guest started. */
  readonly diskReadSectors: number;
  readonly diskWrittenSectors: number;
}

/** What a domain has sent and received, read and written since it started. */
export interface DomainCounters {
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly reads: number;
  readonly writes: number;
}

const header = /^\s*NAME\s+STATE\s+CPU\(sec\)/;
const detail = /^\s*(?:VCPUs\(sec\):|Net\d+ |VBD |Tmem)/;
const rowPattern =
  /^\s*(.*?)\s+([d-][s-][b-][c-][p-][r-])\s+(\d+)\s+(\d+\.\d+)\s+(\d+)\s+\d+\.\d+\s+(\d+|no limit)\s+(?:\d+\.\d+|n\/a)\s+(.*)$/;

/**
 * The samples in their order.
 * @throws CxmError XEN for a line that is neither a row nor one of xentop's details
 */
export function parseXentop(text: string): readonly (readonly DomainUsage[])[] {
  const samples: DomainUsage[][] = [];
  for (const line of text.split('\n')) {
    if (line.trim() === '' || detail.test(line)) continue;
    if (header.test(line)) samples.push([]);
    else samples.at(-1)?.push(rowOf(line));
  }
  if (samples.length === 0) throw new CxmError('XEN', 'xentop -b printed no table');
  return samples;
}

function rowOf(line: string): DomainUsage {
  const match = rowPattern.exec(line);
  const counters = (match?.[7] ?? '').trim().split(/\s+/).map(Number);
  if (match === null || counters.length < 10 || counters.some((counter) => !Number.isFinite(counter))) {
    throw new CxmError('XEN', `xentop printed a line that is not understood: ${JSON.stringify(line.slice(0, 200))}`);
  }
  const [, name = '', , cpuSeconds, cpuPercent, memory, maximum] = match;
  // xentop counts as domain 0 sees the interface: what it has transmitted is what the guest has received.
  const [vcpus = 0, , received = 0, sent = 0, , , reads = 0, writes = 0, readSectors = 0, writtenSectors = 0] =
    counters;
  return {
    name,
    cpuSeconds: Number(cpuSeconds),
    cpuPercent: Number(cpuPercent),
    memoryKib: Number(memory),
    maximumMemoryKib: maximum === 'no limit' ? undefined : Number(maximum),
    vcpus,
    networkSentKib: sent,
    networkReceivedKib: received,
    diskReads: reads,
    diskWrites: writes,
    diskReadSectors: readSectors,
    diskWrittenSectors: writtenSectors,
  };
}

/** xentop knows names only: of two domains with one name neither is counted. */
export function countersOf(row: Pick<DomainRow, 'name'>, usage: readonly DomainUsage[]): DomainCounters | undefined {
  const [found, another] = usage.filter(({ name }) => name === row.name);
  if (found === undefined || another !== undefined) return undefined;
  return {
    sentBytes: found.networkSentKib * 1024,
    receivedBytes: found.networkReceivedKib * 1024,
    readBytes: found.diskReadSectors * 512,
    writtenBytes: found.diskWrittenSectors * 512,
    reads: found.diskReads,
    writes: found.diskWrites,
  };
}

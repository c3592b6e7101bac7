/**
 * What the kernel of a node counts: /proc/diskstats, /proc/net/dev, /proc/net/vlan/config, and LVM's report of physical
 * volumes, as records. Formats are those of the kernel's Documentation/admin-guide/iostats.rst and proc(5), from 2.6.18
 * on. A line that does not look as it should is an error: a counter overlooked would be a rate that is too small. Pure.
 */
import { CxmError } from '../errors.ts';

/** Since the device appeared; sectors have 512 bytes, whatever the device's own have. */
export interface BlockDevice {
  readonly major: number;
  readonly minor: number;
  readonly name: string;
  readonly reads: number;
  readonly writes: number;
  readonly readSectors: number;
  readonly writtenSectors: number;
}

export interface NetworkInterface {
  readonly name: string;
  /** As the node sees it: what comes out of a guest's vif has been received. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface PhysicalVolume {
  /** As LVM names it, /dev/mapper/mpatha. */
  readonly device: string;
  readonly major: number;
  readonly minor: number;
  /** Empty when it belongs to no group yet. */
  readonly group: string;
}

/** @throws CxmError IO */
export function parseDiskstats(text: string): readonly BlockDevice[] {
  return linesOf(text).map((line) => {
    const [major, minor, name = '', ...counters] = line.trim().split(/\s+/);
    const numbers = [major, minor, ...counters].map(toCount);
    if (name === '' || numbers.some((number) => number === undefined)) throw unreadable('/proc/diskstats', line);
    const at = (index: number): number => numbers[index + 2] ?? 0;
    const device = { major: numbers[0] ?? 0, minor: numbers[1] ?? 0, name };
    // Kernels before 2.6.25 count less of a partition: reads, sectors, writes, sectors.
    if (counters.length === 4) {
      return { ...device, reads: at(0), readSectors: at(1), writes: at(2), writtenSectors: at(3) };
    }
    if (counters.length < 11) throw unreadable('/proc/diskstats', line);
    return { ...device, reads: at(0), readSectors: at(2), writes: at(4), writtenSectors: at(6) };
  });
}

/** @throws CxmError IO */
export function parseNetworkInterfaces(text: string): readonly NetworkInterface[] {
  const [first = '', second = '', ...lines] = text.split('\n');
  if (!first.startsWith('Inter-|') || !second.includes('|bytes')) throw unreadable('/proc/net/dev', first);
  return linesOf(lines.join('\n')).map((line) => {
    const match = /^\s*(\S+?):\s*(.*)$/.exec(line);
    const counters = (match?.[2] ?? '').trim().split(/\s+/).map(toCount);
    const [receivedBytes, , , , , , , , sentBytes] = counters;
    if (match === null || counters.length < 16 || receivedBytes === undefined || sentBytes === undefined) {
      throw unreadable('/proc/net/dev', line);
    }
    return { name: match[1] ?? '', receivedBytes, sentBytes };
  });
}

/** Names of the VLAN interfaces; none without the kernel's VLANs. */
export function parseVlans(text: string): readonly string[] {
  return text.split('\n').flatMap((line) => /^(\S+)\s*\|\s*\d+\s*\|/.exec(line)?.[1] ?? []);
}

/** For `pvs` with `physicalVolumeFields`. @throws CxmError LVM */
export function parsePhysicalVolumes(json: string): readonly PhysicalVolume[] {
  try {
    const parsed = JSON.parse(json) as { report?: { pv?: Readonly<Record<string, string>>[] }[] };
    const rows = parsed.report?.[0]?.pv;
    if (Array.isArray(rows)) {
      return rows.map((row) => ({
        device: row['pv_name'] ?? '',
        major: toCount(row['pv_major']) ?? -1,
        minor: toCount(row['pv_minor']) ?? -1,
        group: row['vg_name'] ?? '',
      }));
    }
  } catch {
    // falls through to the error below
  }
  throw new CxmError('LVM', `LVM's report is not understood: ${JSON.stringify(json.trim().slice(0, 80))}`);
}

export const physicalVolumeFields = 'pv_name,pv_major,pv_minor,vg_name';

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line.trim() !== '');
}

function toCount(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

function unreadable(file: string, line: string): CxmError {
  return new CxmError('IO', `${file} has a line that is not understood: ${JSON.stringify(line.slice(0, 200))}`);
}

/**
 * LVM's JSON reports as records. Field names are those of lvs(8) and vgs(8); sizes come in bytes (`--units b
 * --nosuffix`). What does not look like a report is an error, never an empty answer.
 */
import { CxmError } from '../errors.ts';

export interface LogicalVolume {
  readonly name: string;
  readonly uuid: string;
  /** Of the device: a copy-on-write snapshot is as large as its origin, whatever room it has for changes. */
  readonly sizeBytes: number;
  readonly tags: readonly string[];
  /** Active on this host. */
  readonly active: boolean;
  /** Some process or device of this host holds it open. */
  readonly open: boolean;
  /** Device path, as /dev/VG0/lv-one-1-0. */
  readonly path: string;
  /** Name of the volume it is a copy-on-write snapshot of; empty for others. */
  readonly origin: string;
}

export interface VolumeGroupInfo {
  readonly name: string;
  readonly uuid: string;
  readonly sizeBytes: number;
  readonly freeBytes: number;
  readonly extentBytes: number;
  /** lvmlockd's lock manager for this group; empty when nobody but us takes care. */
  readonly lockType: string;
}

export const logicalVolumeFields =
  'lv_name,lv_uuid,lv_size,lv_tags,lv_active,lv_device_open,lv_path,origin,origin_size';
export const groupedVolumeFields = `vg_name,${logicalVolumeFields}`;
export const volumeGroupFields = 'vg_name,vg_uuid,vg_size,vg_free,vg_extent_size,vg_lock_type';

type Row = Readonly<Record<string, string>>;

function rows(json: string, kind: 'lv' | 'vg'): Row[] {
  try {
    const parsed = JSON.parse(json) as { report?: Record<string, Row[]>[] };
    const found = parsed.report?.[0]?.[kind];
    if (Array.isArray(found)) return found;
  } catch {
    // falls through to the error below
  }
  throw new CxmError('LVM', `LVM's report is not understood: ${json.trim().slice(0, 80)}`);
}

function bytes(row: Row, field: string): number {
  const value = Number(row[field]);
  if (row[field] === undefined || !Number.isSafeInteger(value)) {
    throw new CxmError('LVM', `LVM's report has no number in ${field}: ${JSON.stringify(row[field])}`);
  }
  return value;
}

export function parseLogicalVolumes(json: string): LogicalVolume[] {
  return rows(json, 'lv').map(logicalVolume);
}

function logicalVolume(row: Row): LogicalVolume {
  return {
    name: row.lv_name ?? '',
    uuid: row.lv_uuid ?? '',
    // lv_size of a copy-on-write snapshot is its room for changes.
    sizeBytes: bytes(row, row.origin_size ? 'origin_size' : 'lv_size'),
    tags: (row.lv_tags ?? '').split(',').filter((tag) => tag !== ''),
    active: row.lv_active !== '' && row.lv_active !== undefined && row.lv_active !== 'inactive',
    open: row.lv_device_open === 'open',
    path: row.lv_path ?? '',
    origin: row.origin ?? '',
  };
}

export function parseVolumeGroup(json: string): VolumeGroupInfo | undefined {
  return parseVolumeGroups(json)[0];
}

export function parseVolumeGroups(json: string): VolumeGroupInfo[] {
  return rows(json, 'vg').map((row) => ({
    name: row.vg_name ?? '',
    uuid: row.vg_uuid ?? '',
    sizeBytes: bytes(row, 'vg_size'),
    freeBytes: bytes(row, 'vg_free'),
    extentBytes: bytes(row, 'vg_extent_size'),
    lockType: row.vg_lock_type ?? '',
  }));
}

/** A logical volume with the group it is in, as a report of all groups has it. */
export interface GroupedVolume extends LogicalVolume {
  readonly group: string;
}

/** For a report with `groupedVolumeFields`. */
export function parseGroupedVolumes(json: string): GroupedVolume[] {
  return rows(json, 'lv').map((row) => ({ ...logicalVolume(row), group: row.vg_name ?? '' }));
}

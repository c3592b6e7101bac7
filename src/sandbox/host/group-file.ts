/**
 * The metadata of a sandbox's volume group: one JSON file beside the volumes, read whole, replaced whole, changed under
 * a lock. It is what LVM keeps on the disk itself, so all nodes that see the directory see the same.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CxmError } from '../../errors.ts';
import { replaceFile, withFileLock } from '../file-lock.ts';

export interface VolumeRecord {
  readonly uuid: string;
  /** Of the device: a snapshot is as large as its origin. */
  readonly sizeBytes: number;
  /** What it takes of the group: of a snapshot, the room for changes. */
  readonly roomBytes: number;
  readonly tags: readonly string[];
  /** Name of the volume that it is a snapshot of; empty for others. */
  readonly origin: string;
}

export interface GroupRecord {
  readonly name: string;
  readonly uuid: string;
  readonly sizeBytes: number;
  readonly extentBytes: number;
  /** By name. */
  readonly volumes: Readonly<Record<string, VolumeRecord>>;
}

const extentBytes = 4 * 1024 * 1024;

/** Makes an empty group. */
export function createGroup(directory: string, name: string, sizeBytes: number): void {
  mkdirSync(directory, { recursive: true });
  writeGroup(directory, { name, uuid: lvmUuid(), sizeBytes, extentBytes, volumes: {} });
}

/** @throws CxmError LVM */
export function readGroup(directory: string): GroupRecord {
  try {
    return JSON.parse(readFileSync(join(directory, 'group.json'), 'utf8')) as GroupRecord;
  } catch (cause) {
    throw new CxmError('LVM', `the directory ${directory} holds no volume group`, { cause });
  }
}

/** Changes the group alone; `change` works on the volumes' own table. */
export function changeGroup(
  directory: string,
  change: (volumes: Map<string, VolumeRecord>, group: GroupRecord) => void,
): void {
  withFileLock(join(directory, 'lock'), () => {
    const group = readGroup(directory);
    const volumes = new Map(Object.entries(group.volumes));
    change(volumes, group);
    writeGroup(directory, { ...group, volumes: Object.fromEntries(volumes) });
  });
}

export function usedBytes(volumes: ReadonlyMap<string, VolumeRecord>): number {
  return [...volumes.values()].reduce((sum, { roomBytes }) => sum + roomBytes, 0);
}

/** Groups of characters as LVM writes them. */
export function lvmUuid(): string {
  const digits = randomBytes(16).toString('hex');
  return [6, 4, 4, 4, 4, 4, 6]
    .map((length, index, all) => {
      const start = all.slice(0, index).reduce((sum, one) => sum + one, 0);
      return digits.slice(start, start + length);
    })
    .join('-');
}

function writeGroup(directory: string, group: GroupRecord): void {
  replaceFile(join(directory, 'group.json'), `${JSON.stringify(group, null, 2)}\n`);
}

/**
 * Making a heartbeat disk of a device. What a device carries is found by our own look at the bytes, and named with the help
 * of blkid: an administrator who mistypes a path must not lose a volume.
 *
 * Guarantees: nothing is written to a device on which anything is, unless that is forced; one that is mounted or used by
 * LVM is refused in any case.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { CxmError } from '../../errors.ts';
import type { Commands } from '../../host/commands.ts';
import { deviceDirectory } from '../../host/device-number.ts';
import { DirectFile, statusOf } from './direct-file.ts';
import { blockBytes, decodeHeader, diskBytes, encodeHeader, isZero, slotCount } from './format.ts';
import { HeartbeatDisk, largestRead } from './heartbeat-disk.ts';

export interface DeviceFindings {
  readonly sizeBytes: number;
  /** What is on it, as words for a sentence; undefined if nothing is. */
  readonly carries: string | undefined;
  /** Of the heartbeat disk that it is already. */
  readonly cluster: string | undefined;
  /** Nodes with a slot there that have not said goodbye. */
  readonly users: readonly string[];
}

const nothing = { carries: undefined, cluster: undefined, users: [] } as const;

/** Only looks. @throws CxmError NOT_FOUND, IO, IN_USE */
export async function inspectDevice(path: string, commands: Commands): Promise<DeviceFindings> {
  const sizeBytes = sizeOf(path);
  if (sizeBytes < diskBytes) {
    throw new CxmError('TOO_SMALL', `${path} has ${sizeBytes} bytes, but a heartbeat disk needs ${diskBytes}`, {
      hint: 'take a volume of 4 MiB or more',
    });
  }
  const file = DirectFile.open(path, 'read', largestRead);
  try {
    const header = decodeHeader(file.read(0, 1));
    if (typeof header === 'object') {
      const carries = `the heartbeat disk of the cluster ${header.cluster}`;
      return { sizeBytes, carries, cluster: header.cluster, users: usersOf(path, header.cluster) };
    }
    const isOurs = header !== undefined;
    const isEmpty = !isOurs && hasOnlyZeros(file);
    const named = await nameContents(path, commands);
    if (named !== undefined) return { ...nothing, sizeBytes, carries: named };
    if (isEmpty) return { ...nothing, sizeBytes };
    return { ...nothing, sizeBytes, carries: isOurs ? 'a damaged or other heartbeat disk' : 'data of an unknown kind' };
  } finally {
    file.close();
  }
}

/**
 * Writes an empty heartbeat disk.
 * @param findings what `inspectDevice` has said, for the sentence of a refusal
 * @returns its identity
 * @throws CxmError REFUSED when it is not empty and `force` is false, IN_USE, IO
 */
export function formatDevice(path: string, cluster: string, findings: DeviceFindings, force: boolean): string {
  if (findings.carries !== undefined && !force) {
    throw new CxmError('REFUSED', `${path} is not empty: it carries ${findings.carries}`, {
      hint: 'look with `lsblk -f` and `wipefs`; when it may really be overwritten, say so with --force',
    });
  }
  const file = DirectFile.open(path, 'exclusive', largestRead);
  try {
    const empty = Buffer.alloc(largestRead);
    const step = largestRead / blockBytes;
    // The header is cleared first and written last: what is interrupted is no heartbeat disk.
    for (let block = 0; block < diskBytes / blockBytes; block += step) file.write(block, empty);
    const diskId = randomBytes(16).toString('hex');
    file.write(0, encodeHeader({ diskId, cluster }));
    return diskId;
  } finally {
    file.close();
  }
}

/** A daemon writes each second, so whoever does not within this does not run. */
const watchMs = 2500;

/** Nodes whose daemon writes to the disk at this moment. @throws CxmError IO, CONFIG */
export async function findLiveUsers(path: string, cluster: string): Promise<readonly string[]> {
  const disk = HeartbeatDisk.open(path, cluster);
  try {
    const before = disk.read().slots;
    await new Promise((resolve) => setTimeout(resolve, watchMs));
    return disk.read().slots.flatMap((slot, index) => {
      return typeof slot === 'object' && slot !== before[index] ? [slot.name] : [];
    });
  } finally {
    disk.close();
  }
}

function sizeOf(path: string): number {
  const status = statusOf(path);
  if (status.isFile()) return status.size;
  const descriptor = fs.openSync(path, 'r');
  try {
    // Linux has no size for a device in stat, and Node no lseek: the kernel says it in sectors of 512 bytes.
    return Number(fs.readFileSync(`${deviceDirectory('block', status.rdev)}/size`, 'utf8')) * 512;
  } finally {
    fs.closeSync(descriptor);
  }
}

function usersOf(path: string, cluster: string): readonly string[] {
  const disk = HeartbeatDisk.open(path, cluster);
  try {
    return disk.read().slots.flatMap((slot) => (typeof slot === 'object' && slot.role !== 'alone' ? [slot.name] : []));
  } finally {
    disk.close();
  }
}

function hasOnlyZeros(file: DirectFile): boolean {
  for (let block = 0; block < diskBytes / blockBytes; block += slotCount) {
    const bytes = file.read(block, slotCount);
    for (let at = 0; at < bytes.length; at += blockBytes) {
      if (!isZero(bytes.subarray(at, at + blockBytes))) return false;
    }
  }
  return true;
}

/** Also of what lies beyond the part that we use, as the second table of a GPT. */
async function nameContents(path: string, commands: Commands): Promise<string | undefined> {
  const { exitCode, stdout } = await commands.run('blkid', ['-p', '-o', 'export', path], { okExitCodes: [0, 2, 8] });
  if (exitCode === 2) return undefined;
  if (exitCode === 8) return 'signatures of several kinds';
  const fields = new Map(
    stdout.split('\n').map((line) => [line.split('=')[0] ?? '', line.slice(line.indexOf('=') + 1)]),
  );
  const table = fields.get('PTTYPE');
  if (table !== undefined) return `a partition table (${table})`;
  const type = fields.get('TYPE');
  if (type === undefined) return undefined;
  return type === 'LVM2_member' ? 'a physical volume of LVM' : `a file system or volume of the type ${type}`;
}

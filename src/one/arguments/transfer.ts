/**
 * The arguments of the transfer manager's actions as records. What differs between the versions is
 * recognised by its shape: cpds with or without a snapshot, an image format behind a source, `monitor` with its
 * document in an argument or on standard input. Nothing is read or run here.
 */
import { CxmError } from '../../errors.ts';
import { parseDatastore, type Datastore } from '../documents/datastore.ts';
import { readPayload } from '../documents/payload.ts';
import { parseVirtualMachine, type VirtualMachine } from '../documents/virtual-machine.ts';
import {
  directoryLocation,
  diskLocation,
  imageSource,
  vmLocation,
  type DirectoryLocation,
  type DiskLocation,
  type ImageSource,
  type VmLocation,
} from './locations.ts';
import { argumentsOf, transferUsage } from './usage.ts';
import {
  absolutePath,
  badValue,
  deployIdentifier,
  identifier,
  optional,
  optionalIdentifier,
  plainWord,
  sizeMb,
} from './values.ts';

/** What ends nearly every call. */
interface TransferCall {
  readonly vmId: number;
  /** Of the image for image disks; of the system datastore for volatile disks, context and the directory. */
  readonly datastoreId: number;
}

export interface CloneCall extends TransferCall {
  readonly source: ImageSource;
  /** A disk, or the kernel or initrd of a file datastore (4.x+). */
  readonly destination: Exclude<VmLocation, { kind: 'directory' }>;
}

export interface LinkCall extends TransferCall {
  readonly source: ImageSource;
  readonly destination: DiskLocation;
}

/** Both sides are disks or both are directories. */
export type MoveCall = TransferCall &
  (
    | { readonly kind: 'disk'; readonly source: DiskLocation; readonly destination: DiskLocation }
    | { readonly kind: 'directory'; readonly source: DirectoryLocation; readonly destination: DirectoryLocation }
  );

export interface MoveToDatastoreCall extends TransferCall {
  readonly source: DiskLocation;
  readonly destination: ImageSource;
}

export interface CopyToDatastoreCall extends MoveToDatastoreCall {
  /** The disk's current state when missing. */
  readonly snapshotId: number | undefined;
}

export interface MakeImageCall extends TransferCall {
  readonly sizeMb: number;
  /** File system up to 4.x, image format from 5.0 on: ask `isImageFormat`. */
  readonly format: string;
  readonly destination: DiskLocation;
}

export interface MakeSwapCall extends TransferCall {
  readonly sizeMb: number;
  readonly destination: DiskLocation;
}

export interface DeleteCall extends TransferCall {
  readonly target: VmLocation;
}

export interface ResizeCall extends TransferCall {
  readonly disk: DiskLocation;
  readonly sizeMb: number;
}

export interface SnapshotCall extends TransferCall {
  readonly disk: DiskLocation;
  readonly snapshotId: number;
}

export interface MonitorCall {
  readonly datastoreId: number;
  readonly datastore: Datastore;
}

export interface BackupCall extends TransferCall {
  readonly directory: DirectoryLocation;
  readonly diskIds: readonly number[];
  readonly deployId: string | undefined;
  readonly job: string | undefined;
  readonly vm: VirtualMachine | undefined;
}

export interface BackupRestoreCall {
  readonly vmId: number;
  readonly directory: DirectoryLocation;
  readonly imageId: number;
  readonly incrementId: number | undefined;
  /** All disks when missing. */
  readonly diskId: number | undefined;
}

/** @throws CxmError USAGE, INVALID_INPUT; so do all functions below */
export function parseClone(argv: readonly string[]): CloneCall {
  const argument = argumentsOf('clone', transferUsage.clone, withoutFormat(argv, 1, 4));
  const call = callOf(argument);
  const destination = vmLocation(argument(1), 'the destination of clone', call.vmId);
  if (destination.kind === 'directory') {
    throw badValue('the destination of clone', argument(1), `a path that ends in /${call.vmId}/disk.N`);
  }
  return { ...call, source: imageSource(argument(0), 'the source of clone'), destination };
}

export function parseLn(argv: readonly string[]): LinkCall {
  const argument = argumentsOf('ln', transferUsage.ln, withoutFormat(argv, 1, 4));
  const call = callOf(argument);
  return {
    ...call,
    source: imageSource(argument(0), 'the source of ln'),
    destination: diskLocation(argument(1), 'the destination of ln', call.vmId),
  };
}

export function parseMv(argv: readonly string[]): MoveCall {
  const argument = argumentsOf('mv', transferUsage.mv, argv);
  const call = callOf(argument);
  const source = vmLocation(argument(0), 'the source of mv', call.vmId);
  const destination = vmLocation(argument(1), 'the destination of mv', call.vmId);
  if (source.kind === 'directory' && destination.kind === 'directory') {
    return { ...call, kind: 'directory', source, destination };
  }
  if (source.kind === 'disk' && destination.kind === 'disk' && source.diskId === destination.diskId) {
    return { ...call, kind: 'disk', source, destination };
  }
  throw badValue('the destination of mv', argument(1), `the same disk or directory as the source ${source.path}`);
}

export function parseMvds(argv: readonly string[]): MoveToDatastoreCall {
  const argument = argumentsOf('mvds', transferUsage.mvds, withoutFormat(argv, 2, 4));
  const call = callOf(argument);
  return {
    ...call,
    source: diskLocation(argument(0), 'the source of mvds', call.vmId),
    destination: imageSource(argument(1), 'the destination of mvds'),
  };
}

export function parseCpds(argv: readonly string[]): CopyToDatastoreCall {
  const plain = withoutFormat(argv, 2, /^(?:-1|[0-9]+)$/.test(argv[2] ?? '') ? argv.length : 4);
  const argument = argumentsOf('cpds', transferUsage.cpds, plain);
  const call = callOf(argument);
  return {
    ...call,
    source: diskLocation(argument(0), 'the source of cpds', call.vmId),
    destination: imageSource(argument(1), 'the destination of cpds'),
    snapshotId: plain.length === 4 ? undefined : optionalIdentifier(argument(2), 'the snapshot of cpds'),
  };
}

export function parseMkimage(argv: readonly string[]): MakeImageCall {
  const argument = argumentsOf('mkimage', transferUsage.mkimage, argv);
  const call = callOf(argument);
  return {
    ...call,
    sizeMb: sizeMb(argument(0), 'the size of mkimage'),
    format: plainWord(argument(1), 'the format of mkimage'),
    destination: diskLocation(argument(2), 'the destination of mkimage', call.vmId),
  };
}

export function parseMkswap(argv: readonly string[]): MakeSwapCall {
  const argument = argumentsOf('mkswap', transferUsage.mkswap, argv);
  const call = callOf(argument);
  return {
    ...call,
    sizeMb: sizeMb(argument(0), 'the size of mkswap'),
    destination: diskLocation(argument(1), 'the destination of mkswap', call.vmId),
  };
}

export function parseDelete(argv: readonly string[]): DeleteCall {
  const argument = argumentsOf('delete', transferUsage.delete, argv);
  const call = callOf(argument);
  return { ...call, target: vmLocation(argument(0), 'the target of delete', call.vmId) };
}

export function parseResize(argv: readonly string[]): ResizeCall {
  const argument = argumentsOf('resize', transferUsage.resize, argv);
  const call = callOf(argument);
  return {
    ...call,
    disk: diskLocation(argument(0), 'the disk of resize', call.vmId),
    sizeMb: sizeMb(argument(1), 'the size of resize'),
  };
}

/** snap_create, snap_create_live, snap_delete and snap_revert. */
export function parseSnapshot(
  action: 'snap_create' | 'snap_create_live' | 'snap_delete' | 'snap_revert',
  argv: readonly string[],
): SnapshotCall {
  const argument = argumentsOf(action, transferUsage[action], argv);
  const call = callOf(argument);
  return {
    ...call,
    disk: diskLocation(argument(0), `the disk of ${action}`, call.vmId),
    snapshotId: identifier(argument(1), `the snapshot of ${action}`),
  };
}

/** The document is in the first argument (to 6.4) or on standard input (from 6.8 on). */
export function parseMonitor(argv: readonly string[], standardInput: string): MonitorCall {
  const argument = argumentsOf('monitor', transferUsage.monitor, argv);
  const datastoreId = identifier(argument(-1), 'the datastore of monitor');
  const what = 'the datastore document of monitor';
  const payload = readPayload(argv.length === 2 ? argument(0) : standardInput, what);
  if (payload.kind !== 'xml') throw new CxmError('INVALID_INPUT', `${what} is missing`);
  return { datastoreId, datastore: parseDatastore(payload.text, what) };
}

/** Runs on the host, called by probes. */
export function parseMonitorDs(argv: readonly string[]): { readonly directory: string } {
  const argument = argumentsOf('monitor_ds', transferUsage.monitor_ds, argv);
  return { directory: absolutePath(argument(0), 'the directory of monitor_ds') };
}

/** prebackup, prebackup_live, postbackup and postbackup_live (6.6+). */
export function parseBackup(
  action: 'prebackup' | 'prebackup_live' | 'postbackup' | 'postbackup_live',
  argv: readonly string[],
  standardInput = '',
): BackupCall {
  const argument = argumentsOf(action, transferUsage[action], argv);
  const call = callOf(argument);
  const payload = readPayload(standardInput, `the VM document of ${action}`);
  return {
    ...call,
    directory: directoryLocation(argument(0), `the directory of ${action}`, call.vmId),
    diskIds: argument(1)
      .split(':')
      .map((diskId) => identifier(diskId, `a disk of ${action}`)),
    deployId: deployIdentifier(argument(2)),
    job: optional(argument(3), `the job of ${action}`, plainWord),
    vm: payload.kind === 'xml' ? parseVirtualMachine(payload.text) : undefined,
  };
}

/** The TM's `restore` (6.10+): a VM's disks from a backup. */
export function parseBackupRestore(argv: readonly string[]): BackupRestoreCall {
  const argument = argumentsOf('restore', transferUsage.restore, argv);
  const vmId = identifier(argument(1), 'the VM id of restore');
  return {
    vmId,
    directory: directoryLocation(argument(0), 'the directory of restore', vmId),
    imageId: identifier(argument(2), 'the image of restore'),
    incrementId: optionalIdentifier(argument(3), 'the increment of restore'),
    diskId: optionalIdentifier(argument(4), 'the disk of restore'),
  };
}

/** The two last arguments. */
function callOf(argument: (index: number) => string): TransferCall {
  return { vmId: identifier(argument(-2), 'the VM id'), datastoreId: identifier(argument(-1), 'the datastore id') };
}

/**
 * Transfer files are split at blanks, so a datastore driver that printed `SOURCE FORMAT` where only SOURCE was wanted
 * leaves the format as an argument of its own behind the source. It says nothing that the content does not, and goes.
 */
function withoutFormat(argv: readonly string[], index: number, expectedCount: number): readonly string[] {
  const isFormat = /^(?:raw|qcow2|vmdk|iso|phy)$/.test(argv[index] ?? '');
  return isFormat && argv.length > expectedCount ? argv.filter((_, position) => position !== index) : argv;
}

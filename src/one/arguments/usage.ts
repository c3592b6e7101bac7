/**
 * The arguments of every driver action in one table: how many there may be, and the line that tells a person. The
 * functions of `transfer.ts`, `migration.ts` and `machine.ts` read the arguments; this table is what usage errors
 * and the documentation show.
 */
import { CxmError } from '../../errors.ts';
import { quoted } from '../printable.ts';

export interface ActionUsage {
  /** The arguments, those in brackets by version. */
  readonly arguments: string;
  /** Numbers of arguments that a version of oned passes. */
  readonly counts: readonly number[];
  /** What comes on standard input, where something does that the action needs. */
  readonly standardInput?: string;
}

const migration: ActionUsage = {
  arguments: 'HOST HOST VM_DIRECTORY VMID DATASTORE [VM_XML_BASE64] [SYSTEM_TM]',
  counts: [5, 6, 7],
  standardInput: 'the VM document in base64, from 5.10 on',
};
const snapshot: ActionUsage = { arguments: 'HOST:DISK SNAPSHOT VMID DATASTORE', counts: [4] };
const backup: ActionUsage = {
  arguments: 'HOST:VM_DIRECTORY DISK[:DISK...] DEPLOY_ID JOB VMID DATASTORE',
  counts: [6],
  standardInput: 'the VM document',
};

/** Transfer manager, on the frontend. */
export const transferUsage = {
  clone: { arguments: 'IMAGE_SOURCE [FORMAT] HOST:DISK VMID DATASTORE', counts: [4, 5] },
  ln: { arguments: 'IMAGE_SOURCE [FORMAT] HOST:DISK VMID DATASTORE', counts: [4, 5] },
  mv: { arguments: 'HOST:PATH HOST:PATH VMID DATASTORE', counts: [4] },
  mvds: { arguments: 'HOST:DISK IMAGE_SOURCE [FORMAT] VMID DATASTORE', counts: [4, 5] },
  cpds: { arguments: 'HOST:DISK IMAGE_SOURCE [FORMAT] [SNAPSHOT] VMID DATASTORE', counts: [4, 5, 6] },
  mkimage: { arguments: 'SIZE_MIB FORMAT HOST:DISK VMID DATASTORE', counts: [5] },
  mkswap: { arguments: 'SIZE_MIB HOST:DISK VMID DATASTORE', counts: [4] },
  context: { arguments: 'CONTEXT_SH [FILE...] HOST:DISK VMID DATASTORE', counts: [] },
  delete: { arguments: 'HOST:PATH VMID DATASTORE', counts: [3] },
  premigrate: migration,
  postmigrate: migration,
  failmigrate: migration,
  resize: { arguments: 'HOST:DISK SIZE_MIB VMID DATASTORE', counts: [4] },
  monitor: {
    arguments: '[DATASTORE_XML_BASE64] DATASTORE',
    counts: [1, 2],
    standardInput: 'the datastore document in base64, from 6.8 on',
  },
  monitor_ds: { arguments: 'DATASTORE_DIRECTORY', counts: [1] },
  snap_create: snapshot,
  snap_create_live: snapshot,
  snap_delete: snapshot,
  snap_revert: snapshot,
  prebackup: backup,
  prebackup_live: backup,
  postbackup: backup,
  postbackup_live: backup,
  restore: { arguments: 'HOST:VM_DIRECTORY VMID IMAGE INCREMENT DISK', counts: [5] },
} as const satisfies Readonly<Record<string, ActionUsage>>;

export type TransferAction = keyof typeof transferUsage;

const domain: ActionUsage = { arguments: '[DEPLOY_ID] HOST VMID HOST', counts: [3, 4] };

/** Virtual machine manager, on the host. oned appends VMID and HOST to every call but `exec`. */
export const machineUsage = {
  deploy: {
    arguments: 'DEPLOYMENT_FILE HOST VMID HOST',
    counts: [4],
    standardInput: 'the deployment file: a Xen configuration or the XML of the VM',
  },
  shutdown: domain,
  cancel: domain,
  reboot: domain,
  reset: domain,
  poll: domain,
  save: { arguments: 'DEPLOY_ID CHECKPOINT HOST VMID HOST', counts: [5] },
  restore: { arguments: 'CHECKPOINT HOST [DEPLOY_ID] VMID HOST', counts: [4, 5] },
  migrate: { arguments: 'DEPLOY_ID DESTINATION_HOST HOST VMID HOST', counts: [5] },
  migrate_local: { arguments: 'DEPLOY_ID DESTINATION_HOST HOST VMID HOST', counts: [5] },
  attach_disk: { arguments: 'DEPLOY_ID DISK TARGET TARGET_INDEX MESSAGE_BASE64 VMID HOST', counts: [7] },
  detach_disk: { arguments: 'DEPLOY_ID DISK TARGET TARGET_INDEX VMID HOST', counts: [6] },
  attach_nic: { arguments: 'DEPLOY_ID MAC BRIDGE MODEL NETWORK_DRIVER [TARGET] VMID HOST', counts: [7, 8] },
  detach_nic: { arguments: 'DEPLOY_ID MAC VMID HOST', counts: [4] },
  snapshot_create: { arguments: 'DEPLOY_ID SNAPSHOT VMID HOST', counts: [4] },
  snapshot_revert: { arguments: 'DEPLOY_ID SNAPSHOT_NAME VMID HOST', counts: [4] },
  snapshot_delete: { arguments: 'DEPLOY_ID SNAPSHOT_NAME VMID HOST', counts: [4] },
  prereconfigure: { arguments: 'DEPLOY_ID TARGET VMID HOST', counts: [4] },
  reconfigure: { arguments: 'DEPLOY_ID TARGET CONTEXT_DISK VMID HOST', counts: [5] },
  resize: { arguments: 'DEPLOY_ID VMID HOST', counts: [3], standardInput: 'the message with the new values' },
  resize_disk: { arguments: 'DEPLOY_ID DISK_ID SIZE_MIB MESSAGE_BASE64 HOST VMID HOST', counts: [7] },
  exec: { arguments: 'VMID HOST COMMAND INPUT_BASE64', counts: [4] },
  exec_cancel: { arguments: '[EMPTY] VMID HOST', counts: [2, 3] },
} as const satisfies Readonly<Record<string, ActionUsage>>;

export type MachineAction = keyof typeof machineUsage;

/** Arguments longer than the kernel passes, or more of them, come from nowhere but an attack. */
const limits = { arguments: 4096, characters: 2 * 1024 * 1024 };

/**
 * Access to the arguments by position after their number was checked.
 * @throws CxmError USAGE when the number is none that oned passes, with the usage line as hint
 */
export function argumentsOf(action: string, usage: ActionUsage, argv: readonly string[]): (index: number) => string {
  const hint = `usage: ${action} ${usage.arguments}`;
  const { counts } = usage;
  if (counts.length > 0 && !counts.includes(argv.length)) {
    const expected = counts.length === 1 ? String(counts[0]) : `${counts[0]} to ${counts[counts.length - 1]}`;
    throw new CxmError('USAGE', `${action} got ${argv.length} arguments instead of ${expected}`, { hint });
  }
  const total = argv.reduce((sum, argument) => sum + argument.length, 0);
  if (argv.length > limits.arguments || total > limits.characters) {
    throw new CxmError('USAGE', `${action} got ${argv.length} arguments of ${total} characters: too many`, { hint });
  }
  return (index) => {
    const value = argv[index < 0 ? argv.length + index : index];
    if (value === undefined) throw new CxmError('USAGE', `${action} got too few arguments: ${argv.length}`, { hint });
    if (value.includes('\0')) {
      throw new CxmError('USAGE', `${action} got a NUL character in ${quoted(value)}`, { hint });
    }
    return value;
  };
}

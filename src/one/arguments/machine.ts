/**
 * The arguments of the virtual machine manager's actions as records. oned appends the VM's id
 * and its host to each call but `exec`. Where versions differ the number of arguments tells: `restore` with a deploy
 * id (4.4+), `attach_nic` with a target (5.x+), and 3.x, whose shell swallows an empty deploy id.
 */
import { CxmError } from '../../errors.ts';
import { parseActionData, type ActionData } from '../documents/action-data.ts';
import { readPayload, type Payload } from '../documents/payload.ts';
import { diskPath, vmFile } from './locations.ts';
import { argumentsOf, machineUsage, type MachineAction } from './usage.ts';
import {
  bridgeName,
  deployIdentifier,
  deviceTarget,
  hostName,
  identifier,
  macAddress,
  optional,
  plainWord,
  sizeMb,
} from './values.ts';

export interface MachineCall {
  readonly vmId: number;
  /** The host whose script this is, as OpenNebula names it. */
  readonly host: string;
}

export interface DomainCall extends MachineCall {
  /** What deploy printed; missing when oned never learned it. */
  readonly deployId: string | undefined;
}

export interface DeployCall extends MachineCall {
  /** Where the configuration is to be saved; a local deploy finds it there. */
  readonly deploymentFile: string;
  /** Empty for a local deploy in 3.x and 4.x. */
  readonly deployment: Payload;
}

export interface CheckpointCall extends DomainCall {
  readonly checkpoint: string;
}

export interface MigrateCall extends DomainCall {
  readonly destinationHost: string;
}

export interface DiskCall extends DomainCall {
  readonly diskPath: string;
  readonly diskId: number;
  readonly target: string;
}

export interface AttachDiskCall extends DiskCall {
  /** The VM with the new disk marked `attach`. */
  readonly message: ActionData;
}

export interface DetachNicCall extends DomainCall {
  readonly mac: string;
}

export interface AttachNicCall extends DetachNicCall {
  readonly bridge: string | undefined;
  readonly model: string | undefined;
  readonly networkDriver: string | undefined;
  /** Name of the interface on the host (5.x+). */
  readonly target: string | undefined;
}

export interface HypervisorSnapshotCall extends DomainCall {
  /** oned's number for snapshot_create, our own name for it later. */
  readonly snapshot: string;
}

export interface ReconfigureCall extends DomainCall {
  /** Device of the context medium. */
  readonly target: string | undefined;
  /** The new medium; only reconfigure has it. */
  readonly contextPath: string | undefined;
}

export interface ResizeDiskCall extends DomainCall {
  readonly diskId: number;
  readonly sizeMb: number;
  readonly message: ActionData;
}

export interface ResizeMachineCall extends DomainCall {
  /** Its VM has the new CPU, VCPU and MEMORY. */
  readonly message: ActionData;
}

type Argument = (index: number) => string;

/** @throws CxmError USAGE, INVALID_INPUT; so do all functions below */
export function parseDeploy(argv: readonly string[], standardInput: string): DeployCall {
  const argument = argumentsOf('deploy', machineUsage.deploy, argv);
  const call = callOf(argument);
  return {
    ...call,
    deploymentFile: vmFile(argument(0), 'the deployment file', call.vmId, /^deployment\.[0-9]{1,10}$/, 'deployment.N'),
    deployment: readPayload(standardInput, 'the deployment file'),
  };
}

/** shutdown, cancel, reboot, reset and poll. */
export function parseDomain(
  action: 'shutdown' | 'cancel' | 'reboot' | 'reset' | 'poll',
  argv: readonly string[],
): DomainCall {
  const argument = argumentsOf(action, machineUsage[action], argv);
  const call = callOf(argument);
  if (hostName(argument(-3), 'the host') !== call.host) {
    throw new CxmError('USAGE', `${action} got two different hosts: ${argument(-3)} and ${call.host}`, {
      hint: `usage: ${action} ${machineUsage[action].arguments}`,
    });
  }
  return { ...call, deployId: argv.length === 3 ? undefined : deployIdentifier(argument(0)) };
}

export function parseSave(argv: readonly string[]): CheckpointCall {
  const argument = argumentsOf('save', machineUsage.save, argv);
  const call = callOf(argument);
  return { ...call, deployId: deployIdentifier(argument(0)), checkpoint: checkpoint(argument(1), call.vmId) };
}

export function parseRestore(argv: readonly string[]): CheckpointCall {
  const argument = argumentsOf('restore', machineUsage.restore, argv);
  const call = callOf(argument);
  const deployId = argv.length === 5 ? deployIdentifier(argument(2)) : undefined;
  return { ...call, deployId, checkpoint: checkpoint(argument(0), call.vmId) };
}

/** migrate, and migrate_local for those who configure it. Runs on the source host, which is `host`. */
export function parseMigrate(argv: readonly string[], action: 'migrate' | 'migrate_local' = 'migrate'): MigrateCall {
  const argument = argumentsOf(action, machineUsage[action], argv);
  return { ...domainOf(argument), destinationHost: hostName(argument(1), 'the destination host') };
}

export function parseAttachDisk(argv: readonly string[]): AttachDiskCall {
  const argument = argumentsOf('attach_disk', machineUsage.attach_disk, argv);
  const call = diskCallOf(argument);
  return { ...call, message: messageOf('attach_disk', argument(4), call.vmId) };
}

export function parseDetachDisk(argv: readonly string[]): DiskCall {
  return diskCallOf(argumentsOf('detach_disk', machineUsage.detach_disk, argv));
}

export function parseAttachNic(argv: readonly string[]): AttachNicCall {
  const argument = argumentsOf('attach_nic', machineUsage.attach_nic, argv);
  return {
    ...domainOf(argument),
    mac: macAddress(argument(1), 'the MAC address'),
    bridge: optional(argument(2), 'the bridge', bridgeName),
    model: optional(argument(3), 'the model', plainWord),
    networkDriver: optional(argument(4), 'the network driver', plainWord),
    target: argv.length === 8 ? optional(argument(5), 'the target', bridgeName) : undefined,
  };
}

export function parseDetachNic(argv: readonly string[]): DetachNicCall {
  const argument = argumentsOf('detach_nic', machineUsage.detach_nic, argv);
  return { ...domainOf(argument), mac: macAddress(argument(1), 'the MAC address') };
}

export function parseHypervisorSnapshot(
  action: 'snapshot_create' | 'snapshot_revert' | 'snapshot_delete',
  argv: readonly string[],
): HypervisorSnapshotCall {
  const argument = argumentsOf(action, machineUsage[action], argv);
  return { ...domainOf(argument), snapshot: plainWord(argument(1), 'the snapshot') };
}

export function parsePrereconfigure(argv: readonly string[]): ReconfigureCall {
  const argument = argumentsOf('prereconfigure', machineUsage.prereconfigure, argv);
  const target = optional(argument(1), 'the target', deviceTarget);
  return { ...domainOf(argument), target, contextPath: undefined };
}

export function parseReconfigure(argv: readonly string[]): ReconfigureCall {
  const argument = argumentsOf('reconfigure', machineUsage.reconfigure, argv);
  const call = domainOf(argument);
  return {
    ...call,
    target: optional(argument(1), 'the target', deviceTarget),
    contextPath: optional(argument(2), 'the context disk', (path, what) => diskPath(path, what, call.vmId).path),
  };
}

/** The VMM's `resize` (6.0+): CPU and memory of a running VM. */
export function parseResizeMachine(argv: readonly string[], standardInput: string): ResizeMachineCall {
  const argument = argumentsOf('resize', machineUsage.resize, argv);
  const call = domainOf(argument);
  return { ...call, message: messageOf('resize', standardInput, call.vmId) };
}

export function parseResizeDisk(argv: readonly string[]): ResizeDiskCall {
  const argument = argumentsOf('resize_disk', machineUsage.resize_disk, argv);
  const call = domainOf(argument);
  return {
    ...call,
    diskId: identifier(argument(1), 'the disk id'),
    sizeMb: sizeMb(argument(2), 'the size'),
    message: messageOf('resize_disk', argument(3), call.vmId),
  };
}

/** exec and exec_cancel (7.2+): who is meant; Xen has no agent in the guest that could do more. */
export function parseExec(action: 'exec' | 'exec_cancel', argv: readonly string[]): MachineCall {
  const argument = argumentsOf(action, machineUsage[action], argv);
  const first = action === 'exec' ? 0 : -2;
  return { vmId: identifier(argument(first), 'the VM id'), host: hostName(argument(first + 1), 'the host') };
}

/**
 * The driver's message on standard input, which scripts get from 5.0 on. Only actions that cannot do without it ask:
 * a broken document must not keep a VM from being cancelled.
 * @returns undefined when there is none, as in 3.x and 4.x
 */
export function messageFrom(action: MachineAction, standardInput: string, vmId: number): ActionData | undefined {
  return standardInput.trim() === '' ? undefined : messageOf(action, standardInput, vmId);
}

/**
 * How long the message may take to begin, in milliseconds: 0 where the number of arguments says that none comes. Where
 * it may be a call of 4.x, whose actions have the open input of their shell instead, not for ever.
 */
export function messagePatienceMs(action: 'restore' | 'attach_nic', argv: readonly string[]): number {
  if (action === 'restore') return argv.length === 4 ? 0 : maybeMs;
  return argv.length === 7 ? maybeMs : Infinity;
}

/** From 5.0 on the message lies ready before the action starts. */
const maybeMs = 2000;

function messageOf(action: MachineAction, input: string, vmId: number): ActionData {
  const message = parseActionData(input, `the message of ${action}`);
  if (message.vm.id === undefined || message.vm.id === vmId) return message;
  throw new CxmError(
    'INVALID_INPUT',
    `the message of ${action} is of VM ${message.vm.id}, but the call is for VM ${vmId}`,
  );
}

function callOf(argument: Argument): MachineCall {
  return { vmId: identifier(argument(-2), 'the VM id'), host: hostName(argument(-1), 'the host') };
}

function domainOf(argument: Argument): DomainCall {
  return { ...callOf(argument), deployId: deployIdentifier(argument(0)) };
}

/** The target's index is left unread: oned derives it from the last letter alone, so `xvdaa` has the one of `xvda`. */
function diskCallOf(argument: Argument): DiskCall {
  const call = domainOf(argument);
  const { path, diskId } = diskPath(argument(1), 'the disk', call.vmId);
  return { ...call, diskPath: path, diskId, target: deviceTarget(argument(2), 'the target') };
}

function checkpoint(value: string, vmId: number): string {
  return vmFile(value, 'the checkpoint', vmId, /^checkpoint(?:\.[0-9]{1,20})?$/, 'checkpoint');
}

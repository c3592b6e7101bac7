/**
 * What oned may ask of a VM, carried out on this host with its toolstack and its volume group. In a cluster the same work
 * is done while the cluster holds the VM: see cluster-guard.ts.
 */
import type { OperationContext } from '../operation.ts';
import { deploy, type DeployParameters, type DeployResult } from './domain-deploy.ts';
import {
  attachDisk,
  attachNic,
  detachDisk,
  detachNic,
  type AttachDiskParameters,
  type AttachNicParameters,
  type DetachDiskParameters,
  type DetachNicParameters,
} from './domain-devices.ts';
import { cancel, shutdown, type EndResult } from './domain-end.ts';
import { domainHost, type DomainHost } from './domain-host.ts';
import { migrate, type MigrateParameters, type MigrateResult } from './domain-migrate.ts';
import type { DomainParameters } from './domain-parameters.ts';
import { poll, type PollResult } from './domain-poll.ts';
import { checkDiskSize, resize, type ResizeDiskParameters, type ResizeParameters } from './domain-resize.ts';
import { reboot, reset } from './domain-restart.ts';
import { restore, save, type RestoreParameters, type SaveParameters } from './domain-save.ts';

/** All actions can be repeated. Errors say what is left behind. */
export interface DomainManager {
  /** @throws CxmError INVALID_INPUT, NAME_TAKEN, NOT_FOUND (a disk), XEN, NO_SPACE; then nothing is left behind */
  deploy(parameters: DeployParameters): Promise<DeployResult>;
  shutdown(parameters: DomainParameters): Promise<EndResult>;
  cancel(parameters: DomainParameters): Promise<EndResult>;
  reboot(parameters: DomainParameters): Promise<object>;
  reset(parameters: DomainParameters): Promise<object>;
  save(parameters: SaveParameters): Promise<object>;
  restore(parameters: RestoreParameters): Promise<{ readonly deployId: string }>;
  migrate(parameters: MigrateParameters): Promise<MigrateResult>;
  attachDisk(parameters: AttachDiskParameters): Promise<object>;
  detachDisk(parameters: DetachDiskParameters): Promise<object>;
  attachNic(parameters: AttachNicParameters): Promise<object>;
  detachNic(parameters: DetachNicParameters): Promise<object>;
  resize(parameters: ResizeParameters): Promise<object>;
  checkDiskSize(parameters: ResizeDiskParameters): Promise<object>;
  poll(parameters: DomainParameters): Promise<PollResult>;
}

export function domainManager(host: DomainHost): DomainManager {
  return {
    deploy: (parameters) => deploy(host, parameters),
    shutdown: (parameters) => shutdown(host, parameters),
    cancel: (parameters) => cancel(host, parameters),
    reboot: (parameters) => reboot(host, parameters),
    reset: (parameters) => reset(host, parameters),
    save: (parameters) => save(host, parameters),
    restore: (parameters) => restore(host, parameters),
    migrate: (parameters) => migrate(host, parameters),
    attachDisk: (parameters) => attachDisk(host, parameters),
    detachDisk: (parameters) => detachDisk(host, parameters),
    attachNic: (parameters) => attachNic(host, parameters),
    detachNic: (parameters) => detachNic(host, parameters),
    resize: (parameters) => resize(host, parameters),
    checkDiskSize: (parameters) => checkDiskSize(host, parameters),
    poll: (parameters) => poll(host, parameters),
  };
}

export function managerOf(context: OperationContext): DomainManager {
  return domainManager(domainHost(context));
}

/**
 * deploy: from oned's deployment file to a running domain, or to nothing at all. oned calls nothing after a failed
 * deploy, so everything made on the way is taken back here. A domain of this VM that runs here already (moved or
 * restarted by the cluster) is taken over: its name is the answer.
 */
import { asCxmError, CxmError } from '../../errors.ts';
import { readPayload } from '../../one/documents/payload.ts';
import { parseVirtualMachine } from '../../one/documents/virtual-machine.ts';
import { domainFile, domainSettings, type DomainFile } from '../../one/domain/deployment.ts';
import { isToolstackError } from '../../xen/toolstack-error.ts';
import { meaningOf, rowsOf } from '../../xen/domain-list.ts';
import { requireBootFiles, requireBootFilesIn } from './domain-boot-files.ts';
import { begunAt, requireWanted, type Start } from './domain-cancelled.ts';
import type { DomainHost } from './domain-host.ts';
import { destroyRow } from './domain-end.ts';
import { withDomainLock } from './domain-lock.ts';
import { findDomain, requireFreeName, type FoundDomain } from './domain-lookup.ts';
import { activateVolumes, deactivateVolumes, namesInGroup, requireVolume } from './domain-volumes.ts';

export interface DeployParameters {
  readonly vmId: number;
  /** The VM's directory in the system datastore. */
  readonly directory: string;
  /** The deployment file as oned sent it. */
  readonly deployment: string;
  /** The VM's document, when the deployment file is no document or lacks what the name is made of. */
  readonly document: string | undefined;
  /** When the action began, by this host's `monotonicMs`; now when left out. */
  readonly begunMs?: number | undefined;
}

export interface DeployResult {
  /** What oned is to carry: the name of the domain. */
  readonly deployId: string;
  /** Path of the configuration, for the link in the VM's directory. */
  readonly configPath: string;
  /** It ran already. */
  readonly takenOver: boolean;
}

export async function deploy(host: DomainHost, parameters: DeployParameters): Promise<DeployResult> {
  const begunMs = begunAt(parameters.begunMs);
  const file = configurationOf(host, parameters);
  requireBootFiles(host, file.description.boot, parameters.directory);
  return withDomainLock(host, parameters.vmId, () => deployLocked(host, file, begunMs));
}

/** The configuration that a deployment file asks for. @throws CxmError INVALID_INPUT, UNSUPPORTED, FOREIGN */
function configurationOf(host: DomainHost, { vmId, directory, deployment, document }: DeployParameters): DomainFile {
  const payload = readPayload(deployment, 'the deployment file');
  const vm = document === undefined ? undefined : parseVirtualMachine(document, `the document of VM ${vmId}`);
  return domainFile(payload, { vmId, vmDirectory: directory, document: vm }, domainSettings(host.settings));
}

async function deployLocked(
  host: DomainHost,
  { description, config }: DomainFile,
  begunMs: number,
): Promise<DeployResult> {
  const { vmId, name } = description;
  requireWanted(host, { vmId, begunMs });
  const found = await findDomain(host, vmId, name);
  if (found.running !== undefined && found.name !== undefined) {
    host.log('INFO', `VM ${vmId} runs here already as ${found.name} and is taken over`);
    return takeOver(host, found.name, vmId, config.toString(), name);
  }
  await requireFreeName(host, vmId, name);
  const diskIds = description.disks.map(({ diskId }) => diskId);
  for (const diskId of diskIds) await requireVolume(host, vmId, diskId);
  await removeRemains(host, vmId, found, name);
  const start = async (path: string): Promise<void> => {
    host.files.setAutostart(name);
    // Since the first look the lock and the disks may have taken long.
    requireBootFilesIn(host, vmId, config.toString());
    await host.toolstack.create(path);
    requireWanted(host, { vmId, begunMs });
  };
  await startDomain(host, { vmId, name, text: config.toString(), diskIds, begunMs }, start);
  return { deployId: name, configPath: host.files.path(name), takenOver: false };
}

/** A domain that runs has its configuration and autostart link here; missing ones are made. */
function takeOver(host: DomainHost, running: string, vmId: number, text: string, name: string): DeployResult {
  if (running === name && host.files.vmIdOf(name) === undefined) host.files.write(name, text);
  if (host.files.vmIdOf(running) === vmId) host.files.setAutostart(running);
  return { deployId: running, configPath: host.files.path(running), takenOver: true };
}

/**
 * Removes what an earlier life of the VM has left here: domains that have ended but were never removed, files under an
 * older name.
 * @throws CxmError XEN when the VM is just arriving or leaving: then it must not be started a second time
 */
export async function removeRemains(host: DomainHost, vmId: number, found: FoundDomain, name: string): Promise<void> {
  for (const row of found.rows) {
    const meaning = meaningOf(row);
    if (meaning !== 'shutDown' && meaning !== 'dying') {
      throw new CxmError('XEN', `domain ${row.id} (${row.name ?? name}) of VM ${vmId} is ${meaning} on this host`, {
        hint: 'wait for the migration or restore to end, or destroy a domain that it has left with `xl destroy`',
      });
    }
    host.log('INFO', `domain ${row.id} (${name}) of VM ${vmId} has ended but was never removed`);
    await destroyRow(host, row);
  }
  for (const old of host.files.namesOf(vmId)) {
    if (old === name) continue;
    host.files.removeAutostart(old);
    host.files.remove(old, vmId);
  }
}

export interface StartedDomain extends Start {
  readonly name: string;
  /** Its configuration. */
  readonly text: string;
  readonly diskIds: readonly number[];
}

/**
 * Writes the configuration, activates the disks and starts the domain with `start`. When anything fails, all of it is
 * taken back, also an autostart link. So `start` must not throw once a guest has run whose run can't be undone.
 */
export function startDomain(
  host: DomainHost,
  domain: StartedDomain,
  start: (configPath: string) => Promise<void>,
): Promise<void> {
  const volumes = namesInGroup(host, domain.vmId, domain.diskIds);
  return host.guard.starting({ name: domain.name, volumes }, (requireHeld) =>
    startHeld(host, domain, async (configPath) => {
      requireHeld();
      await start(configPath);
    }),
  );
}

async function startHeld(
  host: DomainHost,
  domain: StartedDomain,
  start: (configPath: string) => Promise<void>,
): Promise<void> {
  const { vmId, name, text, diskIds } = domain;
  const before = host.files.vmIdOf(name) === vmId ? host.files.read(name) : undefined;
  requireWanted(host, domain);
  const activated = await activateVolumes(host, vmId, diskIds, 'exclusive');
  try {
    // A file that hosts share may be that of the VM's next life elsewhere.
    requireWanted(host, domain);
    host.files.write(name, text);
    requireWanted(host, domain);
    await start(host.files.path(name));
  } catch (error) {
    throw await takeBack(host, domain, { before, activated }, error);
  }
}

interface Undo {
  /** The VM's configuration as it was; undefined if there was none. */
  readonly before: string | undefined;
  /** Names of the volumes that were not active before. */
  readonly activated: readonly string[];
}

/**
 * Takes back a start that has failed. Each step is tried whatever became of those before it, and the error stays the one
 * that made it necessary. While a domain may be left, its configuration stays, by which the next action finds it, and its
 * disks stay active.
 */
async function takeBack(host: DomainHost, domain: StartedDomain, undo: Undo, error: unknown): Promise<CxmError> {
  const { vmId, name, diskIds } = domain;
  const left: string[] = [];
  const attempt = async (what: string, work: () => void | Promise<void>): Promise<boolean> => {
    try {
      await work();
      return true;
    } catch (cause) {
      left.push(`${what} (${asCxmError(cause).message})`);
      return false;
    }
  };
  // First of all: a domain that may start at the next boot is worse than all else that may stay.
  await attempt('the autostart link', () => host.files.removeAutostart(name));
  // A domain that took the name between our look and our start is not ours.
  const foreign = isToolstackError(error, 'nameTaken');
  const gone = foreign || (await attempt(`domain ${name}`, () => destroyDomains(host, name)));
  if (!gone) return failedStart(error, left);
  await attempt(`the configuration ${host.files.path(name)}`, () => {
    if (undo.before === undefined) host.files.remove(name, vmId);
    else host.files.write(name, undo.before);
  });
  await deactivateVolumes(host, await activeNames(host, vmId, diskIds, undo.activated));
  const active = await activeNames(host, vmId, diskIds, []);
  if (active.length > 0) left.push(`active on this host: ${active.join(', ')}`);
  return failedStart(error, left);
}

/** @throws CxmError when a domain of that name is left, or when nobody can say */
async function destroyDomains(host: DomainHost, name: string): Promise<void> {
  let failure: unknown;
  for (const row of rowsOf(await host.toolstack.list(), name)) {
    try {
      await destroyRow(host, row);
    } catch (error) {
      failure ??= error;
    }
  }
  // What the last list shows decides: also a domain that did not let itself be destroyed may have ended by itself.
  if (rowsOf(await host.toolstack.list(), name).length === 0) return;
  throw failure ?? new CxmError('XEN', 'it is still in the list of `xl list`');
}

function failedStart(error: unknown, left: readonly string[]): CxmError {
  const { code, message, hint } = asCxmError(error);
  if (left.length === 0) return new CxmError(code, message, { hint, cause: error, changed: 'rolled-back' });
  return new CxmError(code, `${message}; left behind: ${left.join(', ')}`, { hint, cause: error, changed: 'maybe' });
}

/** The disks that are to be inactive again: all of the VM's, since it does not run. */
async function activeNames(
  host: DomainHost,
  vmId: number,
  diskIds: readonly number[],
  activated: readonly string[],
): Promise<string[]> {
  const names = new Set(activated);
  for (const diskId of diskIds) {
    const volume = await requireVolume(host, vmId, diskId).catch(() => undefined);
    if (volume?.active === true) names.add(volume.name);
  }
  return [...names];
}

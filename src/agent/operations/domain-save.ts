/**
 * save and restore. A save leaves a checkpoint and no domain, or the running guest and no checkpoint; a restore leaves
 * the running guest and no checkpoint, or everything as it was. Disks are active only while the guest runs here.
 */
import { dirname } from 'node:path';
import { asCxmError, CxmError } from '../../errors.ts';
import { parseVirtualMachine } from '../../one/documents/virtual-machine.ts';
import { domainSettings } from '../../one/domain/deployment.ts';
import { describeDocument } from '../../one/domain/from-document.ts';
import { nameFault } from '../../xen/domain-name.ts';
import { diskIdOfDevice, renderDomain, type VolumeNames } from '../../one/domain/render.ts';
import { parseDomainConfig } from '../../xen/config-file.ts';
import { blockDeviceOf, parseDiskSpec } from '../../xen/disk.ts';
import { meaningOf, runsHere } from '../../xen/domain-list.ts';
import { isToolstackError } from '../../xen/toolstack-error.ts';
import {
  dropFiles,
  forgetWaiting,
  guestIn,
  isNotedSaved,
  noteSaved,
  noteWaiting,
  putBack,
  requireCheckpoint,
  setAside,
  unfinishedPath,
  usedPath,
  waitingRow,
} from './domain-checkpoint.ts';
import { requireBootFiles, requireBootFilesIn } from './domain-boot-files.ts';
import { begunAt, requireWanted } from './domain-cancelled.ts';
import { removeRemains, startDomain, type StartedDomain } from './domain-deploy.ts';
import { destroyRow } from './domain-end.ts';
import { withDomainHeld } from './domain-hold.ts';
import type { DomainHost } from './domain-host.ts';
import { withDomainLock } from './domain-lock.ts';
import { findDomain, requireFreeName, requireRunning, volumeNames } from './domain-lookup.ts';
import type { DomainParameters } from './domain-parameters.ts';
import { collect, feed, leftOf, requireSpace } from './domain-pipe.ts';
import { deactivateAll } from './domain-volumes.ts';

export interface SaveParameters extends DomainParameters {
  /** In the VM's directory. */
  readonly checkpoint: string;
}

/** Beside the guest's memory a checkpoint holds records of devices and CPUs. */
const extraBytes = 32 * 1024 ** 2;

/** Run again after a success that oned did not hear of, it is a success again. */
export function save(host: DomainHost, { vmId, deployId, checkpoint }: SaveParameters): Promise<object> {
  return withDomainHeld(host, { vmId, deployId }, async () => {
    if (await isSavedAlready(host, { vmId, deployId, checkpoint })) {
      host.log('INFO', `VM ${vmId} was saved to ${checkpoint} already and has not been started since`);
      await deactivateAll(host, vmId);
      return {};
    }
    const { name, row } = await requireRunning(host, vmId, deployId);
    requireSpace(host, dirname(checkpoint), row.memoryMib * 1024 ** 2 + extraBytes);
    try {
      await collect(host, checkpoint, (pipe) => host.toolstack.save(row.id, pipe));
    } catch (error) {
      throw await failedSave(host, { id: row.id, name, checkpoint }, error);
    }
    dropFiles(host, usedPath(checkpoint), unfinishedPath(checkpoint));
    // The configuration stays for a restore on this host when nobody can say the document again.
    host.files.removeAutostart(name);
    noteSaved(host, vmId, checkpoint);
    await deactivateAll(host, vmId);
    return {};
  });
}

/** An older checkpoint of a VM that has run since must not pass for this one: its memory does not fit the disks. */
async function isSavedAlready(host: DomainHost, { vmId, deployId, checkpoint }: SaveParameters): Promise<boolean> {
  const { name, rows } = await findDomain(host, vmId, deployId);
  if (name === undefined || rows.length > 0 || !isNotedSaved(host, vmId, checkpoint)) return false;
  return (await host.guard.elsewhere([name])) === undefined;
}

interface FailedSave {
  readonly id: number;
  readonly name: string;
  readonly checkpoint: string;
}

/**
 * Says what became of the guest, which nobody watches any more once it has been suspended. Unless it runs on, what was
 * written of its memory may be all that is left of it, and stays.
 */
async function failedSave(host: DomainHost, { id, name, checkpoint }: FailedSave, error: unknown): Promise<CxmError> {
  const { code, message, hint } = asCxmError(error);
  const state = await stateOf(host, id);
  const left = leftOf(host, checkpoint);
  if (state === 'runs') {
    dropFiles(host, ...left, unfinishedPath(checkpoint));
    host.log(
      'WARN',
      `${name} runs on, but xl may not watch it any more: reboot it through OpenNebula, not from within`,
    );
    return new CxmError(code, `${message}; the VM runs on`, { hint, cause: error, changed: 'rolled-back' });
  }
  const sentences: Readonly<Record<Exclude<typeof state, 'runs'>, string>> = {
    gone: 'the VM does not run any more',
    stopped: `domain ${id} of the VM is still here but does not run`,
    unknown: `whether the VM runs on is unknown (\`xl list\` tells)`,
  };
  const what = `${message}; ${sentences[state]}`;
  if (left.length === 0) return new CxmError(code, what, { hint, cause: error, changed: 'maybe' });
  return new CxmError(code, `${what}; what was written of its memory is kept in ${left.join(' and ')}`, {
    hint: `unless the VM has run meanwhile, the file can be tried: name it ${checkpoint} and restore it; xl refuses one that is not complete`,
    cause: error,
    changed: 'maybe',
  });
}

async function stateOf(host: DomainHost, id: number): Promise<'runs' | 'stopped' | 'gone' | 'unknown'> {
  try {
    const row = await host.toolstack.find(id);
    if (row === undefined) return 'gone';
    return runsHere(row) ? 'runs' : 'stopped';
  } catch (error) {
    host.log('WARN', asCxmError(error).message);
    return 'unknown';
  }
}

export interface RestoreParameters extends SaveParameters {
  readonly directory: string;
  /** The VM's document, where oned sends one or the frontend could be asked. */
  readonly document: string | undefined;
  /** When the action began, by this host's `monotonicMs`; now when left out. */
  readonly begunMs?: number | undefined;
}

/**
 * Run again after it was cut off, it ends as if it had not been: a domain that it had made and not yet let run is made
 * anew, one that runs is the VM.
 */
export function restore(host: DomainHost, parameters: RestoreParameters): Promise<{ readonly deployId: string }> {
  const { vmId, deployId, checkpoint } = parameters;
  const begunMs = begunAt(parameters.begunMs);
  return withDomainLock(host, vmId, async () => {
    requireWanted(host, { vmId, begunMs });
    const found = await findDomain(host, vmId, deployId);
    if (found.running !== undefined && found.name !== undefined) {
      host.log('INFO', `VM ${vmId} runs here already as ${found.name}`);
      settleRunning(host, vmId, found.name, checkpoint);
      return { deployId: found.name };
    }
    const waiting = waitingRow(host, vmId, found.rows);
    const domain = { ...restoredDomain(host, parameters, found.name, volumeNames(host)), begunMs };
    await requireFreeName(host, vmId, domain.name);
    requireCheckpoint(host, checkpoint, waiting !== undefined);
    if (waiting !== undefined) {
      host.log(
        'INFO',
        `domain ${waiting.id} was left, not yet running, by a restore that was cut off: it is made anew`,
      );
      await destroyRow(host, waiting);
    }
    await removeRemains(host, vmId, { ...found, rows: found.rows.filter((row) => row !== waiting) }, domain.name);
    let doubt: CxmError | undefined;
    await startDomain(host, domain, async (configPath) => {
      await feed(host, checkpoint, (pipe) => host.toolstack.restore(pipe, { configPath, paused: true }));
      doubt = await letRun(host, domain, checkpoint);
    });
    if (doubt !== undefined) throw doubt;
    settleRunning(host, vmId, domain.name, checkpoint);
    return { deployId: domain.name };
  });
}

/**
 * Lets the restored guest run. Before it may write to its disks the checkpoint is set aside, so that nobody restores it
 * once more; from the unpause on nothing is taken back unless the guest has certainly not run.
 * @returns the error when nobody knows whether it has run
 * @throws CxmError when it has not; the checkpoint has its own name then
 */
async function letRun(host: DomainHost, domain: StartedDomain, checkpoint: string): Promise<CxmError | undefined> {
  const { vmId, name } = domain;
  const row = await host.toolstack.find(name);
  if (row === undefined) throw new CxmError('XEN', `xl has restored ${name}, but it is not in the list`);
  noteWaiting(host, vmId, row.id);
  requireWanted(host, domain);
  setAside(host, checkpoint);
  try {
    await host.toolstack.unpause(row.id);
    return undefined;
  } catch (error) {
    const now = await host.toolstack.find(row.id).catch(() => undefined);
    if (now !== undefined && runsHere(now)) {
      host.log('WARN', `xl reported a failure, but ${name} runs: ${asCxmError(error).message}`);
      return undefined;
    }
    // An xl that did not end may still get its way.
    if (now === undefined || meaningOf(now) !== 'building' || isToolstackError(error, 'timeout')) {
      return unknownRun(name, checkpoint, error);
    }
    throw putBackAfter(host, checkpoint, error);
  }
}

/** @returns the error that made it necessary */
function putBackAfter(host: DomainHost, checkpoint: string, error: unknown): CxmError {
  const failure = asCxmError(error);
  try {
    putBack(host, checkpoint);
    return failure;
  } catch (cause) {
    const what = `${failure.message}; the guest has not run, but ${asCxmError(cause).message}`;
    return new CxmError(failure.code, what, { hint: `name that file ${checkpoint} again`, cause: error });
  }
}

function unknownRun(name: string, checkpoint: string, error: unknown): CxmError {
  const { code, message } = asCxmError(error);
  return new CxmError(
    code,
    `${message}; whether ${name} has run is unknown, so its checkpoint is now ${usedPath(checkpoint)}`,
    {
      hint: 'look with `xl list`, then resume again: a domain that runs is taken over, one that waits is made anew',
      cause: error,
      changed: 'maybe',
    },
  );
}

/** The guest runs, whatever fails now: its autostart link is here, and no file of memory that does not fit it any more. */
function settleRunning(host: DomainHost, vmId: number, name: string, checkpoint: string): void {
  dropFiles(host, checkpoint, usedPath(checkpoint), unfinishedPath(checkpoint));
  try {
    forgetWaiting(host, vmId);
    if (host.files.vmIdOf(name) === vmId) host.files.setAutostart(name);
  } catch (error) {
    host.log('WARN', `${name} runs, but without an autostart link: ${asCxmError(error).message}`);
  }
}

/**
 * The configuration to restore with. Never the one within the checkpoint: that file is not root's. The VM's document
 * knows best what it has now; the file that the last run left here may be from before a stay on another host. Only how
 * the guest is virtualised the checkpoint knows best, and what it boots when the document names nothing: both pass the
 * same door as the document.
 */
function restoredDomain(
  host: DomainHost,
  parameters: RestoreParameters,
  found: string | undefined,
  names: VolumeNames,
): Omit<StartedDomain, 'begunMs'> {
  const { vmId, deployId, directory, document, checkpoint } = parameters;
  if (document !== undefined) {
    const vm = parseVirtualMachine(document, `the document of VM ${vmId}`);
    const settings = domainSettings(host.settings);
    const saved = guestIn(host, checkpoint);
    const made = describeDocument(vm, { vmId, vmDirectory: directory }, settings, saved);
    // The guest keeps the name it was saved with, also when the VM was renamed since.
    const kept = deployId !== undefined && nameFault(deployId) === undefined && !/^one-\d+$/.test(deployId);
    const description = { ...made, name: found ?? (kept ? deployId : made.name) };
    requireBootFiles(host, description.boot, directory);
    const diskIds = description.disks.map(({ diskId }) => diskId);
    return { vmId, name: description.name, text: renderDomain(description, settings).toString(), diskIds };
  }
  const text = found === undefined ? undefined : host.files.read(found);
  if (found !== undefined && text !== undefined) {
    requireBootFilesIn(host, vmId, text);
    return { vmId, name: found, text, diskIds: diskIdsIn(vmId, text, names) };
  }
  throw new CxmError(
    'NOT_FOUND',
    `this host has no configuration of VM ${vmId}, and OpenNebula sent no document of it`,
    {
      hint: 'set ONE_HOST in cxmrc, so that the frontend can be asked',
    },
  );
}

/** Ids of the VM's disks in its configuration. */
export function diskIdsIn(vmId: number, text: string, names: VolumeNames): number[] {
  const items = parseDomainConfig(text, `the configuration of VM ${vmId}`).getList('disk') ?? [];
  return items.flatMap((item) => {
    const device = typeof item === 'string' ? blockDeviceOf(parseDiskSpec(item)) : undefined;
    return device === undefined ? [] : (diskIdOfDevice(device, vmId, names) ?? []);
  });
}

/**
 * save and restore. A save leaves a checkpoint and no domain, or the running guest and no checkpoint; a restore leaves
 * the running guest, or everything as it was. Disks are active only while the guest runs here.
 */
import { dirname } from 'node:path';
import { asCxmError, CxmError } from '../../errors.ts';
import { parseVirtualMachine } from '../../one/documents/virtual-machine.ts';
import { domainSettings } from '../../one/domain/deployment.ts';
import { describeDocument } from '../../one/domain/from-document.ts';
import { nameFault } from '../../one/domain/name.ts';
import { diskIdOfDevice, renderDomain, type VolumeNames } from '../../one/domain/render.ts';
import { parseDomainConfig } from '../../xen/config-file.ts';
import { blockDeviceOf, parseDiskSpec } from '../../xen/disk.ts';
import { runsHere } from '../../xen/domain-list.ts';
import { isFile } from '../owner.ts';
import { removeRemains, requireOwnFiles, startDomain, type StartedDomain } from './domain-deploy.ts';
import type { DomainHost } from './domain-host.ts';
import { withDomainLock } from './domain-lock.ts';
import { findDomain, requireFreeName, requireRunning, volumeNames } from './domain-lookup.ts';
import type { DomainParameters } from './domain-parameters.ts';
import { collect, feed, requireSpace } from './domain-pipe.ts';
import { deactivateAll } from './domain-volumes.ts';

export interface SaveParameters extends DomainParameters {
  /** In the VM's directory. */
  readonly checkpoint: string;
}

/** Beside the guest's memory a checkpoint holds records of devices and CPUs. */
const extraBytes = 32 * 1024 ** 2;

export function save(host: DomainHost, { vmId, deployId, checkpoint }: SaveParameters): Promise<object> {
  return withDomainLock(host, vmId, async () => {
    const { name, row } = await requireRunning(host, vmId, deployId);
    requireSpace(host, dirname(checkpoint), row.memoryMib * 1024 ** 2 + extraBytes);
    try {
      await collect(host, checkpoint, (pipe) => host.toolstack.save(row.id, pipe));
    } catch (error) {
      throw await failedSave(host, name, error);
    }
    // The configuration stays for a restore on this host when nobody can say the document again.
    host.files.removeAutostart(name);
    await deactivateAll(host, vmId);
    return {};
  });
}

/** Says what became of the guest, which nobody watches any more once it has been suspended. */
async function failedSave(host: DomainHost, name: string, error: unknown): Promise<CxmError> {
  const { code, message, hint } = asCxmError(error);
  const row = (await host.toolstack.list()).find((candidate) => candidate.name === name);
  if (row !== undefined && runsHere(row)) {
    host.log(
      'WARN',
      `${name} runs on, but xl may not watch it any more: reboot it through OpenNebula, not from within`,
    );
    return new CxmError(code, `${message}; the VM runs on`, { hint, cause: error, changed: 'rolled-back' });
  }
  return new CxmError(code, `${message}; the VM does not run any more`, { hint, cause: error, changed: 'maybe' });
}

export interface RestoreParameters extends SaveParameters {
  readonly directory: string;
  /** The VM's document, where oned sends one or the frontend could be asked. */
  readonly document: string | undefined;
}

export function restore(host: DomainHost, parameters: RestoreParameters): Promise<{ readonly deployId: string }> {
  const { vmId, deployId, checkpoint } = parameters;
  return withDomainLock(host, vmId, async () => {
    const found = await findDomain(host, vmId, deployId);
    if (found.running !== undefined && found.name !== undefined) {
      host.log('INFO', `VM ${vmId} runs here already as ${found.name}`);
      return { deployId: found.name };
    }
    const domain = restoredDomain(host, parameters, found.name, volumeNames(host));
    if (!isFile(host.owner, checkpoint)) throw new CxmError('NOT_FOUND', `there is no checkpoint ${checkpoint}`);
    await requireFreeName(host, vmId, domain.name);
    await removeRemains(host, vmId, found, domain.name);
    await startDomain(host, domain, (configPath) =>
      feed(host, checkpoint, (pipe) => host.toolstack.restore(pipe, { configPath })),
    );
    return { deployId: domain.name };
  });
}

/**
 * The configuration to restore with. Never the one within the checkpoint: that file is not root's. The VM's document
 * knows best what it has now; the file that the last run left here may be from before a stay on another host.
 */
function restoredDomain(
  host: DomainHost,
  parameters: RestoreParameters,
  found: string | undefined,
  names: VolumeNames,
): StartedDomain {
  const { vmId, deployId, directory, document } = parameters;
  if (document !== undefined) {
    const vm = parseVirtualMachine(document, `the document of VM ${vmId}`);
    const settings = domainSettings(host.settings);
    const made = describeDocument(vm, { vmId, vmDirectory: directory }, settings);
    // The guest keeps the name it was saved with, also when the VM was renamed since.
    const kept = deployId !== undefined && nameFault(deployId) === undefined && !/^one-\d+$/.test(deployId);
    const description = { ...made, name: found ?? (kept ? deployId : made.name) };
    requireOwnFiles(host, description.boot, directory);
    const diskIds = description.disks.map(({ diskId }) => diskId);
    return { vmId, name: description.name, text: renderDomain(description, settings).toString(), diskIds };
  }
  const text = found === undefined ? undefined : host.files.read(found);
  if (found !== undefined && text !== undefined)
    return { vmId, name: found, text, diskIds: diskIdsIn(vmId, text, names) };
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

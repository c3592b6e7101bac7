/**
 * The destination's side of a migration, as the source asks for it: look whether the VM is here, prepare for it, and
 * settle or abandon afterwards. Each step says what it changed, so that exactly that can be taken back.
 */
import { diskVolumeName } from '../../lvm/names.ts';
import { markedVmId } from '../../one/domain/marker.ts';
import { CxmError } from '../../errors.ts';
import { numbers, string, flag, type Parameters } from '../parameters.ts';
import { parseDomainConfig } from '../../xen/config-file.ts';
import { probePattern } from './domain-files.ts';
import type { DomainHost } from './domain-host.ts';
import { withDomainLock } from './domain-lock.ts';
import { findDomain, requireFreeName } from './domain-lookup.ts';
import { parseDocument, parseName, parseVmId } from './domain-parameters.ts';
import { activateVolumes, deactivateVolumes } from './domain-volumes.ts';

export interface NamedVm {
  readonly vmId: number;
  readonly name: string;
}

export function parseNamedVm(parameters: Parameters): NamedVm {
  return { vmId: parseVmId(parameters), name: parseName(parameters) };
}

/** What a host sees of a VM. */
export interface DomainSight {
  readonly running: boolean;
  /** In any state, also arriving or leaving. */
  readonly present: boolean;
}

export async function look(host: DomainHost, { vmId, name }: NamedVm): Promise<DomainSight> {
  const { running, rows } = await findDomain(host, vmId, name);
  return { running: running !== undefined, present: rows.length > 0 };
}

export interface PrepareParameters extends NamedVm {
  readonly diskIds: readonly number[];
  /** The VM's configuration at the source; undefined if there is none of ours. */
  readonly config: string | undefined;
  /** A file in the source's CFG_DIR. */
  readonly probe: string;
}

export function parsePrepare(parameters: Parameters): PrepareParameters {
  const vm = parseNamedVm(parameters);
  const config = parseDocument(parameters, 'config');
  if (config !== undefined) {
    const name = parseDomainConfig(config, `the configuration of VM ${vm.vmId}`).getString('name');
    if (markedVmId(config) !== vm.vmId || name !== vm.name) {
      throw new CxmError('INVALID_INPUT', `parameter config is not the configuration of VM ${vm.vmId}, ${vm.name}`);
    }
  }
  const probe = string(parameters, 'probe', probePattern, 'the name of a probe file');
  return { ...vm, config, probe, diskIds: numbers(parameters, 'diskIds') };
}

/** What was made for the VM that is to come. */
export interface PreparedDomain {
  readonly diskIds: readonly number[];
  /** Disks that were not active here before. */
  readonly activated: readonly number[];
  readonly wroteConfig: boolean;
  /** Source and destination have one directory of configurations. */
  readonly sharedDirectory: boolean;
}

/** @throws CxmError NAME_TAKEN, NOT_FOUND, LVM; then nothing is changed */
export function prepare(host: DomainHost, parameters: PrepareParameters): Promise<PreparedDomain> {
  const { vmId, name, diskIds, config, probe } = parameters;
  return withDomainLock(host, vmId, async () => {
    const { rows } = await findDomain(host, vmId, name);
    if (rows.length > 0) {
      throw new CxmError('XEN', `domain ${rows[0]?.id ?? ''} of VM ${vmId} is on the destination already`, {
        hint: 'look at it there with `xl list`; one that an earlier migration has left can be destroyed',
      });
    }
    await requireFreeName(host, vmId, name);
    const names = await activateVolumes(host, vmId, diskIds, 'shared');
    const activated = diskIds.filter((id) => names.includes(diskVolumeName(host.settings.LV_PREFIX, vmId, id)));
    const sharedDirectory = host.files.seesProbe(probe);
    const wroteConfig = !sharedDirectory && config !== undefined;
    try {
      if (wroteConfig) host.files.write(name, config);
    } catch (error) {
      await deactivateVolumes(host, names);
      throw error;
    }
    return { diskIds, activated, wroteConfig, sharedDirectory };
  });
}

export interface SettleParameters extends NamedVm {
  readonly diskIds: readonly number[];
}

export function parseSettle(parameters: Parameters): SettleParameters {
  return { ...parseNamedVm(parameters), diskIds: numbers(parameters, 'diskIds') };
}

/** The VM has arrived. */
export async function settle(host: DomainHost, { vmId, name }: SettleParameters): Promise<object> {
  if (host.files.vmIdOf(name) === vmId) host.files.setAutostart(name);
  else host.log('WARN', `there is no configuration ${host.files.path(name)}, so ${name} gets no autostart link`);
  return Promise.resolve({});
}

export interface AbandonParameters extends NamedVm {
  readonly activated: readonly number[];
  readonly wroteConfig: boolean;
}

export function parseAbandon(parameters: Parameters): AbandonParameters {
  const activated = numbers(parameters, 'activated');
  return { ...parseNamedVm(parameters), activated, wroteConfig: flag(parameters, 'wroteConfig') };
}

/** xl here needs a moment to notice that the source sends nothing any more, and to remove what it has received. */
const removalMs = 20_000;

/** The VM has not arrived: what was made for it goes, unless it is here after all. */
export function abandon(host: DomainHost, parameters: AbandonParameters): Promise<object> {
  const { vmId, name, activated, wroteConfig } = parameters;
  return withDomainLock(host, vmId, async () => {
    const giveUp = host.clock.now() + removalMs;
    for (let sight = await look(host, parameters); sight.present; sight = await look(host, parameters)) {
      if (sight.running || host.clock.now() >= giveUp) {
        throw new CxmError(
          'XEN',
          `${name} is on the destination${sight.running ? '' : ' as what the migration left'}`,
          {
            hint: 'look at it there with `xl list`; what the migration has left is removed with `xl destroy`',
          },
        );
      }
      await host.clock.sleep(500);
    }
    await deactivateVolumes(
      host,
      activated.map((diskId) => diskVolumeName(host.settings.LV_PREFIX, vmId, diskId)),
    );
    if (wroteConfig) host.files.remove(name, vmId);
    return {};
  });
}

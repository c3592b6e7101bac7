/**
 * Which domain of this host is a VM's. oned's deploy id may be the name that deploy printed, or `one-7` of other
 * drivers, or nothing; so the VM's own marks decide: first the configuration file with its marker, then the disks that
 * a domain holds. A domain that shows neither may still be the VM where it bears oned's deploy id: it is never said to be
 * gone then. Only `one-7`, as older drivers name VM 7, is taken for it, and only by what needs nothing but the domain.
 */
import { CxmError } from '../../errors.ts';
import { domainSettings } from '../../one/domain/deployment.ts';
import { diskIdOfDevice, vmIdOfDevice, type VolumeNames } from '../../one/domain/render.ts';
import { nameFault } from '../../xen/domain-name.ts';
import { runsHere, rowsOf, type DomainRow } from '../../xen/domain-list.ts';
import type { DomainHost } from './domain-host.ts';
import { volumesOf } from './domain-volumes.ts';

export interface FoundDomain {
  /** Name of the VM within Xen; undefined when this host knows nothing of it. */
  readonly name: string | undefined;
  /** All rows of the host's list that are the VM's: besides the guest itself, what migrations leave. */
  readonly rows: readonly DomainRow[];
  /** The guest, when it runs here (or is paused). */
  readonly running: DomainRow | undefined;
}

export async function findDomain(host: DomainHost, vmId: number, deployId: string | undefined): Promise<FoundDomain> {
  const rows = await host.toolstack.list();
  const marked = markedNames(host, vmId, deployId);
  const name =
    marked.find((candidate) => rowsOf(rows, candidate).length > 0) ?? (await nameByDisks(host, vmId)) ?? marked[0];
  const own = name === undefined ? [] : rowsOf(rows, name);
  return { name, rows: own, running: own.find(runsHere) };
}

/**
 * `findDomain` for what ends, restarts or watches a domain: also one that older drivers have started, whose disks may be
 * in no volume group of ours, by its name alone.
 * @throws CxmError FOREIGN when nobody can tell whether the domain that bears the deploy id is the VM's
 */
export async function findDomainOrNamed(
  host: DomainHost,
  vmId: number,
  deployId: string | undefined,
): Promise<FoundDomain> {
  const found = await findDomain(host, vmId, deployId);
  const rows = found.rows.length > 0 ? [] : await unmarkedRows(host, deployId);
  if (rows[0] === undefined || deployId === undefined) return found;
  if (deployId !== `one-${vmId}`) throw unknownOwner(vmId, rows[0]);
  host.log('INFO', `${deployId} is taken for VM ${vmId} by its name: nothing marks it as another VM's`);
  return { name: deployId, rows, running: rows.find(runsHere) };
}

/** @throws CxmError NOT_FOUND when the VM does not run here, FOREIGN when only a domain that bears its deploy id does */
export async function requireRunning(
  host: DomainHost,
  vmId: number,
  deployId: string | undefined,
  find = findDomain,
): Promise<{ readonly name: string; readonly row: DomainRow }> {
  const { name, running } = await find(host, vmId, deployId);
  if (name !== undefined && running !== undefined) return { name, row: running };
  const unmarked = (await unmarkedRows(host, deployId))[0];
  if (unmarked !== undefined) throw unknownOwner(vmId, unmarked);
  throw new CxmError('NOT_FOUND', `VM ${vmId} does not run on this host`, {
    hint: 'look where it runs with `xl list`; `onevm recover` tells OpenNebula',
  });
}

/**
 * Makes sure that the VM may have this name here.
 * @throws CxmError NAME_TAKEN naming who has it
 */
export async function requireFreeName(host: DomainHost, vmId: number, name: string): Promise<void> {
  if (host.files.hasOtherForm(name))
    throw taken(host, name, 'a configuration file that OpenNebula did not write', '.cfg');
  if (host.files.hasForeignAutostart(name)) {
    const link = host.files.autostartLink(name);
    throw new CxmError('NAME_TAKEN', `the name ${name} belongs to an autostart link of somebody else (${link})`, {
      hint: `remove ${link} if nothing is to be started by it, or give the VM another name`,
    });
  }
  const owner = host.files.vmIdOf(name);
  const present = rowsOf(await host.toolstack.list(), name).length > 0;
  if (owner === 'unmarked') throw taken(host, name, 'a configuration file that OpenNebula did not write');
  if (owner === undefined && present && (await nameByDisks(host, vmId)) !== name) {
    throw new CxmError('NAME_TAKEN', `a domain named ${name} runs on this host that is not VM ${vmId}`);
  }
  if (owner === undefined || owner === vmId) return;
  if (present || (await volumesOf(host, owner)).size > 0) throw taken(host, name, `VM ${owner}`);
  host.log(
    'INFO',
    `the configuration ${host.files.path(name)} was left by VM ${owner}, which is gone, and is replaced`,
  );
}

/** Ids of the VM's own disks among the devices that a domain holds. */
export async function heldDisks(host: DomainHost, vmId: number, name: string): Promise<number[]> {
  const names = volumeNames(host);
  const details = (await host.toolstack.details(name)).find((domain) => domain.name === name);
  return (details?.disks ?? []).flatMap(({ target }) => diskIdOfDevice(target, vmId, names) ?? []);
}

/** How the devices of VMs are called here: as LVM calls them, which is what Xen is given. */
export function volumeNames({ settings }: Pick<DomainHost, 'settings'>): VolumeNames {
  return domainSettings(settings);
}

/** Configurations with the VM's marker, the one that oned names first. */
function markedNames(host: DomainHost, vmId: number, deployId: string | undefined): string[] {
  const names = host.files.namesOf(vmId);
  return deployId !== undefined && nameFault(deployId) === undefined && names.includes(deployId)
    ? [deployId, ...names.filter((name) => name !== deployId)]
    : names;
}

/** The domain that holds a volume of the VM: of one that was moved here without its configuration. */
async function nameByDisks(host: DomainHost, vmId: number): Promise<string | undefined> {
  const names = volumeNames(host);
  for (const domain of await host.toolstack.details()) {
    const holds = domain.disks.some(({ target }) => diskIdOfDevice(target, vmId, names) !== undefined);
    const name = domain.name?.replace(/--(incoming|migratedaway)$/, '');
    if (domain.id !== 0 && holds && name !== undefined && nameFault(name) === undefined) return name;
  }
  return undefined;
}

/** Domains that bear the deploy id, and of which neither a configuration nor a volume says which VM they are. */
async function unmarkedRows(host: DomainHost, deployId: string | undefined): Promise<readonly DomainRow[]> {
  if (deployId === undefined) return [];
  // Others may give names that no VM of ours can have.
  if (nameFault(deployId) === undefined && typeof host.files.vmIdOf(deployId) === 'number') return [];
  const rows = rowsOf(await host.toolstack.list(), deployId);
  if (rows.length === 0) return [];
  const names = volumeNames(host);
  const details = await host.toolstack.details();
  return rows.filter((row) => {
    const disks = details.find(({ id }) => id === row.id)?.disks ?? [];
    return !disks.some(({ target }) => vmIdOfDevice(target, names) !== undefined);
  });
}

function unknownOwner(vmId: number, { id, name = '' }: DomainRow): CxmError {
  return new CxmError(
    'FOREIGN',
    `domain ${id} (${name}) bears the deploy id of VM ${vmId}, but nothing else says that it is this VM, so it is left alone`,
    {
      hint: `cxm works on VMs that it has started; an imported one is looked after with xl. To end it, run \`xl shutdown ${id}\` on this host, then this action again`,
    },
  );
}

function taken(host: DomainHost, name: string, by: string, suffix = ''): CxmError {
  return new CxmError('NAME_TAKEN', `the name ${name} belongs to ${by} (${host.files.path(name)}${suffix})`);
}

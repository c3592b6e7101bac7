/**
 * migrate, run on the source: the VM runs at the destination afterwards, and nowhere else, or it runs on here. What xl
 * says is never enough: both hosts are asked before anything is switched off. A VM that is at the destination already
 * is success, which is what a cluster needs that has moved it by itself. While it moves no host has an autostart link
 * of it: one that a crash left behind would start the VM a second time.
 */
import { asCxmError, CxmError } from '../../errors.ts';
import { diskVolumeName } from '../../lvm/names.ts';
import type { ActivationMode } from '../../lvm/volumes.ts';
import { meaningOf, type DomainRow } from '../../xen/domain-list.ts';
import { randomBytes } from '../random.ts';
import { requireNoCopies } from './copies.ts';
import { destroyRow } from './domain-end.ts';
import type { DomainHost } from './domain-host.ts';
import { withDomainLock } from './domain-lock.ts';
import { findDomain, heldDisks } from './domain-lookup.ts';
import type { DomainParameters } from './domain-parameters.ts';
import type { DomainSight, PreparedDomain } from './domain-receive.ts';
import { deactivateAll } from './domain-volumes.ts';

export interface MigrateParameters extends DomainParameters {
  readonly destination: string;
}

export interface MigrateResult {
  readonly alreadyThere: boolean;
}

/** The source's domain leaves the list a moment after the destination's runs. */
const settleMs = 20_000;
/** A destination without power sends nothing at all. */
const connectionLostMs = 15_000;

interface Move {
  readonly vmId: number;
  readonly name: string;
  readonly destination: string;
}

export function migrate(host: DomainHost, parameters: MigrateParameters): Promise<MigrateResult> {
  const { vmId, deployId, destination } = parameters;
  return withDomainLock(host, vmId, async () => {
    const found = await findDomain(host, vmId, deployId);
    const name = found.name ?? deployId;
    if (found.running === undefined || found.name === undefined) {
      return confirmMoved(host, { vmId, name: name ?? `one-${vmId}`, destination }, found.rows);
    }
    const move = { vmId, name: found.name, destination };
    const { running } = found;
    await host.guard.migrating(move.name, destination, () => moveDomain(host, move, running));
    return { alreadyThere: false };
  });
}

/** The VM does not run here: it has been moved already, or it is lost. */
async function confirmMoved(host: DomainHost, move: Move, rows: readonly DomainRow[]): Promise<MigrateResult> {
  const sight = await look(host, move);
  if (!sight.running) {
    const state = rows.map(meaningOf).join(', ');
    const here = state === '' ? 'is not on this host' : `is ${state} on this host`;
    throw new CxmError('NOT_FOUND', `VM ${move.vmId} ${here} and does not run on ${move.destination}`);
  }
  host.log('INFO', `VM ${move.vmId} runs on ${move.destination} already`);
  await settle(host, move, undefined);
  return { alreadyThere: true };
}

async function moveDomain(host: DomainHost, move: Move, row: DomainRow): Promise<void> {
  const { vmId, name, destination } = move;
  const diskIds = await heldDisks(host, vmId, name);
  await requireNoCopies(host, vmId, diskIds);
  const prepared = await prepare(host, move, diskIds).catch(async (error: unknown) => {
    await ownDisks(host, vmId, diskIds);
    throw error;
  });
  const links = host.files.namesOf(vmId).filter((own) => host.files.hasAutostart(own));
  let failure: CxmError | undefined;
  try {
    for (const own of links) host.files.removeAutostart(own);
    const deadlineMs = host.settings.MIGRATE_TIMEOUT * 1000;
    await host.toolstack.migrate(row.id, destination, { deadlineMs, connectionLostMs });
  } catch (error) {
    failure = asCxmError(error);
  }
  const outcome = await outcomeOf(host, move);
  if (outcome === 'moved') {
    if (failure !== undefined)
      host.log('WARN', `xl reported a failure, but the VM runs on ${destination}: ${failure.message}`);
    return settle(host, move, prepared);
  }
  if (outcome === 'stayed') {
    putBack(host, links);
    await abandon(host, move, prepared);
    await ownDisks(host, vmId, diskIds);
    host.log(
      'WARN',
      `${name} runs on here, but xl may not watch it any more: reboot it through OpenNebula, not from within`,
    );
  }
  throw failed(move, outcome, failure);
}

/** The VM runs on here, so it starts here after a crash. */
function putBack(host: DomainHost, links: readonly string[]): void {
  for (const name of links) {
    try {
      host.files.setAutostart(name);
    } catch (error) {
      host.log('WARN', `${name} runs on here, but without its autostart link: ${asCxmError(error).message}`);
    }
  }
}

/** Where LVM has locks, so that it refuses the disks to other hosts, or to none. */
async function lockDisks(
  host: DomainHost,
  vmId: number,
  diskIds: readonly number[],
  mode: ActivationMode,
): Promise<void> {
  if ((await host.volumes.info()).lockType === '') return;
  const names = diskIds.map((diskId) => diskVolumeName(host.settings.LV_PREFIX, vmId, diskId));
  for (const name of names) await host.volumes.activate(name, mode);
}

/** The VM has stayed. */
async function ownDisks(host: DomainHost, vmId: number, diskIds: readonly number[]): Promise<void> {
  await lockDisks(host, vmId, diskIds, 'exclusive').catch((error: unknown) => {
    host.log('WARN', `other hosts may activate the disks of VM ${vmId}, too: ${asCxmError(error).message}`);
  });
}

/** Disks become active at the destination, too, and the configuration is there before the guest. */
async function prepare(host: DomainHost, move: Move, diskIds: readonly number[]): Promise<PreparedDomain> {
  const { vmId, name } = move;
  // Under lvmlockd the source has to give up its exclusive lock first.
  await lockDisks(host, vmId, diskIds, 'shared');
  const probe = `.cxm-here-${(await randomBytes(8)).toString('hex')}`;
  host.files.placeProbe(probe);
  try {
    const config = host.files.vmIdOf(name) === vmId ? host.files.read(name) : undefined;
    const parameters = { vmId, name, diskIds, probe, ...(config === undefined ? {} : { config }) };
    return (await host.remote.call(move.destination, 'domain-prepare', parameters)) as PreparedDomain;
  } finally {
    host.files.removeProbe(probe);
  }
}

type Outcome = 'moved' | 'stayed' | 'both' | 'nowhere' | 'unknown';

/** Where the VM runs, by what both hosts say. */
async function outcomeOf(host: DomainHost, move: Move): Promise<Outcome> {
  const giveUp = host.clock.now() + settleMs;
  for (;;) {
    const [sight, here] = [await lookIfReachable(host, move), await findDomain(host, move.vmId, move.name)];
    const runsHere = here.running !== undefined;
    const outcome = combine(runsHere, here.rows.length > 0, sight);
    // Rows that come and go at the hand-over settle by themselves.
    if (outcome !== 'unsettled') return outcome;
    if (host.clock.now() >= giveUp) {
      if (runsHere) return 'stayed';
      if (sight === undefined) return 'unknown';
      return sight.running ? 'moved' : 'nowhere';
    }
    await host.clock.sleep(500);
  }
}

function combine(runsHere: boolean, presentHere: boolean, sight: DomainSight | undefined): Outcome | 'unsettled' {
  if (runsHere) {
    if (sight?.running === true) return 'both';
    return sight?.present === true ? 'unsettled' : 'stayed';
  }
  // The connection that has just cost us the migration may come back.
  if (sight === undefined) return 'unsettled';
  if (presentHere) return 'unsettled';
  if (sight.running) return 'moved';
  return sight.present ? 'unsettled' : 'nowhere';
}

function look(host: DomainHost, { vmId, name, destination }: Move): Promise<DomainSight> {
  return host.remote.call(destination, 'domain-look', { vmId, name }) as Promise<DomainSight>;
}

function lookIfReachable(host: DomainHost, move: Move): Promise<DomainSight | undefined> {
  return look(host, move).catch((error: unknown) => {
    host.log('WARN', `${move.destination} does not say whether the VM runs there: ${asCxmError(error).message}`);
    return undefined;
  });
}

/** The VM is there: the autostart link follows it, and its disks are switched off here. */
async function settle(host: DomainHost, move: Move, prepared: PreparedDomain | undefined): Promise<void> {
  const { vmId, name, destination } = move;
  const diskIds = prepared?.diskIds ?? [];
  await host.remote.call(destination, 'domain-settle', { vmId, name, diskIds }).catch((error: unknown) => {
    host.log('WARN', `${destination} could not set the autostart link: ${asCxmError(error).message}`);
  });
  await removeLeft(host, move);
  for (const own of host.files.namesOf(vmId)) {
    host.files.removeAutostart(own);
    // With a directory of its own, what stays here would be out of date when the VM comes back.
    if (prepared?.sharedDirectory === false) host.files.remove(own, vmId);
  }
  await deactivateAll(host, vmId);
}

/** What a lost connection has left of the source's domain: it holds the disks, and its guest runs elsewhere. */
async function removeLeft(host: DomainHost, { vmId, name }: Move): Promise<void> {
  const { rows } = await findDomain(host, vmId, name);
  for (const row of rows.filter((left) => meaningOf(left) === 'leaving')) {
    await destroyRow(host, row).catch((error: unknown) => {
      host.log('WARN', `domain ${row.id} of VM ${vmId} stays on this host: ${asCxmError(error).message}`);
    });
  }
}

async function abandon(host: DomainHost, { vmId, name, destination }: Move, prepared: PreparedDomain): Promise<void> {
  const { activated, wroteConfig } = prepared;
  await host.remote
    .call(destination, 'domain-abandon', { vmId, name, activated, wroteConfig })
    .catch((error: unknown) => {
      host.log('WARN', `${destination} could not be cleaned up: ${asCxmError(error).message}`);
    });
}

function failed({ vmId, destination }: Move, outcome: Outcome, failure: CxmError | undefined): CxmError {
  const said = failure === undefined ? 'xl reported success' : failure.message;
  const options = { cause: failure, ...(failure === undefined ? {} : { hint: failure.hint }) };
  switch (outcome) {
    case 'stayed':
      return new CxmError(failure?.code ?? 'XEN', `${said}; VM ${vmId} runs on here`, {
        ...options,
        changed: 'rolled-back',
      });
    case 'both':
      return new CxmError('XEN', `VM ${vmId} seems to run here and on ${destination}: ${said}`, {
        hint: 'look at both hosts with `xl list` at once and destroy the older domain: two domains ruin the disks',
        changed: 'maybe',
      });
    default:
      return new CxmError(
        failure?.code ?? 'XEN',
        `VM ${vmId} runs neither here nor, as far as can be seen, on ${destination}: ${said}`,
        {
          ...options,
          hint: 'look at both hosts with `xl list` before it is started anew',
          changed: 'maybe',
        },
      );
  }
}

/**
 * The end of a domain: shutdown (asked, then forced), cancel (forced), and what both leave behind: no autostart link, no
 * configuration, no active volume on this host. A VM that is not here any more has been ended: that is success, and
 * the rest is still cleaned up. Success is never said of a VM that may run on: OpenNebula takes its disks away then. So
 * a domain that comes up again is ended again, and one that a migration has left proves nothing.
 */
import { CxmError } from '../../errors.ts';
import { isToolstackError } from '../../xen/toolstack-error.ts';
import { meaningOf, rowsOf, type DomainRow } from '../../xen/domain-list.ts';
import type { ShutdownOutcome } from '../../xen/toolstack.ts';
import { noteCancelled } from './domain-cancelled.ts';
import { holding, requireNotElsewhere } from './domain-hold.ts';
import type { DomainHost } from './domain-host.ts';
import { withDomainLock } from './domain-lock.ts';
import { findDomainOrNamed, type FoundDomain } from './domain-lookup.ts';
import type { DomainParameters } from './domain-parameters.ts';
import { tryDeactivateAll, volumesOf } from './domain-volumes.ts';

/** How a domain ended. */
export interface EndResult {
  readonly ended: 'absent' | 'shutdown' | 'destroyed';
}

/** Between two requests to a guest that does not listen, as one that is still booting. */
const askAgainMs = 3000;
/** Removing a destroyed domain is quick, but not immediate. */
const removalMs = 30_000;
/** More than the two seconds that xl lets pass between the end of a domain and its restart. */
const restartMs = 4000;
/** How often a domain may come up again until we give up. */
const maxReturns = 5;

/** The VM as a shutdown found it: what is started later is not to be ended by it. */
interface Beginning {
  readonly found: FoundDomain;
  readonly generation: string;
  /** Who held the VM in the cluster when it was found; undefined when nobody can say. */
  readonly holder: string | undefined;
}

/**
 * Asks the guest to shut down, waits SHUTDOWN_TIMEOUT, then destroys it.
 * @throws CxmError XEN when it may run on another host, since only what a migration has left is here, or can't be ended;
 * FOREIGN when nobody can tell whether a domain is the VM
 */
export async function shutdown(host: DomainHost, { vmId, deployId }: DomainParameters): Promise<EndResult> {
  const domain = { vmId, deployId };
  const beginning = await holding(host, domain, () => begin(host, domain));
  const { running, name, rows } = beginning.found;
  if (rows.length === 0) {
    host.log('INFO', `VM ${vmId} is not on this host any more`);
    return finish(host, domain, { ended: 'absent', beginning, endedHere: false });
  }
  requireNotAway(vmId, rows);
  // No lock while waiting: a cancel in the meantime must not wait, too.
  const outcome = running === undefined ? 'leftBehind' : await askUntilDeadline(host, running);
  if (outcome === 'gone') {
    const endedHere = name !== undefined && isUntouched(host, name, beginning);
    return finish(host, domain, { ended: 'shutdown', beginning, endedHere });
  }
  const why: Readonly<Record<Exclude<ShutdownOutcome, 'gone'>, string>> = {
    requested: 'did not end in time',
    stillRunning: `did not end within ${host.settings.SHUTDOWN_TIMEOUT} s`,
    unresponsive: `did not listen for ${host.settings.SHUTDOWN_TIMEOUT} s`,
    leftBehind: 'has ended, but its domain was left behind',
  };
  host.log('INFO', `${name ?? `VM ${vmId}`} ${why[outcome]}: it is destroyed`);
  return finish(host, domain, {
    ended: outcome === 'leftBehind' ? 'shutdown' : 'destroyed',
    beginning,
    endedHere: running !== undefined && outcome === 'leftBehind',
  });
}

async function begin(host: DomainHost, { vmId, deployId }: DomainParameters): Promise<Beginning> {
  const generation = host.files.generation(vmId);
  const found = await findDomainOrNamed(host, vmId, deployId);
  return { found, generation, holder: found.name === undefined ? undefined : host.guard.lastHold(found.name) };
}

/**
 * The guest has left the list, and nobody in the cluster has held it since it was found there: so it was not moved. Asked
 * of this host alone, since a node that is silent must not keep a VM from being shut down.
 */
function isUntouched(host: DomainHost, name: string, { holder }: Beginning): boolean {
  return holder !== undefined && host.guard.lastHold(name) === holder;
}

/**
 * Destroys the domain at once, also one that a migration has left: who asks for this wants an end of the VM. What is about
 * to start it and can't be waited for gives up by itself.
 */
export async function cancel(host: DomainHost, { vmId, deployId }: DomainParameters): Promise<EndResult> {
  noteCancelled(host, vmId);
  return finish(host, { vmId, deployId }, { ended: 'destroyed', beginning: undefined, endedHere: false });
}

async function askUntilDeadline(host: DomainHost, row: DomainRow): Promise<ShutdownOutcome> {
  const deadline = host.clock.now() + host.settings.SHUTDOWN_TIMEOUT * 1000;
  for (;;) {
    const timeoutMs = Math.max(1000, deadline - host.clock.now());
    const outcome = await host.toolstack.shutdown(row.id, { wait: true, timeoutMs });
    const left = deadline - host.clock.now();
    if (outcome !== 'unresponsive' || left <= 0 || host.signal.aborted) return outcome;
    await host.clock.sleep(Math.min(askAgainMs, left));
  }
}

interface End {
  readonly ended: EndResult['ended'];
  /** What a shutdown found; undefined for a cancel, which ends whatever is here. */
  readonly beginning: Beginning | undefined;
  /** A domain that is not here any more has ended, and was not moved. */
  readonly endedHere: boolean;
}

/** Destroys what is left of the domain and cleans up after it. */
function finish(host: DomainHost, domain: DomainParameters, end: End): Promise<EndResult> {
  const waitMs = end.beginning === undefined ? 10_000 : 60_000;
  const work = (): Promise<EndResult> => holding(host, domain, () => finishHeld(host, domain, end));
  return withDomainLock(host, domain.vmId, work, { waitMs, orWithout: true });
}

async function finishHeld(
  host: DomainHost,
  { vmId, deployId }: DomainParameters,
  { ended, beginning, endedHere }: End,
): Promise<EndResult> {
  const { name, rows } = await findDomainOrNamed(host, vmId, deployId);
  if (beginning !== undefined) {
    if (startedAnew(host, vmId, rows, beginning)) return leaveAlone(host, vmId, rows, ended);
    const leftBefore = beginning.found.rows.filter(isAway).map(({ id }) => id);
    requireNotAway(
      vmId,
      rows.filter(({ id }) => !leftBefore.includes(id)),
    );
  }
  // The end of a domain that was moved looks the same here.
  const isHere = rows.some((row) => meaningOf(row) !== 'dying');
  if (!isHere && !endedHere) await requireNotElsewhere(host, { vmId, deployId });
  for (const row of rows) {
    if (isAway(row)) host.log('WARN', `${wordsOf(row)} of VM ${vmId} is destroyed; the VM may run on another host`);
    await destroyRow(host, row);
  }
  const names = new Set([...host.files.namesOf(vmId), ...(name === undefined ? [] : [name])]);
  for (const own of names) host.files.removeAutostart(own);
  // The configuration stays until the end is certain: a VM that runs on is found by it.
  await release(host, vmId, names, ended);
  forget(host, vmId);
  return { ended: ended === 'destroyed' && rows.length === 0 ? 'absent' : ended };
}

/**
 * Deactivates the VM's disks, and ends the domains that come up until that has succeeded: a guest that reboots instead
 * of ending is off the list for a moment. Without its disks xl can't start it again.
 * @throws CxmError XEN when it comes up again and again
 */
async function release(
  host: DomainHost,
  vmId: number,
  names: ReadonlySet<string>,
  ended: EndResult['ended'],
): Promise<void> {
  const begin = host.clock.now();
  const hasDisks = (await volumesOf(host, vmId)).size > 0;
  // Where there is no disk to take away, a restart can only be waited for.
  const quietUntil = begin + (ended === 'shutdown' && !hasDisks ? restartMs : 0);
  const giveUp = begin + host.settings.BUSY_TIMEOUT * 1000;
  for (let returns = 0; ;) {
    const held = await tryDeactivateAll(host, vmId);
    const rows = await livingRows(host, names);
    const busy = held.some(({ inUse }) => inUse) && host.clock.now() < giveUp;
    if (rows.length === 0 && !busy && host.clock.now() >= quietUntil) {
      for (const volume of held) host.log('WARN', `${volume.name} stays active on this host: ${volume.why}`);
      return;
    }
    for (const row of rows) {
      returns += 1;
      if (returns > maxReturns) throw cannotEnd(vmId, row);
      host.log('WARN', `VM ${vmId} came up again as ${wordsOf(row)}: it is destroyed`);
      await destroyRow(host, row);
    }
    await host.clock.sleep(300);
  }
}

async function livingRows(host: DomainHost, names: ReadonlySet<string>): Promise<DomainRow[]> {
  const rows = await host.toolstack.list();
  return [...names].flatMap((name) => rowsOf(rows, name)).filter((row) => meaningOf(row) !== 'dying');
}

/** The guest's state is or may be on another host. */
function isAway(row: DomainRow): boolean {
  return ['leaving', 'incoming'].includes(meaningOf(row));
}

/** @throws CxmError XEN when all that is here is what a migration or save makes or leaves */
function requireNotAway(vmId: number, rows: readonly DomainRow[]): void {
  const away = rows.find(isAway);
  if (away === undefined || !rows.every((row) => isAway(row) || meaningOf(row) === 'dying')) return;
  throw new CxmError(
    'XEN',
    `VM ${vmId} may run on another host: here is only ${wordsOf(away)}, which is ${meaningOf(away)}`,
    {
      hint: 'wait for a migration or save that is under way; else look with `xl list` where the VM runs. If it runs nowhere, a forced end (`--hard`, cancel) removes what is left',
    },
  );
}

/** Somebody has started the VM since, for instance a resume after the probes had told of its end. */
function startedAnew(host: DomainHost, vmId: number, rows: readonly DomainRow[], beginning: Beginning): boolean {
  const generation = host.files.generation(vmId);
  // A running guest's configuration changes with its devices: as long as its domain is there it is the same.
  const before = beginning.found.rows.filter((row) => !isAway(row)).map(({ id }) => id);
  if (rows.some(({ id }) => before.includes(id))) return false;
  return generation !== '' && generation !== beginning.generation;
}

function leaveAlone(host: DomainHost, vmId: number, rows: readonly DomainRow[], ended: EndResult['ended']): EndResult {
  host.log('INFO', `VM ${vmId} has been started anew since its end, and is left alone`);
  // With a directory that hosts share it may have been started on another one.
  if (rows.length === 0) for (const name of host.files.namesOf(vmId)) host.files.removeAutostart(name);
  return { ended };
}

function wordsOf({ id, name }: DomainRow): string {
  return `domain ${id}${name === undefined ? '' : ` (${name})`}`;
}

function cannotEnd(vmId: number, row: DomainRow): CxmError {
  return new CxmError('XEN', `VM ${vmId} comes up again and again, now as ${wordsOf(row)}, so it could not be ended`, {
    hint: 'look with `xl list` and /var/log/xen who starts it, stop that, and end the VM again',
    changed: 'maybe',
  });
}

/** Destroys a domain and waits until it has left the list. @throws ToolstackError */
export async function destroyRow(host: DomainHost, row: DomainRow): Promise<void> {
  if (meaningOf(row) !== 'dying') {
    await host.toolstack.destroy(row.id).catch((error: unknown) => {
      if (!isToolstackError(error, 'unknownDomain')) throw error;
    });
  }
  const giveUp = host.clock.now() + removalMs;
  while ((await host.toolstack.find(row.id)) !== undefined) {
    if (host.clock.now() >= giveUp) return host.log('WARN', `domain ${row.id} is destroyed but still listed`);
    await host.clock.sleep(200);
  }
}

/** Removes the VM's autostart links and configurations from this host. */
export function forget(host: DomainHost, vmId: number): void {
  for (const name of host.files.namesOf(vmId)) {
    host.files.removeAutostart(name);
    host.files.remove(name, vmId);
  }
}

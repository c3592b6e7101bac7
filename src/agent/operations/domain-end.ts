/**
 * The end of a domain: shutdown (asked, then forced), cancel (forced), and what both leave behind: no autostart link, no
 * configuration, no active volume on this host. A VM that is not here any more has been ended: that is success, and
 * the rest is still cleaned up.
 */
import { isToolstackError } from '../../xen/toolstack-error.ts';
import { meaningOf, type DomainRow } from '../../xen/domain-list.ts';
import type { ShutdownOutcome } from '../../xen/toolstack.ts';
import type { DomainHost } from './domain-host.ts';
import { withDomainLock } from './domain-lock.ts';
import { findDomain } from './domain-lookup.ts';
import type { DomainParameters } from './domain-parameters.ts';
import { deactivateAll } from './domain-volumes.ts';

/** How a domain ended. */
export interface EndResult {
  readonly ended: 'absent' | 'shutdown' | 'destroyed';
}

/** Between two requests to a guest that does not listen, as one that is still booting. */
const askAgainMs = 3000;
/** Removing a destroyed domain is quick, but not immediate. */
const removalMs = 30_000;

/** Asks the guest to shut down, waits SHUTDOWN_TIMEOUT, then destroys it. */
export async function shutdown(host: DomainHost, { vmId, deployId }: DomainParameters): Promise<EndResult> {
  const { running, name, rows } = await findDomain(host, vmId, deployId);
  if (running === undefined && rows.length === 0) {
    host.log('INFO', `VM ${vmId} is not on this host any more`);
    return finish(host, vmId, deployId, 'absent');
  }
  // No lock while waiting: a cancel in the meantime must not wait, too.
  const outcome = running === undefined ? 'leftBehind' : await askUntilDeadline(host, running);
  if (outcome === 'gone') return finish(host, vmId, deployId, 'shutdown');
  const why: Readonly<Record<Exclude<ShutdownOutcome, 'gone'>, string>> = {
    requested: 'did not end in time',
    stillRunning: `did not end within ${host.settings.SHUTDOWN_TIMEOUT} s`,
    unresponsive: `did not listen for ${host.settings.SHUTDOWN_TIMEOUT} s`,
    leftBehind: 'has ended, but its domain was left behind',
  };
  host.log('INFO', `${name ?? `VM ${vmId}`} ${why[outcome]}: it is destroyed`);
  return finish(host, vmId, deployId, outcome === 'leftBehind' ? 'shutdown' : 'destroyed');
}

/** Destroys the domain at once. */
export function cancel(host: DomainHost, { vmId, deployId }: DomainParameters): Promise<EndResult> {
  return finish(host, vmId, deployId, 'destroyed', 10_000);
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

/** Destroys what is left of the domain and cleans up after it. */
function finish(
  host: DomainHost,
  vmId: number,
  deployId: string | undefined,
  ended: EndResult['ended'],
  waitMs = 60_000,
): Promise<EndResult> {
  const work = async (): Promise<EndResult> => {
    const { rows } = await findDomain(host, vmId, deployId);
    for (const row of rows) await destroyRow(host, row);
    forget(host, vmId);
    await deactivateAll(host, vmId);
    return { ended: ended === 'destroyed' && rows.length === 0 ? 'absent' : ended };
  };
  return withDomainLock(host, vmId, work, { waitMs, orWithout: true });
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

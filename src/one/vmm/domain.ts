/**
 * The actions on a running VM, as oned calls them on its host: arguments become parameters of the helper's operation,
 * and its answer what oned reads. Nothing here needs root.
 */
import type { EndResult } from '../../agent/operations/domain-end.ts';
import type { MigrateResult } from '../../agent/operations/domain-migrate.ts';
import type { PollResult } from '../../agent/operations/domain-poll.ts';
import { CxmError } from '../../errors.ts';
import type { ActionContext } from '../action.ts';
import { parseDomain, parseMigrate, parseSave, type DomainCall, type MigrateCall } from '../arguments/machine.ts';
import { runsOn } from '../domain-sight.ts';

/** Parameters that name the domain. */
export function domainOf({ vmId, deployId }: DomainCall): Record<string, unknown> {
  return { vmId, ...(deployId === undefined ? {} : { deployId }) };
}

export async function shutdown(context: ActionContext): Promise<undefined> {
  return end(context, 'shutdown');
}

export async function cancel(context: ActionContext): Promise<undefined> {
  return end(context, 'cancel');
}

async function end(context: ActionContext, action: 'shutdown' | 'cancel'): Promise<undefined> {
  const call = parseDomain(action, context.argv);
  const operation = `domain-${action}`;
  const { ended } = (await context.helper('here', { operation, parameters: domainOf(call) })) as EndResult;
  if (ended === 'absent') context.report.info(`VM ${call.vmId} was gone already`);
  return undefined;
}

/** reboot and reset. */
export async function restart(context: ActionContext, action: 'reboot' | 'reset'): Promise<undefined> {
  const call = parseDomain(action, context.argv);
  await context.helper('here', { operation: `domain-${action}`, parameters: domainOf(call) });
  return undefined;
}

export async function save(context: ActionContext): Promise<undefined> {
  const call = parseSave(context.argv);
  const parameters = { ...domainOf(call), checkpoint: call.checkpoint };
  await context.helper('here', { operation: 'domain-save', parameters });
  return undefined;
}

/** On the source host. */
export async function migrate(context: ActionContext): Promise<undefined> {
  const call = parseMigrate(context.argv);
  return report(context, call, (await context.helper('here', migration(call))) as MigrateResult);
}

/**
 * On the frontend, for those who configure it (`-l migrate=migrate_local`): a VM that the cluster has moved away from a
 * host that is dead now can be told to OpenNebula all the same.
 */
export async function migrateLocal(context: ActionContext): Promise<undefined> {
  const call = parseMigrate(context.argv, 'migrate_local');
  let result: MigrateResult;
  try {
    result = (await context.helper({ host: call.host }, migration(call))) as MigrateResult;
  } catch (error) {
    if (!(error instanceof CxmError) || error.code !== 'HOST_UNREACHABLE') throw error;
    if (!(await runsOn(context, call.destinationHost, call.vmId, call.deployId))) throw error;
    result = { alreadyThere: true };
  }
  return report(context, call, result);
}

function migration(call: MigrateCall): { operation: string; parameters: Record<string, unknown> } {
  return { operation: 'domain-migrate', parameters: { ...domainOf(call), destination: call.destinationHost } };
}

function report(context: ActionContext, call: MigrateCall, { alreadyThere }: MigrateResult): undefined {
  if (alreadyThere) context.report.info(`VM ${call.vmId} runs on ${call.destinationHost} already`);
  return undefined;
}

/**
 * One line in the words of OpenNebula 3.8. A VM that is paused or on the move counts as active: 3.8 would suspend the
 * one and forget the other; one that has ended is UNKNOWN there, since `e` would make it FAILED for good. CPU and MEMORY,
 * by which 4.14 and later know the use, are left out: 3.8 writes what it does not know into the VM's template, where they
 * are its capacity. Those versions have the use from collectd's reports.
 */
export async function poll(context: ActionContext): Promise<string> {
  const call = parseDomain('poll', context.argv);
  const result = (await context.helper('here', { operation: 'domain-poll', parameters: domainOf(call) })) as PollResult;
  return pollLine(result);
}

export function pollLine({ state, cpuPercent, memoryKib, receivedBytes, sentBytes }: PollResult): string {
  if (state === 'absent' || state === 'ended') return 'STATE=d';
  const words = ['STATE=a'];
  if (cpuPercent !== undefined) words.push(`USEDCPU=${Math.round(cpuPercent)}`);
  if (memoryKib !== undefined) words.push(`USEDMEMORY=${memoryKib}`);
  if (receivedBytes !== undefined) words.push(`NETRX=${receivedBytes}`);
  if (sentBytes !== undefined) words.push(`NETTX=${sentBytes}`);
  return words.join(' ');
}

/** Whether a host runs a VM, by its own word: what counts when another host can't be asked any more. */
import type { DomainSight } from '../agent/operations/domain-receive.ts';
import type { ActionContext } from './action.ts';

/** @param deployId name of the domain; OpenNebula's default when it is missing. @throws CxmError as the helper */
export async function runsOn(
  context: ActionContext,
  host: string,
  vmId: number,
  deployId: string | undefined,
): Promise<boolean> {
  const look = { operation: 'domain-look', parameters: { vmId, name: deployId ?? `one-${vmId}` } };
  const sight = (await context.helper({ host }, look)) as DomainSight;
  return sight.running;
}

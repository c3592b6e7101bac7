/**
 * Actions that oned can call and that have nothing to do here, or that Xen with logical volumes can't serve. What can't
 * be served says so in one sentence, instead of a missing file.
 */
import { CxmError } from '../../errors.ts';
import type { ActionContext } from '../action.ts';
import { parseExec, parseHypervisorSnapshot, parsePrereconfigure, parseReconfigure } from '../arguments/machine.ts';

export function refuseSnapshot(
  context: ActionContext,
  action: 'snapshot_create' | 'snapshot_revert' | 'snapshot_delete',
): Promise<never> {
  parseHypervisorSnapshot(action, context.argv);
  throw new CxmError('UNSUPPORTED', 'Xen has no snapshots of a running VM with its memory', {
    hint: 'snapshot the disks (`onevm disk-snapshot-create`), or suspend the VM',
  });
}

/**
 * Around a change of the context of a running VM. The context medium is a volume that the transfer manager rewrites
 * in place, so there is nothing to eject; the guest reads it when it looks at it again.
 */
export function leaveContext(context: ActionContext, action: 'prereconfigure' | 'reconfigure'): Promise<undefined> {
  const { vmId } = action === 'reconfigure' ? parseReconfigure(context.argv) : parsePrereconfigure(context.argv);
  context.report.debug(`the context of VM ${vmId} is written in place`);
  return Promise.resolve(undefined);
}

export function refuseExec(context: ActionContext): Promise<never> {
  const { vmId } = parseExec('exec', context.argv);
  throw new CxmError('UNSUPPORTED', `no command can be run in VM ${vmId}: Xen has no agent in the guest`, {
    hint: 'use ssh to the guest',
  });
}

/** Nothing is ever running that could be cancelled. */
export function cancelExec(context: ActionContext): Promise<undefined> {
  parseExec('exec_cancel', context.argv);
  return Promise.resolve(undefined);
}

/** oned 3.x to 7.x have the word, but never call it. */
export function refuseCheckpoint(): Promise<never> {
  throw new CxmError('UNSUPPORTED', 'a VM on Xen can be saved, but not checkpointed while it runs on', {
    hint: 'use `onevm suspend`',
  });
}

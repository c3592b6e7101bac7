/**
 * premigrate, postmigrate and failmigrate: around a live migration the VM's disks are active on both hosts, before and
 * after it on one. Both hosts must see the same volume group, or there is nothing to migrate to.
 */
import type { Topic } from '../../agent/protocol.ts';
import { asCxmError, CxmError } from '../../errors.ts';
import type { ActionContext } from '../action.ts';
import type { MigrationCall } from '../arguments/migration.ts';
import { cloudName } from './shared.ts';

/** The disks on volumes: those of our datastores, the volatile ones of our system datastore, and the context. */
export function volumeDisks({ vm, systemTm }: MigrationCall, driverName: string): number[] {
  const ours = vm.disks.filter(({ tmMad, imageId }) => {
    if (tmMad !== undefined) return tmMad === driverName;
    // 3.x names no TM for volatile disks: they are the system datastore's.
    return imageId === undefined && systemTm === undefined;
  });
  const contextDisk = systemTm === undefined ? vm.context?.diskId : undefined;
  return [...new Set([...ours.map(({ diskId }) => diskId), ...(contextDisk === undefined ? [] : [contextDisk])])];
}

export async function premigrate(context: ActionContext, call: MigrationCall): Promise<undefined> {
  const request = { operation: 'activate-disks', parameters: { ...parameters(context, call), shared: true } };
  const compare = async (detail: Readonly<Record<string, unknown>>): Promise<boolean> => {
    const lookAtSource = detail.locked === true ? request : { operation: 'capacity', parameters: {} };
    const source = (await context.helper(
      { host: call.sourceHost },
      { ...lookAtSource, answer: () => Promise.resolve(true) },
    )) as { readonly volumeGroupUuid: string };
    if (source.volumeGroupUuid === detail.volumeGroupUuid) return true;
    const { VG_NAME: name } = context.config;
    const what = `volume group ${name} of ${call.sourceHost} is not that of ${call.destinationHost}`;
    throw new CxmError('UNSUPPORTED', `${what}, so VM ${call.vmId} can't migrate live between them`, {
      hint: 'migrate it cold, which copies its disks',
    });
  };
  const answer = (_topic: Topic, detail: Readonly<Record<string, unknown>>): Promise<boolean> => compare(detail);
  const result = await context.helper({ host: call.destinationHost }, { ...request, answer });
  context.report.debug(`activated on ${call.destinationHost}: ${JSON.stringify(result)}`);
}

/**
 * The VM runs on the destination now, whatever happens here: a failure would make OpenNebula 3.8 believe that it is
 * still on the source. So it is logged and the action succeeds.
 */
export function postmigrate(context: ActionContext, call: MigrationCall): Promise<undefined> {
  return letGo(context, call, call.sourceHost, true);
}

/** The VM stays where it is; the other host lets go. */
export function failmigrate(context: ActionContext, call: MigrationCall): Promise<undefined> {
  return letGo(context, call, call.destinationHost, false);
}

async function letGo(context: ActionContext, call: MigrationCall, host: string, wait: boolean): Promise<undefined> {
  try {
    const result = (await context.helper(
      { host },
      { operation: 'deactivate-disks', parameters: { ...parameters(context, call), wait } },
    )) as { readonly left: readonly string[] };
    if (result.left.length === 0) return;
    context.report.warn(`still in use on ${host}, so left active there: ${result.left.join(', ')}`);
  } catch (error) {
    context.report.warn(`the disks of VM ${call.vmId} may still be active on ${host}: ${asCxmError(error).message}`);
  }
}

function parameters(context: ActionContext, call: MigrationCall): Record<string, unknown> {
  const diskIds = volumeDisks(call, context.driverName);
  if (call.sourceHost === call.destinationHost) {
    throw new CxmError('INVALID_INPUT', `VM ${call.vmId} can't migrate from ${call.sourceHost} to itself`);
  }
  return { vmId: call.vmId, diskIds, directory: call.directory, cloud: cloudName(context) };
}

/**
 * A disk goes from one host to another. Both helpers say what they see; whether the hosts share the SAN is decided by
 * the volume group's UUID, never by its name. The source lets go before the destination takes hold.
 */
import type { DiskSight, SourceRoute } from '../../agent/operations/move-disk.ts';
import { CxmError } from '../../errors.ts';
import type { ActionContext } from '../action.ts';
import type { DiskLocation } from '../arguments/locations.ts';
import { givenUp, openReceiver, type Receiver } from './receiver.ts';
import { diskParameters } from './shared.ts';

export type MovePlan = 'shared' | 'stream' | 'done';

/**
 * What to do with what both sides see. Pure.
 * @param source undefined if the host can't be reached
 * @throws CxmError
 */
export function planMove(source: DiskSight | undefined, destination: DiskSight, what: string): MovePlan {
  if (source === undefined) {
    // A cluster has restarted the VM there already: nothing is left to do, and nothing can be undone.
    if (destination.present && destination.open) return 'done';
    throw new CxmError('HOST_UNREACHABLE', `${what} can't move while its host is out of reach: the VM may run there`, {
      hint: 'make sure that the host is off and bring the VM up with the cluster, or wait until the host is back',
    });
  }
  const sameSan = source.volumeGroupUuid === destination.volumeGroupUuid;
  if (!source.present) {
    if (destination.present) return sameSan ? 'shared' : 'done';
    throw new CxmError('NOT_FOUND', `there is no volume for ${what} on either host`);
  }
  if (sameSan) return 'shared';
  if (source.snapshots > 0) {
    throw new CxmError(
      'UNSUPPORTED',
      `${what} has ${source.snapshots} snapshot(s), which can't leave the volume group`,
      {
        hint: 'delete the snapshots of the disk first',
      },
    );
  }
  return 'stream';
}

export async function moveBetweenHosts(
  context: ActionContext,
  from: DiskLocation,
  to: DiskLocation,
  vmId: number,
): Promise<undefined> {
  const what = `disk ${from.diskId} of VM ${vmId}`;
  const receiver = openReceiver(context, to.host, 'move-destination', diskParameters(context, to, vmId));
  try {
    const destination = (await receiver.seen) as unknown as DiskSight;
    const plan = await letGo(context, from, { vmId, what, destination, receiver });
    if (plan !== 'stream') receiver.answer({ route: plan === 'shared' ? 'activate' : 'nothing' });
    await receiver.done;
    const how = { shared: 'no data moved', stream: 'its blocks were copied', done: 'it was there already' }[plan];
    context.report.info(`${what} went from ${from.host} to ${to.host}; ${how}`);
  } catch (error) {
    throw await givenUp(receiver, error);
  }
}

interface Move {
  readonly vmId: number;
  readonly what: string;
  readonly destination: DiskSight;
  readonly receiver: Receiver;
}

/** The source's part: what was decided, once the source has let go or everything is stored at the destination. */
async function letGo(context: ActionContext, from: DiskLocation, move: Move): Promise<MovePlan> {
  const { receiver, destination, what } = move;
  let plan: MovePlan | undefined;
  try {
    await context.helper(
      { host: from.host },
      {
        operation: 'move-source',
        parameters: diskParameters(context, from, move.vmId),
        answer: async (topic, detail) => {
          if (topic === 'stored') return receiver.done.then(() => true);
          const source = detail as unknown as DiskSight;
          plan = planMove(source, destination, what);
          if (plan === 'stream') {
            const { sizeBytes, persistent, imageId } = source;
            receiver.answer({ route: 'receive', sizeBytes, persistent, imageId });
          }
          return sourceRoute(plan, source.present);
        },
        receive: async (data) => {
          const sink = await receiver.sink;
          for await (const item of data) if (item.type === 'extent') await sink.extent(item);
          receiver.finish();
          await receiver.done;
        },
      },
    );
  } catch (error) {
    const unreachable = plan === undefined && error instanceof CxmError && error.code === 'HOST_UNREACHABLE';
    if (!unreachable) throw error;
    return planMove(undefined, destination, what);
  }
  if (plan === undefined) throw new CxmError('PROTOCOL', `${from.host} did not say what it has of ${what}`);
  return plan;
}

function sourceRoute(plan: MovePlan, present: boolean): SourceRoute {
  if (plan === 'shared') return present ? 'deactivate' : 'nothing';
  return plan === 'stream' ? 'stream' : 'nothing';
}

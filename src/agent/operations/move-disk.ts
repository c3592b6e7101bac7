/**
 * move-source and move-destination: a disk goes from one host to another. Both say what they see (`route`); the action
 * compares. On hosts of one SAN no data moves: the source deactivates, then the destination activates. Between others
 * the content travels, block by block, through the action, and the source's volume goes once it is stored there.
 */
import { CxmError } from '../../errors.ts';
import { imageIdOf, partialTag } from '../../lvm/names.ts';
import { openExtents } from '../../transfer/extents.ts';
import type { Operation, OperationContext } from '../operation.ts';
import { placeLink, removeLink } from '../owner.ts';
import { buildDisk, diskSnapshots, findDisk, isPersistent, parseDisk, whenFree, type DiskParameters } from './disk.ts';
import { removeDisk } from './remove.ts';
import { fillVolume } from './fill.ts';

/** What a host has of the disk. */
export interface DiskSight {
  readonly volumeGroupUuid: string;
  readonly present: boolean;
  readonly open: boolean;
  readonly sizeBytes: number;
  readonly snapshots: number;
  readonly persistent: boolean;
  readonly imageId: number | undefined;
}

async function look(context: OperationContext, disk: DiskParameters): Promise<DiskSight> {
  const [{ uuid }, volume] = [await context.volumes.info(), await findDisk(context, disk)];
  const complete = volume !== undefined && !volume.tags.includes(partialTag);
  return {
    volumeGroupUuid: uuid,
    present: complete,
    open: complete && volume.open,
    sizeBytes: volume?.sizeBytes ?? 0,
    snapshots: (await diskSnapshots(context, disk)).length,
    persistent: volume !== undefined && isPersistent(volume),
    imageId: imageIdOf(volume?.tags ?? []),
  };
}

/** What the action has decided after looking at both sides. */
export type SourceRoute = 'deactivate' | 'stream' | 'nothing';
export type DestinationAnswer =
  | { readonly route: 'activate' | 'nothing' }
  | ({ readonly route: 'receive' } & Pick<DiskSight, 'sizeBytes' | 'persistent' | 'imageId'>);

export const moveSource: Operation<DiskParameters, { readonly removed: boolean }> = {
  name: 'move-source',
  parse: parseDisk,
  async run(context, disk) {
    const route = (await context.ask('route', { ...(await look(context, disk)) })) as SourceRoute;
    if (route === 'nothing') return { removed: false };
    const volume = await findDisk(context, disk);
    if (volume === undefined) throw new CxmError('NOT_FOUND', `disk ${disk.diskId} of VM ${disk.vmId} is gone`);
    if (route === 'deactivate') {
      await whenFree(context, () => context.volumes.deactivate(volume.name));
      return { removed: false };
    }
    const active = await context.volumes.activate(volume.name, 'exclusive');
    if (active.open) throw new CxmError('IN_USE', `${active.path} is in use by a running VM`);
    await context.ready({ sizeBytes: active.sizeBytes });
    const { extents } = await openExtents(active.path, {
      blockBytes: context.settings.BLOCK_SIZE,
      signal: context.signal,
    });
    for await (const extent of extents) await context.sendExtent(extent);
    await context.sendEnd();
    if ((await context.ask('stored')) !== true) throw new CxmError('INTERRUPTED', 'the content was not stored');
    await removeDisk(context, disk);
    return { removed: true };
  },
};

export const moveDestination: Operation<DiskParameters, { readonly path: string }> = {
  name: 'move-destination',
  parse: parseDisk,
  async run(context, disk) {
    const sight = await look(context, disk);
    const answer = (await context.ask('route', { ...sight })) as DestinationAnswer;
    if (answer.route === 'receive') {
      const { sizeBytes, persistent, imageId } = answer;
      const volume = await buildDisk(context, { ...disk, persistent, imageId }, { sizeBytes }, async (fresh) => {
        await context.ready({ path: fresh.path });
        await fillVolume(context, fresh, { landing: 'extents' });
      });
      return { path: volume.path };
    }
    const volume = await findDisk(context, disk);
    if (volume === undefined)
      throw new CxmError('NOT_FOUND', `disk ${disk.diskId} of VM ${disk.vmId} is not visible here`);
    if (answer.route === 'activate') await context.volumes.activate(volume.name, 'exclusive');
    placeLink(context.owner, disk.link, volume.path);
    return { path: volume.path };
  },
};

/** relink-disk: the VM's directory changes on the same host (another system datastore); only the link moves. */
export const relinkDisk: Operation<{ readonly from: DiskParameters; readonly to: DiskParameters }, object> = {
  name: 'relink-disk',
  parse: (parameters) => ({
    from: parseDisk({ ...parameters, link: parameters.from }),
    to: parseDisk(parameters),
  }),
  async run(context, { from, to }) {
    const volume = (await findDisk(context, from).catch(() => undefined)) ?? (await findDisk(context, to));
    if (volume === undefined)
      throw new CxmError('NOT_FOUND', `there is no volume for disk ${to.diskId} of VM ${to.vmId}`);
    if (volume.tags.includes(partialTag)) {
      throw new CxmError('NOT_FOUND', `disk ${to.diskId} of VM ${to.vmId} is not complete (${volume.path})`);
    }
    placeLink(context.owner, to.link, volume.path);
    if (from.link !== to.link) removeLink(context.owner, from.link, volume.path);
    return {};
  },
};

/**
 * activate-disks and deactivate-disks: around a live migration (premigrate, postmigrate, failmigrate) the disks of a
 * VM are active on both hosts, else on one.
 */
import { CxmError } from '../../errors.ts';
import type { Operation, OperationContext } from '../operation.ts';
import { absolutePath, flag, numbers, wholeNumber, type Parameters } from '../parameters.ts';
import { requireNoCopies } from './copies.ts';
import { findDisk, parseCloud, requireDisk, volumeName, whenFree, type DiskParameters } from './disk.ts';
import { placeLink } from '../owner.ts';

interface VmDisks {
  readonly vmId: number;
  readonly diskIds: readonly number[];
  readonly cloud: string;
  readonly directory: string;
}

function parseVmDisks(parameters: Parameters): VmDisks {
  const vmId = wholeNumber(parameters, 'vmId');
  const directory = absolutePath(parameters, 'directory');
  if (!directory.endsWith(`/${vmId}`)) {
    throw new CxmError('INVALID_INPUT', `parameter directory is ${directory}, but must end in /${vmId}`);
  }
  return { vmId, directory, diskIds: numbers(parameters, 'diskIds'), cloud: parseCloud(parameters) };
}

function disksOf({ vmId, diskIds, cloud, directory }: VmDisks): DiskParameters[] {
  return diskIds.map((diskId) => ({
    vmId,
    diskId,
    cloud,
    link: `${directory}/disk.${diskId}`,
    imageId: undefined,
    persistent: false,
  }));
}

export const activateDisks: Operation<VmDisks & { readonly shared: boolean }, { readonly volumeGroupUuid: string }> = {
  name: 'activate-disks',
  parse: (parameters) => ({ ...parseVmDisks(parameters), shared: flag(parameters, 'shared') }),
  async run(context, request) {
    const { uuid, lockType } = await context.volumes.info();
    const disks = disksOf(request);
    for (const disk of disks) await requireDisk(context, disk);
    if (request.shared) await requireNoCopies(context, request.vmId, request.diskIds);
    // The other host must see the same volume group, and under lvmlockd it has to share its locks.
    if (request.shared) await context.ask('route', { volumeGroupUuid: uuid, locked: lockType !== '' });
    const activated: string[] = [];
    try {
      for (const disk of disks) {
        const name = volumeName(context, disk);
        const { active } = await requireDisk(context, disk);
        const volume = await context.volumes.activate(name, request.shared ? 'shared' : 'exclusive');
        if (!active) activated.push(name);
        placeLink(context.owner, disk.link, volume.path);
      }
    } catch (error) {
      for (const name of activated) await context.volumes.deactivate(name).catch(() => undefined);
      throw error;
    }
    return { volumeGroupUuid: uuid };
  },
};

export const deactivateDisks: Operation<VmDisks & { readonly wait: boolean }, { readonly left: readonly string[] }> = {
  name: 'deactivate-disks',
  parse: (parameters) => ({ ...parseVmDisks(parameters), wait: flag(parameters, 'wait') }),
  async run(context, request) {
    const left: string[] = [];
    for (const disk of disksOf(request)) {
      const volume = await findDisk(context, disk);
      if (volume !== undefined && !(await deactivate(context, volume.name, request.wait))) left.push(volume.name);
    }
    return { left };
  },
};

async function deactivate(context: OperationContext, name: string, wait: boolean): Promise<boolean> {
  try {
    if (wait) await whenFree(context, () => context.volumes.deactivate(name));
    else await context.volumes.deactivate(name);
    return true;
  } catch (error) {
    if (error instanceof CxmError && error.code === 'IN_USE') return false;
    throw error;
  }
}

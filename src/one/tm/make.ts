/** mkimage and mkswap: a new disk with an empty file system, swap space or nothing on it. */
import { CxmError } from '../../errors.ts';
import { fileSystems } from '../../config/cxmrc.ts';
import type { ActionContext } from '../action.ts';
import type { DiskLocation } from '../arguments/locations.ts';
import type { MakeImageCall, MakeSwapCall } from '../arguments/transfer.ts';
import { isImageFormat } from '../documents/virtual-machine.ts';
import { askDiskFacts } from './send-image.ts';
import { diskParameters } from './shared.ts';
import { requireAllowedSize } from './size.ts';

const mib = 1024 * 1024;

export async function mkimage(context: ActionContext, call: MakeImageCall): Promise<undefined> {
  if (call.format.toLowerCase() === 'swap') return makeDisk(context, call.destination, call, { use: 'swap' });
  // Up to 4.x the argument is the file system; from 5.0 on it is the image format, and the disk says the file system.
  const fileSystem = isImageFormat(call.format)
    ? (await askDiskFacts(context, call.vmId, call.destination.diskId)).disk?.fileSystem
    : call.format;
  if (fileSystem === undefined) return makeDisk(context, call.destination, call, { use: 'zeros' });
  const type = fileSystems.find((known) => known === fileSystem.toLowerCase());
  if (type === undefined) {
    const found = JSON.stringify(fileSystem.slice(0, 40));
    throw new CxmError(
      'INVALID_INPUT',
      `the file system of disk ${call.destination.diskId} is ${found}, but must be one of ${fileSystems.join(', ')}, or none`,
    );
  }
  return makeDisk(context, call.destination, call, { use: 'filesystem', fileSystemType: type });
}

export function mkswap(context: ActionContext, call: MakeSwapCall): Promise<undefined> {
  return makeDisk(context, call.destination, call, { use: 'swap' });
}

async function makeDisk(
  context: ActionContext,
  disk: DiskLocation,
  { vmId, sizeMb }: { readonly vmId: number; readonly sizeMb: number },
  use: Readonly<Record<string, string>>,
): Promise<undefined> {
  const sizeBytes = sizeMb * mib;
  requireAllowedSize(sizeBytes, `disk ${disk.diskId} of VM ${vmId}`, context.config);
  const parameters = { ...diskParameters(context, disk, vmId), sizeBytes, ...use };
  await context.helper({ host: disk.host }, { operation: 'create-disk', parameters });
}

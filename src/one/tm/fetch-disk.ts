/** A disk's content into a file of the frontend: what mvds, cpds and mv (to the frontend) have in common. */
import type { ActionContext } from '../action.ts';
import type { DiskLocation } from '../arguments/locations.ts';
import { IncomingFile } from './incoming-file.ts';
import { diskParameters } from './shared.ts';

export interface FetchDisk {
  readonly source: DiskLocation;
  readonly vmId: number;
  /** Where the content goes on the frontend. */
  readonly file: string;
  /** Remove the volume once the file is safe. */
  readonly move: boolean;
  /** The VM may be running. */
  readonly live: boolean;
  readonly snapshotId?: number | undefined;
  /** Called when the file is safe, before the volume goes. */
  readonly onStored?: (file: string) => void;
}

export async function fetchDisk(context: ActionContext, request: FetchDisk): Promise<void> {
  const { source, vmId, file, move, live, snapshotId, onStored } = request;
  const incoming = new IncomingFile(
    context,
    `disk ${source.diskId} of VM ${vmId}`,
    () => Promise.resolve(file),
    onStored,
  );
  const parameters = {
    ...diskParameters(context, source, vmId),
    vmDirectory: source.directory,
    live,
    move,
    ...(snapshotId !== undefined && { snapshotId }),
  };
  await incoming.during(async (conversation) => {
    await context.helper({ host: source.host }, { operation: 'send-disk', parameters, ...conversation });
    await incoming.store();
  });
}

/**
 * A volume's content comes back to the frontend, into a file that appears whole or not at all: what mvds, cpds and mv
 * (to the frontend) have in common.
 */
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { mkdirSync } from 'node:fs';
import type { Data } from '../../agent/operation.ts';
import { formatSize } from '../../config/size.ts';
import { CxmError } from '../../errors.ts';
import type { ActionContext } from '../action.ts';
import type { DiskLocation } from '../arguments/locations.ts';
import { createProgress, type Progress } from './progress.ts';
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
}

export async function fetchDisk(context: ActionContext, request: FetchDisk): Promise<void> {
  const { source, vmId, file, move, live, snapshotId } = request;
  const what = `disk ${source.diskId} of VM ${vmId}`;
  // A fixed name: what a killed action leaves is overwritten by the next.
  const partial = `${file}.cxm-partial`;
  let stored = false;
  const store = async (): Promise<boolean> => {
    if (!stored) await rename(partial, file);
    stored = true;
    return true;
  };
  try {
    await context.helper(
      { host: source.host },
      {
        operation: 'send-disk',
        parameters: {
          ...diskParameters(context, source, vmId),
          vmDirectory: source.directory,
          live,
          move,
          ...(snapshotId !== undefined && { snapshotId }),
        },
        receive: async (data, detail) => {
          const sizeBytes = Number(detail.sizeBytes);
          const sparse = detail.kind === 'image' && detail.compression === 'none';
          const progress = createProgress(what, sparse ? sizeBytes : undefined, performance.now());
          await writeFile(context, partial, data, sparse ? sizeBytes : undefined, progress);
          const how = `${String(detail.kind)} (${String(detail.compression)}) of a volume of ${formatSize(sizeBytes)}`;
          context.report.info(`${progress.summary(performance.now())}, as ${how}`);
        },
        answer: (topic) => (topic === 'stored' ? store() : Promise.resolve(null)),
      },
    );
    await store();
  } finally {
    if (!stored) await rm(partial, { force: true });
  }
}

/** @param sizeBytes length of a sparse file; undefined for plain data */
async function writeFile(
  context: ActionContext,
  path: string,
  data: AsyncIterable<Data>,
  sizeBytes: number | undefined,
  progress: Progress,
): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const file = await open(path, 'w', 0o660);
  try {
    let end = 0;
    for await (const item of data) {
      const offset = item.type === 'extent' ? item.offset : end;
      end = offset + item.data.length;
      await writeAll(file, item.data, offset);
      const line = progress.advance(item.data.length, performance.now());
      if (line !== undefined) context.report.info(line);
    }
    if (sizeBytes !== undefined) await file.truncate(sizeBytes);
    await file.sync();
  } catch (cause) {
    if (cause instanceof CxmError) throw cause;
    throw new CxmError('IO', `${path} can't be written: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
      changed: 'rolled-back',
    });
  } finally {
    await file.close();
  }
}

async function writeAll(file: FileHandle, data: Buffer, offset: number): Promise<void> {
  for (let done = 0; done < data.length;) {
    const { bytesWritten } = await file.write(data, done, data.length - done, offset + done);
    done += bytesWritten;
  }
}

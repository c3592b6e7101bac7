/**
 * A volume's content comes back to the frontend, into a file that appears whole or not at all, and that a loss of power
 * does not take back: what the disk is removed for.
 */
import { lstatSync, mkdirSync } from 'node:fs';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Data } from '../../agent/operation.ts';
import { formatSize } from '../../config/size.ts';
import { CxmError } from '../../errors.ts';
import { largestArchiveBytes } from '../../transfer/archive-size.ts';
import { WriteBehind } from '../../transfer/write-behind.ts';
import type { ActionContext, HelperCall } from '../action.ts';
import { createProgress, type Progress } from './progress.ts';
import { partialOf, syncToDisk } from './shared.ts';

/**
 * A file that a volume's content goes to: under a name of its own until all of it is there. Of two actions that write to
 * that name the later one goes on, and the earlier one fails when it would give its file the name.
 */
export class IncomingFile {
  private path: string | undefined;
  /** Inode of what was written. */
  private written: bigint | undefined;
  private stored = false;

  /**
   * @param choose where the content goes; asked once there is some, with what the host says of it
   * @param onStored called when the file is safe, before the other side hears of it
   */
  constructor(
    private readonly context: ActionContext,
    private readonly what: string,
    private readonly choose: (detail: Readonly<Record<string, unknown>>) => Promise<string>,
    private readonly onStored: (file: string) => void = () => undefined,
  ) {}

  /** Calls `work` with the helper's partner in the conversation; afterwards there is the whole file or none. */
  async during(
    work: (conversation: Pick<HelperCall, 'receive' | 'inPieces' | 'answer'>) => Promise<void>,
  ): Promise<void> {
    try {
      await work({
        receive: (data, detail) => this.receive(data, detail),
        inPieces: true, // WriteBehind gathers them
        answer: async (topic) => topic === 'stored' && this.store(),
      });
    } finally {
      if (this.path !== undefined && this.isOwn(partialOf(this.path))) await rm(partialOf(this.path), { force: true });
    }
  }

  /** Gives the file its name. */
  async store(): Promise<boolean> {
    if (this.path === undefined) return false;
    if (!this.stored) {
      if (!this.isOwn(partialOf(this.path))) {
        throw new CxmError('IN_USE', `${this.what} is being saved to ${this.path} by another action, too`);
      }
      await rename(partialOf(this.path), this.path);
      await syncToDisk(dirname(this.path));
      this.onStored(this.path);
    }
    this.stored = true;
    return true;
  }

  private isOwn(path: string): boolean {
    const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    return found !== undefined && found.ino === this.written;
  }

  private async receive(data: AsyncIterable<Data>, detail: Readonly<Record<string, unknown>>): Promise<void> {
    this.path = await this.choose(detail);
    const sizeBytes = Number(detail.sizeBytes);
    const sparse = detail.kind === 'image' && detail.compression === 'none';
    const progress = createProgress(this.what, sparse ? sizeBytes : undefined, performance.now());
    const file = await create(partialOf(this.path));
    this.written = (await file.stat({ bigint: true })).ino;
    const limitBytes = sparse ? sizeBytes : largestArchiveBytes(sizeBytes);
    const content = { data: within(data, limitBytes, this.what), sizeBytes: sparse ? sizeBytes : undefined, progress };
    await fill(this.context, file, partialOf(this.path), content);
    const how = `${String(detail.kind)} (${String(detail.compression)}) of a volume of ${formatSize(sizeBytes)}`;
    this.context.report.info(`${progress.summary(performance.now())}, as ${how}`);
  }
}

interface Content {
  readonly data: AsyncIterable<Data>;
  /** Length of a sparse file; undefined for plain data. */
  readonly sizeBytes: number | undefined;
  readonly progress: Progress;
}

/** Data up to that length. @throws (while iterating) CxmError REFUSED when there is more than the volume can hold */
async function* within(data: AsyncIterable<Data>, limitBytes: number, what: string): AsyncGenerator<Data> {
  let end = 0;
  for await (const item of data) {
    end = (item.type === 'extent' ? item.offset : end) + item.data.length;
    if (!(end <= limitBytes)) throw new CxmError('REFUSED', `the host sends more for ${what} than its volume can hold`);
    yield item;
  }
}

/** A new file, whatever a killed action has left there. */
async function create(path: string): Promise<FileHandle> {
  mkdirSync(dirname(path), { recursive: true });
  await rm(path, { force: true });
  return open(path, 'wx', 0o660).catch(failureOf(path));
}

function failureOf(path: string): (error: unknown) => never {
  return (error) => {
    const cause = error instanceof CxmError ? error.cause : error;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CxmError('IO', `${path} can't be written: ${why}`, { cause, changed: 'rolled-back' });
  };
}

/** Writes all of it, durably, and closes the file. */
async function fill(
  context: ActionContext,
  file: FileHandle,
  path: string,
  { data, sizeBytes, progress }: Content,
): Promise<void> {
  const failed = failureOf(path);
  const writer = new WriteBehind(file, path);
  try {
    let end = 0;
    for await (const item of data) {
      const offset = item.type === 'extent' ? item.offset : end;
      end = offset + item.data.length;
      await writer.write(offset, item.data).catch(failed);
      const line = progress.advance(item.data.length, performance.now());
      if (line !== undefined) context.report.info(line);
    }
    await writer.flush().catch(failed);
    if (sizeBytes !== undefined) await file.truncate(sizeBytes).catch(failed);
    await file.sync().catch(failed);
  } finally {
    await writer.settle();
    await file.close();
  }
}

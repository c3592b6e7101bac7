/**
 * Hands data from the reader of a connection to whoever receives it. ssh delivers pieces of 16 to 64 KiB; what has
 * gathered while the receiver was busy is handed over as one piece, so that a slow receiver works on few large pieces.
 * Bounded: the reader waits while too much is unread.
 */
import type { Data } from './operation.ts';

const maxUnreadBytes = 4 * 1024 * 1024;
const maxPieceBytes = 1024 * 1024;
/** Larger ones are handed on as they came: copying them costs more than taking one at a time. */
const maxGatheredBytes = 128 * 1024;

export class DataPipe {
  private unread: Data[] = [];
  private unreadBytes = 0;
  private ended = false;
  private failure: unknown;
  private wake: (() => void)[] = [];

  /** @param inPieces hand on pieces as they came: the receiver gathers them itself, without copying */
  constructor(private readonly inPieces = false) {}

  /** Takes data once there is room for it. @throws what the pipe has failed with */
  async push(item: Data): Promise<void> {
    while (this.unreadBytes >= maxUnreadBytes && this.failure === undefined) await this.sleep();
    if (this.failure !== undefined) throw this.failure;
    this.unread.push(item);
    this.unreadBytes += item.data.length;
    this.wakeAll();
  }

  /** There is no more data. */
  end(): void {
    this.ended = true;
    this.wakeAll();
  }

  /** Both sides learn of it; nothing happens after the end. */
  fail(error: unknown): void {
    if (this.ended) return;
    this.failure ??= error;
    this.wakeAll();
  }

  /** As `fail`; what is unread is dropped, too. */
  discard(error: unknown): void {
    this.unread.length = 0;
    this.unreadBytes = 0;
    this.fail(error);
    this.wakeAll();
  }

  /** The data, in order; to be iterated once. @throws (while iterating) what the pipe has failed with */
  async *read(): AsyncGenerator<Data> {
    for (;;) {
      const item = this.take();
      if (item !== undefined) yield item;
      else if (this.failure !== undefined) throw this.failure;
      else if (this.ended) return;
      else await this.sleep();
    }
  }

  /** As much as lies together, at most `maxPieceBytes` unless one piece is larger. */
  private take(): Data | undefined {
    const first = this.unread[0];
    if (first === undefined) return undefined;
    let count = 1;
    let length = first.data.length;
    for (; !this.inPieces && count < this.unread.length; count += 1) {
      const next = this.unread[count];
      if (next === undefined || length + next.data.length > maxPieceBytes || !follows(first, length, next)) break;
      if (first.data.length > maxGatheredBytes || next.data.length > maxGatheredBytes) break;
      length += next.data.length;
    }
    const taken = this.unread.splice(0, count);
    this.unreadBytes -= length;
    this.wakeAll();
    if (count === 1) return first;
    return { ...first, data: Buffer.concat(taken.map(({ data }) => data)) };
  }

  private sleep(): Promise<void> {
    return new Promise((resolve) => {
      this.wake.push(resolve);
    });
  }

  private wakeAll(): void {
    for (const wake of this.wake.splice(0)) wake();
  }
}

/** Whether `next` belongs right behind `first`, of which and its followers there are `length` bytes. */
function follows(first: Data, length: number, next: Data): boolean {
  if (first.type === 'data') return next.type === 'data';
  return next.type === 'extent' && next.offset === first.offset + length;
}

/**
 * Writing to a device in large pieces, one of them under way while the next is gathered: data comes from a connection
 * in pieces of 16 to 64 KiB, and a write of each, waited for, takes longer than its bytes do.
 *
 * Pieces reach the device in the order in which they were given, so that the later of two that overlap counts. Memory
 * is bounded by two gatherings.
 */
import type { FileHandle } from 'node:fs/promises';
import { ioError } from './io-error.ts';

/** A gathering of adjacent pieces; its offset is that of the first. */
interface Gathering {
  readonly offset: number;
  readonly pieces: Uint8Array[];
  /** Who gets the memory of pieces back when they are with the kernel. */
  readonly lenders: (() => void)[];
  lengthBytes: number;
}

const gatheringBytes = 1024 * 1024;
/** The kernel takes no more at once (IOV_MAX). */
const maxPieces = 1024;

export class WriteBehind {
  private gathering: Gathering | undefined;
  private underWay: Promise<void> = Promise.resolve();

  constructor(
    private readonly handle: FileHandle,
    private readonly path: string,
  ) {}

  /**
   * Takes data, which must not change until `release` is called.
   * @throws CxmError IO, NO_SPACE also for what was given before
   */
  async write(offset: number, data: Uint8Array, release?: () => void): Promise<void> {
    const current = this.gathering;
    const fits = current !== undefined && current.offset + current.lengthBytes === offset;
    if (!fits) await this.send();
    this.gathering ??= { offset, pieces: [], lenders: [], lengthBytes: 0 };
    const { pieces } = this.gathering;
    pieces.push(data);
    if (release !== undefined) this.gathering.lenders.push(release);
    this.gathering.lengthBytes += data.length;
    if (this.gathering.lengthBytes >= gatheringBytes || pieces.length === maxPieces) await this.send();
  }

  /** Everything that was given is with the kernel (not yet durable). @throws CxmError IO, NO_SPACE */
  async flush(): Promise<void> {
    await this.send();
    await this.underWay;
  }

  /** Waits for what is under way, whatever becomes of it; what was only gathered is dropped. */
  async settle(): Promise<void> {
    this.gathering = undefined;
    await this.underWay.catch(() => undefined);
  }

  /** Starts writing what was gathered, once what is under way has ended. */
  private async send(): Promise<void> {
    const next = this.gathering;
    this.gathering = undefined;
    await this.underWay;
    if (next === undefined) return;
    this.underWay = this.put(next);
    this.underWay.catch(() => undefined); // thrown to whoever writes next
  }

  private async put({ offset, pieces, lenders, lengthBytes }: Gathering): Promise<void> {
    try {
      let { bytesWritten: done } = await this.handle.writev(pieces, offset);
      const all = done === lengthBytes ? Buffer.alloc(0) : Buffer.concat(pieces);
      while (done < lengthBytes) {
        done += (await this.handle.write(all, done, lengthBytes - done, offset + done)).bytesWritten;
      }
      for (const release of lenders) release();
    } catch (error) {
      throw ioError(error, `cannot write ${this.path} at ${offset}`);
    }
  }
}

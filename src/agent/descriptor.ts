/**
 * Reading a connection by demand: nothing is taken from the descriptor before it is asked for, so that between two
 * pieces a program that inherits the descriptor can read what comes next, byte for byte.
 *
 * Pieces lie behind each other in large blocks of memory, which belong to whoever gets them: nothing is written twice.
 */
import { fstatSync, openSync, readSync } from 'node:fs';
import { BlockPool } from '../transfer/block-pool.ts';
import { Socket, type ConnectOpts, type OnReadOpts, type SocketConstructorOpts } from 'node:net';

/** Bytes that arrive, in order. */
export interface ByteSource extends AsyncIterable<Buffer> {
  /** What a program can inherit to read on where the source stands; undefined when the source reads ahead. */
  readonly descriptor?: number;
  /**
   * Waits for the next `length` bytes, or a mebibyte of them, without letting anything else happen: cheaper than being told
   * of each piece, for bytes that are known to be on their way. Fewer at the end; undefined where it can't be done.
   */
  takeNow?(length: number): TakenNow | undefined;
}

export interface TakenNow {
  readonly data: Buffer;
  /** Gives the memory back: see BlockPool. */
  readonly release: () => void;
}

const blockBytes = 1024 * 1024;
/** As much as a pipe holds. */
const smallestRead = 64 * 1024;

/** Pipes and sockets; other things can't be read by demand. */
export function isConnection(descriptor: number): boolean {
  const found = fstatSync(descriptor);
  return found.isFIFO() || found.isSocket();
}

/** What arrives on a socket, by demand. */
export class SocketSource implements ByteSource {
  readonly descriptor?: number;
  private socket: Socket | undefined;
  private block = Buffer.alloc(0);
  private used = 0;
  /** At most one piece: reading stops with each. */
  protected arrived: Buffer | undefined;
  private ended = false;
  private failure: Error | undefined;
  private wake: () => void = () => undefined;

  /** What the socket has to be made with. */
  readonly onread: OnReadOpts = {
    buffer: () => this.room(),
    callback: (length) => {
      this.arrived = this.block.subarray(this.used, this.used + length);
      this.used += length;
      this.wake();
      return false; // no more until it is asked for
    },
  };

  attach(socket: Socket): void {
    this.socket = socket;
    socket.on('error', (error) => (this.failure = error));
    socket.on('end', () => (this.ended = true));
    for (const event of ['error', 'end', 'close']) socket.on(event, () => this.wake());
  }

  /** @throws Error of the connection */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (;;) {
      if (this.arrived === undefined) await this.more();
      const piece = this.arrived;
      this.arrived = undefined;
      if (piece !== undefined) yield piece;
      else if (this.failure !== undefined) throw this.failure;
      else if (this.over()) return;
    }
  }

  private more(): Promise<void> {
    if (this.over()) return Promise.resolve();
    return new Promise((resolve) => {
      this.wake = resolve;
      this.socket?.resume();
    });
  }

  private over(): boolean {
    return this.ended || this.socket?.destroyed !== false;
  }

  private room(): Buffer {
    if (this.block.length - this.used < smallestRead) {
      this.block = Buffer.allocUnsafeSlow(blockBytes);
      this.used = 0;
    }
    return this.block.subarray(this.used);
  }
}

/** A pipe or socket that this process has inherited. */
export class DescriptorSource extends SocketSource {
  private waiting: number | 'impossible' | undefined;
  /** As many as a slow receiver leaves unread, and two more that are being written. */
  private readonly pool = new BlockPool(blockBytes, 8);

  constructor(override readonly descriptor: number) {
    super();
    const options: SocketConstructorOpts & ConnectOpts = { fd: descriptor, readable: true, onread: this.onread };
    this.attach(new Socket(options));
  }

  takeNow(length: number): TakenNow | undefined {
    this.waiting ??= reopened(this.descriptor);
    if (this.waiting === 'impossible' || this.arrived !== undefined) return undefined;
    const { memory, release } = this.pool.lend();
    const wanted = Math.min(length, memory.length);
    let filled = 0;
    while (filled < wanted) {
      const count = readSync(this.waiting, memory, filled, wanted - filled, null);
      if (count === 0) break;
      filled += count;
    }
    return { data: memory.subarray(0, filled), release };
  }
}

/** The same pipe by another descriptor, which waits: that of a socket of Node never does. */
function reopened(descriptor: number): number | 'impossible' {
  try {
    return fstatSync(descriptor).isFIFO() ? openSync(`/proc/self/fd/${descriptor}`, 'r') : 'impossible';
  } catch {
    return 'impossible';
  }
}

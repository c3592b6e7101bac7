/**
 * Frames on a byte stream: see protocol.ts for the format. Payloads of data are handed on as they arrive, without
 * being gathered first; only messages are. A frame that is too long or of an unknown type ends the conversation.
 */
import type { Writable } from 'node:stream';
import { CxmError } from '../errors.ts';
import type { Extent } from '../transfer/extents.ts';
import type { ByteSource } from './descriptor.ts';
import { boundaryBytes, extentHeaderBytes, frameCodes, maxFrameBytes, type FrameType } from './protocol.ts';

export type Incoming =
  /** `alone`: nothing that came behind it has been read yet. */
  | { readonly type: 'message'; readonly message: unknown; readonly alone: boolean }
  /** `release` gives the memory back; whoever calls it is the last to look at the bytes. Nobody has to. */
  | { readonly type: 'data'; readonly data: Buffer; readonly release?: () => void }
  /** A part of an extent: where these bytes belong. */
  | { readonly type: 'extent'; readonly offset: number; readonly data: Buffer; readonly release?: () => void }
  | { readonly type: 'end' };

const headerBytes = 5;
const maxMessageBytes = 1024 * 1024;
/** So much may lie in the stream before a writer waits: waiting for each frame costs more than sending it. */
export const maxQueuedBytes = 1024 * 1024;
/** Less comes in a piece or two. */
const worthWaitingBytes = 256 * 1024;
const types = new Map(Object.entries(frameCodes).map(([type, code]) => [code, type as FrameType]));

/** The connection itself, for the time that nobody else writes to it. Each call ends when the kernel has the bytes. */
export interface DirectWriter {
  frame(type: FrameType, payload: Buffer): Promise<void>;
  bytes(bytes: Buffer): Promise<void>;
  /** Somebody has something to say. */
  othersWait(): boolean;
}

/**
 * Writes frames, waiting while too much lies in the stream. Each frame goes in whole and at once, so that writers need not
 * wait for each other: a message never lies between the parts of a frame of data.
 */
export class FrameWriter {
  private failure: Error | undefined;
  /** While too much lies there; all that write then wait for the same. */
  private draining: Promise<void> | undefined;
  /** While somebody writes directly. */
  private held: Promise<void> | undefined;
  private waiting = 0;

  constructor(private readonly stream: Writable) {
    stream.on('error', (error) => {
      this.failure = error;
    });
  }

  async message(message: unknown): Promise<void> {
    await this.write('message', [Buffer.from(JSON.stringify(message))]);
  }

  /** Any length; split into frames. */
  async data(data: Buffer): Promise<void> {
    for (let at = 0; at < data.length; at += maxFrameBytes) {
      await this.write('data', [data.subarray(at, at + maxFrameBytes)]);
    }
  }

  /** Its memory is released when the bytes are with the kernel. */
  async extent({ offset, data, release }: Extent): Promise<void> {
    const limit = maxFrameBytes - extentHeaderBytes;
    for (let at = 0; at < data.length; at += limit) {
      const header = Buffer.alloc(extentHeaderBytes);
      header.writeBigUInt64BE(BigInt(offset + at));
      const isLast = at + limit >= data.length;
      await this.write('extent', [header, data.subarray(at, at + limit)], isLast ? release : undefined);
    }
  }

  async end(): Promise<void> {
    await this.write('end');
  }

  /** Runs `work` while all others wait: bytes that are no frames may go. */
  async exclusively<T>(work: (direct: DirectWriter) => Promise<T>): Promise<T> {
    while (this.held !== undefined) await this.held;
    let release: () => void = () => undefined;
    this.held = new Promise((resolve) => (release = resolve));
    const bytes = (data: Buffer): Promise<void> => this.push(data);
    const frame = (type: FrameType, payload: Buffer): Promise<void> =>
      this.push(Buffer.concat([headerOf(type, payload.length), payload]));
    try {
      return await work({ bytes, frame, othersWait: () => this.waiting > 0 });
    } finally {
      this.held = undefined;
      release();
    }
  }

  private push(data: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error?: Error | null): void => (error ? reject(this.closed()) : resolve());
      if (this.failure !== undefined || this.stream.destroyed) reject(this.closed());
      else this.stream.write(data, done);
    });
  }

  private async write(type: FrameType, parts: readonly Uint8Array[] = [], written?: () => void): Promise<void> {
    while (this.held !== undefined) {
      this.waiting += 1;
      await this.held;
      this.waiting -= 1;
    }
    if (this.failure !== undefined || this.stream.destroyed) throw this.closed();
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    this.stream.cork();
    this.stream.write(headerOf(type, length));
    for (const [index, part] of parts.entries()) {
      this.stream.write(part, index === parts.length - 1 ? written : undefined);
    }
    this.stream.uncork();
    if (this.stream.writableLength <= maxQueuedBytes) return;
    this.draining ??= this.drained().finally(() => (this.draining = undefined));
    await this.draining;
  }

  private drained(): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        this.stream.off('drain', done).off('close', done).off('error', done);
        if (this.failure === undefined && !this.stream.destroyed) resolve();
        else reject(this.closed());
      };
      this.stream.on('drain', done).on('close', done).on('error', done);
      if (!this.stream.writableNeedDrain) done();
    });
  }

  private closed(): CxmError {
    return new CxmError('INTERRUPTED', 'the other side has closed the connection', { cause: this.failure });
  }
}

function headerOf(type: FrameType, length: number): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt8(frameCodes[type]);
  header.writeUInt32BE(length, 1);
  return header;
}

/**
 * The frames of a stream, in order; ends where the stream ends.
 * @throws CxmError PROTOCOL if it isn't frames, or stops within one
 */
export async function* readFrames(
  stream: Pick<ByteSource, 'takeNow'> & AsyncIterable<Buffer>,
): AsyncGenerator<Incoming> {
  const bytes = new ByteQueue();
  let frame: { type: FrameType; left: number; offset: number } | undefined;
  let boundary: Buffer | undefined;
  for await (const chunk of stream) {
    bytes.push(chunk);
    for (;;) {
      if (boundary !== undefined) {
        const data = bytes.takeBefore(boundary);
        if (data === 'reached') boundary = undefined;
        else if (data === undefined) break;
        else yield { type: 'data', data };
        continue;
      }
      frame ??= takeHeader(bytes);
      if (frame === undefined) break;
      if (frame.type === 'message' || frame.type === 'end' || frame.type === 'boundary') {
        const payload = bytes.takeExactly(frame.left);
        if (payload === undefined) break;
        if (frame.type === 'boundary') boundary = payload;
        else if (frame.type === 'end') yield { type: 'end' };
        else yield { type: 'message', message: parseMessage(payload), alone: bytes.length === 0 };
        frame = undefined;
        continue;
      }
      if (frame.type === 'extent' && frame.offset < 0 && !takeOffset(bytes, frame)) break;
      const data = bytes.takeUpTo(frame.left);
      if (data !== undefined) {
        yield partOf(frame, { data });
      }
      if (frame.left > 0) {
        if (bytes.length > 0) continue;
        // Frames are sent whole: the rest is on its way.
        const rest = frame.left < worthWaitingBytes ? undefined : stream.takeNow?.(frame.left);
        if (rest === undefined || rest.data.length === 0) break;
        yield partOf(frame, rest);
        if (frame.left > 0) continue;
      }
      frame = undefined;
    }
  }
  if (frame !== undefined || boundary !== undefined || bytes.length > 0)
    throw new CxmError('PROTOCOL', 'the connection ended within a frame');
}

/** The next bytes of a frame with data, which has been taken so far then. */
function partOf(
  frame: { readonly type: FrameType; left: number; offset: number },
  part: { readonly data: Buffer; readonly release?: () => void },
): Incoming {
  const { offset } = frame;
  frame.offset += part.data.length;
  frame.left -= part.data.length;
  return frame.type === 'extent' ? { type: 'extent', offset, ...part } : { type: 'data', ...part };
}

function takeHeader(bytes: ByteQueue): { type: FrameType; left: number; offset: number } | undefined {
  const header = bytes.takeExactly(headerBytes);
  if (header === undefined) return undefined;
  const type = types.get(header.readUInt8());
  const left = header.readUInt32BE(1);
  if (type === undefined || left > maxBytesOf(type) || (type === 'boundary' && left !== boundaryBytes)) {
    throw new CxmError(
      'PROTOCOL',
      `the other side does not speak our protocol: ${JSON.stringify(header.toString('latin1'))}`,
    );
  }
  return { type, left, offset: -1 };
}

function maxBytesOf(type: FrameType): number {
  return type === 'message' ? maxMessageBytes : maxFrameBytes;
}

function takeOffset(bytes: ByteQueue, frame: { left: number; offset: number }): boolean {
  const header = frame.left < extentHeaderBytes ? undefined : bytes.takeExactly(extentHeaderBytes);
  if (header === undefined) return false;
  const offset = Number(header.readBigUInt64BE());
  if (!Number.isSafeInteger(offset)) throw new CxmError('PROTOCOL', 'an extent lies beyond every device');
  frame.offset = offset;
  frame.left -= extentHeaderBytes;
  return true;
}

function parseMessage(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString());
  } catch (cause) {
    throw new CxmError('PROTOCOL', 'a message of the other side is not JSON', { cause });
  }
}

/** Bytes that arrived and were not yet taken. */
class ByteQueue {
  length = 0;
  private readonly chunks: Buffer[] = [];

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.chunks.push(chunk);
    this.length += chunk.length;
  }

  /** `count` bytes, or undefined if they are not all there yet. */
  takeExactly(count: number): Buffer | undefined {
    if (this.length < count) return undefined;
    const parts: Buffer[] = [];
    for (let left = count; left > 0;) {
      const part = this.takeUpTo(left);
      if (part === undefined) break;
      parts.push(part);
      left -= part.length;
    }
    return parts.length === 1 ? parts[0] : Buffer.concat(parts);
  }

  /** At least one and at most `count` bytes, or undefined if there are none. */
  takeUpTo(count: number): Buffer | undefined {
    const first = this.chunks[0];
    if (first === undefined || count === 0) return undefined;
    if (first.length <= count) {
      this.chunks.shift();
      this.length -= first.length;
      return first;
    }
    this.chunks[0] = first.subarray(count);
    this.length -= count;
    return first.subarray(0, count);
  }

  /**
   * What comes before `boundary`, in parts; `reached` when it comes next, and then it is taken. What may be its beginning
   * waits for more; undefined if there is nothing else.
   */
  takeBefore(boundary: Buffer): Buffer | 'reached' | undefined {
    const first = this.chunks[0];
    if (first === undefined) return undefined;
    const at = beginningOf(boundary, first);
    if (at > 0) return this.takeUpTo(at);
    // It may begin right here: as much as it takes to know.
    const start = this.takeExactly(Math.min(boundary.length, this.length));
    if (start === undefined) return undefined;
    if (start.equals(boundary)) return 'reached';
    if (start.length < boundary.length && boundary.subarray(0, start.length).equals(start)) {
      this.putBack(start);
      return undefined;
    }
    const next = beginningOf(boundary, start.subarray(1)) + 1;
    if (next < start.length) this.putBack(start.subarray(next));
    return start.subarray(0, next);
  }

  private putBack(bytes: Buffer): void {
    this.chunks.unshift(bytes);
    this.length += bytes.length;
  }
}

/** Where `boundary`, or what may be its beginning at the very end, starts in `bytes`; their length if it doesn't. */
function beginningOf(boundary: Buffer, bytes: Buffer): number {
  const whole = bytes.indexOf(boundary);
  if (whole >= 0) return whole;
  for (let at = Math.max(0, bytes.length - boundary.length + 1); at < bytes.length; at += 1) {
    if (bytes[at] === boundary[0] && boundary.subarray(0, bytes.length - at).equals(bytes.subarray(at))) return at;
  }
  return bytes.length;
}

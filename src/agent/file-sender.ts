/**
 * The action's side of raw data (protocol.ts): a file goes into the connection as it is, copied by dd, without passing
 * through this process. In pieces, between which messages go: an answer to the helper waits no longer than for one.
 *
 * A file that can't be read to the end is an error after the piece was filled up, so that the conversation goes on and
 * the helper can roll back under the lock.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { CxmError } from '../errors.ts';
import { ioError } from '../transfer/io-error.ts';
import type { DirectWriter, FrameWriter } from './frames.ts';

const pieceBytes = 32 * 1024 * 1024;
/** Below that, two programs more cost more than they save. */
const smallestRaw = 1024 * 1024;
const blockBytes = 1024 * 1024;
const progressMs = 250;

export interface FileSending {
  readonly path: string;
  readonly writer: FrameWriter;
  /** The connection that `writer` writes to. */
  readonly stream: Writable;
  /** Waits for the helper's word, after it was offered raw data. */
  agreed(): Promise<boolean>;
  onBytes(count: number): void;
}

/** Sends all of a file. @throws CxmError NOT_FOUND, IO, INTERRUPTED */
export async function sendFile(sending: FileSending): Promise<void> {
  const { path, writer } = sending;
  const failed = (error: unknown): never => {
    throw ioError(error, `cannot read ${path}`);
  };
  const file = await open(path, 'r').catch(failed);
  try {
    const found = await file.stat();
    let sent = 0;
    if (found.isFile() && found.size >= smallestRaw) {
      sent = await writer.exclusively((direct) => offer(sending, file, direct, found.size));
    }
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(blockBytes), 0, blockBytes, sent).catch(failed);
      if (bytesRead === 0) break;
      sent += bytesRead;
      sending.onBytes(bytesRead);
      await writer.data(buffer.subarray(0, bytesRead));
    }
    if (found.isFile() && sent < found.size) throw shorter(path);
  } finally {
    await file.close();
  }
}

/** @returns how much of the file has gone raw: all, unless the helper refused or somebody has a message to send */
async function offer(sending: FileSending, file: FileHandle, direct: DirectWriter, total: number): Promise<number> {
  await direct.frame('message', Buffer.from(JSON.stringify({ kind: 'raw' })));
  if (!(await sending.agreed())) return 0;
  let sent = 0;
  while (sent < total && !direct.othersWait()) {
    const length = Math.min(pieceBytes, total - sent);
    await direct.bytes(Buffer.from(`${length}\n`));
    const copied = await copy(sending, file.fd, sent, length);
    sent += copied.bytes;
    if (copied.bytes < length) {
      await fillUp(direct, length - copied.bytes);
      await direct.bytes(Buffer.from('0\n'));
      if (copied.said === '') throw shorter(sending.path);
      throw new CxmError('IO', `cannot read ${sending.path}: ${copied.said}`);
    }
  }
  await direct.bytes(Buffer.from('0\n'));
  return sent;
}

/**
 * Copies a part of the file from where its descriptor stands, which is shared with dd and tells how far it is. When dd
 * has failed to write, or was killed, nobody knows what has arrived: then the connection is of no use any more.
 */
async function copy(sending: FileSending, fd: number, from: number, length: number): Promise<Copied> {
  const args = ['bs=256k', `count=${length}`, 'iflag=count_bytes', 'status=none'];
  const child = spawn('dd', args, { stdio: [fd, sending.stream, 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(0, 1000)));
  let counted = 0;
  const count = (): number => {
    const bytes = Math.min((positionOf(fd) ?? from + counted) - from, length);
    if (bytes > counted) sending.onBytes(bytes - counted);
    return (counted = Math.max(counted, bytes));
  };
  const timer = setInterval(count, progressMs);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', (cause) => reject(new CxmError('COMMAND', `dd could not be started: ${cause.message}`)));
    child.on('close', resolve);
  }).finally(() => clearInterval(timer));
  const bytes = count();
  if (code === 0 || (code === 1 && bytes < length && /error reading/.test(said))) return { bytes, said: said.trim() };
  sending.stream.destroy();
  throw new CxmError('INTERRUPTED', `the connection broke off: ${said.trim() || 'dd was killed'}`, {
    changed: 'maybe',
  });
}

interface Copied {
  readonly bytes: number;
  /** Why it is not all. */
  readonly said: string;
}

async function fillUp(direct: DirectWriter, length: number): Promise<void> {
  const zeros = Buffer.alloc(Math.min(length, blockBytes));
  for (let left = length; left > 0; left -= zeros.length) await direct.bytes(zeros.subarray(0, left));
}

function positionOf(fd: number): number | undefined {
  const found = /^pos:\s*([0-9]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'));
  return found === null ? undefined : Number(found[1]);
}

function shorter(path: string): CxmError {
  return new CxmError('IO', `${path} became shorter while it was read`, {
    hint: 'nothing may write to a registered image',
  });
}

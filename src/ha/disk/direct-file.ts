/**
 * A file or device read and written past every cache, in whole blocks. Every call blocks the calling thread until the
 * storage has answered, which may be never: it is for a thread of its own (disk-thread.ts).
 *
 * Direct I/O wants memory that begins at a multiple of the block size. Buffers of JavaScript don't; the memory of a
 * WebAssembly instance is mapped in pages of its own, so it does. No module runs in it.
 *
 * Guarantees: what was written is on the medium when the call returns (O_DSYNC); reads come from there (O_DIRECT).
 */
import * as fs from 'node:fs';
import { CxmError } from '../../errors.ts';
import { blockBytes } from './format.ts';

/** The part of the standard's interface that is needed here; Node's types leave all of it out. */
declare const WebAssembly: {
  readonly Memory: new (options: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
};

const pageBytes = 65_536;

/** Memory at a page boundary, zeroed. */
export function alignedMemory(sizeBytes: number): Buffer {
  const pages = Math.ceil(sizeBytes / pageBytes);
  return Buffer.from(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer, 0, sizeBytes);
}

export type OpenMode = 'read' | 'write' | 'exclusive';

export class DirectFile {
  private readonly memory: Buffer;

  private constructor(
    readonly path: string,
    private readonly descriptor: number,
    maxBytes: number,
  ) {
    this.memory = alignedMemory(maxBytes);
  }

  /** @param mode `exclusive`: for writing, and nobody else has mounted it or uses it. @throws CxmError IO, IN_USE, NOT_FOUND */
  static open(path: string, mode: OpenMode, maxBytes: number): DirectFile {
    const { O_RDONLY, O_RDWR, O_DIRECT, O_DSYNC, O_EXCL } = fs.constants;
    const isDevice = statusOf(path).isBlockDevice();
    const access = mode === 'read' ? O_RDONLY : O_RDWR | O_DSYNC;
    // Without O_CREAT it means on Linux: not while a file system, LVM or the device mapper has the device.
    const exclusive = mode === 'exclusive' && isDevice ? O_EXCL : 0;
    try {
      return new DirectFile(path, fs.openSync(path, access | O_DIRECT | exclusive), maxBytes);
    } catch (error) {
      throw openFailed(path, error);
    }
  }

  /** The bytes, valid until the next call. @throws CxmError IO */
  read(block: number, blocks: number): Buffer {
    const length = blocks * blockBytes;
    this.transfer('read', block, length);
    return this.memory.subarray(0, length);
  }

  /** @throws CxmError IO; then it may be written, or may yet be */
  write(block: number, data: Buffer): void {
    data.copy(this.memory);
    this.transfer('write', block, data.length);
  }

  close(): void {
    fs.closeSync(this.descriptor);
  }

  private transfer(what: 'read' | 'write', block: number, length: number): void {
    let moved = 0;
    try {
      while (moved < length) {
        const [rest, position] = [length - moved, block * blockBytes + moved];
        const count =
          what === 'read'
            ? fs.readSync(this.descriptor, this.memory, moved, rest, position)
            : fs.writeSync(this.descriptor, this.memory, moved, rest, position);
        if (count <= 0 || count % blockBytes !== 0) throw new Error(`only ${moved + count} of ${length} bytes`);
        moved += count;
      }
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new CxmError('IO', `${this.path} can't be ${what === 'read' ? 'read' : 'written'}: ${why}`, { cause });
    }
  }
}

/** @throws CxmError NOT_FOUND, IO for what is neither a block device nor a file */
export function statusOf(path: string): fs.Stats {
  try {
    const status = fs.statSync(path);
    if (status.isBlockDevice() || status.isFile()) return status;
  } catch (error) {
    throw openFailed(path, error);
  }
  throw new CxmError('IO', `${path} is no block device`, { hint: 'set HB_DISK to a small device on the SAN' });
}

function openFailed(path: string, cause: unknown): CxmError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : '';
  if (code === 'ENOENT') return new CxmError('NOT_FOUND', `there is no device ${path}`, { cause });
  if (code === 'EBUSY') {
    const hint = 'find who has it with `lsblk` and `fuser`: a mounted file system, LVM, multipath';
    return new CxmError('IN_USE', `${path} is in use`, { cause, hint });
  }
  const why = cause instanceof Error ? cause.message : String(cause);
  return new CxmError('IO', `${path} can't be opened for direct access: ${why}`, { cause });
}

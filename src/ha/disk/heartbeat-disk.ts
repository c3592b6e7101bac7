/**
 * A heartbeat disk that is open: reads all of it, writes one node's slot and the lease. Blocks the calling thread.
 *
 * Guarantees: it reads the lease first, then the slots, past every cache; a disk that was formatted anew, exchanged or put
 * back to an earlier state meanwhile is neither read nor written any more; what has not changed since the last read is not
 * decoded again.
 */
import { CxmError } from '../../errors.ts';
import type { Lease, Read, Slot } from '../protocol/blocks.ts';
import { DirectFile } from './direct-file.ts';
import {
  blockBytes,
  decodeHeader,
  decodeLease,
  decodeSlot,
  diskBytes,
  encodeLease,
  encodeSlot,
  firstHeadBlock,
  leaseBlock,
  overflowBlock,
  overflowBlocks,
  overflowOf,
  slotCount,
  type DiskHeader,
} from './format.ts';

export interface DiskContents {
  readonly lease: Read<Lease>;
  /** Of every slot, by its number. */
  readonly slots: readonly Read<Slot>[];
}

export class HeartbeatDisk {
  /** The heads of all slots as the last read has found them: one memory for all reads, of which there is one a second. */
  private readonly heads = Buffer.alloc(slotCount * blockBytes);
  /** What they say. Undefined is not known, or not for certain. */
  private readonly known = new Array<Read<Slot> | undefined>(slotCount).fill(undefined);
  /** The area to which our slot on the disk leads; undefined when that has to be looked up. */
  private area: 0 | 1 | undefined;
  /** What is on the disk for sure, unless somebody has put an older state of it there. */
  private written: Pick<Slot, 'index' | 'incarnation' | 'sequence'> | undefined;

  private constructor(
    private readonly file: DirectFile,
    readonly header: DiskHeader,
  ) {}

  /** @throws CxmError CONFIG for a disk of another cluster or without a header, IO, NOT_FOUND */
  static open(path: string, cluster: string): HeartbeatDisk {
    const file = DirectFile.open(path, 'write', slotCount * blockBytes);
    try {
      const header = readHeader(file);
      if (header.cluster === cluster) return new HeartbeatDisk(file, header);
      throw new CxmError('CONFIG', `${path} is the heartbeat disk of the cluster ${header.cluster}, not of ${cluster}`);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /**
   * Opens it once more, by the same path: to the kernel, a device that was removed and has come back is another one.
   * @throws CxmError as `open`, and IO for another disk, or one that does not have what we have written
   */
  reopened(): HeartbeatDisk {
    const other = HeartbeatDisk.open(this.file.path, this.header.cluster);
    try {
      if (other.header.diskId !== this.header.diskId) throw exchanged(this.file.path);
      if (this.written !== undefined) {
        const { index, incarnation, sequence } = this.written;
        const slot = other.read().slots[index];
        const isOurs = typeof slot === 'object' && slot.incarnation === incarnation && slot.sequence >= sequence;
        if (!isOurs) throw exchanged(this.file.path);
        other.written = this.written;
      }
      return other;
    } catch (error) {
      other.close();
      throw error;
    }
  }

  /** @throws CxmError IO */
  read(): DiskContents {
    this.requireSame();
    const lease = decodeLease(this.header.diskId, this.file.read(leaseBlock, 1));
    this.takeHeads(this.file.read(firstHeadBlock, slotCount));
    const slots = this.known.map((slot, index) => slot ?? this.decode(index));
    return { lease, slots };
  }

  /** @throws CxmError IO; INVALID_INPUT for one that is too large */
  writeSlot(slot: Slot): void {
    this.requireSame();
    const area = (this.area ?? this.areaOnDisk(slot.index)) === 0 ? 1 : 0;
    this.area = undefined;
    const { head, overflow } = encodedSlot(this.header.diskId, slot, area);
    if (overflow.length > 0) this.file.write(overflowBlock(slot.index, area), overflow);
    this.file.write(firstHeadBlock + slot.index, head);
    this.area = area;
    const { index, incarnation, sequence } = slot;
    this.written = { index, incarnation, sequence };
  }

  /**
   * Writes the slot of a node that is off, whose own is damaged.
   * @throws CxmError REFUSED when it is not damaged any more, and nothing was written; IO
   */
  mendSlot(slot: Slot): void {
    this.requireSame();
    const { diskId } = this.header;
    const { index } = slot;
    // A copy: the memory of the file is used for what it leads to.
    const found = Buffer.from(this.file.read(firstHeadBlock + index, 1));
    const rest = overflowOf(found);
    const behind = rest && this.file.read(overflowBlock(index, rest.area), Math.ceil(rest.bytes / blockBytes));
    if (decodeSlot(diskId, index, found, behind) !== 'torn') {
      throw new CxmError('REFUSED', `the slot of ${slot.name} can be read again`);
    }
    const area = rest?.area === 0 ? 1 : 0;
    const { head, overflow } = encodedSlot(diskId, slot, area);
    if (overflow.length > 0) this.file.write(overflowBlock(index, area), overflow);
    this.file.write(firstHeadBlock + index, head);
  }

  /** @throws CxmError IO */
  writeLease(lease: Lease): void {
    this.requireSame();
    this.file.write(leaseBlock, encodeLease(this.header.diskId, lease));
  }

  close(): void {
    this.file.close();
  }

  /** As a predecessor, or a write that failed, has left it. */
  private areaOnDisk(index: number): 0 | 1 {
    return overflowOf(this.file.read(firstHeadBlock + index, 1))?.area ?? 0;
  }

  private requireSame(): void {
    const { diskId } = readHeader(this.file);
    if (diskId !== this.header.diskId) throw exchanged(this.file.path);
  }

  /** A damaged one is looked at anew each time: what its head leads to may be whole by now. */
  private takeHeads(found: Buffer): void {
    for (let index = 0; index < slotCount; index += 1) {
      const [from, to] = [index * blockBytes, (index + 1) * blockBytes];
      const isSame = this.heads.compare(found, from, to, from, to) === 0;
      if (!isSame || this.known[index] === 'torn') this.known[index] = undefined;
    }
    // The memory of the file is used for what the heads lead to.
    found.copy(this.heads);
  }

  private decode(index: number): Read<Slot> {
    const head = this.heads.subarray(index * blockBytes, (index + 1) * blockBytes);
    const rest = overflowOf(head);
    const overflow = rest && this.file.read(overflowBlock(index, rest.area), Math.ceil(rest.bytes / blockBytes));
    const slot = decodeSlot(this.header.diskId, index, head, overflow);
    this.known[index] = slot;
    return slot;
  }
}

function exchanged(path: string): CxmError {
  return new CxmError('IO', `${path} is another heartbeat disk than when it was opened`);
}

/** @throws CxmError CONFIG, IO */
export function readHeader(file: DirectFile): DiskHeader {
  const header = decodeHeader(file.read(0, 1));
  if (typeof header === 'object') return header;
  const hint = 'format it with `cxmd_ctl --format`, on one node, while no cxmd runs';
  if (header === undefined) throw new CxmError('CONFIG', `${file.path} is no heartbeat disk`, { hint });
  const what = header === 'torn' ? 'has a damaged header' : 'has the format of another version of cxm';
  throw new CxmError('CONFIG', `the heartbeat disk ${file.path} ${what}`, { hint });
}

function encodedSlot(diskId: string, slot: Slot, area: 0 | 1): ReturnType<typeof encodeSlot> {
  try {
    return encodeSlot(diskId, slot, area);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new CxmError('INVALID_INPUT', `the slot of ${slot.name} can't be written: ${cause.message}`, { cause });
  }
}

/** So many blocks there must be. */
export const neededBytes = diskBytes;
/** The most that is read at once. */
export const largestRead = Math.max(slotCount, overflowBlocks) * blockBytes;

/**
 * Damage on the heartbeat disk, as a program that writes to the wrong device, a storage that repeats old writes or one that
 * tears them would do it. What is given back at the end is what a cluster has to live on: the header, and no foreign blocks.
 */
import { HeartbeatDisk } from '../../../src/ha/disk/heartbeat-disk.ts';
import { DirectFile } from '../../../src/ha/disk/direct-file.ts';
import {
  blockBytes,
  encodeHeader,
  encodeSlot,
  firstHeadBlock,
  leaseBlock,
  slotCount,
} from '../../../src/ha/disk/format.ts';
import { emptyLedger, noSwitches, type Slot } from '../../../src/ha/protocol/blocks.ts';
import type { Random } from '../../simulation/random.ts';
import { bytesOf } from './datagrams.ts';

export interface DiskTarget {
  readonly path: string;
  readonly cluster: string;
  /** Slots of nodes that run, whose blocks are damaged and not taken away. */
  readonly live: readonly number[];
  /** For so long at most may the header be away. */
  readonly headerMs: number;
}

const blocks = { firstOverflow: firstHeadBlock + slotCount, end: 1024 } as const;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A slot that is whole, with counters that can't be counted on. */
function exhausted(index: number, random: Random): Slot {
  const most = Number.MAX_SAFE_INTEGER;
  const counters = random.pick([
    { incarnation: most, sequence: most, epoch: most },
    { incarnation: 3, sequence: 3, epoch: most },
    { incarnation: most, sequence: 1, epoch: 1 },
  ]);
  const rest = { role: 'passive', maintenance: false, watchdogMs: 0, vms: [], partial: false } as const;
  return { index, name: `node${index + 1}`, ...counters, ...rest, ledger: emptyLedger(1), switches: noSwitches() };
}

class DiskAssault {
  private readonly file: DirectFile;
  private readonly diskId: string;
  private readonly header: Buffer;
  private readonly former = new Map<number, Buffer>();

  constructor(
    private readonly target: DiskTarget,
    private readonly random: Random,
  ) {
    const disk = HeartbeatDisk.open(target.path, target.cluster);
    this.diskId = disk.header.diskId;
    disk.close();
    this.file = DirectFile.open(target.path, 'write', blockBytes);
    this.header = Buffer.from(this.file.read(0, 1));
    for (const slot of target.live) this.former.set(firstHeadBlock + slot, this.blockAt(firstHeadBlock + slot));
    this.former.set(leaseBlock, this.blockAt(leaseBlock));
  }

  async run(untilMs: number): Promise<void> {
    const headerAtMs = performance.now() + this.random.integer(200, 800);
    let isHeaderDue = true;
    while (performance.now() < untilMs) {
      this.damageForeign();
      if (this.random.chance(0.2)) this.damageLive();
      if (isHeaderDue && performance.now() > headerAtMs) {
        isHeaderDue = false;
        this.file.write(0, this.falseHeader());
        await pause(this.target.headerMs);
        this.file.write(0, this.header);
      }
      await pause(100);
    }
  }

  /** Takes away what nobody else would. */
  end(): void {
    const own = new Set<number>([leaseBlock, ...this.target.live.map((slot) => firstHeadBlock + slot)]);
    const liveAreas = this.target.live.flatMap((slot) => {
      const first = blocks.firstOverflow + 14 * slot;
      return Array.from({ length: 14 }, (_, at) => first + at);
    });
    for (const block of liveAreas) own.add(block);
    const zeros = Buffer.alloc(blockBytes);
    for (let block = 1; block < blocks.end; block += 1) if (!own.has(block)) this.file.write(block, zeros);
    this.file.write(0, this.header);
    this.file.close();
  }

  private blockAt(block: number): Buffer {
    return Buffer.from(this.file.read(block, 1));
  }

  /** Blocks that belong to no running node. */
  private damageForeign(): void {
    const { random } = this;
    const foreign = Array.from({ length: slotCount }, (_, at) => at).filter((at) => !this.target.live.includes(at));
    const index = random.pick(foreign);
    const head = firstHeadBlock + index;
    const live = firstHeadBlock + random.pick(this.target.live);
    const named = bytesOf(random, blockBytes);
    named.write('cxmS', 0, 'latin1');
    named.writeUInt16BE(1, 4);
    named.writeUInt16BE(random.integer(0, 2), 6);
    named.writeUInt32BE(random.pick([0, 100, 4048, 4049, 32_720, 32_721, 0xffff_ffff]), 8);
    const otherDisk = encodeSlot('ab'.repeat(16), exhausted(index, random), 0).head;
    const [block, bytes] = random.pick([
      [head, bytesOf(random, blockBytes)],
      [head, named],
      [head, Buffer.alloc(blockBytes, 0xff)],
      [head, this.blockAt(live)],
      [head, otherDisk],
      [head, encodeSlot(this.diskId, exhausted(index, random), 0).head],
      [random.integer(1, 15), bytesOf(random, blockBytes)],
      [random.integer(17, 63), this.blockAt(leaseBlock)],
      [blocks.firstOverflow + 14 * index + random.integer(0, 13), bytesOf(random, blockBytes)],
    ] as const);
    this.file.write(block, bytes);
  }

  /** Of a running node, or the lease: torn, or as it was some time ago. Its owner mends it with its next write. */
  private damageLive(): void {
    const { random } = this;
    const [block, before] = random.pick([...this.former]);
    const now = this.blockAt(block);
    const torn = Buffer.concat([now.subarray(0, 512 * random.integer(1, 7))]);
    const bytes = random.chance(0.5) ? before : Buffer.concat([torn, bytesOf(random, blockBytes - torn.length)]);
    this.file.write(block, bytes);
  }

  private falseHeader(): Buffer {
    const other = encodeHeader({ diskId: 'cd'.repeat(16), cluster: this.target.cluster });
    const version = Buffer.from(this.header);
    version[5] = 9;
    const damaged = Buffer.from(this.header);
    damaged[this.random.integer(16, 90)] = 0x5a;
    return this.random.pick([bytesOf(this.random, blockBytes), Buffer.alloc(blockBytes), other, version, damaged]);
  }
}

export async function assailDisk(target: DiskTarget, random: Random, untilMs: number): Promise<void> {
  const assault = new DiskAssault(target, random);
  try {
    await assault.run(untilMs);
  } finally {
    assault.end();
  }
}

/**
 * The heartbeat disk: blocks that all nodes share, over a path of each node that is slow, hung, failing or fine.
 *
 * A write reaches the block at some moment between its beginning and its reported end, or, when it was reported as failed,
 * also later ("ghost"), up to a bound for slots and without one for the lease. A read sees each block as it is at one moment.
 */
import type { Lease, Read, Slot } from '../../src/ha/protocol/blocks.ts';
import { isLater, type Counters } from '../../src/ha/protocol/evidence.ts';
import type { EventQueue } from './queue.ts';
import type { Random } from './random.ts';

export interface Path {
  /** `hung`: nothing ends until the path is fine again. */
  mode: 'fine' | 'slow' | 'hung' | 'failing';
  slowMs: number;
  /** The next so many writes hang this long and land at the end of it. */
  stuckWrites: number;
  stuckMs: number;
  stuckOnly: 'any' | 'lease' | 'claim';
  /** The next so many reads come back this late; `vacant`: such as find the lease released, after the first one. */
  stuckReads: number;
  stuckReadMs: number;
  stuckReadsOnly: 'any' | 'vacant';
  vacantReads: number;
  /** Hung for this long from the moment on in which its node has become master. */
  hangsMasterMs: number;
  /** Stuck writes are reported as failed soon, and land nevertheless. */
  ghosts: boolean;
  /** What waits for the path. */
  waiting: (() => void)[];
}

export class Disk {
  lease: Read<Lease> = 'empty';
  slots: Read<Slot>[];
  readonly paths: Path[];
  /** When a slot last reached the disk with news in it, for the checkers. */
  readonly landedMs: number[];
  /** When its checksum was last wrong, so that what had landed before could not be read. */
  readonly tornMs: number[];
  private readonly highest: (Counters | undefined)[] = [];
  /** Writes that were reported as failed and will land yet. */
  ghostsUnderWay = 0;
  /** Until then what is written to the lease is reported as written and gone. */
  leaseLostUntilMs = -1e9;
  /** A ghost of a slot lands within this after the write was reported as failed. */
  ghostBoundMs: number;
  private readonly queue: EventQueue;
  private readonly random: Random;

  constructor(size: number, queue: EventQueue, random: Random, ghostBoundMs: number) {
    this.queue = queue;
    this.random = random;
    this.ghostBoundMs = ghostBoundMs;
    this.slots = new Array<Read<Slot>>(size).fill('empty');
    this.landedMs = new Array<number>(size).fill(-1e9);
    this.tornMs = new Array<number>(size).fill(-1e9);
    this.paths = Array.from({ length: size }, () => ({
      mode: 'fine',
      slowMs: 0,
      stuckWrites: 0,
      stuckMs: 0,
      stuckOnly: 'any',
      stuckReads: 0,
      stuckReadMs: 0,
      stuckReadsOnly: 'any',
      vacantReads: 0,
      hangsMasterMs: 0,
      ghosts: false,
      waiting: [],
    }));
  }

  /** Everything at once is fine again; what waited goes on in any order. */
  heal(node: number): void {
    const path = this.path(node);
    path.mode = 'fine';
    path.stuckWrites = 0;
    path.stuckReads = 0;
    path.hangsMasterMs = 0;
    path.ghosts = false;
    const waiting = path.waiting.splice(0);
    for (const go of waiting) this.queue.after(this.random.between(0, 500), go);
  }

  /** Formatted anew, or another disk in its place. */
  wipe(): void {
    this.lease = 'empty';
    this.slots = this.slots.map(() => 'empty');
    // What had landed can't be read any more.
    this.tornMs.fill(this.queue.nowMs);
    this.highest.length = 0;
  }

  read(node: number, done: (lease: Read<Lease>, slots: readonly Read<Slot>[]) => void, failed: () => void): void {
    const path = this.path(node);
    const look = (): void => {
      done(this.lease, [...this.slots]);
    };
    const isVacant = typeof this.lease === 'object' && this.lease.released;
    path.vacantReads = isVacant ? path.vacantReads + 1 : 0;
    if (path.stuckReads > 0 && (path.stuckReadsOnly === 'any' || path.vacantReads > 1)) {
      path.stuckReads -= 1;
      const { lease } = this;
      const slots = [...this.slots];
      this.queue.after(path.stuckReadMs, () => {
        done(lease, slots);
      });
    } else if (path.mode === 'fine') this.queue.after(1 + 4 * this.random.next(), look);
    else if (path.mode === 'failing') this.queue.after(this.random.between(10, 1000), failed);
    else if (path.mode === 'hung') path.waiting.push(look);
    else this.lookSlowly(this.random.between(0.2, 1) * path.slowMs, done);
  }

  /** Sampled somewhere between beginning and end. */
  private lookSlowly(durationMs: number, done: (lease: Read<Lease>, slots: readonly Read<Slot>[]) => void): void {
    const sampleMs = durationMs * this.random.next();
    this.queue.after(sampleMs, () => {
      const { lease } = this;
      const slots = [...this.slots];
      this.queue.after(durationMs - sampleMs, () => {
        done(lease, slots);
      });
    });
  }

  writeLease(node: number, lease: Lease, written: () => void, failed: () => void, isOn: () => boolean): void {
    this.write(
      node,
      () => {
        if (this.queue.nowMs < this.leaseLostUntilMs) return;
        this.lease = lease;
        const path = this.path(node);
        // The second write of an epoch is that of a node that has become master in it.
        if (path.hangsMasterMs === 0 || lease.sequence !== 2) return;
        path.mode = 'hung';
        this.queue.after(path.hangsMasterMs, () => {
          this.heal(node);
        });
      },
      () => (this.lease = 'torn'),
      written,
      failed,
      isOn,
      lease.sequence === 1 ? 'claim' : 'lease',
    );
  }

  writeSlot(node: number, slot: Slot, written: () => void, failed: () => void, isOn: () => boolean): void {
    const land = (): void => {
      this.slots[node] = slot;
      const highest = this.highest[node];
      if (highest !== undefined && !isLater(slot, highest)) return;
      this.highest[node] = slot;
      this.landedMs[node] = this.queue.nowMs;
    };
    const tear = (): void => {
      this.tearSlot(node);
    };
    this.write(node, land, tear, written, failed, isOn, 'slot');
  }

  /** Over the path of another node. Whether it is damaged yet was looked at before it was issued. */
  mendSlot(node: number, slot: Slot, written: () => void, failed: () => void, isOn: () => boolean): void {
    const land = (): void => {
      this.slots[slot.index] = slot;
    };
    const tear = (): void => {
      this.tearSlot(slot.index);
    };
    this.write(node, land, tear, written, failed, isOn, 'slot');
  }

  tearSlot(node: number): void {
    this.slots[node] = 'torn';
    this.tornMs[node] = this.queue.nowMs;
  }

  /** `isOn`: whether the machine that wrote is still powered; what its controller had not sent is lost with it. */
  private write(
    node: number,
    land: () => void,
    tear: () => void,
    written: () => void,
    failed: () => void,
    isOn: () => boolean,
    what: 'slot' | 'lease' | 'claim',
  ): void {
    const { queue, random } = this;
    const path = this.path(node);
    const ghostBoundMs = what === 'slot' ? this.ghostBoundMs : Infinity;
    const end = (): void => {
      if (isOn()) land();
      else if (random.chance(0.3)) land();
      else if (random.chance(0.3)) tear();
      written();
    };
    if (path.stuckWrites > 0 && (path.stuckOnly === 'any' || path.stuckOnly === what || what === 'claim')) {
      path.stuckWrites -= 1;
      return this.stick(path, land, written, failed, ghostBoundMs);
    }
    if (path.mode === 'fine') queue.after(1 + 4 * random.next(), end);
    else if (path.mode === 'hung') path.waiting.push(end);
    else if (path.mode === 'failing') {
      if (path.ghosts && random.chance(0.3)) this.landLate(random.between(0, Math.min(ghostBoundMs, 60_000)), land);
      queue.after(random.between(0, 5), failed);
    } else {
      const durationMs = random.between(0.2, 1) * path.slowMs;
      const landMs = durationMs * random.next();
      queue.after(landMs, () => {
        if (isOn() || random.chance(0.5)) land();
      });
      queue.after(durationMs, written);
    }
  }

  private stick(path: Path, land: () => void, written: () => void, failed: () => void, ghostBoundMs: number): void {
    const { queue, random } = this;
    if (!path.ghosts) {
      queue.after(path.stuckMs, () => {
        land();
        written();
      });
      return;
    }
    const failMs = random.between(5, path.stuckMs);
    queue.after(failMs, failed);
    this.landLate(failMs + Math.min(ghostBoundMs, random.between(0, path.stuckMs)), land);
  }

  private landLate(delayMs: number, land: () => void): void {
    this.ghostsUnderWay += 1;
    this.queue.after(delayMs, () => {
      this.ghostsUnderWay -= 1;
      land();
    });
  }

  path(node: number): Path {
    const path = this.paths[node];
    if (path === undefined) throw new Error(`no path ${String(node)}`);
    return path;
  }
}

/**
 * The network between cxmds, and the one over which VMs are pinged: loss, delay, duplicates, reordering (by delay), cuts
 * in one direction. Calls are TCP: what is lost is sent again, so they fail or come late, but aren't lost one by one.
 */
import type { EventQueue } from './queue.ts';
import type { Random } from './random.ts';

export class Network {
  loss = 0;
  duplicates = 0;
  delayMs = 2;
  /** Delivered datagrams are as old as this at worst. */
  spreadMs = 3;
  private readonly cuts: boolean[][];
  /** VMs of and pings from these nodes don't pass. */
  readonly pingCut: boolean[];
  private readonly queue: EventQueue;
  private readonly random: Random;

  constructor(size: number, queue: EventQueue, random: Random) {
    this.queue = queue;
    this.random = random;
    this.cuts = Array.from({ length: size }, () => new Array<boolean>(size).fill(false));
    this.pingCut = new Array<boolean>(size).fill(false);
  }

  cut(from: number, to: number, isCut = true): void {
    const row = this.cuts[from];
    if (row !== undefined && from !== to) row[to] = isCut;
  }

  isolate(node: number, isCut = true): void {
    for (let other = 0; other < this.cuts.length; other += 1) {
      this.cut(node, other, isCut);
      this.cut(other, node, isCut);
    }
  }

  heal(): void {
    for (const row of this.cuts) row.fill(false);
    this.pingCut.fill(false);
    this.loss = 0;
    this.duplicates = 0;
    this.delayMs = 2;
    this.spreadMs = 3;
  }

  isCut(from: number, to: number): boolean {
    return this.cuts[from]?.[to] === true;
  }

  /** To all others. While nothing is wrong they get it in one event. */
  broadcast(from: number, deliver: (to: number) => void): void {
    const size = this.cuts.length;
    if (this.loss === 0 && this.duplicates === 0 && this.spreadMs <= 3) {
      this.queue.after(this.delayMs * (1 + this.random.next()), () => {
        for (let to = 0; to < size; to += 1) if (to !== from && !this.isCut(from, to)) deliver(to);
      });
      return;
    }
    for (let to = 0; to < size; to += 1) {
      if (to === from) continue;
      const copies = this.random.chance(this.duplicates) ? 2 : 1;
      for (let copy = 0; copy < copies; copy += 1) {
        if (this.random.chance(this.loss)) continue;
        this.queue.after(this.delayMs + this.random.between(0, this.spreadMs), () => {
          if (!this.isCut(from, to)) deliver(to);
        });
      }
    }
  }

  /**
   * One direction of a call. It arrives, perhaps late, unless one direction is cut for so long that the sender's kernel
   * gives up: then it may still have been cut only now and then, and arrive at the end.
   */
  call(from: number, to: number, arrive: () => void, triesLeft = 12): void {
    if (from === to) {
      this.queue.after(0.2, arrive);
      return;
    }
    const isThrough = !this.isCut(from, to) && !this.isCut(to, from) && !this.random.chance(this.loss);
    if (isThrough) {
      this.queue.after(this.delayMs + this.random.between(0, this.spreadMs), arrive);
      return;
    }
    if (triesLeft === 0) return;
    this.queue.after(200 * 1.5 ** (12 - triesLeft), () => {
      this.call(from, to, arrive, triesLeft - 1);
    });
  }

  /** Does a ping to a VM of `to`, tried twice, come back? */
  pings(from: number, to: number): boolean {
    if (from === to) return true;
    if (this.pingCut[from] === true || this.pingCut[to] === true) return false;
    const loss = 1 - (1 - this.loss) ** 2;
    return !this.random.chance(loss * loss);
  }
}

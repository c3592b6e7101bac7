/**
 * Blocks of memory that are used again. New memory for each mebibyte of a disk costs the kernel more than reading the disk
 * from its cache; waiting for the garbage collector keeps it new.
 *
 * Guarantees: a block is lent to one holder at a time, and comes back once, by its own `release`; one that never comes back
 * is left to the garbage collector.
 */
export interface LentBlock {
  readonly memory: Buffer;
  /** Nobody may look at the memory afterwards. A second call does nothing. */
  readonly release: () => void;
}

export class BlockPool {
  private readonly spare: Buffer[] = [];

  /** @param maxSpare as many are kept for the next holders */
  constructor(
    private readonly blockBytes: number,
    private readonly maxSpare: number,
  ) {}

  lend(): LentBlock {
    const memory = this.spare.pop() ?? Buffer.allocUnsafeSlow(this.blockBytes);
    let isLent = true;
    const release = (): void => {
      if (isLent && this.spare.length < this.maxSpare) this.spare.push(memory);
      isLent = false;
    };
    return { memory, release };
  }
}

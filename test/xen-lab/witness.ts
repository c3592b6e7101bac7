/**
 * What a guest has said of itself so far. By it a test tells whether the guest goes on, was started anew, or has lost
 * what it wrote: its counter is durable on the disk and never goes back, and each boot has a word of its own.
 */
import { expect } from 'vitest';
import { askGuest, guestAnswers, guestCounts } from './guest.ts';

export class Witness {
  private boot = '';
  private counted = 0;

  constructor(private readonly address: string) {}

  /** It runs; what it said before, if anything, is forgotten. */
  async begins(): Promise<void> {
    this.boot = await guestAnswers(this.address);
    this.counted = await guestCounts(this.address);
  }

  /** The same guest goes on, with nothing lost of its disk. */
  async goesOn(): Promise<void> {
    // Twice: a number that was served may be older than the last look at it.
    this.counted = await guestCounts(this.address, await guestCounts(this.address, this.counted - 1));
    expect(await askGuest(this.address, 'boot')).toBe(this.boot);
  }

  /** It was started anew, with nothing lost of its disk. */
  async startedAnew(): Promise<void> {
    const before = this.boot;
    await expect
      .poll(async () => (this.boot = await guestAnswers(this.address)), { timeout: 120_000 })
      .not.toBe(before);
    this.counted = await guestCounts(this.address, this.counted);
  }

  /** It runs, anew or not, with nothing lost of its disk. @returns whether it was started anew */
  async lives(): Promise<boolean> {
    const before = this.boot;
    this.boot = await guestAnswers(this.address);
    this.counted = await guestCounts(this.address, this.counted);
    return this.boot !== before;
  }

  /** What it had counted to when it was looked at last. */
  get number(): number {
    return this.counted;
  }
}

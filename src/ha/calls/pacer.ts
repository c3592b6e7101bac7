/**
 * Shares the main thread between those who ask and the heartbeats, which run on the same thread and must come in time.
 *
 * Guarantees: all who are served through one pacer take no more than its share of the time, but for a short burst; of several
 * connections that want more each gets its turn, one request at a time, so that one with many requests holds up no other one.
 */

/** Does one piece of work. @returns whether there is more, for which it wants another turn */
export type Turn = () => boolean;

export class Pacer {
  private readonly waiting: Turn[] = [];
  private creditMs: number;
  private filledMs = performance.now();
  private timer: NodeJS.Timeout | undefined;

  /** @param share of a core, from 0 to 1. @param burstMs that may be used at once after a rest */
  constructor(
    private readonly share: number,
    private readonly burstMs: number,
  ) {
    this.creditMs = burstMs;
  }

  /** At once if there is time left and nobody waits, else after those who came before. */
  run(turn: Turn): void {
    this.waiting.push(turn);
    if (this.timer === undefined) this.work();
  }

  /** Time that was used for a turn after it had ended. */
  charge(ms: number): void {
    this.creditMs -= ms;
  }

  private work(): void {
    this.timer = undefined;
    while (this.waiting.length > 0) {
      this.fill();
      if (this.creditMs <= 0) return this.rest();
      const turn = this.waiting.shift();
      const beginMs = performance.now();
      if (turn?.() === true) this.waiting.push(turn);
      this.charge(performance.now() - beginMs);
    }
  }

  private rest(): void {
    const ms = Math.ceil(1 - this.creditMs / this.share);
    this.timer = setTimeout(() => this.work(), ms);
  }

  private fill(): void {
    const nowMs = performance.now();
    this.creditMs = Math.min(this.burstMs, this.creditMs + (nowMs - this.filledMs) * this.share);
    this.filledMs = nowMs;
  }
}

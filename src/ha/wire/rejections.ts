/**
 * What arrives and isn't for us: counted by kind, told once a minute, never acted on. Guarantees: whoever floods a port
 * makes one line a minute and kind, and no memory grows with the number of senders.
 */

export interface RejectionCount {
  readonly kind: string;
  readonly count: number;
}

const intervalMs = 60_000;

export class Rejections {
  private readonly counts = new Map<string, { total: number; untold: number; toldMs: number }>();

  /** @param tell gets the kind, how many since it was told last, and where the latest came from */
  constructor(
    private readonly now: () => number,
    private readonly tell: (kind: string, count: number, source: string) => void,
  ) {}

  /** @param kind one of a few words of ours, never text of the sender's */
  count(kind: string, source: string): void {
    const entry = this.counts.get(kind) ?? { total: 0, untold: 0, toldMs: -Infinity };
    this.counts.set(kind, entry);
    entry.total += 1;
    entry.untold += 1;
    const nowMs = this.now();
    if (nowMs - entry.toldMs < intervalMs) return;
    const { untold } = entry;
    entry.untold = 0;
    entry.toldMs = nowMs;
    this.tell(kind, untold, source);
  }

  totals(): readonly RejectionCount[] {
    return [...this.counts].map(([kind, { total }]) => ({ kind, count: total }));
  }
}

/** What is to happen when: a binary heap by time; what was put in first goes first among equals. */
interface Entry {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class EventQueue {
  nowMs = 0;
  /** How many events were run. */
  count = 0;
  private readonly heap: Entry[] = [];
  private order = 0;

  at(at: number, run: () => void): void {
    this.order += 1;
    this.push({ at: Math.max(at, this.nowMs), order: this.order, run });
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run);
  }

  /** Runs everything up to that time. */
  runUntil(untilMs: number): void {
    for (;;) {
      const first = this.heap[0];
      if (first === undefined || first.at > untilMs) break;
      this.pop();
      this.nowMs = first.at;
      this.count += 1;
      first.run();
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
  }

  private push(entry: Entry): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Entry;
      if (isBefore(above, entry)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop() as Entry;
    const size = heap.length;
    if (size === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && isBefore(heap[child + 1] as Entry, heap[child] as Entry)) child += 1;
      const below = heap[child] as Entry;
      if (isBefore(last, below)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}

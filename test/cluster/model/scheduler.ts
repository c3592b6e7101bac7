/**
 * The order of everything in the model. Time is virtual; how long each thing takes is drawn, so that the calls of several
 * operators and what the nodes do by themselves come in any order. The same seed draws the same history.
 */

export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
    for (let warmUp = 0; warmUp < 4; warmUp += 1) this.next();
  }

  /** From 0 to 1, without 1 (mulberry32). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }
}

interface Event {
  readonly due: number;
  readonly label: string;
  readonly act: () => void;
}

export class Scheduler {
  now = 0;
  /** What has happened, for whoever has to understand a failed seed. */
  readonly trace: string[] = [];
  /** Latest first. */
  private readonly events: Event[] = [];

  constructor(
    readonly random: Random,
    /** Looks at the world after each event. */
    private readonly afterEvent: () => void,
  ) {}

  /** After as long as such things take: mostly some milliseconds, sometimes seconds. */
  soon(label: string, act: () => void): void {
    const draw = this.random.next();
    const limitMs = draw < 0.7 ? 60 : draw < 0.93 ? 600 : 2500;
    this.later(1 + this.random.next() * limitMs, label, act);
  }

  later(milliseconds: number, label: string, act: () => void): void {
    const event = { due: this.now + milliseconds, label, act };
    let at = this.events.length;
    while (at > 0 && (this.events[at - 1]?.due ?? 0) <= event.due) at -= 1;
    this.events.splice(at, 0, event);
  }

  note(text: string): void {
    this.trace.push(`${this.now.toFixed(0).padStart(7)} ${text}`);
  }

  /** Until nothing is left. @returns false when that takes more than so many events */
  async drain(limit: number): Promise<boolean> {
    for (let events = 0; events < limit; events += 1) {
      // Everything that can go on without the world goes on first.
      await new Promise((resolve) => setImmediate(resolve));
      const event = this.events.pop();
      if (event === undefined) return true;
      this.now = event.due;
      if (event.label !== '') this.note(event.label);
      event.act();
      this.afterEvent();
    }
    return false;
  }
}

/**
 * Looks at the guests all the time, whatever the test does meanwhile. What it saw that can't be so is told afterwards
 * (support/sightings.ts); a guest that does not answer is no news.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Sightings } from '../support/sightings.ts';
import { askGuest } from './guest.ts';

/** An emulated guest answers at some cost. One that is coming up is to be seen before it has counted far. */
const [calmMs, eagerMs] = [4000, 200];

export class Watch {
  private isOver = false;
  private readonly guests: readonly Sightings[];
  private readonly looking: readonly Promise<void>[];

  /** @param guests that run */
  constructor(guests: readonly { readonly name: string; readonly address: string }[]) {
    this.guests = guests.map(({ name }) => new Sightings(name));
    this.looking = guests.map(({ address }, at) => this.look(address, at));
  }

  /** What was wrong since this was asked last. */
  takeWrong(): readonly string[] {
    return this.guests.flatMap(({ wrong }) => wrong.splice(0));
  }

  async end(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.looking);
  }

  private async look(address: string, at: number): Promise<void> {
    while (!this.isOver) {
      // A guest needs longer to be started anew than these two take together.
      const boot = await askGuest(address, 'boot');
      const number = boot === undefined ? undefined : await askGuest(address, 'counter');
      const isAnswered = number !== undefined && /^\d+$/.test(number);
      if (boot !== undefined && isAnswered) this.guests[at]?.add({ boot, number: Number(number) });
      await sleep(isAnswered ? calmMs : eagerMs);
    }
  }
}

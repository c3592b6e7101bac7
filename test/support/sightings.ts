/**
 * What a guest that counts may say of itself, one look after the other. By it a test knows afterwards that there never were
 * two copies of the guest and that no number was lost which it had acknowledged, also when nobody looked at that moment.
 */

export interface Sighting {
  /** Another word for each boot. */
  readonly boot: string;
  /** The last number that it has written to its disk; the one before it is durable. */
  readonly number: number;
}

export class Sightings {
  /** Sentences: what can't be so. */
  readonly wrong: string[] = [];
  private readonly former = new Set<string>();
  private last: Sighting | undefined;

  constructor(private readonly guest: string) {}

  add(sighting: Sighting): void {
    const { guest, last } = this;
    const { boot, number } = sighting;
    if (this.former.has(boot)) {
      // It stays what it is now: its numbers say nothing about those of the other copy.
      this.wrong.push(`${guest}: boot ${boot} is back after boot ${last?.boot ?? '?'} was seen: there are two of it`);
      return;
    }
    if (last?.boot === boot && number < last.number) {
      this.wrong.push(`${guest}: counted back from ${last.number} to ${number} within a boot`);
    } else if (last !== undefined && last.boot !== boot) {
      this.former.add(last.boot);
      if (number < last.number - 1) {
        this.wrong.push(`${guest}: was at ${last.number} and at ${number} after it was started anew`);
      }
    }
    this.last = sighting;
  }
}

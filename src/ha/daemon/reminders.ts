/**
 * Troubles that last are told again, once a minute each. The first word about each is the journal's, so nothing is said when
 * one comes or goes.
 */
import type { Logger } from './log.ts';
import type { Trouble } from './view.ts';

const pauseMs = 60_000;

export class Reminders {
  private readonly toldMs = new Map<string, number>();

  constructor(private readonly log: Logger) {}

  /** @param nowMs of any clock that does not go back */
  look(troubles: readonly Trouble[], nowMs: number): void {
    if (troubles.length === 0 && this.toldMs.size === 0) return;
    const present = new Set(troubles.map(({ key }) => key));
    for (const key of this.toldMs.keys()) if (!present.has(key)) this.toldMs.delete(key);
    for (const { key, event, text } of troubles) {
      const toldMs = this.toldMs.get(key);
      if (toldMs !== undefined && nowMs - toldMs < pauseMs) continue;
      this.toldMs.set(key, nowMs);
      if (toldMs !== undefined) this.log(event, text);
    }
  }
}

/** Waiting for something that other processes bring about, with an end to it. */
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * What `look` finds, as soon as it finds something.
 * @param look undefined and false: not yet
 * @throws Error naming what was waited for
 */
export async function until<T>(
  what: string,
  timeoutMs: number,
  look: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`);
    await sleep(100);
  }
}

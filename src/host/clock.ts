/** Time as an effect: whoever waits or has a deadline gets a clock, so that tests and simulations have their own. */
import { readFileSync } from 'node:fs';

export interface Clock {
  /** Milliseconds from any fixed point, never going back. */
  now(): number;
  sleep(milliseconds: number): Promise<void>;
}

export const realClock: Clock = {
  now: () => performance.now(),
  sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
};

/** Milliseconds, whole ones, that all processes of this machine count alike until its next boot. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

/** Another word with each boot of this machine. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/**
 * The clock of the protocol: milliseconds since the boot, which go on while the machine sleeps. Node's own monotonic clock
 * stands still then, and a master that slept for a minute would believe its lease fresh.
 *
 * Guarantees: it never goes back and is not touched by changes of the time of day; it is at most 10 ms behind the kernel's.
 */
import * as fs from 'node:fs';

export type BootClock = () => number;

/** @param uptimeFile the kernel's clock since boot with sleep, in seconds with two decimals */
export function bootClock(uptimeFile = '/proc/uptime'): BootClock {
  const descriptor = fs.openSync(uptimeFile, 'r');
  const text = Buffer.alloc(64);
  let aheadMs = -Infinity;
  return () => {
    const length = fs.readSync(descriptor, text, 0, text.length, 0);
    const monotonicMs = performance.now();
    const uptimeMs = Number.parseFloat(text.toString('latin1', 0, length)) * 1000;
    // The kernel cuts to 10 ms; the greatest difference seen is the truest, and sleep makes it greater.
    if (uptimeMs - monotonicMs > aheadMs) aheadMs = uptimeMs - monotonicMs;
    return Math.floor(monotonicMs + aheadMs);
  };
}

/**
 * Where a disk of a configuration is found on this machine. Several simulated hosts share one real /dev, so each may have
 * a directory that stands for it (XL_SIMULATED_DEVICES); configurations and lists keep the names that a real host has.
 */
import { join } from 'node:path';

export function devicePath(target: string): string {
  const devices = process.env['XL_SIMULATED_DEVICES'];
  if (devices === undefined || !target.startsWith('/dev/')) return target;
  return join(devices, target.slice('/dev/'.length));
}

/**
 * Whether some process has a file open, as /proc shows it. Of other users' processes an ordinary user sees nothing, but
 * whoever holds a volume of a sandbox was started by the same user.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Those of the paths that some process has open, or that are behind a loop device. */
export function openPaths(paths: readonly string[]): ReadonlySet<string> {
  const wanted = new Set(paths);
  const open = new Set<string>();
  for (const processId of names('/proc')) {
    if (!/^\d+$/.test(processId)) continue;
    for (const descriptor of names(`/proc/${processId}/fd`)) {
      const target = linkOf(`/proc/${processId}/fd/${descriptor}`);
      if (wanted.has(target)) open.add(target);
    }
  }
  for (const device of names('/sys/block')) {
    if (!device.startsWith('loop')) continue;
    const target = textOf(`/sys/block/${device}/loop/backing_file`);
    if (wanted.has(target)) open.add(target);
  }
  return open;
}

function names(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

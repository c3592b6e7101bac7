/**
 * The processes that keep a domain's disks open. Each is a `sleep` that inherited the open files of one or more disks: the
 * kernel counts the device as open, so that LVM refuses to deactivate or remove it just as under a real guest. It has a
 * session of its own and none of the caller's files, and ends when the domain lets the disks go.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { devicePath } from './device-path.ts';
import type { Holder, ProcessReference, SimulatedDisk } from './domain.ts';

/**
 * Opens the disks and starts the process that holds them.
 * @throws the error of open(2) when a file can't be opened
 */
export function holdDisks(disks: readonly SimulatedDisk[]): Holder {
  const descriptors: number[] = [];
  try {
    for (const disk of disks) {
      if (disk.target !== '') descriptors.push(openSync(devicePath(disk.target), disk.readOnly ? 'r' : 'r+'));
    }
    const child = spawn('sleep', ['infinity'], {
      detached: true,
      cwd: '/',
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
      stdio: ['ignore', 'ignore', 'ignore', ...descriptors],
    });
    child.unref();
    if (child.pid === undefined) throw new Error('the process that holds the disks did not start');
    return { ...referenceTo(child.pid), vdevs: disks.map((disk) => disk.vdev) };
  } finally {
    for (const descriptor of descriptors) closeSync(descriptor);
  }
}

/** Ends a holder and waits until its files are closed. */
export async function releaseDisks(holder: Holder): Promise<void> {
  if (!isAlive(holder)) return;
  try {
    process.kill(holder.pid, 'SIGKILL');
  } catch {
    return;
  }
  for (let attempt = 0; attempt < 500 && isAlive(holder); attempt++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Whether this very process lives; a zombie does not, for its files are closed. */
export function isAlive(reference: ProcessReference): boolean {
  const ticks = startTicksOf(reference.pid);
  return ticks !== undefined && ticks === reference.startTicks;
}

export function thisProcess(): ProcessReference {
  return referenceTo(process.pid);
}

export function referenceTo(pid: number): ProcessReference {
  return { pid, startTicks: startTicksOf(pid) ?? '' };
}

/** Field 22 of /proc/PID/stat (proc_pid_stat(5)); undefined for a process that is gone or a zombie. */
function startTicksOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

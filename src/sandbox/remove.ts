/**
 * Takes a sandbox away: first the processes that belong to it, then its directory. A process belongs to it if the
 * sandbox's directory stands in its environment, which nothing else has.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

const tries = 100;
const pauseMs = 50;

/** Ends what still runs in the sandbox, then removes it. */
export async function removeSandbox(directory: string): Promise<void> {
  await endProcesses(directory);
  rmSync(directory, { recursive: true, force: true });
}

/** As `removeSandbox`, without letting this process do anything in between. */
export function removeSandboxNow(directory: string): void {
  for (let left = tries; left > 0 && killProcesses(directory); left--) sleep(pauseMs);
  rmSync(directory, { recursive: true, force: true });
}

/** Ends every process of the sandbox but this one; returns when they are gone. */
export async function endProcesses(directory: string): Promise<void> {
  for (let left = tries; left > 0 && killProcesses(directory); left--) await setTimeout(pauseMs);
}

/** @returns whether there were any: they may have started others meanwhile */
function killProcesses(directory: string): boolean {
  const found = processesOf(directory);
  for (const processId of found) {
    try {
      process.kill(processId, 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
  return found.length > 0;
}

function sleep(durationMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs);
}

/** Numbers of the processes that belong to the sandbox, but for this one and those that it runs in. */
export function processesOf(directory: string): readonly number[] {
  const own = new Set([process.pid, process.ppid]);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((processId) => !own.has(processId) && hasInEnvironment(processId, `${directory}/`));
}

function hasInEnvironment(processId: number, text: string): boolean {
  try {
    return readFileSync(`/proc/${processId}/environ`, 'latin1').includes(text) && !isZombie(processId);
  } catch {
    return false;
  }
}

function isZombie(processId: number): boolean {
  return /\) [ZX] /.test(readFileSync(`/proc/${processId}/stat`, 'latin1'));
}

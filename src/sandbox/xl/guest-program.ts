/**
 * The program that a guest runs, where a knob names one: so that a test sees what a guest does to its disks, and when.
 *
 * Guarantees: it runs only while its domain does. It begins standing still; whoever makes it stand still waits until it
 * does, so that a guest which was suspended here has done its last write before another host is told to go on with it.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { devicePath } from './device-path.ts';
import type { Holder, SimulatedDomain } from './domain.ts';
import { referenceTo } from './holder.ts';

const patienceMs = 10_000;

/** @param domain as it is about to be: one that is paused does not run yet */
export function startGuest(program: string, { settings, guest, paused }: SimulatedDomain): Holder {
  const targets = settings.disks.flatMap(({ target }) => (target === '' ? [] : [devicePath(target)]));
  const words = ['-c', 'kill -STOP $$; exec "$@"', 'guest', program, settings.name, guest.bootId, ...targets];
  const child = spawn('sh', words, {
    detached: true,
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
    stdio: 'ignore',
  });
  child.unref();
  if (child.pid === undefined) throw new Error(`the program of the guest, ${program}, did not start`);
  const holder: Holder = { ...referenceTo(child.pid), vdevs: [], isGuest: true };
  try {
    waitUntilStopped(child.pid);
  } catch (error) {
    signal(child.pid, 'SIGKILL');
    throw error;
  }
  if (!paused) signal(child.pid, 'SIGCONT');
  return holder;
}

/** Returns when it has stopped: a write that was under way is over. */
export function stopGuest(domain: SimulatedDomain | undefined): void {
  for (const pid of guestsOf(domain)) {
    signal(pid, 'SIGSTOP');
    waitUntilStopped(pid);
  }
}

export function continueGuest(domain: SimulatedDomain | undefined): void {
  for (const pid of guestsOf(domain)) signal(pid, 'SIGCONT');
}

/** A domain that was read from the store has holders that are alive. */
function guestsOf(domain: SimulatedDomain | undefined): readonly number[] {
  return (domain?.holders ?? []).filter(({ isGuest }) => isGuest === true).map(({ pid }) => pid);
}

/** It may end by itself at any moment. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** It takes no longer than what it does at the moment; nothing else may be done meanwhile. */
function waitUntilStopped(pid: number): void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (const deadline = Date.now() + patienceMs; Date.now() < deadline; Atomics.wait(cell, 0, 0, 2)) {
    if (/^State:\s+[TZX]/m.test(statusOf(pid))) return;
  }
  throw new Error(`the guest's program ${pid} did not stop within ${patienceMs} ms`);
}

/** That of a process which is gone says that it has ended. */
function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return 'State: X';
  }
}

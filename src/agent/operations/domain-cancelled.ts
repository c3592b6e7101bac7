/**
 * The end of a VM ends what is about to start it. An action that oned has given up may live on here: its ssh was killed, but
 * the script behind it was not, and its helper waits for LVM or for the lock. When the disks have been made anew meanwhile,
 * for another host, nothing else tells it that it is out of date. So a cancel notes when it was asked for, and whoever
 * had begun to start the VM before that gives up. Times are of the host's monotonic clock, and of one boot.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { CxmError } from '../../errors.ts';
import { bootId, monotonicMs } from '../../host/clock.ts';
import type { DomainHost } from './domain-host.ts';

/** Something that starts the VM. */
export interface Start {
  readonly vmId: number;
  /** When its action began, by `monotonicMs` of this host. */
  readonly begunMs: number;
}

/** @param said what the action says; one that says nothing has begun when it is heard of, and none begins later */
export function begunAt(said: number | undefined): number {
  return Math.min(said ?? Infinity, monotonicMs());
}

/** From now on, nothing that has begun by now starts the VM on this host. */
export function noteCancelled({ runDirectory }: DomainHost, vmId: number): void {
  mkdirSync(runDirectory, { recursive: true, mode: 0o711 });
  const path = notePath(runDirectory, vmId);
  // Never half-written: who reads it is about to start the VM.
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, `${bootId()} ${monotonicMs()}\n`, { mode: 0o600 });
  renameSync(temporary, path);
}

/**
 * Asked before and after what takes long, and last before the guest may run.
 * @throws CxmError INTERRUPTED when nobody waits for the domain any more, or its VM has been cancelled
 */
export function requireWanted({ signal, runDirectory }: DomainHost, { vmId, begunMs }: Start): void {
  if (signal.aborted) throw new CxmError('INTERRUPTED', 'the action was ended before the domain had started');
  const cancelledMs = cancelledAt(runDirectory, vmId);
  if (cancelledMs === undefined || cancelledMs < begunMs) return;
  throw new CxmError('INTERRUPTED', `VM ${vmId} has been cancelled since this action began`, {
    hint: 'start the VM again in OpenNebula if it is still wanted here',
  });
}

function cancelledAt(runDirectory: string, vmId: number): number | undefined {
  let text: string;
  try {
    text = readFileSync(notePath(runDirectory, vmId), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const [boot, milliseconds] = text.trim().split(' ');
  return boot === bootId() && milliseconds !== undefined ? Number(milliseconds) : undefined;
}

function notePath(runDirectory: string, vmId: number): string {
  return `${runDirectory}/vm-${vmId}.cancelled`;
}

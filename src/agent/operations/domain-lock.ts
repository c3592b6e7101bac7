/**
 * One operation at a time changes a VM on a host. An action that oned has killed may still be rolling back here when
 * the next one comes; flock(1) holds the lock as a child of ours, so it ends with us, however we end.
 */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { CxmError } from '../../errors.ts';
import type { DomainHost } from './domain-host.ts';

export interface LockOptions {
  /** How long to wait; 60 s when left out. */
  readonly waitMs?: number;
  /** What must never be kept from working, like cancel, goes on without the lock then. */
  readonly orWithout?: boolean;
}

/** @throws CxmError TIMEOUT when another operation holds the lock for too long */
export async function withDomainLock<T>(
  host: DomainHost,
  vmId: number,
  work: () => Promise<T>,
  { waitMs = 60_000, orWithout = false }: LockOptions = {},
): Promise<T> {
  const release = await lock(host, vmId, waitMs);
  if (release === undefined) {
    const sentence = `another operation on VM ${vmId} has not ended within ${Math.round(waitMs / 1000)} s`;
    if (!orWithout) throw new CxmError('TIMEOUT', sentence);
    host.log('WARN', `${sentence}; going on without waiting for it`);
  }
  try {
    return await work();
  } finally {
    release?.();
  }
}

function lock({ runDirectory }: DomainHost, vmId: number, waitMs: number): Promise<(() => void) | undefined> {
  mkdirSync(runDirectory, { recursive: true, mode: 0o711 });
  const seconds = String(Math.max(1, Math.ceil(waitMs / 1000)));
  const args = ['-x', '-w', seconds, `${runDirectory}/vm-${vmId}.lock`, 'sh', '-c', 'echo locked && exec cat'];
  const child = spawn('flock', args, { stdio: ['pipe', 'pipe', 'ignore'] });
  child.stdin.on('error', () => undefined);
  return new Promise((resolve, reject) => {
    child.stdout.once('data', () => resolve(() => void child.stdin.end()));
    child.on('error', (cause) =>
      reject(new CxmError('COMMAND', `flock: ${cause.message}`, { cause, hint: 'install util-linux' })),
    );
    child.on('close', () => resolve(undefined));
  });
}

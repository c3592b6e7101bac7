/**
 * The note of a restart that is under way: between the end of the domain and its new start nothing on the host runs, and
 * whoever restarts the VM once more must be able to tell that from a VM that was moved away or has ended by itself. It is
 * of one boot, and of one writing of the configuration, which each start elsewhere or anew writes again.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { bootId } from '../../host/clock.ts';
import type { DomainHost } from './domain-host.ts';

/** The domain is about to be ended, to be started again. */
export function noteRestart(host: DomainHost, vmId: number): void {
  mkdirSync(host.runDirectory, { recursive: true, mode: 0o711 });
  const temporary = `${notePath(host, vmId)}.${process.pid}`;
  writeFileSync(temporary, noteOf(host, vmId), { mode: 0o600 });
  renameSync(temporary, notePath(host, vmId));
}

export function forgetRestart(host: DomainHost, vmId: number): void {
  rmSync(notePath(host, vmId), { force: true });
}

/** A restart has ended the domain and not started it: it is still the VM's last word, which runs here by its link. */
export function isRestartCutOff(host: DomainHost, vmId: number, name: string): boolean {
  let note: string;
  try {
    note = readFileSync(notePath(host, vmId), 'utf8');
  } catch {
    return false;
  }
  return note === noteOf(host, vmId) && host.files.vmIdOf(name) === vmId && host.files.hasAutostart(name);
}

function noteOf({ files }: DomainHost, vmId: number): string {
  return `${bootId()}\n${files.generation(vmId)}\n`;
}

function notePath({ runDirectory }: DomainHost, vmId: number): string {
  return `${runDirectory}/vm-${vmId}.restarting`;
}

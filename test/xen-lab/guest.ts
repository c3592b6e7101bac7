/**
 * The guest of the Xen lab: a small Linux that lives on its disk, answers ping and HTTP, counts with fsync and shuts down
 * when told (recipe/guest-*). What it says of itself is what tests believe.
 */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { lab } from '../lab/lab.ts';
import { oneadmin, startedNodes, type NodeName } from '../lab/layout.ts';
import { currentImages } from './layout.ts';

/** On the nodes, where templates may take kernels from. */
export const guestKernel = '/boot/guest-kernel';
export const guestInitramfs = '/boot/guest-initramfs';

/** The address that a guest gives itself: OpenNebula's last four bytes of the MAC. */
export function macOf(address: string): string {
  const bytes = address.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'));
  return ['02', '00', ...bytes].join(':');
}

/** Its files, packed for tar mode. @param file on the frontend */
export function makeGuestArchive(file: string): void {
  execFileSync('tar', ['--zstd', '--numeric-owner', '-cf', file, '-C', currentImages().guestTree, '.']);
  execFileSync('chown', [`${oneadmin.uid}:${oneadmin.gid}`, file]);
}

/** Its files in an ext4 file system, as a raw image. @param file on the frontend */
export function makeGuestImage(file: string, sizeMib: number): void {
  rmSync(file, { force: true });
  execFileSync('truncate', ['-s', `${sizeMib}M`, file]);
  execFileSync('mkfs.ext4', ['-q', '-F', '-d', currentImages().guestTree, file]);
  execFileSync('chown', [`${oneadmin.uid}:${oneadmin.gid}`, file]);
}

/**
 * What it shows: `boot` is another one for each boot, `counter` the last number that is durable on its disk, `context` the
 * file of its contextualisation CD. Undefined when it does not answer within a second.
 */
export async function askGuest(address: string, what: 'boot' | 'counter' | 'context'): Promise<string | undefined> {
  try {
    const response = await fetch(`http://${address}/${what}`, { signal: AbortSignal.timeout(1000) });
    return response.ok ? (await response.text()).trim() : undefined;
  } catch {
    return undefined;
  }
}

/** Waits until it answers; what it shows then. @throws Error after two minutes */
export async function guestAnswers(address: string, what: 'boot' | 'counter' | 'context' = 'boot'): Promise<string> {
  for (const deadline = Date.now() + 120_000; Date.now() < deadline; await sleep(100)) {
    const said = await askGuest(address, what);
    if (said !== undefined && said !== '') return said;
  }
  throw new Error(`the guest at ${address} does not answer${await lastWords()}`);
}

/** Waits until its counter is beyond a number; where it is then. @throws Error when it stands still for a minute */
export async function guestCounts(address: string, beyond = 0): Promise<number> {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(100)) {
    const number = Number(await askGuest(address, 'counter'));
    if (number > beyond) return number;
  }
  throw new Error(`the guest at ${address} does not count beyond ${beyond}${await lastWords()}`);
}

/** What the nodes know of their guests and the guests' consoles said last, for whoever reads of a failure. */
async function lastWords(): Promise<string> {
  const look = 'xl list; tail -n 12 /var/log/xen/console/guest-*.log; true';
  const said = startedNodes.map(async (node) => `\n--- ${node}\n${await lab.output(node, look).catch(String)}`);
  return (await Promise.all(said)).join('');
}

/** Names of the domains of a node besides dom0, as xl lists them. */
export async function guestsOn(node: NodeName): Promise<readonly string[]> {
  const listed = await lab.output(node, "xl list | awk 'NR > 2 {print $1}'");
  return listed === '' ? [] : listed.split('\n');
}

/** Waits until none is left: xl's monitor destroys a domain some time after it has shut down. @throws Error after 30 s */
export async function noGuestOn(node: NodeName): Promise<void> {
  for (const deadline = Date.now() + 30_000; ; await sleep(200)) {
    const guests = await guestsOn(node);
    if (guests.length === 0) return;
    if (Date.now() > deadline) throw new Error(`still on ${node}: ${guests.join(', ')}`);
  }
}

export interface GuestConfiguration {
  readonly name: string;
  /** Block device of dom0. */
  readonly disk: string;
  readonly address: string;
  readonly memoryMib?: number;
  readonly type?: 'pv' | 'pvh';
  /** More lines of xl.cfg. */
  readonly more?: readonly string[];
}

/** An xl.cfg of it, for tests of xl itself. */
export function guestConfiguration(guest: GuestConfiguration): string {
  return [
    `name = "${guest.name}"`,
    `type = "${guest.type ?? 'pv'}"`,
    `kernel = "${guestKernel}"`,
    `ramdisk = "${guestInitramfs}"`,
    'extra = "console=hvc0 root=/dev/xvda quiet"',
    `memory = ${guest.memoryMib ?? 96}`,
    'vcpus = 1',
    `disk = [ "phy:${guest.disk},xvda,w" ]`,
    `vif = [ "mac=${macOf(guest.address)},bridge=xenbr0" ]`,
    ...(guest.more ?? []),
    '',
  ].join('\n');
}

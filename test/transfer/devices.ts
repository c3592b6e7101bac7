/**
 * Devices for tests of file systems, as root: two loop devices of the size that the type needs, and the check after each
 * test that nothing of ours is left on them. For the files that import this; without root or the programs `why` says what
 * is missing, and they skip.
 */
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import type { ArchiveNote, FileSystemType } from '../../src/transfer/archive-note.ts';
import { has, loopDevice, run, temporaryDirectory, whyNoLoop } from './helpers.ts';

export const why =
  whyNoLoop() ?? (has('mkfs.xfs') && has('setfattr') && has('setfacl') ? undefined : 'needs xfsprogs, attr, acl');
export const directory = temporaryDirectory();

/** What a test works on: ext4's until it says `use`. */
export let device = '';
export let other = '';
// mkfs.xfs of later versions makes nothing below 300 MiB.
const large = { device: '', other: '' };
const small = { device: '', other: '' };

export function use(...types: FileSystemType[]): void {
  ({ device, other } = types.includes('xfs') ? large : small);
}

const detach: (() => void)[] = [];
if (why === undefined) {
  beforeAll(() => {
    for (const [pair, sizeMib] of [
      [large, 320],
      [small, 64],
    ] as const) {
      for (const name of ['device', 'other'] as const) {
        const loop = loopDevice(directory.path, sizeMib);
        pair[name] = loop.device;
        detach.push(loop.detach);
      }
    }
  });
  beforeEach(() => use('ext4'));
  afterEach(() => expect(traces(device) + traces(other)).toBe(''));
}
afterAll(() => {
  detach.forEach((one) => one());
  directory.remove();
});

export function zero(): void {
  run('blkdiscard', '--zeroout', device);
}

export const uuid = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0';
export const note = (type: FileSystemType): ArchiveNote => ({
  fileSystemType: type,
  sizeBytes: 64 * 2 ** 20,
  uuid,
  label: 'root',
});

/** Files of every kind that an archive must bring back. */

/**
 * Mounts a device for the time of `work`, in a namespace of its own: one that another test or the lab makes meanwhile
 * would copy a mount of ours and keep the device busy. Its files are reached through /proc.
 */
export async function mounted<T>(device: string, options: string, work: (root: string) => T): Promise<T> {
  const root = mkdtempSync(join(directory.path, 'mounted-'));
  const script = 'mount -o "$1" -- "$2" "$3" && echo mounted && read -r _; umount "$3"';
  const words = ['--mount', '--propagation', 'private', 'bash', '-c', script, 'bash', options, device, root];
  const holder = spawn('unshare', words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve) => holder.on('close', resolve));
  try {
    const said = await Promise.race([once(holder.stdout, 'data'), ended]);
    expect(Array.isArray(said), `${device} can be mounted`).toBe(true);
    return work(`/proc/${holder.pid}/root${root}`);
  } finally {
    holder.stdin.end('\n');
    expect(await ended).toBe(0);
  }
}

/** No mount, namespace process or loop device may be left by us. */
function traces(device: string): string {
  const mounts = readFileSync('/proc/self/mountinfo', 'latin1');
  return mounts
    .split('\n')
    .filter((line) => line.includes(`${device} `) || line.includes('cxm-sandbox'))
    .join('\n');
}

/** How many processes of this machine have the device mounted in their namespace. */
export function readers(device: string): number {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/mountinfo`, 'latin1').includes(` ${device} `);
      } catch {
        return false;
      }
    }).length;
}

export async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 200) throw new Error('did not come true within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

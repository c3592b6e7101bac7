/** A heartbeat disk whose device was removed and has come back: it is used again if it is the same one, as we left it. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DiskThread } from '../../src/ha/disk/disk-thread.ts';
import { diskBytes } from '../../src/ha/disk/format.ts';
import { HeartbeatDisk } from '../../src/ha/disk/heartbeat-disk.ts';
import { formatDevice } from '../../src/ha/disk/prepare.ts';
import type { Slot } from '../../src/ha/protocol/blocks.ts';
import { slotOf } from './protocol/member.ts';

let directory: string;
let device: string;

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'cxm-ha-disk-again-'));
  device = join(directory, 'disk');
  makeDisk(device);
});

afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

function makeDisk(path: string): void {
  fs.writeFileSync(path, '');
  fs.truncateSync(path, diskBytes);
  formatDevice(path, 'lab', { sizeBytes: diskBytes, carries: undefined, cluster: undefined, users: [] }, true);
}

const slot = (sequence: number): Slot => {
  return { ...slotOf(3, 'node3', sequence, 1), ledger: { fenced: [], recovered: [], excluded: [] } };
};

/** The device is gone for whoever has it open; where it was there is another one, with these contents. */
function exchangeDevice(contents: string): void {
  fs.copyFileSync(contents, `${device}.new`);
  fs.truncateSync(device, 0);
  fs.renameSync(`${device}.new`, device);
}

function copyOfDevice(name: string): string {
  const copy = join(directory, name);
  fs.copyFileSync(device, copy);
  return copy;
}

test('it is opened anew with what we have written last, and used as before', () => {
  const disk = HeartbeatDisk.open(device, 'lab');
  disk.writeSlot(slot(1));
  disk.writeSlot(slot(2));
  exchangeDevice(copyOfDevice('same'));
  expect(() => disk.read()).toThrow(/can't be read/);
  const again = disk.reopened();
  expect(again.read().slots[3]).toEqual(slot(2));
  again.writeSlot(slot(3));
  expect(again.read().slots[3]).toEqual(slot(3));
  for (const one of [disk, again]) one.close();
});

test('a copy of it from before our last write, however often it was opened anew, and another disk are not opened', () => {
  const disk = HeartbeatDisk.open(device, 'lab');
  disk.writeSlot(slot(1));
  const old = copyOfDevice('old');
  disk.writeSlot(slot(2));
  exchangeDevice(copyOfDevice('same'));
  const again = disk.reopened();
  exchangeDevice(old);
  expect(() => again.reopened()).toThrow(/another heartbeat disk/);
  makeDisk(join(directory, 'new'));
  exchangeDevice(join(directory, 'new'));
  expect(() => disk.reopened()).toThrow(/another heartbeat disk/);
  for (const one of [disk, again]) one.close();
});

test('the thread opens it anew by itself once it is there again, and tells of each order that has failed', async () => {
  const entryPoints = ['src/ha/disk/disk-worker-main.ts'];
  const built = await build({ entryPoints, bundle: true, write: false, platform: 'node', format: 'cjs' });
  const program = built.outputFiles[0]?.text ?? '';
  const { disk } = await DiskThread.open({ program, path: device, cluster: 'lab' }, 30_000);
  await disk.writeSlot(slot(1));
  const same = copyOfDevice('same');
  fs.truncateSync(device, 0);
  await expect(disk.read()).rejects.toThrow(/can't be read/);
  await expect(disk.read()).rejects.toThrow(/can't be read/);
  await expect(disk.writeSlot(slot(2))).rejects.toThrow(/disk/);
  exchangeDevice(same);
  await expect(disk.read()).rejects.toThrow(/can't be read/);
  expect((await disk.read()).slots[3]).toEqual(slot(1));
  await disk.writeSlot(slot(3));
  expect((await disk.read()).slots[3]).toEqual(slot(3));
  expect(await disk.close(5000)).toBe(true);
});

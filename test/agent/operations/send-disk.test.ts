/** What a disk is sent as when its file system does not fit into an archive. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { OperationContext } from '../../../src/agent/operation.ts';
import { buildDisk } from '../../../src/agent/operations/disk.ts';
import { sendDisk } from '../../../src/agent/operations/send-disk.ts';
import type { FileSystemType } from '../../../src/transfer/archive-note.ts';
import type { DeviceContent, FileSystemTools } from '../../../src/transfer/filesystem.ts';
import { DiskHost, mebibyte } from './disks.ts';

let host: DiskHost;
beforeEach(() => {
  host = new DiskHost();
});
afterEach(() => host.end());

/** Sends a disk of 8 MiB whose archive would have that length; the kinds that were announced, and what was measured. */
async function send(archiveBytes: number, clean: boolean, type: FileSystemType = 'xfs'): Promise<string[]> {
  const told: string[] = [];
  const content: DeviceContent = { kind: 'filesystem', type, clean };
  const plain = host.context();
  const fileSystems: FileSystemTools = {
    ...plain.fileSystems,
    identify: () => Promise.resolve(content),
    measure: (device, { replayJournal }) => {
      told.push(`measured ${device.split('/').pop()}${replayJournal ? ' with its journal' : ''}`);
      return Promise.resolve(archiveBytes);
    },
    async *pack() {
      yield await Promise.resolve(Buffer.from('an archive'));
    },
  };
  const ready: OperationContext['ready'] = (detail) => Promise.resolve(void told.push(String(detail?.kind)));
  await buildDisk(plain, host.disk(7), { sizeBytes: 8 * mebibyte }, () => Promise.resolve());
  const request = {
    disk: host.disk(7),
    vmDirectory: `${host.root}/7`,
    live: false,
    move: false,
    snapshotId: undefined,
  };
  await sendDisk.run({ ...plain, fileSystems, ready }, request);
  return told;
}

it('is an archive that is about as large as the volume', async () => {
  expect(await send(9 * mebibyte, true)).toEqual(['measured lv-one-7-0', 'archive']);
  expect(Buffer.concat(host.sent).toString()).toBe('an archive');
});

it('is an image where the archive would be larger than the volume, and the volume stays', async () => {
  expect(await send(900 * mebibyte, true)).toEqual(['measured lv-one-7-0', 'image']);
  expect(host.logged).toContain('INFO lv-one-7-0: an archive of its files would be larger than the volume');
  expect(await host.state()).toEqual(['lv-one-7-0 active']);
});

it('is measured on the snapshot where the journal is replayed', async () => {
  expect(await send(900 * mebibyte, false)).toEqual(['measured lv-one-7-0_reading with its journal', 'image']);
});

it('is not measured where no two files share blocks by themselves, so that nobody waits for it', async () => {
  expect(await send(900 * mebibyte, true, 'ext4')).toEqual(['archive']);
});

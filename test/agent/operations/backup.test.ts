/** Who can read what a backup leaves on the host. */
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { prepareBackup } from '../../../src/agent/operations/backup.ts';
import { buildDisk } from '../../../src/agent/operations/disk.ts';
import { DiskHost, mebibyte } from './disks.ts';

let host: DiskHost;
beforeEach(() => {
  host = new DiskHost();
});
afterEach(() => host.end());

it('is the user oned runs as, and nobody else', async () => {
  // What root makes for another user, as on a host.
  const plain = host.context();
  const owner = plain.owner.uid === 0 ? { uid: 1234, gid: 1234 } : plain.owner;
  const context = { ...plain, owner };
  const directory = join(host.root, '7');
  mkdirSync(directory);
  chownSync(directory, owner.uid, owner.gid);
  chmodSync(host.root, 0o755);
  const fill = ({ path }: { readonly path: string }): Promise<void> =>
    Promise.resolve(writeFileSync(path, 'content', { flag: 'r+' }));
  await buildDisk(context, host.disk(7), { sizeBytes: 8 * mebibyte }, fill);
  for (const run of ['first', 'second']) {
    await prepareBackup.run(context, { disks: [host.disk(7)], directory, document: run, live: false });
    const seen = ['', '/vm.xml', '/disk.0.0'].map((name) => {
      const { mode, uid, gid } = statSync(`${directory}/backup${name}`);
      return [name, (mode & 0o7777).toString(8), uid, gid];
    });
    expect(seen).toEqual([
      ['', '700', owner.uid, owner.gid],
      ['/vm.xml', '600', owner.uid, owner.gid],
      ['/disk.0.0', '600', owner.uid, owner.gid],
    ]);
    expect(readFileSync(`${directory}/backup/disk.0.0`).subarray(0, 7).toString()).toBe('content');
    expect(readFileSync(`${directory}/backup/vm.xml`, 'utf8')).toBe(run);
  }
});

import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { noCluster, type ClusterGuard } from '../../../src/agent/cluster-guard.ts';
import type { OperationContext } from '../../../src/agent/operation.ts';
import { activateDisks } from '../../../src/agent/operations/activate-disks.ts';
import { buildDisk, removeWhenFree } from '../../../src/agent/operations/disk.ts';
import { createSnapshot } from '../../../src/agent/operations/disk-snapshots.ts';
import { deleteDirectory, deleteDisk } from '../../../src/agent/operations/delete.ts';
import { sendDisk, withSnapshot } from '../../../src/agent/operations/send-disk.ts';
import { CxmError } from '../../../src/errors.ts';
import { localCommands, type Commands } from '../../../src/host/commands.ts';
import type { LogicalVolume } from '../../../src/lvm/report.ts';
import type { NewVolume } from '../../../src/lvm/volumes.ts';
import { DiskHost, mebibyte } from './disks.ts';

const size = { sizeBytes: 8 * mebibyte };
let host: DiskHost;

beforeEach(() => {
  host = new DiskHost();
});
afterEach(() => host.end());

function build(vmId = 7): Promise<unknown> {
  return buildDisk(host.context(), host.disk(vmId), size, () => Promise.resolve());
}

function deleteAll(vmId = 7): Promise<unknown> {
  return deleteDirectory.run(host.context(), { vmId, cloud: 'fe', directory: `${host.root}/${vmId}` });
}

async function fails(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('a new disk that can not be finished', () => {
  const broken = new CxmError('IO', 'the device is broken');

  test('is gone again while the action lends its lock, and the error is why', async () => {
    const built = buildDisk(host.context(), host.disk(7), size, () => Promise.reject(broken));
    expect(await fails(built)).toBe(broken);
    expect(await host.state()).toEqual([]);
  });

  test('stays, inactive and marked, when the action with the lock is gone; the next action replaces it', async () => {
    const built = buildDisk(host.context(), host.disk(7), size, () => {
      host.gone = true;
      return Promise.reject(broken);
    });
    expect(await fails(built)).toBe(broken);
    expect(await host.state()).toEqual(['lv-one-7-0 partial inactive']);
    expect(host.logged.join()).toContain('WARN logical volume lv-one-7-0 is left behind, tagged cxm_partial');
    host.gone = false;
    await build();
    expect(await host.state()).toEqual(['lv-one-7-0 active']);
  });

  test('is not taken for complete when the action goes just before the end, and has no link', async () => {
    const built = buildDisk(host.context(), host.disk(7), size, () => {
      host.gone = true;
      return Promise.resolve();
    });
    expect(await fails(built)).toMatchObject({ code: 'INTERRUPTED' });
    expect(await host.state()).toEqual(['lv-one-7-0 partial inactive']);
    expect(existsSync(host.disk(7).link)).toBe(false);
  });

  test.each(['delete of the disk', 'delete of the directory'])('is removed by %s', async (how) => {
    await fails(
      buildDisk(host.context(), host.disk(7), size, () => {
        host.gone = true;
        return Promise.reject(broken);
      }),
    );
    host.gone = false;
    await (how === 'delete of the disk' ? deleteDisk.run(host.context(), host.disk(7)) : deleteAll());
    expect(await host.state()).toEqual([]);
  });
});

describe('the lock', () => {
  test('is not held while a device is waited for that is in use', async () => {
    await build();
    host.hold('lv-one-7-0', 4000);
    host.heldMs.length = 0;
    await removeWhenFree(host.context(), 'lv-one-7-0');
    expect(await host.state()).toEqual([]);
    expect(host.heldMs).toHaveLength(2);
    expect(Math.max(...host.heldMs)).toBeLessThan(3000);
  });

  test('is not held while a device is waited for that holds up the roll-back', async () => {
    const built = buildDisk(host.context(), host.disk(7), size, () => {
      host.hold('lv-one-7-0', 4000);
      host.heldMs.length = 0;
      return Promise.reject(new Error('full'));
    });
    expect(await fails(built)).toMatchObject({ message: 'full' });
    expect(await host.state()).toEqual([]);
    expect(host.heldMs).toHaveLength(1);
    expect(host.heldMs[0]).toBeLessThan(3000);
  });
});

describe('the copy that a reader gets of a running disk', () => {
  async function leaveReading(): Promise<void> {
    await build();
    const volume = await host.volumes.require('lv-one-7-0');
    const reading = withSnapshot(host.context(), { volume, vmId: 7 }, () => {
      host.gone = true;
      return Promise.reject(new Error('killed'));
    });
    expect(await fails(reading)).toMatchObject({ message: 'killed' });
    expect(await host.state()).toEqual(['lv-one-7-0 active', 'lv-one-7-0_reading partial active']);
    host.gone = false;
  }

  test('stays, marked, when the reader is killed, and the next reader replaces it', async () => {
    await leaveReading();
    const volume = await host.volumes.require('lv-one-7-0');
    await withSnapshot(host.context(), { volume, vmId: 7 }, () => Promise.resolve());
    expect(await host.state()).toEqual(['lv-one-7-0 active']);
  });

  test.each(['keep', 'zero', 'discard'])('goes with its disk (DELETE_DATA=%s)', async (data) => {
    await leaveReading();
    await deleteDisk.run(host.context({ DELETE_DATA: data }), host.disk(7));
    expect(await host.state()).toEqual([]);
  });

  test('goes with the directory', async () => {
    await leaveReading();
    await deleteAll();
    expect(await host.state()).toEqual([]);
  });

  test('goes when its disk moves away', async () => {
    await leaveReading();
    const parameters = { disk: host.disk(7), vmDirectory: `${host.root}/7`, live: false, snapshotId: undefined };
    expect(await sendDisk.run(host.context(), { ...parameters, move: true })).toEqual({ removed: true });
    expect(await host.state()).toEqual([]);
  });

  test('goes when its disk is overwritten in place and has to grow, which LVM refuses beside a snapshot', async () => {
    await leaveReading();
    const larger = { sizeBytes: 16 * mebibyte, inPlace: true };
    await buildDisk(host.context(), host.disk(7), larger, () => Promise.resolve());
    expect(await host.state()).toEqual(['lv-one-7-0 active']);
  });

  test('goes when its disk is made anew', async () => {
    await leaveReading();
    await build();
    expect(await host.state()).toEqual(['lv-one-7-0 active']);
  });
});

describe('the disks of a VM that is read while it runs', () => {
  test('are not activated on a second host, as a live migration needs it', async () => {
    await build();
    const volume = await host.volumes.require('lv-one-7-0');
    const request = { vmId: 7, diskIds: [0], cloud: 'fe', directory: `${host.root}/7`, shared: true };
    await withSnapshot(host.context(), { volume, vmId: 7 }, async () => {
      const activated = activateDisks.run(host.context(), request);
      await expect(activated).rejects.toMatchObject({
        code: 'IN_USE',
        message: expect.stringContaining('lv-one-7-0_reading') as string,
      });
    });
    await activateDisks.run(host.context(), request);
  });
});

describe('the copy of a running disk in a cluster', () => {
  const domain = {
    domid: 5,
    config: { c_info: { name: 'web-7' }, disks: [{ pdev_path: '/dev/VG0/lv-one-7-0', vdev: 'xvda', readwrite: 1 }] },
  };
  const table = 'Name   ID   Mem VCPUs\tState\tTime(s)\nweb-7   5   512     1     -b----       3.0\n';
  const commands: Commands = {
    run: (program, args, options) => {
      if (program !== 'xl') return localCommands.run(program, args, options);
      return Promise.resolve({
        stdout: args.includes('-l') ? JSON.stringify([domain]) : table,
        stderr: '',
        exitCode: 0,
      });
    },
  };

  function clusterContext(staying: ClusterGuard['staying']): OperationContext {
    return { ...host.context(), commands, guard: { ...noCluster, staying } };
  }

  test('is made while nobody may move the VM, who then sees it: the VM is held no longer than that', async () => {
    await build();
    host.hold('lv-one-7-0', 3000);
    const events: string[] = [];
    const context = clusterContext(async (name, work) => {
      events.push(`${name} stays`, ...(await host.state()));
      const result = await work();
      events.push(...(await host.state()), `${name} may go`);
      return result;
    });
    const volume = await host.volumes.require('lv-one-7-0');
    await withSnapshot(context, { volume, vmId: 7 }, () => Promise.resolve(void events.push('read')));
    const made = ['lv-one-7-0 active', 'lv-one-7-0_reading partial active'];
    expect(events).toEqual(['web-7 stays', 'lv-one-7-0 active', ...made, 'web-7 may go', 'read']);
  });

  test('is not made when the VM has gone elsewhere', async () => {
    await build();
    host.hold('lv-one-7-0', 3000);
    const gone = new CxmError('REFUSED', 'web-7 does not run on node1');
    const volume = await host.volumes.require('lv-one-7-0');
    const reading = withSnapshot(
      clusterContext(() => Promise.reject(gone)),
      { volume, vmId: 7 },
      () => Promise.reject(new Error('nothing was to be read')),
    );
    expect(await fails(reading)).toBe(gone);
    expect(await host.state()).toEqual(['lv-one-7-0 active']);
  });
});

/** As on a SAN: what is made or grows holds what its extents held before; what is absorbed brings its content along. */
function withFormerContent(volumes: DiskHost['volumes']): DiskHost['volumes'] {
  const soil = async (name: string, from: number): Promise<void> => {
    const { path, sizeBytes } = await volumes.require(name);
    writeAt(path, from, Buffer.alloc(sizeBytes - from, 'secret'));
  };
  return Object.assign(Object.create(volumes) as DiskHost['volumes'], {
    async create(volume: NewVolume) {
      await volumes.create(volume);
      await soil(volume.name, 0);
    },
    async extend(name: string, sizeBytes: number) {
      const before = await volumes.require(name);
      await volumes.extend(name, sizeBytes);
      await soil(name, before.sizeBytes);
      return volumes.require(name);
    },
    async absorb(name: string, other: string) {
      const [before, content] = [await volumes.require(name), readFileSync((await volumes.require(other)).path)];
      const grown = await volumes.absorb(name, other);
      writeAt(grown.path, before.sizeBytes, content);
      return grown;
    },
  });
}

function writeAt(path: string, position: number, content: Buffer): void {
  const descriptor = openSync(path, 'r+');
  writeSync(descriptor, content, 0, content.length, position);
  closeSync(descriptor);
}

describe('what is overwritten in place', () => {
  test('is never a copy of an image', async () => {
    for (const image of [{ imageId: 5 }, { imageId: 5, persistent: true }]) {
      const disk = { ...host.disk(7), ...image };
      await buildDisk(host.context(), disk, size, () => Promise.resolve());
      let filled = false;
      const fill = (): Promise<void> => Promise.resolve(void (filled = true));
      expect(await fails(buildDisk(host.context(), host.disk(7), { ...size, inPlace: true }, fill))).toMatchObject({
        code: 'REFUSED',
      });
      expect(filled).toBe(false);
    }
  });

  test('grows by zeros only, which a guest may read before anything is written there', async () => {
    await build();
    const context = { ...host.context(), volumes: withFormerContent(host.volumes) };
    const seen: Buffer[] = [];
    const fill = ({ path }: LogicalVolume): Promise<void> => Promise.resolve(void seen.push(readFileSync(path)));
    await buildDisk(context, host.disk(7), { sizeBytes: 15 * mebibyte, inPlace: true }, fill);
    expect(seen[0]?.equals(Buffer.alloc(16 * mebibyte))).toBe(true);
    expect(await host.state()).toEqual(['lv-one-7-0 active']);
  });

  test('keeps its size when the new room can not be zeroed', async () => {
    await build();
    const volumes = Object.assign(withFormerContent(host.volumes), {
      zero: () => Promise.reject(new CxmError('COMMAND', 'blkdiscard failed')),
    });
    const larger = { sizeBytes: 16 * mebibyte, inPlace: true };
    const built = buildDisk({ ...host.context(), volumes }, host.disk(7), larger, () => Promise.resolve());
    expect(await fails(built)).toMatchObject({ message: 'blkdiscard failed' });
    expect(await host.state()).toEqual(['lv-one-7-0 active']);
    expect((await host.volumes.require('lv-one-7-0')).sizeBytes).toBe(8 * mebibyte);
  });
});

describe('a disk that was not active', () => {
  test('is inactive again when reading it fails', async () => {
    await build();
    await host.volumes.deactivate('lv-one-7-0');
    host.onData = () => {
      throw new Error('nobody listens');
    };
    const { volumes } = host;
    const file = await volumes.activate('lv-one-7-0');
    await host.context().commands.run('dd', ['if=/dev/urandom', `of=${file.path}`, 'bs=1M', 'count=1', 'conv=notrunc']);
    await volumes.deactivate('lv-one-7-0');
    const parameters = { disk: host.disk(7), vmDirectory: `${host.root}/7`, live: false, snapshotId: undefined };
    expect(await fails(sendDisk.run(host.context(), { ...parameters, move: true }))).toMatchObject({
      message: 'nobody listens',
    });
    expect(await host.state()).toEqual(['lv-one-7-0 inactive']);
  });
});

describe('a snapshot that could not be finished', () => {
  test('is marked, does not keep the disk from moving, and goes with it', async () => {
    await build();
    host.hold('lv-one-7-0', 800);
    const { volumes } = host;
    const create = createSnapshot.run(
      {
        ...host.context(),
        volumes: new Proxy(volumes, {
          get: (target, name) =>
            name === 'zero' || name === 'require'
              ? () => {
                  host.gone = true;
                  throw new Error('killed');
                }
              : (Reflect.get(target, name) as unknown),
        }),
      },
      { disk: host.disk(7), snapshotId: 3, live: true },
    );
    expect(await fails(create)).toMatchObject({ message: 'killed' });
    expect(await host.state()).toEqual(['lv-one-7-0 active', 'lv-one-7-0_snap3 partial inactive']);
    host.gone = false;
    const parameters = { disk: host.disk(7), vmDirectory: `${host.root}/7`, live: false, snapshotId: undefined };
    await expect(sendDisk.run(host.context(), { ...parameters, snapshotId: 3, move: false })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await sendDisk.run(host.context(), { ...parameters, move: true });
    expect(await host.state()).toEqual([]);
  });
});

describe('data that is destroyed before a disk goes', () => {
  test('is no disk any more when the action dies meanwhile: nobody takes the zeros for content', async () => {
    await build();
    const context = host.context({ DELETE_DATA: 'zero' });
    const { volumes } = context;
    const dying = new Proxy(volumes, {
      get: (target, name) =>
        name === 'zero'
          ? () => {
              host.gone = true;
              return Promise.resolve();
            }
          : (Reflect.get(target, name) as unknown),
    });
    expect(await fails(deleteDisk.run({ ...context, volumes: dying }, host.disk(7)))).toMatchObject({
      code: 'INTERRUPTED',
    });
    expect(await host.state()).toEqual(['lv-one-7-0 partial inactive']);
    host.gone = false;
    await deleteDisk.run(context, host.disk(7));
    expect(await host.state()).toEqual([]);
  });
});

test('a disk that another node has in use is neither destroyed nor marked: it stays a disk', async () => {
  await build();
  const context = host.context({ DELETE_DATA: 'discard' });
  const refusing = new Proxy(context.volumes, {
    get: (target, name) =>
      name === 'activate'
        ? () => Promise.reject(new CxmError('IN_USE', 'lv-one-7-0 is in use on node2'))
        : (Reflect.get(target, name) as unknown),
  });
  expect(await fails(deleteDisk.run({ ...context, volumes: refusing }, host.disk(7)))).toMatchObject({
    code: 'IN_USE',
  });
  expect(await host.state()).toEqual(['lv-one-7-0 inactive']);
});

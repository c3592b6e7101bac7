/**
 * What the simulated xl does beyond its words, seen through the program's own toolstack: disks are held open, guests keep
 * their state over save and migration, calls at the same time don't damage each other, and its knobs work.
 */
import { execa } from 'execa';
import { readFile, readdir, readlink, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { localCommands } from '../../../src/host/commands.ts';
import type { Commands } from '../../../src/host/commands.ts';
import { parseDiskSpec } from '../../../src/xen/disk.ts';
import { listedNameOf } from '../../../src/sandbox/xl/domain.ts';
import { Store } from '../../../src/sandbox/xl/store.ts';
import { meaningOf } from '../../../src/xen/domain-list.ts';
import { parseXentop } from '../../../src/xen/xentop.ts';
import { Xl } from '../../../src/xen/xl.ts';
import { Hosts, until } from './node.ts';

let hosts: Hosts;

beforeAll(async () => {
  hosts = await Hosts.make();
  for (const name of ['a', 'b']) await hosts.add(name, { bridges: ['xenbr0'] });
  for (const disk of ['one', 'two', 'three']) await hosts.file(`disks/${disk}`);
  await hosts.file('kernel');
});

afterEach(() => hosts.reset());
afterAll(() => hosts.end());

function toolstack(name: string): Xl {
  const commands: Commands = {
    run: (program, args, options) =>
      localCommands.run(program, args, { ...options, env: { ...options?.env, ...hosts.environment(name) } }),
  };
  return new Xl(commands);
}

async function configuration(name: string, disks: readonly string[], more = ''): Promise<string> {
  const list = disks.map((disk, index) => `'phy:${hosts.root}/disks/${disk},xvd${'abc'.charAt(index)},w'`);
  const text = `name='${name}'\nmemory=256\nkernel='${hosts.root}/kernel'\ndisk=[${list.join(',')}]\nvif=['']\n${more}`;
  return hosts.file(`${name}.cfg`, text);
}

/** Processes of this machine that have a file open. */
async function holdersOf(disk: string): Promise<number> {
  let count = 0;
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const descriptor of descriptors) {
      const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
      if (target === `${hosts.root}/disks/${disk}`) count++;
    }
  }
  return count;
}

describe('a simulated domain', () => {
  it('holds its disks open from create to destroy, also while it is paused', async () => {
    const xl = toolstack('a');
    await xl.create(await configuration('vm', ['one', 'two']));
    expect([await holdersOf('one'), await holdersOf('two')]).toEqual([1, 1]);
    await xl.pause('vm');
    expect(await xl.find('vm').then((row) => row && meaningOf(row))).toBe('paused');
    expect(await holdersOf('one')).toBe(1);
    await xl.unpause('vm');
    await xl.destroy('vm');
    expect([await holdersOf('one'), await holdersOf('two')]).toEqual([0, 0]);
    expect(await xl.find('vm')).toBeUndefined();
  });

  it('lets a detached disk go and keeps the others', async () => {
    const xl = toolstack('a');
    await xl.create(await configuration('vm', ['one', 'two']));
    await xl.blockAttach('vm', parseDiskSpec(`phy:${hosts.root}/disks/three,xvdc,w`));
    expect(await holdersOf('three')).toBe(1);
    await xl.blockDetach('vm', 'xvda');
    await xl.blockDetach('vm', 'xvdc');
    expect([await holdersOf('one'), await holdersOf('two'), await holdersOf('three')]).toEqual([0, 1, 0]);
    expect((await xl.details('vm'))[0]?.disks.map((disk) => disk.vdev)).toEqual(['xvdb']);
    await expect(xl.blockDetach('vm', 'xvda')).rejects.toMatchObject({ reason: 'unknownDevice' });
  });

  it('ends after a shutdown and lets its disks go without any further call', async () => {
    const xl = toolstack('a');
    await xl.create(await configuration('vm', ['one']));
    expect(await xl.shutdown('vm', { wait: false, timeoutMs: 1000 })).toBe('requested');
    await until(async () => (await holdersOf('one')) === 0);
    expect(await xl.shutdown('vm', { wait: true, timeoutMs: 1000 })).toBe('gone');
  });

  it('that ignores a shutdown is reported so, and can be destroyed', async () => {
    const xl = toolstack('a');
    await hosts.turn('a', { guestIgnoresShutdown: true, acknowledgeTimeoutMs: 50 });
    await xl.create(await configuration('vm', ['one']));
    expect(await xl.shutdown('vm', { wait: true, timeoutMs: 5000 })).toBe('unresponsive');
    await xl.destroy('vm');
  });

  it('that is destroyed while it ignores a shutdown is gone, without waiting any longer', async () => {
    const xl = toolstack('a');
    await hosts.turn('a', { guestIgnoresShutdown: true });
    await xl.create(await configuration('vm', ['one']));
    const asked = xl.shutdown('vm', { wait: true, timeoutMs: 60_000 });
    await new Promise((resolve) => setTimeout(resolve, 500));
    await xl.destroy('vm');
    expect(await asked).toBe('gone');
  });

  it('is listed for a while when it is destroyed, at first as if it were paused, then without its name', async () => {
    const xl = toolstack('a');
    await xl.create(await configuration('vm', ['one']));
    await hosts.turn('a', { destroyMs: 8000 });
    const destroyed = xl.destroy('vm');
    const meanings = async () => (await xl.list()).filter(({ id }) => id !== 0).map(meaningOf);
    await until(async () => (await meanings()).includes('paused'));
    await until(async () => (await meanings()).includes('dying'));
    expect(await xl.find('vm')).toBeUndefined();
    await destroyed;
    expect(await meanings()).toEqual([]);
  });

  it('that was paused obeys a request that xl has given up on as soon as it runs again', async () => {
    const xl = toolstack('a');
    await hosts.turn('a', { acknowledgeTimeoutMs: 50 });
    await xl.create(await configuration('vm', ['one']));
    await xl.pause('vm');
    expect(await xl.shutdown('vm', { wait: true, timeoutMs: 5000 })).toBe('unresponsive');
    expect(await xl.find('vm').then((row) => row && meaningOf(row))).toBe('paused');
    await xl.unpause('vm');
    await until(async () => (await xl.find('vm')) === undefined);
  });

  it('is listed without its name at first when it is made, and by its name when it arrives', async () => {
    await toolstack('a').create(await configuration('vm', ['one']));
    const [domain] = new Store(`${hosts.root}/a`).domains();
    if (domain === undefined) throw new Error('no domain');
    const building = { by: { pid: 1, startTicks: '1' }, sinceMs: 0, durationMs: 1000 };
    expect([10, 500].map((now) => listedNameOf({ ...domain, building }, now))).toEqual(['(null)', 'vm']);
    expect(listedNameOf({ ...domain, name: 'vm--incoming', building }, 10)).toBe('vm--incoming');
    expect(listedNameOf(domain, 10)).toBe('vm');
  });

  it('that has lost its monitor is left behind by a shutdown', async () => {
    const xl = toolstack('a');
    await hosts.turn('a', { shutdownDelayMs: 0 });
    await xl.create(await configuration('vm', ['one']));
    await xl.save('vm', `${hosts.root}/vm.save`, { keepRunning: true });
    expect(await xl.shutdown('vm', { wait: true, timeoutMs: 8000 })).toBe('leftBehind');
    expect(await holdersOf('one')).toBe(1);
  });

  it('boots afresh on a reboot, under a new id and the same name', async () => {
    const xl = toolstack('a');
    await hosts.turn('a', { shutdownDelayMs: 0, teardownMs: 20 });
    await xl.create(await configuration('vm', ['one']));
    const before = await xl.find('vm');
    const boot = await hosts.guest('a', 'vm');
    await xl.reboot('vm');
    await until(async () => {
      const row = await xl.find('vm');
      return row !== undefined && row.id !== before?.id && meaningOf(row) === 'running';
    });
    expect(await hosts.guest('a', 'vm')).not.toEqual(boot);
    expect(await holdersOf('one')).toBe(1);
  });

  it('is gone when the host was booted since', async () => {
    const xl = toolstack('a');
    await xl.create(await configuration('vm', ['one']));
    const [name = ''] = await readdir(`${hosts.root}/a/domains`);
    const path = `${hosts.root}/a/domains/${name}`;
    await writeFile(path, (await readFile(path, 'utf8')).replace(/"hostBootId": "[^"]*"/, '"hostBootId": "earlier"'));
    expect(await xl.list()).toHaveLength(1);
    await xl.create(await configuration('vm', ['one']));
    expect(await holdersOf('one')).toBe(1);
  });

  it('is listed as being built until it is', async () => {
    const xl = toolstack('a');
    await hosts.turn('a', { createMs: 12_000 });
    const created = xl.create(await configuration('vm', ['one']));
    await until(async () => (await xl.find('vm')) !== undefined);
    const row = await xl.find('vm');
    expect(row).toMatchObject({ memoryMib: 0, vcpus: 0 });
    expect(row && meaningOf(row)).toBe('building');
    // Then its devices are attached.
    await until(async () => (await xl.find('vm'))?.vcpus === 1);
    const waiting = await xl.find('vm');
    expect(waiting).toMatchObject({ memoryMib: 256, cpuSeconds: 0, state: { paused: true } });
    expect(waiting && meaningOf(waiting)).toBe('building');
    await created;
    expect(await xl.find('vm').then((each) => each && meaningOf(each))).toBe('running');
  });

  it('exists once when ten calls create it at the same time', async () => {
    const xl = toolstack('a');
    const path = await configuration('vm', ['one']);
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => xl.create(path)));
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ reason: 'nameTaken' });
    }
    expect(await holdersOf('one')).toBe(1);
    const rows = await xl.list();
    expect(rows.filter((row) => row.name === 'vm')).toHaveLength(1);
  });

  it('is only changed by one call at a time', async () => {
    const xl = toolstack('a');
    await xl.create(await configuration('vm', ['one']));
    // Whoever holds the lock in any way keeps a change out, and a look not.
    const holder = execa('flock', ['-s', `${hosts.root}/a/lock`, 'sleep', '6']);
    const started = Date.now();
    await until(
      async () => (await execa('flock', ['-n', `${hosts.root}/a/lock`, 'true'], { reject: false })).exitCode === 1,
    );
    const changed = xl.pause('vm').then(() => Date.now() - started);
    expect(await xl.find('vm').then((row) => row && meaningOf(row))).toBe('running');
    expect(await changed).toBeGreaterThan(5900);
    await holder;
  });

  it('gets and gives memory and VCPUs, and the host has the rest', async () => {
    const xl = toolstack('a');
    const free = (await xl.info()).freeMemoryMib;
    await xl.create(await configuration('vm', ['one'], 'maxmem=512\nmaxvcpus=2\n'));
    expect((await xl.info()).freeMemoryMib).toBe(free - 256);
    await xl.setMemory('vm', 512);
    await xl.setVcpus('vm', 2);
    expect(await xl.find('vm')).toMatchObject({ memoryMib: 512, vcpus: 2 });
    await expect(xl.setMemory('vm', 513)).rejects.toMatchObject({ reason: 'memoryAboveMaximum' });
    expect((await xl.info()).simulated).toBe(true);
    const { stdout } = await hosts.run('a', 'xentop', '-b', '-i', '1', '-f');
    expect(parseXentop(stdout)[0]?.map((usage) => usage.name)).toEqual(['Domain-0', 'vm']);
  });

  it('fails to be created in the words that a test asks for', async () => {
    await hosts.turn('a', { createFails: 'libxl: error: libxl_x.c:1:f: Domain 1:it broke' });
    await expect(toolstack('a').create(await configuration('vm', ['one']))).rejects.toMatchObject({ reason: 'other' });
  });

  it('does not start under a misspelt knob', async () => {
    await writeFile(`${hosts.root}/a/knobs.json`, '{"createMillis": 5}');
    await expect(toolstack('a').create(await configuration('vm', ['one']))).rejects.toThrow('createMillis');
  });
});

describe('a host that lost its power', () => {
  it.each(['', '\0\0\0'])('lists what is made after that, though its files are damaged: %j', async (damage) => {
    const xl = toolstack('a');
    await hosts.file('a/next-id', damage);
    await hosts.file('a/domains/7.json', damage);
    expect(await xl.list()).toHaveLength(1);
    await xl.create(await configuration('vm', ['one']));
    expect(await xl.find('vm')).toMatchObject({ id: 1 });
  });
});

describe('saving and restoring', () => {
  it('keeps the guest, frees the disks meanwhile, and refuses while the name is taken', async () => {
    const xl = toolstack('a');
    await xl.create(await configuration('vm', ['one']));
    const { bootId } = (await hosts.guest('a', 'vm')) as { bootId: string };
    await xl.save('vm', `${hosts.root}/vm.save`);
    expect(await holdersOf('one')).toBe(0);
    await xl.restore(`${hosts.root}/vm.save`);
    expect(await hosts.guest('a', 'vm')).toEqual({ bootId, moves: 1 });
    expect(await holdersOf('one')).toBe(1);
    await expect(xl.restore(`${hosts.root}/vm.save`)).rejects.toMatchObject({ reason: 'nameTaken' });
    await expect(xl.restore(`${hosts.root}/kernel`)).rejects.toMatchObject({ reason: 'badSaveFile' });
  });

  it('goes on under another configuration when one is given', async () => {
    const xl = toolstack('a');
    await xl.create(await configuration('vm', ['one']));
    const { bootId } = (await hosts.guest('a', 'vm')) as { bootId: string };
    await xl.save('vm', `${hosts.root}/vm.save`);
    await xl.restore(`${hosts.root}/vm.save`, { configPath: await configuration('moved', ['two']) });
    expect(await hosts.guest('a', 'moved')).toEqual({ bootId, moves: 1 });
    expect([await holdersOf('one'), await holdersOf('two')]).toEqual([0, 1]);
  });
});

describe('migrating', () => {
  it('moves the guest; the target lists it as incoming meanwhile, and never do both run it', async () => {
    const [a, b] = [toolstack('a'), toolstack('b')];
    await hosts.turn('a', { migrateCopyMs: 60_000 });
    await a.create(await configuration('vm', ['one']));
    const { bootId } = (await hosts.guest('a', 'vm')) as { bootId: string };
    const seen = new Set<string>();
    let done = false;
    const migrated = a.migrate('vm', 'b').finally(() => (done = true));
    while (!done) {
      // The target first: a guest that runs there has been suspended here before.
      const there = (await b.list()).filter((row) => row.id !== 0).map(meaningOf);
      const here = (await a.list()).filter((row) => row.id !== 0).map(meaningOf);
      const meanings = [here.join('+'), there.join('+')];
      seen.add(meanings.join('/'));
      expect(meanings).not.toEqual(['running', 'running']);
      if (seen.has('running/incoming')) await hosts.turn('a', { migrateCopyMs: 0 });
    }
    await migrated;
    expect(seen).toContain('running/incoming');
    expect(await a.find('vm')).toBeUndefined();
    expect(await b.find('vm').then((row) => row && meaningOf(row))).toBe('running');
    expect(await hosts.guest('b', 'vm')).toEqual({ bootId, moves: 1 });
    expect(await holdersOf('one')).toBe(1);
  });

  it.each(['receive', 'copy', 'ready', 'start'] as const)(
    'that fails at %s leaves the guest running here',
    async (phase) => {
      const [a, b] = [toolstack('a'), toolstack('b')];
      await hosts.turn('b', { migrateFailsAt: phase });
      await a.create(await configuration('vm', ['one']));
      await expect(a.migrate('vm', 'b')).rejects.toMatchObject({ code: 'XEN', changed: 'maybe' });
      expect(await a.find('vm').then((row) => row && meaningOf(row))).toBe('running');
      expect(await b.list()).toHaveLength(1);
      expect(await holdersOf('one')).toBe(1);
    },
  );

  it('that loses the target after the permission to start leaves the guest suspended here', async () => {
    const a = toolstack('a');
    await hosts.turn('b', { migrateFailsAt: 'handshake' });
    await a.create(await configuration('vm', ['one']));
    await expect(a.migrate('vm', 'b')).rejects.toMatchObject({ reason: 'handshakeLost' });
    const row = await a.find('vm--migratedaway');
    expect(row && meaningOf(row)).toBe('leaving');
  });

  it('to a target that never answers ends at the deadline, with the guest running here', async () => {
    const a = toolstack('a');
    await hosts.turn('b', { migrateFailsAt: 'hang' });
    await a.create(await configuration('vm', ['one']));
    await expect(a.migrate('vm', 'b', { deadlineMs: 1000 })).rejects.toMatchObject({ reason: 'timeout' });
    expect(await a.find('vm').then((row) => row && meaningOf(row))).toBe('running');
  });

  it('to a host that is not there is unreachable', async () => {
    const a = toolstack('a');
    await a.create(await configuration('vm', ['one']));
    await expect(a.migrate('vm', 'nowhere')).rejects.toMatchObject({ reason: 'unreachable' });
  });
});

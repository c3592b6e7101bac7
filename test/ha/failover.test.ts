/**
 * Three real cxmd on one machine, of which one is lost. How long a recovery takes is measured in the benchmarks.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodeNames } from './cluster-rig.ts';
import { clustersFrom, cluster, joined, pause, running, settled } from './three-daemons.ts';

const vm = 'web.example.org';
clustersFrom(21);

describe('three cxmd', () => {
  test(
    'a node whose daemon dies is fenced, and its VM started elsewhere exactly once',
    { timeout: 120_000 },
    async () => {
      const current = await cluster();
      const master = await joined(current);
      const victim = master === 'node2' ? 'node1' : 'node2';
      await running(current, vm, victim);
      current.signal(victim, 'SIGKILL');
      await expect
        .poll(() => current.sandbox.nodesWith(vm).filter((node) => node !== victim), { timeout: 60_000 })
        .toHaveLength(1);
      await expect.poll(async () => (await current.status(master))?.state, { timeout: 20_000 }).toBe('normal');
      expect(current.fenced()).toEqual([`fence ${victim}`]);
      expect(current.startsOf(vm)).toBe(1);
      const decisions = (await current.why(master, victim)).map(({ decision }) => decision);
      expect(decisions).toEqual(expect.arrayContaining(['presumed dead', 'fence', 'off', 'recovered']));
      expect((await current.why(master, vm)).map(({ decision }) => decision)).toContain(
        `ordered to start on ${current.sandbox.nodesWith(vm).find((node) => node !== victim) ?? ''}`,
      );
      // cxm works without the node that is off for certain.
      expect(await current.cxm(master, 'list', '--quiet')).toMatchObject({
        exitCode: 0,
        stdout: `${vm}\n`,
        stderr: '',
      });
      // It comes back with a new incarnation, and finds its VM elsewhere.
      current.sandbox.setDown(victim, false);
      await joined(current, [victim]);
      expect(await settled(current, nodeNames)).toBe(master);
      expect(current.fenced()).toHaveLength(1);
    },
  );

  test('when the master itself dies, another one does it', { timeout: 150_000 }, async () => {
    const current = await cluster();
    const master = await joined(current);
    // node3 has other storage: nobody could take over its VM.
    const survivors = nodeNames.filter((node) => node !== master);
    if (master !== 'node3') await running(current, vm, master);
    current.signal(master, 'SIGKILL');
    await expect.poll(() => current.fenced(), { timeout: 60_000 }).toEqual([`fence ${master}`]);
    const next = await settled(current, survivors);
    expect(survivors).toContain(next);
    if (master !== 'node3') {
      await expect
        .poll(() => current.sandbox.nodesWith(vm).filter((node) => node !== master), { timeout: 60_000 })
        .toHaveLength(1);
      expect(current.startsOf(vm)).toBe(1);
    }
  });

  test('a VM that answers keeps its node from being fenced', { timeout: 120_000 }, async () => {
    const current = await cluster();
    const master = await joined(current);
    const victim = master === 'node2' ? 'node1' : 'node2';
    await running(current, vm, victim);
    current.setAnswering(vm, true);
    current.signal(victim, 'SIGKILL');
    await expect.poll(() => current.log(master), { timeout: 60_000 }).toMatch(/CXM070 .*one of its VMs answers/);
    await pause(3000);
    expect(current.fenced()).toEqual([]);
    expect(current.sandbox.nodesWith(vm)).toEqual([victim]);
  });

  test('a fence command that fails is panic, and nothing is started', { timeout: 120_000 }, async () => {
    const current = await cluster();
    const master = await joined(current);
    const victim = master === 'node2' ? 'node1' : 'node2';
    await running(current, vm, victim);
    fs.writeFileSync(join(current.directory, 'fence-fails'), '');
    current.signal(victim, 'SIGKILL');
    await expect.poll(async () => (await current.status(master))?.state, { timeout: 60_000 }).toBe('panic');
    expect(current.log(master)).toMatch(/CXM070 panic: fencing .* failed: .*no answer from the switch/);
    await pause(3000);
    expect(current.startsOf(vm)).toBe(0);
    expect((await current.cxm(master, 'config', 'check')).stderr).toBe('');
    expect((await current.cxm(master, 'search', vm)).stderr).toMatch(/THE CLUSTER IS IN PANIC/);
    const recovered = await current.ctl(master, '--recover', '--yes');
    expect(recovered).toMatchObject({ exitCode: 0, stdout: 'normal\n' });
  });

  test(
    'a VM that somebody has started on a node without cxmd is not started a second time',
    { timeout: 120_000 },
    async () => {
      const current = await cluster();
      await joined(current);
      expect(await current.ctl('node3', '--quit')).toMatchObject({ exitCode: 0 });
      const master = await settled(current, ['node1', 'node2']);
      const victim = master === 'node2' ? 'node1' : 'node2';
      await running(current, vm, victim);
      const config = join(current.sandbox.layout.temporary, 'by-hand');
      fs.writeFileSync(config, `name = '${vm}'\nkernel = '/boot/vmlinuz'\nmemory = 64\n`);
      expect(await current.sandbox.xl('node3', 'create', config)).toMatchObject({ exitCode: 0 });
      current.signal(victim, 'SIGKILL');
      await expect
        .poll(() => current.log(master), { timeout: 60_000 })
        .toContain(`node3, which is no member, has ${vm}`);
      await pause(5000);
      expect(current.fenced()).toEqual([`fence ${victim}`]);
      expect(current.sandbox.nodesWith(vm)).not.toContain(master);
    },
  );

  test('cxm fence starts no failover, and frees the VMs of the node', { timeout: 120_000 }, async () => {
    const current = await cluster();
    const master = await joined(current);
    const victim = master === 'node2' ? 'node1' : 'node2';
    await running(current, vm, victim);
    const bystander = nodeNames.find((node) => node !== master && node !== victim) ?? 'node3';
    expect(await current.cxm(bystander, 'fence', victim, '--yes')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining(`ask the master, ${master}`) as string,
    });
    expect(await current.cxm(master, 'fence', victim, '--yes')).toMatchObject({ exitCode: 0 });
    expect(current.fenced()).toEqual([`fence ${victim}`]);
    await pause(5 * current.timerMs);
    expect(current.fenced()).toEqual([`fence ${victim}`]);
    expect(current.startsOf(vm)).toBe(0);
    expect((await current.nodes(master)).find(({ name }) => name === victim)?.role).toBe('off');
    // By hand it may be started now, where the cluster has its disk.
    const place = master === 'node3' ? bystander : master;
    expect(await current.cxm(place, 'create', vm, '-f', place)).toMatchObject({ exitCode: 0 });
  });
});

/** OpenNebula's drivers and the hook beside three real cxmd: what one of them does the others know of. */
import { expect, test } from 'vitest';
import type { VmRecord } from '../../src/sandbox/one/records.ts';
import { clustersFrom, cluster, joined, pause, settled } from './three-daemons.ts';

const vm: VmRecord = {
  ...{ id: 7, name: 'shop', user: 'alice', state: 'HOLD', deployId: '', cpu: 1, vcpu: 1, memoryMb: 256 },
  disks: [{ diskId: 0, target: 'xvda', sizeMb: 16, volatile: 'fs' }],
  ...{ nics: [], headless: true, history: [] },
};
const name = 'shop.alice';
clustersFrom(91);

test(
  'a VM of OpenNebula is held by cxmd on one node, wherever cxm or OpenNebula moves it, and started elsewhere when that dies',
  { timeout: 240_000 },
  async () => {
    const current = await cluster();
    const one = current.openNebula();
    await joined(current);
    const expectOn = async (node: string): Promise<void> => {
      expect(current.sandbox.nodesWith(name)).toEqual([node]);
      await expect.poll(() => one.vm(7), { timeout: 30_000 }).toMatchObject({ state: 'RUNNING', deployId: name });
      // What the others have read may be a second old, and two when they are slow.
      await pause(2500);
      const listed = async () =>
        (await current.nodes('node3'))
          .filter(({ role, vms }) => role !== 'off' && vms.includes(name))
          .map((one) => one.name);
      await expect.poll(listed, { timeout: 20_000 }).toEqual([node]);
    };
    one.allocate(vm);
    await one.deploy(7, 'node1');
    await expectOn('node1');

    // The cluster is asked: a second deployment elsewhere finds it running, and changes nothing.
    one.allocate({ ...one.vm(7), state: 'POWEROFF', history: ['node2'] });
    const refused = { result: { stderr: expect.stringContaining(`${name} is running on node1`) as string } };
    await expect(one.resume(7)).rejects.toMatchObject(refused);
    one.allocate({ ...one.vm(7), state: 'RUNNING', history: ['node1'] });
    await expectOn('node1');

    await one.migrateLive(7, 'node2');
    await expectOn('node2');
    expect(await current.cxm('node2', 'migrate', name, 'node1', '--quiet')).toMatchObject({ exitCode: 0, stderr: '' });
    await expect.poll(() => one.vm(7).history.at(-1), { timeout: 30_000 }).toBe('node1');
    await expectOn('node1');
    await one.suspend(7);
    expect(current.sandbox.nodesWith(name)).toEqual([]);
    await one.resume(7);
    await expectOn('node1');
    expect(current.fenced()).toEqual([]);

    current.signal('node1', 'SIGKILL');
    await expect.poll(() => current.sandbox.nodesWith(name), { timeout: 60_000 }).toEqual(['node2']);
    expect(current.fenced()).toEqual(['fence node1']);
    await settled(current, ['node2', 'node3']);
    // When OpenNebula has it moved there, its deployment finds the running guest.
    one.allocate({ ...one.vm(7), state: 'POWEROFF', history: ['node1', 'node2'] });
    await one.resume(7);
    await expectOn('node2');
    await one.terminate(7);
    expect(current.sandbox.nodesWith(name)).toEqual([]);
  },
);

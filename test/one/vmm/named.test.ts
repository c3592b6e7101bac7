/**
 * Domains that bear oned's deploy id and no mark of a VM: imported ones, and those that older drivers have started. None is
 * ever said to be gone while it is there, and none of another VM is touched.
 */
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { markerText } from '../../../src/one/domain/marker.ts';
import { TestHosts, vmDocument } from './hosts.ts';

let hosts: TestHosts;
const vmId = 7;

beforeAll(async () => {
  hosts = await TestHosts.make();
});
afterAll(() => hosts.end());
beforeEach(() => hosts.reset());

/** What somebody starts by hand, without a file in CFG_DIR. */
async function startByHand(name: string, disk?: string): Promise<void> {
  const path = `${hosts.base}/by-hand.cfg`;
  const disks = disk === undefined ? '' : `disk = ['phy:/dev/VG0/${disk},xvda,w']\n`;
  writeFileSync(path, `name = '${name}'\nmemory = 64\nkernel = '/boot/x'\n${disks}`);
  await hosts.host('a').toolstack.create(path);
}

const manager = () => hosts.manager('a');
const checkpoint = () => `${hosts.directory(vmId)}/checkpoint`;

describe('a domain that bears the deploy id, of which nothing says whose it is', () => {
  const actions = {
    shutdown: (deployId: string) => manager().shutdown({ vmId, deployId }),
    cancel: (deployId: string) => manager().cancel({ vmId, deployId }),
    reboot: (deployId: string) => manager().reboot({ vmId, deployId }),
    reset: (deployId: string) => manager().reset({ vmId, deployId }),
    poll: (deployId: string) => manager().poll({ vmId, deployId }),
    save: (deployId: string) => manager().save({ vmId, deployId, checkpoint: checkpoint() }),
    resize: (deployId: string) => manager().resize({ vmId, deployId, memoryMib: 64, vcpus: 1, cpuWeight: 256 }),
  };

  it.each(Object.keys(actions) as (keyof typeof actions)[])(
    '%s fails, names it and leaves it alone',
    async (action) => {
      await startByHand('wild');
      await expect(actions[action]('wild')).rejects.toMatchObject({
        code: 'FOREIGN',
        changed: 'nothing',
        message: expect.stringMatching(/^domain \d+ \(wild\) bears the deploy id of VM 7/) as string,
        hint: expect.stringMatching(/xl shutdown \d+/) as string,
      });
      expect(await hosts.domains('a')).toEqual(['wild: running']);
    },
  );

  it.each(['shutdown', 'cancel'] as const)('%s fails, too, for what a migration has left', async (action) => {
    await startByHand('wild');
    await hosts.host('a').toolstack.rename('wild', 'wild--migratedaway');
    await expect(actions[action]('wild')).rejects.toMatchObject({ code: 'FOREIGN' });
    expect(await hosts.domains('a')).toEqual(['wild--migratedaway: leaving']);
  });

  it.each(['shutdown', 'cancel'] as const)('%s fails, too, for a name that no VM of ours can have', async (action) => {
    await startByHand('my_vm.cfg');
    await expect(actions[action]('my_vm.cfg')).rejects.toMatchObject({ code: 'FOREIGN' });
    expect(await hosts.domains('a')).toEqual(['my_vm.cfg: running']);
  });

  it.each(['shutdown', 'cancel'] as const)('%s succeeds when it has ended', async (action) => {
    await startByHand('wild');
    await hosts.xl('a', 'destroy', 'wild');
    expect(await actions[action]('wild')).toEqual({ ended: 'absent' });
  });
});

describe('a domain that is called as older drivers call the VM', () => {
  const deployId = 'one-7';

  it.each(['shutdown', 'cancel'] as const)('%s ends it', async (action) => {
    await startByHand(deployId);
    const ended = action === 'shutdown' ? 'shutdown' : 'destroyed';
    expect(await manager()[action]({ vmId, deployId })).toEqual({ ended });
    expect(await hosts.domains('a')).toEqual([]);
  });

  it('is seen running by poll, and reboots', async () => {
    await startByHand(deployId);
    expect(await manager().poll({ vmId, deployId })).toMatchObject({ state: 'running', name: deployId });
    await manager().reboot({ vmId, deployId });
    expect(await hosts.domains('a')).toEqual(['one-7: running']);
  });

  it("is not ended by a reset that has no configuration of cxm's to start it from", async () => {
    await startByHand(deployId);
    hosts.writeConfig('a', deployId, `name = 'one-7'\nmemory = 64\nkernel = '/boot/x'\n`);
    await expect(manager().reset({ vmId, deployId })).rejects.toThrow(/could not be started again/);
    expect(await hosts.domains('a')).toEqual(['one-7: running']);
  });

  it('is not saved: nothing could start it again', async () => {
    await startByHand(deployId);
    await expect(manager().save({ vmId, deployId, checkpoint: checkpoint() })).rejects.toMatchObject({
      code: 'FOREIGN',
    });
    expect(await hosts.domains('a')).toEqual(['one-7: running']);
  });

  it.each(['shutdown', 'cancel', 'reset'] as const)(
    '%s leaves it alone when it is marked as another VM',
    async (action) => {
      await startByHand(deployId);
      hosts.writeConfig('a', deployId, `${markerText(9)}\nname = 'one-7'\nmemory = 64\nkernel = '/boot/x'\n`);
      await manager()[action]({ vmId, deployId });
      expect(await hosts.domains('a')).toEqual(['one-7: running']);
    },
  );

  it.each(['shutdown', 'cancel', 'reset'] as const)(
    "%s leaves it alone when it holds another VM's disk",
    async (action) => {
      await hosts.addDisks(9, 0);
      await hosts.volumes('a').activate('lv-one-9-0');
      await startByHand(deployId, 'lv-one-9-0');
      await manager()[action]({ vmId, deployId });
      expect(await hosts.domains('a')).toEqual(['one-7: running']);
    },
  );

  it('is not taken for the VM by a deploy', async () => {
    await hosts.addDisks(vmId, 0, 1);
    await startByHand(deployId);
    const deployment = { vmId, directory: hosts.directory(vmId), deployment: vmDocument(vmId), document: undefined };
    const own = hosts.manager('a', { VM_FQDN_TEMPLATE: 'one-%I' });
    await expect(own.deploy(deployment)).rejects.toMatchObject({ code: 'NAME_TAKEN' });
    expect(await hosts.domains('a')).toEqual(['one-7: running']);
  });
});

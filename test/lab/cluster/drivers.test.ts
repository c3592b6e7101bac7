/** The drivers of OpenNebula on hosts that belong to a cluster: what another node runs is its own. */
import { beforeEach, describe, expect, test } from 'vitest';
import { lab, type RunResult } from '../lab.ts';
import { oneadmin, type NodeName } from '../layout.ts';
import { diskPath, tm } from '../tm/support.ts';
import { active, domains, useCluster, volume } from './support.ts';

useCluster();

describe('the drivers in a cluster', () => {
  const vmId = 7;
  const name = 'one-7';
  const disk = 'lv-one-7-0';
  const directory = `${oneadmin.home}/datastores/${lab.datastores.sharedSystem}/${vmId}`;

  beforeEach(async () => {
    const tags = ['cxm', `cxm_vm=${vmId}`, 'cxm_disk=0', 'cxm_cloud=frontend'].flatMap((tag) => ['--addtag', tag]);
    await lab.node(
      'node1',
      `lvcreate -qq -y -Wn -Zn -L 16M ${tags.join(' ')} -n ${disk} ${lab.volumeGroup}; lvchange -an ${lab.volumeGroup}/${disk}`,
    );
    await lab.node('node1', `mkdir -p ${directory} && chown -R ${oneadmin.uid}:${oneadmin.gid} ${directory}`);
  });

  function vmm(node: NodeName, action: string, args: readonly string[], input = ''): Promise<RunResult> {
    const line = [`/var/tmp/one/vmm/cxm/${action}`, ...args, String(vmId), node].join(' ');
    return lab.frontend(['ssh', node, line], { input });
  }

  function deploy(node: NodeName): Promise<RunResult> {
    const disks = '<DISK><DISK_ID>0</DISK_ID><TARGET>xvda</TARGET></DISK>';
    const template = `<MEMORY>64</MEMORY><CPU>1</CPU>${disks}<OS><KERNEL>/boot/vmlinuz</KERNEL></OS>`;
    const document = `<VM><ID>${vmId}</ID><UNAME>ann</UNAME><NAME>web</NAME><TEMPLATE>${template}</TEMPLATE></VM>`;
    return vmm(node, 'deploy', [`${directory}/deployment.0`, node], document);
  }

  test('a VM that runs on another node is neither deployed nor ended nor deleted here', async () => {
    expect(await deploy('node2')).toMatchObject({ exitCode: 0 });
    const second = await deploy('node1');
    expect([second.exitCode, second.stderr + second.stdout]).toEqual([
      1,
      expect.stringContaining(`${name} is running on node2`),
    ]);
    const ended = await vmm('node1', 'shutdown', [name, 'node1']);
    expect([ended.exitCode, ended.stderr + ended.stdout]).toEqual([1, expect.stringContaining('node2 has it')]);
    const deleted = await tm('delete', [
      `node1:${diskPath(vmId, 0)}`,
      String(vmId),
      String(lab.datastores.sharedSystem),
    ]);
    expect([deleted.exitCode, deleted.stderr]).toEqual([1, expect.stringContaining('in use on node2')]);
    expect([await domains('node1'), await domains('node2')]).toEqual(['', name]);
    expect((await lab.logicalVolumes('node2')).find((one) => one.name === disk)).toMatchObject({
      active: true,
      open: true,
    });
  });

  test('a live migration is checked by the cluster and ends as one without it', async () => {
    expect(await deploy('node1')).toMatchObject({ exitCode: 0 });
    expect(await vmm('node1', 'migrate', [name, 'node2', 'node1'])).toMatchObject({ exitCode: 0 });
    expect([await domains('node1'), await domains('node2')]).toEqual(['', name]);
    expect([await active('node1'), await active('node2')]).toEqual([[], [disk]]);
    const stranger = await vmm('node2', 'migrate', [name, 'node9', 'node2']);
    expect([stranger.exitCode, stranger.stderr + stranger.stdout]).toEqual([
      1,
      expect.stringContaining('node9 is no node of the cluster'),
    ]);
    expect(await vmm('node2', 'shutdown', [name, 'node2'])).toMatchObject({ exitCode: 0 });
    const deleted = await tm('delete', [
      `node2:${diskPath(vmId, 0)}`,
      String(vmId),
      String(lab.datastores.sharedSystem),
    ]);
    expect(deleted.exitCode).toBe(0);
    expect((await lab.logicalVolumes('node1')).map((one) => one.name)).toEqual([volume]);
  });
});

/** Every subcommand of cxm once, on real LVM between two nodes. */
import { describe, expect, test } from 'vitest';
import { lab } from '../lab.ts';
import type { NodeName } from '../layout.ts';
import { active, both, cxm, cxmOk, domains, expectAt, expectNowhere, useCluster, vm, volume } from './support.ts';

useCluster();

describe('every subcommand', () => {
  test('does on real volumes what it says', { timeout: 600_000 }, async () => {
    for (const node of both) {
      await lab.node(node, `cat >> /etc/xen/cxm.conf; chmod +x /root/hook`, { input: 'FENCE_CMD = "/root/hook"\n' });
      await lab.node(node, `vgchange -qq -ay ${lab.volumeGroup}`);
    }
    for (const node of both) await cxmOk(node, 'init');
    await expectNowhere();
    expect(await cxmOk('node1', 'config check')).toContain('/etc/xen/cxm.conf');
    expect(await cxmOk('node1', 'config show')).toContain('FENCE_CMD');
    expect((await cxm('node1', 'doctor --json')).exitCode).not.toBe(1);
    await cxmOk('node1', 'check-cpu');
    await cxmOk('node1', `activate ${vm} -f node2`);
    expect([await active('node1'), await active('node2')]).toEqual([[], [volume]]);
    await cxmOk('node1', `deactivate ${vm} -f node2`);
    await cxmOk('node2', `start ${vm}`);
    const home: NodeName = (await domains('node1')) === vm ? 'node1' : 'node2';
    await expectAt(home);
    for (const line of ['list', 'infos', `search '*'`, 'top --batch --iterations 1', 'completion bash']) {
      expect([line, (await cxmOk('node1', line)).includes(line === 'completion bash' ? 'migrate' : 'node')]).toEqual([
        line,
        true,
      ]);
    }
    await cxmOk('node1', `reboot ${vm}`);
    await expectAt(home);
    await cxmOk('node1', 'loadbalance --yes');
    await cxmOk('node1', `eject -f ${home}`);
    await expectAt(home === 'node1' ? 'node2' : 'node1');
    await cxmOk('node1', 'shutdown-all --yes');
    await expectNowhere();
    await cxmOk('node1', `create ${vm}`);
    await cxmOk('node2', `destroy ${vm} --yes`);
    await expectNowhere();
    await cxmOk('node1', 'fence node2 --yes');
    expect(await lab.output('node1', 'cat /root/hooked')).toContain('node2');
  });
});

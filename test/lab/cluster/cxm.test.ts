/** cxm as a person calls it, on real LVM between two nodes: who may have a disk, and who wins. */
import { describe, expect, test } from 'vitest';
import { lab } from '../lab.ts';
import { active, both, cxm, cxmOk, domains, expectAt, expectNowhere, turn, useCluster, vm, volume } from './support.ts';

useCluster();

describe('cxm', () => {
  test('starts a VM where its autostart link is, and takes its disk from the other node first', async () => {
    await lab.node('node2', `ln -s /etc/xen/vm/${vm} /etc/xen/auto/${vm}`);
    await lab.node('node1', `lvchange -ay ${lab.volumeGroup}/${volume}`);
    await cxmOk('node1', `create ${vm}`);
    await expectAt('node2');
    const again = await cxm('node2', `create ${vm}`);
    expect([again.exitCode, again.stderr]).toEqual([2, expect.stringContaining(`${vm} runs on node2 already`)]);
    await cxmOk('node1', `shutdown ${vm}`);
    await expectNowhere();
  });

  test('moves a VM there and back, with its autostart link and the hook, from whichever node', async () => {
    await lab.node('node1', `ln -s /etc/xen/vm/${vm} /etc/xen/auto/${vm}`);
    await cxmOk('node2', `create ${vm}`);
    await cxmOk('node2', `migrate ${vm} node2`);
    await expectAt('node2');
    expect(await lab.output('node2', 'ls /etc/xen/auto')).toBe(vm);
    expect(await lab.output('node1', 'ls /etc/xen/auto')).toBe('');
    await cxmOk('node2', `migrate ${vm} node1`);
    await expectAt('node1');
    expect(
      await lab.output(
        'node1',
        'for i in 1 2 3 4 5 6 7 8 9; do [ -e /root/hooked ] && break; sleep 0.3; done; cat /root/hooked',
      ),
    ).toBe(`${vm} node1 node2`);
    expect(await cxmOk('node1', 'check')).toContain('No problems');
  });

  test('takes no disk away that something else has open, and leaves all as it was', async () => {
    await lab.node(
      'node2',
      `lvchange -ay ${lab.volumeGroup}/${volume}; setsid -f sleep 300 3</dev/${lab.volumeGroup}/${volume} >/dev/null 2>&1`,
    );
    try {
      const refused = await cxm('node1', `create ${vm} --force-node node1`);
      expect([refused.exitCode, refused.stderr]).toEqual([2, expect.stringContaining(`${volume} is in use on node2`)]);
      expect([await domains('node1'), await active('node1')]).toEqual(['', []]);
    } finally {
      await lab.node('node2', 'pkill -f "sleep 300"');
    }
  });

  test('starts nothing beside a node that does not answer, and still shows the others', async () => {
    lab.cut('node2');
    try {
      const refused = await cxm('node1', `create ${vm} --force-node node1`);
      expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringContaining("node2 can't be")]);
      const listed = await cxm('node1', 'list --json');
      expect([listed.exitCode, listed.stdout]).toEqual([1, expect.stringContaining('node2')]);
    } finally {
      lab.heal('node2');
    }
    await expectNowhere();
  });

  test('of two that start the same VM on two nodes exactly one wins', async () => {
    const results = await Promise.all(both.map((node) => cxm(node, `create ${vm} --force-node ${node}`)));
    expect(results.map(({ exitCode }) => exitCode).sort()).toEqual([0, 2]);
    await expectAt(results[0]?.exitCode === 0 ? 'node1' : 'node2');
  });

  test('killed while it starts a VM, it can be run again elsewhere without a second domain', async () => {
    await turn('node2', { createMs: 3000 });
    await lab.node('node1', `cxm create ${vm} --force-node node2 >/dev/null 2>&1 & sleep 2.5; kill -9 $!`);
    const second = await cxm('node1', `create ${vm} --force-node node1`);
    const [here, there] = [await domains('node1'), await domains('node2')];
    expect([here, there].filter((name) => name === vm)).toHaveLength(1);
    expect(second.exitCode).toBe(here === vm ? 0 : 2);
  });
});

/**
 * The cluster on real LVM and real ssh between the nodes, with the simulated xl: cxm as a person calls it, and the drivers
 * of OpenNebula on hosts that belong to a cluster. The simulated guests hold their disks open.
 */
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { lab, type RunResult } from './lab.ts';
import { oneadmin, type NodeName } from './layout.ts';
import { diskPath, tm } from './tm/support.ts';

const vm = 'web.example';
const volume = 'web-disk';
const both = ['node1', 'node2'] as const;
const conf = `ALLOWED_NODES = ['node1', 'node2']
SHUTDOWN_TIMEOUT = 5
CONNECT_TIMEOUT = 4
POST_MIGRATION_HOOK = "/root/hook"
`;
const config = `# made by hand
name = "${vm}"
memory = 64
kernel = "/boot/vmlinuz"
disk = ["phy:/dev/${lab.volumeGroup}/${volume},xvda,w"]
`;

beforeEach(async () => {
  await lab.reset();
  for (const node of both) {
    await lab.node(node, `cat > /etc/xen/cxm.conf; rm -f /root/hooked`, { input: conf });
    await lab.node(node, `cat > /etc/xen/vm/${vm}`, { input: config });
    await lab.node(node, 'cat > /root/hook; chmod +x /root/hook', { input: '#!/bin/sh\necho "$@" >>/root/hooked\n' });
    await turn(node, {});
  }
  await lab.node(
    'node1',
    `lvcreate -qq -y -Wn -Zn -L 16M -n ${volume} ${lab.volumeGroup}; lvchange -an ${lab.volumeGroup}/${volume}`,
  );
});
afterAll(async () => {
  await lab.reset();
  for (const node of both) await lab.node(node, 'rm -f /etc/xen/cxm.conf /root/hook /root/hooked');
});

/** Knobs of the simulated xl. */
function turn(node: NodeName, knobs: Readonly<Record<string, unknown>>): Promise<RunResult> {
  const text = JSON.stringify({ ignoreMissingKernel: true, acknowledgeTimeoutMs: 1000, ...knobs });
  return lab.node(node, 'mkdir -p /var/lib/xl-simulated && cat > /var/lib/xl-simulated/knobs.json', { input: text });
}

function cxm(node: NodeName, line: string): Promise<RunResult> {
  return lab.node(node, `cxm ${line}`, { okExitCodes: 'any' });
}

async function cxmOk(node: NodeName, line: string): Promise<string> {
  const { exitCode, stdout, stderr } = await cxm(node, line);
  if (exitCode === 0) return stdout;
  throw new Error(`cxm ${line} on ${node}: exit code ${exitCode}\n${stderr}${stdout}`);
}

function domains(node: NodeName): Promise<string> {
  return lab.output(node, `xl list | awk 'NR > 1 && $2 > 0 {print $1}'`);
}

async function active(node: NodeName): Promise<string[]> {
  return (await lab.logicalVolumes(node)).filter((one) => one.active).map(({ name }) => name);
}

/** The VM runs there and nowhere else, and so do its disks. */
async function expectAt(place: NodeName): Promise<void> {
  const other = place === 'node1' ? 'node2' : 'node1';
  expect([await domains(place), await domains(other)]).toEqual([vm, '']);
  expect([await active(place), await active(other)]).toEqual([[volume], []]);
}

async function expectNowhere(): Promise<void> {
  for (const node of both) expect([await domains(node), await active(node)]).toEqual(['', []]);
}

describe('every subcommand', () => {
  test('does on real volumes what it says', { timeout: 300_000 }, async () => {
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

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { judge, worstOf, type DoctorContext } from '../../src/cluster/doctor.ts';
import {
  gatherFacts,
  neededTools,
  parseLvmSettings,
  parseSshdAlive,
  type NodeFacts,
} from '../../src/cluster/doctor-facts.ts';
import { checkNames, type CheckResult } from '../../src/cluster/doctor-verdicts.ts';
import { commandNode } from '../../src/cluster/node-body.ts';
import { CxmError } from '../../src/errors.ts';
import { recording } from '../xen/recording.ts';
import { clusterFacts, context, nodeFacts } from './doctor-samples.ts';
import { NodeStandIn } from './node-stand-in.ts';

/** What is not well. */
function faults(second: Partial<NodeFacts>, other: Partial<DoctorContext> = {}): readonly CheckResult[] {
  return judge(clusterFacts(second), { ...context, ...other }).filter(({ verdict }) => verdict !== 'ok');
}

const vg0 = { name: 'VG0', uuid: 'u-1', sizeBytes: 1, freeBytes: 1, extentBytes: 1, lockType: '' };

describe('a cluster in which all is well', () => {
  it('has a line for every check, and no fault', () => {
    const results = judge(clusterFacts(), context);
    expect(results.filter(({ verdict, mend }) => verdict !== 'ok' || mend !== '')).toEqual([]);
    expect([...new Set(results.map(({ check }) => check))].sort()).toEqual(Object.keys(checkNames).sort());
    expect(worstOf(results)).toBe('ok');
  });
});

describe('what is wrong on one node', () => {
  const xl = new CxmError('XEN', 'xl: command not found');
  const lvmlockd = [{ ...vg0, lockType: 'sanlock' }];
  const cases: readonly [string, Partial<NodeFacts>, string, string, RegExp, RegExp][] = [
    ['no cxm.conf', { configuration: undefined }, 'configuration', 'fail', /no readable/, /copy/],
    [
      'a broken cxm.conf',
      { configuration: { text: 'NONSENSE = 1', fingerprint: 'abc' } },
      'configuration',
      'fail',
      /line 1/,
      /./,
    ],
    [
      'another cxm.conf',
      { configuration: { text: '# x', fingerprint: 'def' } },
      'configuration',
      'fail',
      /abc.*node1.*def.*node2/,
      /copy/,
    ],
    [
      'another VMCONF_DIR',
      { configuration: { text: 'VMCONF_DIR = "/other"', fingerprint: 'abc' } },
      'vm-directory',
      'fail',
      /other/,
      /VMCONF_DIR/,
    ],
    [
      'an unreadable VMCONF_DIR',
      { configs: new CxmError('IO', 'it could not be read') },
      'vm-directory',
      'fail',
      /could not/,
      /readable/,
    ],
    ['no root', { userId: 1000 }, 'root', 'fail', /user 1000/, /sudo/],
    [
      'unknown host key',
      { reach: [{ to: 'node1', error: new CxmError('HOST_UNREACHABLE', 'Host key verification failed.') }] },
      'ssh',
      'fail',
      /verification/,
      /known_hosts/,
    ],
    [
      'no key',
      { reach: [{ to: 'node1', error: new CxmError('HOST_UNREACHABLE', 'Permission denied (publickey).') }] },
      'ssh',
      'fail',
      /denied/,
      /authorized_keys/,
    ],
    [
      'an sshd as it comes',
      { sshd: { intervalSeconds: 0, count: 3 } },
      'sshd',
      'fail',
      /never gives up.*ClientAliveInterval 0/,
      /ClientAliveInterval 5.*ClientAliveCountMax 3/,
    ],
    ['an sshd that asks in vain', { sshd: { intervalSeconds: 5, count: 0 } }, 'sshd', 'fail', /never/, /CountMax 3/],
    ['a slow sshd', { sshd: { intervalSeconds: 20, count: 3 } }, 'sshd', 'warn', /after 80 s/, /ClientAliveInterval 5/],
    ['an sshd that says nothing', { sshd: undefined }, 'sshd', 'warn', /does not say/, /ClientAliveInterval 5/],
    [
      'missing programs',
      { missingTools: ['flock', 'setsid', 'ping'] },
      'tools',
      'fail',
      /flock, setsid, ping/,
      /util-linux, iputils-ping$/,
    ],
    ['no Xen', { toolstack: xl, bootedWithXen: false }, 'toolstack', 'fail', /not found/, /booted with Xen/],
    ['no xenstored', { toolstack: xl }, 'toolstack', 'fail', /not found/, /xencommons/],
    [
      'another Xen',
      { toolstack: { ...(nodeFacts('x').toolstack as object), xenVersion: '4.11' } as never },
      'xen-version',
      'warn',
      /4\.17.*4\.11 on node2/,
      /update/,
    ],
    ['xendomains', { xendomains: ['/etc/rc2.d/S01xendomains'] }, 'xendomains', 'fail', /S01xendomains/, /twice/],
    [
      'no volume group',
      { groups: [], lvmSettings: new Map([['filter', '["r|.*|"]']]) },
      'volume-groups',
      'fail',
      /VG0 is not visible/,
      /filter=\["r/,
    ],
    [
      'no volume group in the devices file',
      { groups: [], lvmSettings: new Map([['use_devicesfile', '1']]) },
      'volume-groups',
      'fail',
      /VG0/,
      /lvmdevices/,
    ],
    [
      'another volume group of that name',
      { groups: [{ ...vg0, uuid: 'u-2' }] },
      'volume-groups',
      'fail',
      /u-1 on node1, u-2 on node2/,
      /other disks/,
    ],
    ['no LVM', { groups: new CxmError('LVM', 'vgs is missing') }, 'volume-groups', 'fail', /vgs is missing/, /vgs/],
    [
      'a lock that nobody takes',
      { groups: lvmlockd },
      'lvm-locking',
      'fail',
      /does not use lvmlockd/,
      /use_lvmlockd = 1/,
    ],
    [
      'volumes that activate themselves',
      { groupsWithoutAutoactivation: [] },
      'autoactivation',
      'warn',
      /VG0 by itself/,
      /--setautoactivation n VG0/,
    ],
    ['settings that LVM does not say', { lvmSettings: undefined }, 'autoactivation', 'warn', /not say/, /lvmconfig/],
    ['a missing bridge', { bridges: [] }, 'bridges', 'warn', /xenbr0/, /other nodes/],
    ['another cxm', { cxmVersion: '0.9' }, 'cxm-version', 'warn', /0\.9 on node2/, /one version/],
    ['no cxm', { cxmVersion: undefined }, 'cxm-version', 'warn', /no cxm/, /install/],
    ['another Node.js', { nodeVersion: 'v22.0.0' }, 'node-version', 'warn', /v22/, /20 or later/],
    ['a slow clock', { clockOffsetMs: -1500 }, 'clock', 'warn', /1\.5 s behind/, /chrony/],
    ['a fast clock', { clockOffsetMs: 61_000 }, 'clock', 'warn', /61\.0 s ahead/, /chrony/],
    [
      'no fence command',
      { missingFencePrograms: ['cxm_fence'] },
      'fencing',
      'warn',
      /cxm_fence is missing/,
      /FENCE_CMD/,
    ],
    [
      'no program that tells the power state',
      { missingFencePrograms: ['cxm_power'] },
      'fencing',
      'warn',
      /cxm_power is missing/,
      /FENCE_STATUS_CMD/,
    ],
  ];

  it.each(cases)('%s is found there, judged, and told how to mend', (_, second, check, verdict, found, mend) => {
    const own = faults(second).filter((result) => result.check === check);
    expect(own).toHaveLength(1);
    expect(own[0]).toMatchObject({ verdict });
    expect(`${own[0]?.where} ${own[0]?.found}`).toMatch(found);
    expect(`${own[0]?.where} ${own[0]?.found}`).toContain('node2');
    expect(own[0]?.mend).toMatch(mend);
    expect(faults(second).every((result) => result.mend !== '')).toBe(true);
  });

  it('leaves groups alone that LVM locks or that only the node itself names', () => {
    expect(faults({ groups: [{ ...vg0, lockType: '' }] })).toEqual([]);
    const locked = { groups: [{ ...vg0, lockType: 'dlm' }], lvmSettings: new Map([['use_lvmlockd', '1']]) };
    const own = [nodeFacts('node1', { ...locked, groupsWithoutAutoactivation: [] })];
    const results = judge({ nodes: own, silent: [] }, context);
    expect(results.filter(({ check }) => check === 'autoactivation' || check === 'lvm-locking')).toMatchObject([
      { verdict: 'ok' },
      { verdict: 'ok' },
    ]);
    for (const [list, says] of [
      ['["system","@tag"]', 'warn'],
      ['["VG0/shop"]', 'warn'],
      ['["system"]', undefined],
      ['[]', undefined],
    ] as const) {
      const lvmSettings = new Map([['auto_activation_volume_list', list]]);
      expect(faults({ groupsWithoutAutoactivation: [], lvmSettings })[0]?.verdict).toBe(says);
    }
  });

  it('is one line when several nodes have it', () => {
    const silent = {
      nodes: [nodeFacts('node1', { bridges: ['a'] }), nodeFacts('node2'), nodeFacts('node3')],
      silent: [],
    };
    const [line] = judge(silent, context).filter(({ check, found }) => check === 'bridges' && found === 'missing: a');
    expect(line?.where).toBe('node2, node3');
  });
});

describe('what is wrong with the cluster', () => {
  it('is a silent node, named once', () => {
    const error = new CxmError('HOST_UNREACHABLE', 'No route to host');
    const facts = {
      nodes: [nodeFacts('node1', { reach: [{ to: 'node2', error }] })],
      silent: [{ node: 'node2', error }],
    };
    const bad = judge(facts, context).filter(({ verdict }) => verdict === 'fail');
    expect(bad.map(({ check, where }) => [check, where])).toEqual([['access', 'node2']]);
  });

  it('is a machine that is no node, a cxm.conf that names none, and one that is broken', () => {
    expect(faults({}, { localName: 'admin' })).toMatchObject([
      { check: 'membership', where: 'admin', verdict: 'fail' },
    ]);
    expect(faults({}, { allowedNodes: [] })).toMatchObject([{ check: 'membership', verdict: 'fail' }]);
    const configurationError = new CxmError('CONFIG', 'line 3: there is no key X');
    expect(faults({}, { configurationError })).toMatchObject([{ check: 'configuration', verdict: 'fail' }]);
  });

  it('is fencing that is switched off', () => {
    expect(faults({}, { fencing: { programs: ['x'], disabled: true } })).toMatchObject([
      { check: 'fencing', verdict: 'warn' },
    ]);
    expect(worstOf(judge(clusterFacts({ bridges: [] }), context))).toBe('warn');
  });
});

describe('facts of a node', () => {
  let node: NodeStandIn;
  beforeAll(async () => {
    node = await NodeStandIn.make();
    await node.prints('xl', recording('xl-4.17-info').stdout);
    await node.prints(
      'vgs',
      recording('lvm-2.03.16-vgs').stdout.replace(
        '"vg_lock_type"',
        '"vg_size":"4","vg_free":"2","vg_extent_size":"1", "vg_lock_type"',
      ),
    );
    await node.prints('lvmconfig', recording('lvm-2.03.16-lvmconfig-global-devices-activation').stdout);
    await node.prints('cxm', 'cxm 1.2.3\n');
    await node.program('sshd', '[ "$*" = -T ] && printf "port 22\\nclientaliveinterval 7\\nclientalivecountmax 2\\n"');
    await node.program('ssh', 'echo "Host key verification failed." >&2; exit 255');
    const real = ['find', 'timeout', 'ssh', 'xl', 'vgs'];
    for (const tool of neededTools) if (!real.includes(tool)) await node.program(tool, 'exit 0');
    await node.file('etc/cxm.conf', "ALLOWED_NODES = ['node1', 'node2']\n");
    await node.file('etc/vm/shop', 'name = "shop"\n');
  });
  afterAll(() => node.remove());

  function nodeOf(name: string) {
    const machine = { ...node.commands, hold: () => Promise.reject(new Error('nothing is held here')) };
    const paths = { configDirectory: `${node.root}/etc/vm`, autostartDirectory: '/none', runDirectory: '/none' };
    return commandNode(name, machine, paths);
  }

  function gather(today = () => Date.now(), configurationPath = `${node.root}/etc/cxm.conf`) {
    return gatherFacts({
      nodes: [nodeOf('node1'), nodeOf('node2')],
      configurationPath,
      fencePrograms: ['sh', 'no-such-program'],
      today,
    });
  }

  it('are what its programs say', async () => {
    const { nodes, silent } = await gather();
    expect(silent).toEqual([]);
    expect(nodes[0]).toMatchObject({
      node: 'node1',
      userId: process.getuid?.(),
      missingTools: [],
      sshd: { intervalSeconds: 7, count: 2 },
      cxmVersion: '1.2.3',
      nodeVersion: process.version,
      missingFencePrograms: ['no-such-program'],
      clockOffsetMs: 0,
      toolstack: { xenVersion: '4.17.5' },
      groups: [{ name: 'VG0', uuid: '4s2oUE-52sd-X3HM-g5qG-t7mh-vWz4-ase008' }],
      configs: [{ vm: 'shop' }],
      reach: [{ to: 'node2', error: { code: 'HOST_UNREACHABLE' } }],
    });
    expect(nodes[0]?.configuration?.text).toBe("ALLOWED_NODES = ['node1', 'node2']\n");
    expect(nodes[0]?.lvmSettings?.get('filter')).toBe('["a|^/dev/vdb$|","r|.*|"]');
  });

  it('are missing, not wrong, where a program fails', async () => {
    await node.program('xl', 'exit 127');
    await node.program(
      'vgs',
      'echo "File descriptor 9 (x) leaked" >&2; echo "  WARNING: x" >&2; echo "  Failed to set up." >&2; exit 5',
    );
    const [facts] = (await gather(() => Date.now() - 60_000, '/does/not/exist')).nodes;
    await node.prints('xl', recording('xl-4.17-info').stdout);
    expect(facts).toMatchObject({ configuration: undefined, toolstack: { message: 'the program is missing' } });
    expect(facts?.groups).toMatchObject({ message: 'Failed to set up.' });
    expect(facts?.clockOffsetMs).toBeGreaterThan(50_000);
    expect((await gather(() => Date.now() + 60_000)).nodes[0]?.clockOffsetMs).toBeLessThan(-50_000);
  });

  it('leave sshd open where it is broken', async () => {
    for (const text of ['', 'clientaliveinterval 0', 'clientaliveinterval soon\nclientalivecountmax 3']) {
      expect(parseSshdAlive(text)).toBeUndefined();
    }
    await node.program('sshd', 'echo "sshd: no hostkeys available -- exiting." >&2; exit 1');
    expect((await gather()).nodes[0]?.sshd).toBeUndefined();
  });

  it('name LVM settings only when they are set', () => {
    const settings = parseLvmSettings('activation {\n\t# auto_activation_volume_list=["a"]\n\tmonitoring=1\n}\n');
    expect([...settings]).toEqual([['monitoring', '1']]);
  });
});

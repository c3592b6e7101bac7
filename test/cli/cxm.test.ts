/** cxm as a person runs it: the built program in a sandbox of three nodes. Needs a build. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CliSandbox } from './sandbox.ts';

const timeoutMs = 180_000;

describe('cxm in a cluster with VMs', { timeout: timeoutMs }, () => {
  let box: CliSandbox;
  beforeAll(async () => {
    box = new CliSandbox();
    box.addVm('shop.example.org', { linkOn: 'node1', memoryMib: 512 });
    box.addVm('mail.example.org');
    box.addVm('own.example.org', { on: 'node3', linkOn: 'node3' });
  }, timeoutMs);
  afterAll(() => box.close());

  it('says where it has looked when nothing runs', async () => {
    const { stdout, stderr, exitCode } = await box.cxm(['list']);
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
    // On a slow machine it has said before whom it waits for.
    const said = stderr.replace(/^waiting for .*\n/, '');
    expect({ said, exitCode }).toEqual({ said: 'no VM runs on node1, node2, node3\n', exitCode: 0 });
  });

  it('prints what --dry-run of create would do, and does nothing', async () => {
    const before = box.snapshot();
    const { exitCode, stdout } = await box.cxm(['create', 'shop.example.org', '--dry-run']);
    expect(stdout).toBe(
      'shop.example.org would be started on node1:\n' +
        '  1. node1: activate VG0/lv-shop.example.org\n' +
        `  2. node1: start shop.example.org from ${box.layout.directory}/cluster/etc/xen/vm/shop.example.org\n` +
        'Nothing was done (--dry-run).\n',
    );
    expect(exitCode).toBe(0);
    expect(box.snapshot()).toEqual(before);
  });

  it('starts a VM where its autostart link is, with options and abbreviations in any position', async () => {
    const first = await box.cxm(['--json', 'cr', 'shop.example.org'], { at: 'node2' });
    expect(first.exitCode).toBe(0);
    expect(JSON.parse(first.stdout)).toEqual({ vm: 'shop.example.org', node: 'node1' });
    expect(box.activeOn('shop.example.org')).toEqual(['node1']);

    const own = await box.cxm(['-f', 'node3', 'create', 'own.example.org', '-q']);
    expect(own).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    expect(box.nodesWith('own.example.org')).toEqual(['node3']);
  });

  it('lists in columns, by name only, and as JSON', async () => {
    const table = await box.cxm(['list']);
    expect(table.stdout.replace(/ +\d+\.\d s/g, ' N s')).toBe(
      'NODE   VM                ID  MEMORY MIB  VCPUS  STATE   CPU TIME\n' +
        'node1  shop.example.org   1         512      1  -b---- N s\n' +
        'node3  own.example.org    1         256      1  -b---- N s\n',
    );
    expect((await box.cxm(['list', '--quiet'])).stdout).toBe('shop.example.org\nown.example.org\n');
    const json = JSON.parse((await box.cxm(['list', '--json'])).stdout) as { nodes: { vms: object[] }[] };
    expect(json).toEqual({
      nodes: [
        {
          name: 'node1',
          vms: [
            {
              vm: 'shop.example.org',
              id: 1,
              memoryMib: 512,
              vcpus: 1,
              state: '-b----',
              cpuSeconds: expect.any(Number) as number,
            },
          ],
          traces: [],
        },
        { name: 'node2', vms: [], traces: [] },
        { name: 'node3', vms: [expect.objectContaining({ vm: 'own.example.org' })], traces: [] },
      ],
      silent: [],
    });
  });

  it('tells nodes and totals', async () => {
    const { stdout } = await box.cxm(['infos']);
    expect(stdout.replace(/(\d+) +(\d+ %)/g, '$1 $2').split('\n')[0]).toMatch(
      /^NODE +VMS +CPUS +IRQS +MEMORY MIB +FREE MIB +LOAD$/,
    );
    expect(stdout).toMatch(/^node1 +1 +8 +\d+ +16384 +15360 +\d+ %$/m);
    expect(stdout).toMatch(/^total +2 +24 +\d+ +49152 +\d+ +\d+ %$/m);
  });

  it('finds VMs by patterns, and refuses when there is none', async () => {
    const found = await box.cxm(['search', '*.example.org']);
    expect(found.stdout).toBe(
      'VM                RUNS ON  STARTS ON  CONFIGURED ON\n' +
        'mail.example.org  -        -          node1, node2\n' +
        'own.example.org   node3    node3      node3\n' +
        'shop.example.org  node1    node1      node1, node2\n',
    );
    expect((await box.cxm(['search', 'shop'])).exitCode).toBe(2);
    expect((await box.cxm(['search', 'shop'])).stderr).toContain("`cxm search '*shop*'`");
  });

  it('names what is wrong with kind and severity, and exits with 2', async () => {
    const { exitCode, stdout } = await box.cxm(['check', '--json']);
    expect(exitCode).toBe(2);
    const { findings } = JSON.parse(stdout) as { findings: { kind: string; text: string }[] };
    expect(findings.find(({ kind }) => kind === 'group-differs')?.text).toBe(
      'volume group VG0 of node1, node2 is another one than that of node3',
    );
    expect(findings.filter(({ kind }) => kind === 'runs-twice')).toEqual([]);
  });

  it.each([
    [['create', 'shop.example.org'], 'shop.example.org runs on node1 already'],
    [['create', 'nobody.example.org'], 'there is no configuration of nobody.example.org on node1'],
    [['create', 'mail.example.org', '-f', 'node9'], 'node9 is no node of the cluster'],
    [['shutdown', 'mail.example.org'], 'mail.example.org runs on no node'],
    [['migrate', 'mail.example.org', 'node2'], 'mail.example.org runs on no node'],
    [['migrate', 'shop.example.org', 'node3'], 'node3 has no logical volume VG0/lv-shop.example.org'],
    [['activate', 'shop.example.org', '-f', 'node2'], 'shop.example.org is running on node1'],
    [['deactivate', 'shop.example.org'], 'is running on node1\n  hint: `cxm shutdown shop.example.org` ends it'],
    [['console', 'own.example.org'], 'own.example.org does not run on node1'],
    [['fence', 'node1'], 'node1 is this node'],
  ])('refuses %j with the reason and exit code 2, and changes nothing', async (args, reason) => {
    const before = box.snapshot();
    const { exitCode, stderr } = await box.cxm(args);
    expect(stderr).toContain(reason);
    expect(stderr).toContain('state: nothing was changed');
    expect(exitCode).toBe(2);
    expect(box.snapshot()).toEqual(before);
  });

  it('refuses to start a VM whose name answers a ping', async () => {
    fs.mkdirSync(join(box.layout.directory, 'network'), { recursive: true });
    fs.writeFileSync(join(box.layout.directory, 'network/mail.example.org'), '');
    const { exitCode, stderr } = await box.cxm(['create', 'mail.example.org']);
    fs.rmSync(join(box.layout.directory, 'network/mail.example.org'));
    expect(stderr).toContain('mail.example.org answers a ping, but runs on no node of the cluster');
    expect(exitCode).toBe(2);
    expect(box.nodesWith('mail.example.org')).toEqual([]);
  });

  it('asks before it destroys, and takes only yes for one', async () => {
    for (const input of ['n\n', '\n', 'yessir\n', '']) {
      const { exitCode, stderr } = await box.cxm(['destroy', 'own.example.org'], { input });
      expect(stderr).toContain('Destroy own.example.org on node3?');
      expect(exitCode).toBe(2);
    }
    expect(box.nodesWith('own.example.org')).toEqual(['node3']);
    expect((await box.cxm(['destroy', 'own.example.org'], { input: 'y\n' })).exitCode).toBe(0);
    expect(box.nodesWith('own.example.org')).toEqual([]);
    expect(box.activeOn('own.example.org')).toEqual([]);
  });

  it('migrates with a line a step, moves the link, and says so when there is nothing to do', async () => {
    const plan = await box.cxm(['migrate', 'shop.example.org', 'node2', '--dry-run', '--json']);
    const { plan: planned } = JSON.parse(plan.stdout) as { plan: { steps: { text: string }[] } };
    const moved = await box.cxm(['migrate', 'shop.example.org', 'node2']);
    expect(moved.stdout).toBe('shop.example.org was migrated from node1 to node2.\n');
    const told = moved.stderr.split('\n').filter((line) => /^node\d: /.test(line));
    expect(told).toEqual(planned.steps.map(({ text }) => text));
    expect(box.nodesWith('shop.example.org')).toEqual(['node2']);
    expect(box.activeOn('shop.example.org')).toEqual(['node2']);
    expect(box.linkedOn('shop.example.org')).toEqual(['node2']);
    const again = await box.cxm(['mig', 'shop.example.org', 'node2']);
    expect(again).toMatchObject({
      exitCode: 0,
      stdout: 'Nothing to do: shop.example.org runs on node2 already.\n',
    });
  });

  it('empties a node, and evens out a state from a file', async () => {
    const dry = await box.cxm(['eject', '-f', 'node2', '--dry-run']);
    expect(dry.stdout).toContain('node2: migrate shop.example.org live to node1');
    const { exitCode, stdout } = await box.cxm(['eject', '-f', 'node2']);
    expect(stdout).toBe('1 of 1 VM has left node2.\n');
    expect(exitCode).toBe(0);
    expect(box.nodesWith('shop.example.org')).toEqual(['node1']);
    const empty = await box.cxm(['eject', '-f', 'node2', '--dry-run']);
    expect(empty).toMatchObject({ exitCode: 0, stdout: 'Nothing to do: no VM runs on node2.\n' });
    expect((await box.cxm(['shutdown-all', '-f', 'node2'])).stdout).toBe('No VM runs on node2.\n');

    const state = join(box.layout.temporary, 'state.json');
    const vms = ['a', 'b', 'c', 'd'].map((name) => ({ name, node: 'x', memoryMib: 1024, cpuPercent: 10 }));
    const nodes = ['x', 'y'].map((name) => ({ name, memoryMib: 8192, cpus: 4, ready: true, accepting: true }));
    fs.writeFileSync(state, JSON.stringify({ version: 1, nodes, vms }));
    const balanced = await box.cxm(['loadbalance', '--state', state]);
    expect({ stderr: balanced.stderr, exitCode: balanced.exitCode }).toEqual({ stderr: '', exitCode: 0 });
    expect(balanced.stdout).toMatch(/^ +1 +a +x +y +1024 +10\.0 /m);
    expect(balanced.stdout).toMatch(/^Score 141\.4 to 0\.0 .*gain 100\.0 %\.$/m);
    expect(balanced.stdout).toMatch(/Nothing was done\.\n$/);
  });

  it('prints errors as JSON on standard output when JSON is wanted', async () => {
    const { exitCode, stdout } = await box.cxm(['shutdown', 'mail.example.org', '--json']);
    expect(exitCode).toBe(2);
    expect(JSON.parse(stdout)).toEqual({
      error: {
        code: 'NOT_FOUND',
        message: 'mail.example.org runs on no node',
        hint: expect.any(String) as string,
        changed: 'nothing',
      },
    });
  });

  it('shuts all VMs of the cluster down', async () => {
    const { exitCode, stdout, stderr } = await box.cxm(['shutdown-all'], { input: 'y\n' });
    expect(stderr).toContain('Shut down 1 VM (node1: shop.example.org)?');
    expect(stdout).toBe('1 of 1 VM has ended.\n');
    expect(exitCode).toBe(0);
    expect(box.activeOn('shop.example.org')).toEqual([]);
  });

  it('starts many where they fit, and leaves alone what runs', async () => {
    const { exitCode, stdout } = await box.cxm(['start', 'shop.example.org', 'mail.example.org']);
    expect(stdout).toBe('2 of 2 VMs were started.\n');
    expect(exitCode).toBe(0);
    const again = await box.cxm(['start', 'shop.example.org', 'mail.example.org']);
    expect(again.stdout).toBe('Nothing to do: all of them run already.\n');
    expect((await box.cxm(['shutdown-all', '-y'])).exitCode).toBe(0);
  });
});

describe('cxm in a cluster that is nearly full', { timeout: timeoutMs }, () => {
  let box: CliSandbox;
  beforeAll(() => {
    box = new CliSandbox();
  }, timeoutMs);
  afterAll(() => box.close());

  it('tells for which VMs the others have no memory if a node fails', async () => {
    expect((await box.cxm(['infos'])).stderr).not.toContain('fails');
    const large = ['node1', 'node2', 'node3'].map((node) => ({ vm: `large.${node}`, node }));
    for (const { vm, node } of large) {
      box.addVm(vm, { on: node === 'node3' ? 'node3' : 'san', memoryMib: 8000, linkOn: node });
      expect(await box.cxm(['create', vm, '-q'])).toMatchObject({ exitCode: 0 });
    }
    const said = (await box.cxm(['infos'])).stderr;
    expect(said).toContain('if node2 fails, the others have no memory for large.node2 (8000 MiB)');
    const json = JSON.parse((await box.cxm(['infos', '--json'])).stdout) as object;
    const failures = large.map(({ vm, node }) => ({ node, certain: true, left: [{ vm, memoryMib: 8000 }] }));
    expect(json).toMatchObject({ failures });
  });
});

describe('wrong calls', { timeout: timeoutMs }, () => {
  let box: CliSandbox;
  beforeAll(() => {
    box = new CliSandbox();
  });
  afterAll(() => box.close());

  it.each([
    [[], 'Usage: cxm SUBCOMMAND'],
    [['fly'], "there is no subcommand 'fly'"],
    [['c'], "'c' may be check, check-cpu, create, console, config or completion"],
    [['create'], 'create needs FQDN\n  hint: usage: cxm create FQDN'],
    [['migrate', 'shop.example.org'], 'cxm: migrate needs DEST'],
    [['list', 'all'], "cxm: list does not know what to do with 'all'"],
    [['list', '--yes'], 'cxm: list takes no --yes\n  hint: see `cxm list --help`'],
    [['list', '--flying'], "unknown option '--flying'"],
    [['create', 'a.example.org', '-f'], '--force-node needs NODE\n  hint: see `cxm create --help`'],
    [['infos', '--nodes', 'node1,node1'], '--nodes names node1 twice'],
  ])('%j ends with 3 and says why', async (args, reason) => {
    const { exitCode, stdout, stderr } = await box.cxm(args);
    expect(stderr).toContain(reason);
    expect({ exitCode, stdout }).toEqual({ exitCode: 3, stdout: '' });
  });

  it.each([
    '../../etc/passwd',
    '-rf',
    'a b',
    "a';reboot;'",
    'a\nb',
    'a\u001b[2Jb',
    '$(reboot)',
    '*',
    '',
    '7',
    'x'.repeat(300),
  ])('refuses the VM name %j at the door, without a control character in what it says', async (name) => {
    for (const command of ['create', 'destroy', 'activate']) {
      const { exitCode, stderr } = await box.cxm([command, '--', name]);
      expect(exitCode).toBe(3);
      expect(stderr.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f]/);
    }
  });

  it('reads hostile configurations without harm, and prints nothing that a terminal understands', async () => {
    const directory = join(box.layout.directory, 'cluster/etc/xen/vm');
    fs.writeFileSync(join(directory, 'good.example.org'), 'name = "\u001b[2Jevil\u0007"\n');
    fs.writeFileSync(join(directory, '$(touch pwned)'), 'name = "x"\n');
    fs.writeFileSync(join(directory, '-rf'), 'name = "x"\n');
    const { exitCode, stdout, stderr } = await box.cxm(['check']);
    expect(exitCode).toBe(2);
    expect(stdout).toContain('bad-config');
    expect((stdout + stderr).replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f]/);
    expect((await box.cxm(['completion', 'vms'])).stdout).toBe('good.example.org\n');
    expect(fs.readdirSync(box.layout.temporary)).not.toContain('pwned');
  });

  it('stops at a configuration that is not right, but config check tells the line', async () => {
    fs.appendFileSync(box.layout.clusterConf, 'ALOWED_NODES = []\n');
    const { exitCode, stderr } = await box.cxm(['list']);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/cxm\.conf, line \d+: there is no key ALOWED_NODES; did you mean ALLOWED_NODES\?/);
    const check = await box.cxm(['config', 'check']);
    expect({ exitCode: check.exitCode, stderr: check.stderr }).toEqual({ exitCode: 1, stderr });
    expect((await box.cxm(['--help'])).exitCode).toBe(0);
  });
});

describe('a node that is down', { timeout: timeoutMs }, () => {
  let box: CliSandbox;
  beforeAll(async () => {
    box = new CliSandbox();
    box.addVm('shop.example.org', { linkOn: 'node1' });
    box.addVm('mail.example.org', { linkOn: 'node1' });
    await box.cxm(['create', 'shop.example.org', '-q']);
    box.setDown('node2', true);
  }, timeoutMs);
  afterAll(() => box.close());

  it('is named by commands that look, which show the others and end with 1', async () => {
    const list = await box.cxm(['list']);
    expect(list.stdout).toContain('node1  shop.example.org');
    expect(list.stderr).toContain('node2 does not answer');
    expect(list.exitCode).toBe(1);
    const infos = await box.cxm(['infos', '--json']);
    expect(infos.exitCode).toBe(1);
    const { nodes, silent } = JSON.parse(infos.stdout) as { nodes: { node: string }[]; silent: object[] };
    expect(nodes.map(({ node }) => node)).toEqual(['node1', 'node3']);
    expect(silent).toEqual([{ node: 'node2', error: expect.objectContaining({ code: 'HOST_UNREACHABLE' }) as object }]);
    expect((await box.cxm(['search', '*'])).stdout).toContain('shop.example.org  node1');
  });

  it.each([
    [['create', 'mail.example.org']],
    [['migrate', 'shop.example.org', 'node3']],
    [['activate', 'mail.example.org']],
    [['start', 'mail.example.org']],
  ])('keeps %j from changing anything', async (args) => {
    const before = box.snapshot();
    const { exitCode, stderr } = await box.cxm(args);
    expect(stderr).toContain('node2');
    expect(exitCode).toBe(1);
    expect(box.snapshot()).toEqual(before);
  });

  it('may be left out with --nodes', async () => {
    const { exitCode } = await box.cxm(['create', 'mail.example.org', '--nodes', 'node1,node3']);
    expect(exitCode).toBe(0);
    expect(box.nodesWith('mail.example.org')).toEqual(['node1']);
  });
});

describe('a volume that VMs only read', { timeout: timeoutMs }, () => {
  const active = (box: CliSandbox): readonly string[] => box.activeOn('', 'installer');

  it('is active where one of them runs, and nowhere else', async ({ onTestFinished }) => {
    const box = new CliSandbox();
    onTestFinished(() => box.close());
    for (const vm of ['one.example.org', 'two.example.org']) {
      box.addVm(vm, { reads: 'installer' });
      expect((await box.cxm(['create', vm, '-q'])).exitCode).toBe(0);
    }
    expect(active(box)).toEqual(['node1']);
    expect((await box.cxm(['migrate', 'one.example.org', 'node2', '-q'])).exitCode).toBe(0);
    expect(active(box)).toEqual(['node1', 'node2']);
    const last = await box.cxm(['migrate', 'two.example.org', 'node2']);
    expect({ exitCode: last.exitCode, warned: last.stderr.includes('warning') }).toEqual({
      exitCode: 0,
      warned: false,
    });
    expect(active(box)).toEqual(['node2']);
    const shutdown = await box.cxm(['shutdown', 'one.example.org']);
    expect(shutdown.stderr.split('\n').filter((line) => line.includes('deactivate'))).toEqual([
      'node2: deactivate VG0/lv-one.example.org',
      'node2: deactivate VG0/installer unless somebody reads it',
    ]);
    expect(shutdown.exitCode).toBe(0);
    expect(active(box)).toEqual(['node2']);
    expect((await box.cxm(['destroy', 'two.example.org', '-q'])).exitCode).toBe(0);
    expect(active(box)).toEqual([]);
  });
});

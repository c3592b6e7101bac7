/** loadbalance, eject and start as a person runs them, with and without rules in cxm.conf. Needs a build. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CliSandbox } from './sandbox.ts';

const timeoutMs = 180_000;
const [one, two, three] = ['one.example.org', 'two.example.org', 'three.example.org'] as const;

/** VMs on the volume group that node1 and node2 share; node3 has its own. */
describe('the balancer in a cluster with VMs', { timeout: timeoutMs }, () => {
  let box: CliSandbox;
  let unruled: string;
  beforeEach(() => {
    box = new CliSandbox();
    for (const vm of [one, two, three]) box.addVm(vm, { memoryMib: 512 });
    unruled = fs.readFileSync(box.layout.clusterConf, 'utf8');
  }, timeoutMs);
  afterEach(() => box.close());

  function rules(text: string): void {
    fs.writeFileSync(box.layout.clusterConf, `${unruled}${text}\n`);
  }

  async function startOn(node: string, ...vms: readonly string[]): Promise<void> {
    for (const vm of vms) {
      expect(await box.cxm(['create', vm, '-f', node, '-q'])).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    }
  }

  const whereabouts = () => [one, two, three].map((vm) => box.nodesWith(vm).join());

  it('migrates live what it has shown and asked about, link and volumes with it', async () => {
    await startOn('node1', one, two);
    const before = box.snapshot();
    const refused = await box.cxm(['loadbalance'], { input: 'n\n' });
    expect(refused.stderr).toContain('Proceed? [y/N]');
    expect(refused.exitCode).toBe(2);
    expect(box.snapshot()).toEqual(before);

    const { exitCode, stdout, stderr } = await box.cxm(['loadbalance'], { input: 'y\n' });
    expect(exitCode).toBe(0);
    const [, vm = ''] = /^ +1 +(\S+) +node1 +node2 +512 /m.exec(stdout) ?? [];
    expect(stdout).toMatch(/^STEP +VM +FROM +TO +MEMORY MIB +CPU % +SCORE +WHY$/m);
    expect(stdout).toMatch(/^1 of 1 migration was made\.$/m);
    expect(stderr).toContain(`node1: migrate ${vm} live to node2`);
    const other = vm === one ? two : one;
    expect([box.nodesWith(vm), box.activeOn(vm)]).toEqual([['node2'], ['node2']]);
    expect([box.nodesWith(other), box.activeOn(other)]).toEqual([['node1'], ['node1']]);

    const again = await box.cxm(['loadbalance']);
    expect(again.stdout).toMatch(/^Nothing to do, with a score of \d+\.\d: no .*\.$/m);
    expect(again.exitCode).toBe(0);
  });

  it('leaves a domain of somebody else where it is, says so, and moves the others', async () => {
    await startOn('node1', one, two);
    const config = join(box.layout.temporary, 'odd.cfg');
    fs.writeFileSync(config, 'name = "_odd"\nmemory = 64\nkernel = "/boot/vmlinuz"\n');
    expect(await box.xl('node1', 'create', config)).toMatchObject({ exitCode: 0 });
    const { exitCode, stdout, stderr } = await box.cxm(['loadbalance', '--yes']);
    expect(stderr).toContain('the domain "_odd" has no name that cxm gives to a VM: it stays where it is');
    expect(stdout).toMatch(/^1 of 1 migration was made\.$/m);
    expect(exitCode).toBe(0);
    expect(box.nodesWith('_odd')).toEqual(['node1']);
  });

  it('tells in JSON what it has done, and saves what it has measured', async () => {
    await startOn('node1', one, two);
    const file = join(box.layout.temporary, 'measured.txt');
    const { exitCode, stdout } = await box.cxm(['loadbalance', '--json', '--yes', '--save-state', file]);
    expect(exitCode).toBe(0);
    const { plan, done, failures } = JSON.parse(stdout) as { plan: { steps: object[] }; done: object[]; failures: [] };
    expect(plan).toEqual({
      steps: [expect.objectContaining({ source: 'node1', destination: 'node2', memoryMib: 512 })],
      before: { memoryPercent: 100, cpuPercent: expect.any(Number), score: expect.any(Number) },
      after: { memoryPercent: 50, cpuPercent: expect.any(Number), score: expect.any(Number) },
      gainPercent: expect.any(Number),
      movedMib: 512,
      nothingBetter: expect.objectContaining({ kind: expect.any(String) }),
      unresolved: [],
    });
    expect(done).toEqual([{ vm: expect.any(String), source: 'node1', destination: 'node2' }]);
    expect(failures).toEqual([]);
    expect(fs.readFileSync(file, 'utf8')).toMatch(/^vm one\.example\.org on=node1 memory=512 /m);
    expect((await box.cxm(['loadbalance', '--json'])).exitCode).toBe(3);
  });

  it('moves nothing that LB_IGNORE, LB_PIN or the cost forbids, and brings home what is pinned elsewhere', async () => {
    await startOn('node1', one, two);
    const planned = async (text: string): Promise<readonly string[]> => {
      rules(text);
      const { stdout, exitCode } = await box.cxm(['loadbalance', '--dry-run', '--json']);
      expect(exitCode).toBe(0);
      const { plan } = JSON.parse(stdout) as { plan: { steps: { vm: string; destination: string }[] } };
      return plan.steps.map(({ vm, destination }) => `${vm} ${destination}`);
    };
    expect(await planned(`LB_IGNORE = ['${one}']`)).toEqual([`${two} node2`]);
    expect(await planned(`LB_PIN = ['${two} node1']`)).toEqual([`${one} node2`]);
    expect(await planned(`LB_COST_PER_GIB = 100`)).toEqual([]);
    expect(await planned(`LB_PIN = ['${one} node2', '${two} node2']`)).toEqual([`${one} node2`, `${two} node2`]);
  });

  it('says which rule it can not mend, and whom nobody knows', async () => {
    await startOn('node1', one);
    rules(`LB_PIN = ['${one} node3']\nLB_IGNORE = ['nobody.example.org', '${two}']`);
    const { stdout, stderr, exitCode } = await box.cxm(['loadbalance', '--dry-run']);
    expect(stderr).toContain(`warning: ${one} stays on node1, though it is pinned elsewhere`);
    expect(stderr).toContain('a rule of cxm.conf names nobody.example.org, of which there is no configuration');
    expect(stderr).not.toContain(two);
    expect(stdout).toContain('Nothing to do');
    expect(exitCode).toBe(0);
  });

  it('starts VMs where the rules want them, and not at all where they forbid it', async () => {
    rules(`LB_APART = ['${one} ${two} ${three}']\nLB_PIN = ['${one} node2']`);
    const dry = await box.cxm(['start', one, two, three, '--dry-run', '--json']);
    expect(dry.exitCode).toBe(2);
    const { exitCode, stdout, stderr } = await box.cxm(['start', one, two, three]);
    expect(exitCode).toBe(1);
    expect(stdout).toContain('2 of 3 VMs were started.');
    expect(stderr).toMatch(/\(512 MiB\) fits on no other node \(.*node1.*: another VM of its group is there/);
    expect(box.nodesWith(one)).toEqual(['node2']);
    expect([two, three].flatMap((vm) => box.nodesWith(vm))).toEqual(['node1']);
    expect(whereabouts().filter((node) => node === '')).toHaveLength(1);
  });

  it('empties a node without breaking a rule, and says who has to stay', async () => {
    await startOn('node1', one, two);
    rules(`LB_IGNORE = ['${one}']\nLB_EMPTY = ['node3']`);
    const { exitCode, stdout, stderr } = await box.cxm(['eject', '-f', 'node1']);
    expect(stdout).toContain('1 of 2 VMs have left node1.');
    expect(stderr).toContain(`${one} (512 MiB) fits on no other node (node2, node3: the VM is not to be moved)`);
    expect(exitCode).toBe(1);
    expect(whereabouts()).toEqual(['node1', 'node2', '']);
  });

  it('is not asked when cxm.conf contradicts itself', async () => {
    rules(`LB_EMPTY = ['node9']`);
    const { exitCode, stderr } = await box.cxm(['list']);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/cxm\.conf, line \d+: LB_EMPTY names node9, which is none of ALLOWED_NODES/);
  });
});

/** Commands on one VM as a person runs them, where they succeed: reboot, volumes, console. Needs a build. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeOf } from '../../src/sandbox/layout.ts';
import { Store } from '../../src/sandbox/xl/store.ts';
import { CliSandbox } from './sandbox.ts';

const timeoutMs = 180_000;
const [shop, mail] = ['shop.example.org', 'mail.example.org'] as const;

describe('one VM', { timeout: timeoutMs }, () => {
  let box: CliSandbox;
  beforeAll(async () => {
    box = new CliSandbox();
    box.addVm(shop, { linkOn: 'node1' });
    box.addVm(mail);
    await box.cxm(['create', shop, '-q']);
  }, timeoutMs);
  afterAll(() => box.close());

  const idOf = (vm: string, node = 'node1') =>
    new Store(nodeOf(box.layout, node).xen).domains().find(({ name }) => name === vm)?.id;

  it('is another domain on the same node after a reboot', async () => {
    const before = idOf(shop) ?? Number.NaN;
    const ended = await box.cxm(['reboot', shop], { at: 'node2' });
    expect(ended).toEqual({ exitCode: 0, stdout: `${shop} has rebooted.\n`, stderr: `node1: reboot ${shop}\n` });
    expect(idOf(shop)).toBeGreaterThan(before);
    expect(box.nodesWith(shop)).toEqual(['node1']);
    expect(box.activeOn(shop)).toEqual(['node1']);
    expect(box.linkedOn(shop)).toEqual(['node1']);
  });

  it('that does not hear a reboot is told, and stays the domain it was', async () => {
    const before = idOf(shop);
    box.setKnobs('node1', { guestIgnoresShutdown: true, acknowledgeTimeoutMs: 300 });
    const { exitCode, stderr } = await box.cxm(['reboot', shop]);
    box.setKnobs('node1', {});
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`cxm: ${shop} on node1 does not react to being asked to reboot\n`);
    expect(stderr).toContain(`\`cxm destroy ${shop}\` and \`cxm create ${shop}\` restart it by force`);
    expect(idOf(shop)).toBe(before);
  });

  it('that did not run can not be rebooted', async () => {
    const { exitCode, stderr } = await box.cxm(['reboot', mail]);
    expect(stderr).toContain(`${mail} runs on no node`);
    expect(exitCode).toBe(2);
  });

  it('is held for a driver that moves it to a node by its full name, as OpenNebula may have it', async () => {
    const guard = (host: string) => box.cxm(['guard', 'migrate', '--', shop, host], { input: 'done\n' });
    expect(await guard('node2.example.org')).toMatchObject({ exitCode: 0, stdout: 'held\nkept\n' });
    expect((await guard('node20.example.org')).stdout).toContain('node20.example.org is no node of the cluster');
  });

  it('has its volumes on one node at a time, by hand', async () => {
    const first = await box.cxm(['activate', mail, '-f', 'node2']);
    expect(first.stdout).toBe(`The volumes of ${mail} are active on node2 and nowhere else.\n`);
    expect(first.exitCode).toBe(0);
    expect(box.activeOn(mail)).toEqual(['node2']);

    const moved = await box.cxm(['activate', mail]);
    expect(moved.stdout).toBe(`The volumes of ${mail} are active on node1 and nowhere else.\n`);
    const told = moved.stderr.split('\n').filter((line) => line.startsWith('node'));
    expect(told).toEqual([`node2: deactivate VG0/lv-${mail}`, `node1: activate VG0/lv-${mail}`]);
    expect(box.activeOn(mail)).toEqual(['node1']);

    const again = await box.cxm(['activate', mail, '--no-refresh']);
    expect(again.exitCode).toBe(0);
    expect(box.activeOn(mail)).toEqual(['node1']);

    const last = await box.cxm(['deactivate', mail]);
    expect(last.stdout).toBe(`The volumes of ${mail} are inactive on node1.\n`);
    expect(last.exitCode).toBe(0);
    expect(box.activeOn(mail)).toEqual([]);
    expect((await box.cxm(['deactivate', mail])).exitCode).toBe(0);
  });

  it('has a console on its node, which Ctrl-] leaves', async () => {
    const { exitCode, stdout, stderr } = await box.cxm(['console', shop], { input: 'root\n\u001dnot typed\n' });
    expect(stdout).toContain(`${shop} (simulated) login: root\n`);
    expect(stdout).not.toContain('not typed');
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    const away = await box.cxm(['console', shop], { at: 'node2' });
    expect(away.exitCode).toBe(2);
    expect(away.stderr).toContain(`\`cxm search ${shop}\` tells where it runs`);
  });

  it('shows its console after its start where it was asked for, and says where it is elsewhere', async () => {
    const here = await box.cxm(['create', mail, '-f', 'node1', '-c'], { input: 'x\u001d' });
    expect(here.stdout).toContain(`${mail} runs on node1.\n\r\n${mail} (simulated) login: x`);
    expect(here.exitCode).toBe(0);
    await box.cxm(['destroy', mail, '-y']);
    const there = await box.cxm(['create', mail, '-f', 'node2', '--console']);
    expect(there.stderr).toContain(`its console is on node2: \`cxm console ${mail}\` there`);
    expect(there.exitCode).toBe(0);
  });
});

/** What every command prints with --json is what docs/cxm.md says, field by field. Needs a build. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandNames, specOf } from '../../src/cli/command-table.ts';
import { CliSandbox, type CallOptions } from './sandbox.ts';
import { DocumentedJson } from './documented.ts';

const timeoutMs = 180_000;
const [shop, mail, own] = ['shop.example.org', 'mail.example.org', 'own.example.org'] as const;

/** Lists that stay empty in a sandbox: all machines have the same CPUs, and it has neither physical volumes nor VLANs. */
const neverFilled = [
  'check-cpu.differences',
  'search.vms[].traces',
  'NODE.groups',
  'NODE.physicalVolumes',
  'NODE.bridges',
  'NODE.vlans',
  'list.nodes[].traces',
];

describe('--json', { timeout: timeoutMs }, () => {
  const documented = new DocumentedJson();
  let box: CliSandbox;
  beforeAll(() => {
    box = new CliSandbox();
    box.addVm(shop, { linkOn: 'node1', memoryMib: 512 });
    box.addVm(mail, { memoryMib: 512 });
    box.addVm(own, { on: 'node3' });
  }, timeoutMs);
  afterAll(() => box.close());

  /** @param label as the document names it */
  async function holds(label: string, args: readonly string[], exitCode = 0, options: CallOptions = {}) {
    const ended = await box.cxm([...args, '--json'], options);
    expect({ args, exitCode: ended.exitCode, stderr: exitCode === 0 ? '' : ended.stderr }).toEqual({
      args,
      exitCode,
      stderr: exitCode === 0 ? '' : ended.stderr,
    });
    let value: unknown;
    // A line of JSON for each look, or one value.
    for (const text of args[0] === 'top' ? ended.stdout.trim().split('\n') : [ended.stdout]) {
      value = JSON.parse(text);
      expect(documented.faults(label, value), `${args.join(' ')}: ${text}`).toEqual([]);
    }
    return value as Readonly<Record<string, unknown>>;
  }

  it('is documented for every command that takes it', () => {
    const documentedCommands = new Set(documented.labels.map((label) => label.split(' ')[0]));
    const withJson = commandNames.filter((name) => specOf(name).options?.includes('json'));
    expect(withJson.filter((name) => !documentedCommands.has(name))).toEqual([]);
  });

  it('of commands that start, move and look', async () => {
    await holds('create --dry-run', ['create', shop, '--dry-run']);
    expect(await holds('create', ['create', shop])).toEqual({ vm: shop, node: 'node1' });
    await holds('list', ['list']);
    await holds('infos', ['infos']);
    await holds('infos', ['infos', '--nodes', 'node1']);
    await holds('search', ['search', '*']);
    await holds('check', ['check'], 2);
    await holds('check-cpu', ['check-cpu']);
    await holds('migrate --dry-run', ['migrate', shop, 'node2', '--dry-run']);
    const moved = { vm: shop, source: 'node1', destination: 'node2', alreadyThere: false };
    expect(await holds('migrate', ['migrate', shop, 'node2'])).toEqual(moved);
    const there = { vm: shop, source: 'node2', destination: 'node2', alreadyThere: true };
    expect(await holds('migrate', ['migrate', shop, 'node2'])).toEqual(there);
    await holds('migrate --dry-run', ['migrate', shop, 'node2', '--dry-run']);
    await holds('eject --dry-run', ['eject', '-f', 'node2', '--dry-run']);
    await holds('eject', ['eject', '-f', 'node2']);
    expect(await holds('reboot', ['reboot', shop])).toEqual({ vm: shop, how: 'rebooted' });
    const { vms } = await holds('top', ['top', '--iterations', '2', '--interval', '1']);
    expect(vms).toEqual([expect.objectContaining({ name: shop, cpuPercent: expect.any(Number) as number })]);
  });

  it('of commands for many VMs, with those that fail', async () => {
    const words = ['start', shop, mail, 'nobody.example.org'];
    await holds('start --dry-run', [...words, '--dry-run'], 2);
    expect(await holds('start', words, 1)).toMatchObject({
      running: [{ vm: shop, node: 'node1' }],
      done: [{ vm: mail }],
      failures: [{ vm: 'nobody.example.org', error: { code: 'NOT_FOUND' } }],
    });
    await box.cxm(['migrate', mail, 'node1', '-q']);
    const { plan } = await holds('loadbalance', ['loadbalance', '--yes']);
    expect(plan).toMatchObject({ steps: [{ source: 'node1', destination: 'node2' }] });
    const state = join(box.layout.temporary, 'state.txt');
    fs.writeFileSync(
      state,
      'node x memory=900\nnode y memory=100\nvm a on=x memory=512\nvm b on=x memory=64\npin a y\n',
    );
    expect(await holds('loadbalance --dry-run', ['loadbalance', '--state', state])).toMatchObject({
      plan: { unresolved: [{ rule: 'pin', vm: 'a', node: 'x' }] },
    });
    fs.writeFileSync(
      join(box.layout.clusterConf),
      `${fs.readFileSync(box.layout.clusterConf, 'utf8')}LB_IGNORE = ['${shop}']\n`,
    );
    const [place = ''] = box.nodesWith(shop);
    await holds('eject --dry-run', ['eject', '-f', place, '--dry-run'], 2);
    await holds('eject', ['eject', '-f', place], 1);
    box.setKnobs('node1', { guestIgnoresShutdown: false });
    await holds('shutdown', ['shutdown', mail]);
    await holds('shutdown-all', ['shutdown-all', '--yes']);
    await holds('shutdown-all', ['shutdown-all', '--yes']);
  });

  it('of volumes, nodes and cxm itself', async () => {
    expect(await holds('activate', ['activate', shop])).toEqual({ vm: shop, node: 'node1', active: true });
    expect(await holds('deactivate', ['deactivate', shop])).toEqual({ vm: shop, node: 'node1', active: false });
    await box.cxm(['activate', shop, '-q']);
    await box.cxm(['start', mail, '-q']);
    box.link(mail, 'node1');
    box.link(mail, 'node2');
    const [home = ''] = box.nodesWith(mail);
    const init = await holds('init', ['init'], 0, { at: home === 'node1' ? 'node2' : 'node1' });
    expect(init).toMatchObject({ unlinked: [mail], failures: [] });
    await box.cxm(['destroy', mail, '-y', '-q']);
    expect(await holds('init', ['init'])).toEqual({ node: 'node1', deactivated: [shop], unlinked: [], failures: [] });
    await box.cxm(['create', mail, '-f', 'node1', '-q']);
    expect(await holds('destroy', ['destroy', mail, '--yes'])).toEqual({ vm: mail, node: 'node1', ended: 'destroyed' });
    await holds('doctor', ['doctor'], 2);
    await holds('config check', ['config', 'check']);
    await holds('config show', ['config', 'show']);
    await holds('an error that ends the command', ['shutdown', mail], 2);
    await box.cxm(['create', shop, '-f', 'node2', '-q']);
    expect(await holds('fence', ['fence', 'node2', '--yes'])).toEqual({ node: 'node2', vms: [shop] });
    expect(await holds('list', ['list'], 1)).toMatchObject({ silent: [{ node: 'node2' }] });
    for (const command of ['infos', 'check-cpu']) await holds(command, [command], 1);
    await holds('search', ['search', '*'], 1);
    await holds('check', ['check'], 2);
    await holds('top', ['top', '--iterations', '1'], 1);
  });

  it('was seen of every command, with items in its lists', () => {
    const unseen = documented.unseen().filter((place) => !neverFilled.includes(place));
    expect(unseen.filter((place) => !/\.failures$/.test(place))).toEqual([]);
  });
});

/**
 * The actions as oned calls them: every recorded call of 3.8 and 7.x goes through the entry point of vmm/cxm, and what it
 * asks of the helper must pass the helper's own door.
 */
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { domainOperations } from '../../../src/agent/operations/domain-operations.ts';
import { resolveCxmrc, settingsFromRecord } from '../../../src/config/load.ts';
import { CxmError } from '../../../src/errors.ts';
import { monotonicMs } from '../../../src/host/clock.ts';
import type { CommandResult } from '../../../src/host/commands.ts';
import type { Action, ActionContext, HelperCall } from '../../../src/one/action.ts';
import { machineUsage } from '../../../src/one/arguments/usage.ts';
import { pollLine } from '../../../src/one/vmm/domain.ts';
import { driverCalls, type Recording } from '../../support/recordings.ts';
import { vmDocument } from './hosts.ts';

const directory = fileURLToPath(new URL('../../../vmm/cxm/', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'cxm-vmm-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Asked extends HelperCall {
  readonly where: 'here' | { readonly host: string };
}

let asked: Asked[];
let logged: string[];
beforeEach(() => {
  asked = [];
  logged = [];
});

interface Situation {
  readonly standardInput?: string;
  readonly answer?: (call: Asked) => unknown;
  readonly settings?: Readonly<Record<string, string>>;
  readonly ssh?: (args: readonly string[]) => CommandResult;
}

async function actionOf(name: string): Promise<Action> {
  const module = (await import(`${directory}${name}.ts`)) as { action: Action };
  return module.action;
}

async function run(name: string, argv: readonly string[], situation: Situation = {}): Promise<string | undefined> {
  const { standardInput = '', answer = () => ({}), settings = {}, ssh } = situation;
  const note = (text: string): void => void logged.push(text);
  const context: ActionContext = {
    argv,
    standardInput: () => Promise.resolve(standardInput),
    config: resolveCxmrc(settingsFromRecord({ VG_NAME: 'VG0', ...settings }, 'the test')),
    report: { info: note, debug: note, warn: note, fail: () => undefined },
    commands: {
      run: (_program, args) => Promise.resolve(ssh?.(args) ?? { stdout: '', stderr: 'no route', exitCode: 255 }),
    },
    stateDirectory: '/nonexistent',
    hostName: 'host01',
    driverName: 'cxm',
    helper: async (where, call) => {
      asked.push({ where, ...call });
      return Promise.resolve(answer({ where, ...call }));
    },
  };
  return (await actionOf(name)).run(context);
}

/** The recorded call with its paths in a directory of the test. */
function local(call: Recording): string[] {
  return call.argv.map((word) => word.replace(/^\/var\/lib\/one\/datastores/, scratch));
}

/** What the helper would answer to a call of 3.8 or 7.x. */
function answerTo({ operation }: Asked): unknown {
  if (operation === 'domain-deploy') return { deployId: 'web-1', configPath: '/etc/xen/vm/web-1', takenOver: false };
  if (operation === 'domain-poll') return { state: 'running', memoryKib: 1024 };
  if (operation === 'domain-shutdown' || operation === 'domain-cancel') return { ended: 'destroyed' };
  return operation === 'domain-migrate' ? { alreadyThere: false } : {};
}

/** Actions that never come to the helper, with their outcome. */
const withoutHelper: Readonly<Record<string, 'refused' | 'nothing'>> = {
  snapshot_create: 'refused',
  snapshot_revert: 'refused',
  snapshot_delete: 'refused',
  prereconfigure: 'nothing',
  reconfigure: 'nothing',
};

describe('recorded calls', () => {
  const calls = driverCalls('vmm');

  it('cover what the table of actions knows, each with an entry point', () => {
    const files = readdirSync(directory).map((file) => file.replace(/\.ts$/, ''));
    expect(files.sort()).toEqual([...Object.keys(machineUsage), 'checkpoint'].sort());
    expect(new Set(calls.map(({ action }) => action)).size).toBeGreaterThan(18);
  });

  it.each(calls.map((call) => [`${call.version} ${call.file}`, call] as const))('%s', async (_name, call) => {
    const outcome = run(call.action, local(call), { standardInput: call.standardInput, answer: answerTo });
    if (withoutHelper[call.action] === 'refused') {
      await expect(outcome).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    } else {
      await outcome;
    }
    expect(asked).toHaveLength(withoutHelper[call.action] === undefined ? 1 : 0);
    for (const { where, operation, parameters } of asked) {
      expect(where).toBe('here');
      const known = domainOperations.find(({ name }) => name === operation);
      const parsed = known?.parse(JSON.parse(JSON.stringify(parameters)) as Record<string, unknown>);
      expect(parsed).toMatchObject({ vmId: Number(call.argv.at(-2)) });
    }
  });
});

describe('deploy', () => {
  const place = join(scratch, '0/7');
  const argv = [`${place}/deployment.0`, 'host01', '7', 'host01'];
  const xen = "name = 'one-7'\nmemory = '64'\nkernel = '/boot/vmlinuz'\n";
  beforeEach(() => rmSync(place, { recursive: true, force: true }));

  it('prints the deploy id and leaves the link, also in place of an older file', async () => {
    mkdirSync(place, { recursive: true });
    writeFileSync(`${place}/deployment.0`, 'old');
    expect(await run('deploy', argv, { standardInput: vmDocument(7), answer: answerTo })).toBe('web-1');
    expect(readlinkSync(`${place}/deployment.0`)).toBe('/etc/xen/vm/web-1');
    expect(readdirSync(place)).toEqual(['deployment.0']);
  });

  it('leaves nothing in the directory when the helper fails', async () => {
    const failing = (): never => {
      throw new CxmError('XEN', 'no');
    };
    await expect(run('deploy', argv, { standardInput: vmDocument(7), answer: failing })).rejects.toThrow('no');
    expect(() => readdirSync(place)).toThrow();
  });

  it('takes the document that OpenNebula 6 and later leave beside the deployment file, raw or in base64', async () => {
    mkdirSync(place, { recursive: true });
    const document = vmDocument(7);
    for (const text of [document, Buffer.from(document).toString('base64')]) {
      writeFileSync(`${place}/vm.xml`, text);
      const settings = { VM_FQDN_TEMPLATE: '%V-%I' };
      await run('deploy', argv, { standardInput: xen, answer: answerTo, settings });
      expect(asked.at(-1)?.parameters).toMatchObject({ document });
    }
    expect(logged.join()).not.toContain('not to be had');
  });

  it('asks the frontend when the name needs it and nothing lies there', async () => {
    const questions: string[] = [];
    const ssh = (args: readonly string[]): CommandResult => {
      questions.push(args.slice(-2).join(' '));
      return { stdout: `${vmDocument(7)}\ncxm-exit:0\n`, stderr: '', exitCode: 0 };
    };
    const settings = { ONE_HOST: 'frontend', VM_FQDN_TEMPLATE: '%V.%U' };
    await run('deploy', argv, { standardInput: xen, answer: answerTo, settings, ssh });
    expect(questions).toEqual([expect.stringContaining('frontend onevm show -x 7')]);
    expect(asked[0]?.parameters['document']).toContain('<UNAME>ann</UNAME>');
  });

  it('takes that document along also when the name needs nothing of it, so that interfaces are compared', async () => {
    mkdirSync(place, { recursive: true });
    writeFileSync(`${place}/vm.xml`, vmDocument(7));
    await run('deploy', argv, { standardInput: xen, answer: answerTo });
    expect(asked[0]?.parameters).toMatchObject({ document: vmDocument(7) });
  });

  it('says when it has begun, which is before it asks anybody', async () => {
    let askedMs = 0;
    const ssh = (): CommandResult => {
      askedMs = monotonicMs();
      while (monotonicMs() === askedMs);
      return { stdout: `${vmDocument(7)}\ncxm-exit:0\n`, stderr: '', exitCode: 0 };
    };
    const settings = { ONE_HOST: 'frontend', VM_FQDN_TEMPLATE: '%V.%U' };
    await run('deploy', argv, { standardInput: xen, answer: answerTo, settings, ssh });
    expect(asked[0]?.parameters['begunMs']).toBeLessThanOrEqual(askedMs);
  });

  it('asks nobody when the name is the id alone', async () => {
    const settings = { ONE_HOST: 'frontend', VM_FQDN_TEMPLATE: 'one-%I' };
    const ssh = (): never => {
      throw new Error('asked');
    };
    await run('deploy', argv, { standardInput: xen, answer: answerTo, settings, ssh });
    expect(asked[0]?.parameters).not.toHaveProperty('document');
  });
});

describe('attach_nic', () => {
  const mac = '02:00:0a:63:00:0b';
  const argv = (target: string): string[] => ['web-7', mac, 'br0', '-', 'bridge', target, '7', 'host01'];
  const message = (words: string): string => {
    const nic = `<NIC><ATTACH>YES</ATTACH><NIC_ID>1</NIC_ID><MAC>${mac}</MAC><BRIDGE>br0</BRIDGE>${words}</NIC>`;
    const vm = vmDocument(7).replace('</TEMPLATE>', `${nic}</TEMPLATE>`);
    return `<VMM_DRIVER_ACTION_DATA>${vm}</VMM_DRIVER_ACTION_DATA>`;
  };
  const own = '<TARGET>one-7-1</TARGET><VN_MAD>bridge</VN_MAD>';

  it.each([
    ['an interface of the host in the call', 'eth0', '', /TARGET of the interface is "eth0".*must be one-7-N/],
    ['another VM in the call', 'one-9-0', '', /TARGET of the interface/],
    ['an interface of the host in the document', 'eth0', message(own.replace('one-7-1', 'eth0')), /TARGET of NIC 1/],
    ['a script that leaves the bridge', 'one-7-1', message(`${own}<SCRIPT>vif-route</SCRIPT>`), /SCRIPT of NIC 1/],
  ])('refuses %s', async (_what, target, standardInput, because) => {
    await expect(run('attach_nic', argv(target), { standardInput })).rejects.toThrow(because);
    expect(asked).toEqual([]);
  });

  it.each([
    ['with the document', message(own)],
    ['without one', ''],
  ])('passes on the name that OpenNebula gives, %s', async (_what, standardInput) => {
    await run('attach_nic', argv('one-7-1'), { standardInput });
    expect(asked[0]?.parameters).toMatchObject({ vmId: 7, mac, bridge: 'br0', interfaceName: 'one-7-1' });
  });
});

describe('restore', () => {
  const checkpoint = '/var/lib/one/datastores/0/7/checkpoint';

  it('of 3.8 asks the frontend for the document, and goes on without one', async () => {
    await run('restore', [checkpoint, 'host01', '7', 'host01'], { settings: { ONE_HOST: 'frontend' } });
    const begunMs = expect.any(Number) as number;
    expect(asked[0]?.parameters).toEqual({ vmId: 7, checkpoint, directory: '/var/lib/one/datastores/0/7', begunMs });
    expect(logged.join()).toContain('document of VM 7 is not to be had');
  });
});

describe('migrate_local, on the frontend', () => {
  const argv = ['web-7', 'host02', 'host01', '7', 'host01'];
  const dead = new CxmError('HOST_UNREACHABLE', 'host01 is dead');
  const answers = (running: boolean) => (call: Asked) => {
    if (call.operation === 'domain-migrate') throw dead;
    return { running, present: running };
  };

  it('asks the source to move the VM', async () => {
    await run('migrate_local', argv, { answer: answerTo });
    const parameters = { vmId: 7, deployId: 'web-7', destination: 'host02' };
    expect(asked).toEqual([{ where: { host: 'host01' }, operation: 'domain-migrate', parameters }]);
  });

  it('succeeds when the source is dead and the VM runs at the destination, and only then', async () => {
    await run('migrate_local', argv, { answer: answers(true) });
    expect(asked.at(-1)).toMatchObject({ where: { host: 'host02' }, operation: 'domain-look' });
    await expect(run('migrate_local', argv, { answer: answers(false) })).rejects.toBe(dead);
  });
});

describe('poll', () => {
  it('says nothing that 3.8 would write into the template of the VM', () => {
    const result = { state: 'running', cpuPercent: 1, memoryKib: 2, receivedBytes: 3, sentBytes: 4 } as const;
    const keys = pollLine(result)
      .split(' ')
      .map((word) => word.split('=')[0]);
    expect(keys).toEqual(['STATE', 'USEDCPU', 'USEDMEMORY', 'NETRX', 'NETTX']);
  });

  it.each([
    [{ state: 'absent' }, 'STATE=d'],
    [{ state: 'ended', name: 'x' }, 'STATE=d'],
    [{ state: 'moving', name: 'x' }, 'STATE=a'],
    [{ state: 'paused', memoryKib: 5 }, 'STATE=a USEDMEMORY=5'],
    [
      { state: 'running', cpuPercent: 12.6, memoryKib: 65536, receivedBytes: 10, sentBytes: 20 },
      'STATE=a USEDCPU=13 USEDMEMORY=65536 NETRX=10 NETTX=20',
    ],
  ] as const)('%j is %s', (result, line) => {
    expect(pollLine(result)).toBe(line);
  });
});

describe('the helper takes no parameters that reach out of their VM', () => {
  const good: Readonly<Record<string, Record<string, unknown>>> = {
    'domain-deploy': { vmId: 7, directory: '/ds/7', deployment: '' },
    'domain-save': { vmId: 7, checkpoint: '/ds/7/checkpoint' },
    'domain-restore': { vmId: 7, checkpoint: '/ds/7/checkpoint', directory: '/ds/7' },
    'domain-migrate': { vmId: 7, destination: 'host02' },
    'domain-attach-disk': { vmId: 7, diskId: 1, target: 'xvdb' },
    'domain-attach-nic': { vmId: 7, mac: '02:00:00:00:00:01', bridge: 'br0' },
    'domain-detach-nic': { vmId: 7, mac: '02:00:00:00:00:01' },
    'domain-prepare': { vmId: 7, name: 'web-7', diskIds: [0], probe: '.cxm-here-0123456789abcdef' },
  };
  const bad: readonly (readonly [string, string, unknown])[] = [
    ['domain-deploy', 'vmId', '7'],
    ['domain-deploy', 'vmId', -1],
    ['domain-deploy', 'directory', '/ds/8'],
    ['domain-deploy', 'directory', '/ds/../7'],
    ['domain-deploy', 'deployment', 5],
    ['domain-save', 'checkpoint', '/etc/7/passwd'],
    ['domain-save', 'checkpoint', '/ds/8/checkpoint'],
    ['domain-save', 'checkpoint', '/ds/7/checkpoint/../../x'],
    ['domain-save', 'deployId', '--help'],
    ['domain-save', 'deployId', 'a\nb'],
    ['domain-restore', 'directory', '/'],
    ['domain-migrate', 'destination', '-oProxyCommand=x'],
    ['domain-migrate', 'destination', 'a;b'],
    ['domain-attach-disk', 'target', 'xvda,script=x'],
    ['domain-attach-disk', 'diskId', 1.5],
    ['domain-attach-nic', 'bridge', 'br0,script=x'],
    ['domain-attach-nic', 'script', 'evil'],
    ['domain-attach-nic', 'script', '/tmp/vif-bridge'],
    ['domain-attach-nic', 'script', 'vif-route'],
    ['domain-attach-nic', 'script', 'vif-nat'],
    ['domain-attach-nic', 'interfaceName', 'eth0'],
    ['domain-attach-nic', 'interfaceName', 'one-9-0'],
    ['domain-attach-nic', 'interfaceName', 'one-7-0,script=x'],
    ['domain-attach-nic', 'model', 'a,b'],
    ['domain-attach-nic', 'ip', '1.2.3.4,script=x'],
    ['domain-detach-nic', 'mac', 'all'],
    ['domain-prepare', 'name', '../x'],
    ['domain-prepare', 'name', '.x'],
    ['domain-prepare', 'probe', '../../x'],
    ['domain-prepare', 'config', "# OpenNebula VM 8 (cxm)\nname = 'web-7'\n"],
    ['domain-prepare', 'config', "# OpenNebula VM 7 (cxm)\nname = 'other'\n"],
    ['domain-prepare', 'diskIds', ['../x']],
  ];

  it.each(bad)('%s: %s = %j', (name, parameter, value) => {
    const operation = domainOperations.find((candidate) => candidate.name === name);
    expect(operation?.parse(good[name] ?? {})).toBeDefined();
    expect(() => operation?.parse({ ...good[name], [parameter]: value })).toThrow(CxmError);
  });
});

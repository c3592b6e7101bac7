import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { localCommands } from '../../../src/host/commands.ts';
import { createLook } from '../../../src/one/hook/destination.ts';
import { runMigrateHook, type HookSettings } from '../../../src/one/hook/migrate-hook.ts';
import { createStandInFrontend, type StandInFrontend } from '../../support/stand-in-frontend.ts';

let frontend: StandInFrontend;
/** The hook's clock; it goes on while the hook sleeps, and `events` happen on the way. */
let nowMs: number;
let events: { atMs: number; happen: () => void }[];
let path: string | undefined;
let lookTimeoutMs: number;

const running = (...hosts: string[]): { state: number; lcmState: number; hosts: string[] } => ({
  state: 3,
  lcmState: 3,
  hosts,
});
const migrating = (...hosts: string[]): { state: number; lcmState: number; hosts: string[] } => ({
  state: 3,
  lcmState: 4,
  hosts,
});

beforeEach(() => {
  frontend = createStandInFrontend();
  mkdirSync(join(frontend.directory, 'vm'));
  frontend.setSight('host02', 'running');
  nowMs = 0;
  lookTimeoutMs = 20_000;
  events = [];
  path = process.env['PATH'];
  process.env['PATH'] = frontend.path;
});

afterEach(() => {
  process.env['PATH'] = path;
  frontend.remove();
});

function settings(changes: Partial<HookSettings> = {}): HookSettings {
  return {
    frontendHost: 'front',
    frontendUser: 'oneadmin',
    runAs: undefined,
    configurationDirectory: join(frontend.directory, 'vm'),
    connectTimeoutSeconds: 10,
    retryTimeoutMs: 600_000,
    volumes: { volumeGroup: 'VG0', volumePrefix: 'lv-one' },
    ...changes,
  };
}

async function hook(
  argv: string[] = ['one-7', 'host01', 'host02'],
  changes: Partial<HookSettings> = {},
): Promise<string> {
  const log: string[] = [];
  const { connectTimeoutSeconds, configurationDirectory } = settings(changes);
  await runMigrateHook(argv, settings(changes), {
    commands: localCommands,
    look: createLook({ connectTimeoutSeconds, configurationDirectory, localHost: 'host01', timeoutMs: lookTimeoutMs }),
    readFile: (file) => {
      try {
        return readFileSync(file, 'utf8');
      } catch {
        return undefined;
      }
    },
    nowMs: () => nowMs,
    sleep: (ms) => {
      expect(ms).toBeGreaterThan(0);
      nowMs += ms;
      for (const event of events.filter(({ atMs }) => atMs <= nowMs)) event.happen();
      events = events.filter(({ atMs }) => atMs > nowMs);
      return Promise.resolve();
    },
    localHost: 'host01',
    log: (text) => {
      log.push(text);
      return Promise.resolve();
    },
  });
  return log.at(-1) ?? '';
}

describe('a VM that is RUNNING at its old host', () => {
  it('is told to 7.x with migrate --live', async () => {
    frontend.setVm(7, running('host01'));
    expect(await hook()).toBe('VM 7 (one-7) moved from host01 to host02: OpenNebula has it at host02 already');
    expect(frontend.orders()).toEqual(['onevm migrate --live 7 host02']);
    expect(frontend.vm(7).hosts).toEqual(['host01', 'host02']);
  });

  it('is told to 3.8 with livemigrate', async () => {
    frontend.setVersion('OpenNebula 3.8.5');
    frontend.setVm(7, running('host01'));
    await hook();
    expect(frontend.orders()).toEqual(['onevm livemigrate 7 host02']);
  });

  it('is told once: repeating the hook changes nothing', async () => {
    frontend.setVm(7, running('host01'));
    await hook();
    await hook();
    expect(frontend.orders()).toHaveLength(1);
  });

  it('is told again when OpenNebula puts it back', async () => {
    frontend.setVm(7, running('host01'));
    frontend.onMigrate('[ -e "$S/once" ] && hosts="$hosts $to"; : > "$S/once"');
    await hook();
    expect(frontend.orders()).toHaveLength(2);
    expect(frontend.vm(7).hosts.at(-1)).toBe('host02');
  });

  it('is waited for until the migration in OpenNebula has ended', async () => {
    frontend.setVm(7, running('host01'));
    frontend.onMigrate('hosts="$hosts $to"; lcm=4');
    events.push({ atMs: 20_000, happen: () => frontend.setVm(7, running('host01', 'host02')) });
    await hook();
    expect(frontend.orders()).toEqual(['onevm migrate --live 7 host02']);
    expect(nowMs).toBeGreaterThanOrEqual(20_000);
  });
});

describe('a VM that OpenNebula is migrating', () => {
  it('to the same host itself is left alone', async () => {
    frontend.setVm(7, migrating('host01', 'host02'));
    events.push({ atMs: 10_000, happen: () => frontend.setVm(7, running('host01', 'host02')) });
    await hook();
    expect(frontend.orders()).toEqual([]);
  });

  it('to the same host, but hangs, is recovered', async () => {
    frontend.setVm(7, migrating('host01', 'host02'));
    await hook();
    expect(frontend.orders()).toEqual(['onevm recover --success 7']);
    expect(nowMs).toBeGreaterThanOrEqual(60_000);
  });

  it('and hangs in 3.8 cannot be recovered: the hook gives up in time', async () => {
    frontend.setVersion('OpenNebula 3.8.5');
    frontend.setVm(7, migrating('host01', 'host02'));
    await expect(hook(undefined, { retryTimeoutMs: 90_000 })).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(frontend.orders()).toEqual([]);
    expect(nowMs).toBe(90_000);
  });

  it('elsewhere is told when that has ended', async () => {
    frontend.setVm(7, migrating('host01', 'host03'));
    events.push({ atMs: 30_000, happen: () => frontend.setVm(7, running('host01')) });
    await hook();
    expect(frontend.orders()).toEqual(['onevm migrate --live 7 host02']);
  });
});

describe('a VM in another state', () => {
  it('UNKNOWN is told to 7.x', async () => {
    frontend.setVm(7, { state: 3, lcmState: 16, hosts: ['host01'] });
    frontend.onMigrate('hosts="$hosts $to"; lcm=3');
    await hook();
    expect(frontend.orders()).toEqual(['onevm migrate --live 7 host02']);
  });

  it('UNKNOWN waits in 3.8, which cannot migrate it, until it is RUNNING', async () => {
    frontend.setVersion('OpenNebula 3.8.5');
    frontend.setVm(7, { state: 3, lcmState: 16, hosts: ['host01'] });
    events.push({ atMs: 60_000, happen: () => frontend.setVm(7, running('host01')) });
    await hook();
    expect(frontend.orders()).toEqual(['onevm livemigrate 7 host02']);
  });

  it.each([8, 5])('%i (POWEROFF, SUSPENDED) gets the other host in 7.x', async (state) => {
    frontend.setVm(7, { state, lcmState: 0, hosts: ['host01'] });
    await hook();
    expect(frontend.orders()).toEqual(['onevm migrate 7 host02']);
  });

  it.each([1, 4, 6, 9])('%i cannot be told: one clear error, no order', async (state) => {
    frontend.setVm(7, { state, lcmState: 0, hosts: ['host01'] });
    await expect(hook()).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      hint: expect.stringContaining('onevm show 7') as string,
    });
    expect(frontend.orders()).toEqual([]);
  });

  it('that changes soon, such as a boot, is waited for', async () => {
    frontend.setVm(7, { state: 3, lcmState: 2, hosts: ['host01'] });
    events.push({ atMs: 15_000, happen: () => frontend.setVm(7, running('host01')) });
    await hook();
    expect(frontend.orders()).toEqual(['onevm migrate --live 7 host02']);
  });

  it('that OpenNebula does not know is an error at once', async () => {
    await expect(hook()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(nowMs).toBe(0);
  });
});

describe('moves that overtake each other', () => {
  it('a VM that runs on the source again is not told', async () => {
    frontend.setVm(7, running('host01'));
    frontend.setDomains(['one-7']);
    expect(await hook()).toMatch(/runs on host01 again/);
    expect(frontend.orders()).toEqual([]);
  });

  it('the second of two waits for the first', async () => {
    frontend.setVm(7, running('host01'));
    events.push({ atMs: 20_000, happen: () => frontend.setVm(7, running('host01', 'host02')) });
    frontend.setSight('host03', 'running');
    await hook(['one-7', 'host02', 'host03']);
    expect(frontend.vm(7).hosts).toEqual(['host01', 'host02', 'host03']);
  });

  it('the second does not wait for ever', async () => {
    frontend.setVm(7, running('host01'));
    frontend.setSight('host03', 'running');
    await hook(['one-7', 'host02', 'host03']);
    expect(frontend.orders()).toEqual(['onevm migrate --live 7 host03']);
    expect(nowMs).toBeGreaterThanOrEqual(60_000);
    expect(nowMs).toBeLessThan(90_000);
  });
});

describe('a move that another one has overtaken while the hook waited', () => {
  const overtaken =
    'VM 7 (one-7) moved from host01 to host02: overtaken: it does not run on host02 any more, so this move is not told';

  beforeEach(() => {
    frontend.setSight('host02', 'absent');
    frontend.setSight('host03', 'running');
  });

  it.each([
    ['UNKNOWN at the source', { state: 3, lcmState: 16, hosts: ['host01'] }],
    ['RUNNING at the source', running('host01')],
    ['RUNNING where it has gone since', running('host01', 'host03')],
    ['UNKNOWN where it has gone since', { state: 3, lcmState: 16, hosts: ['host01', 'host03'] }],
    ['in a migration to the destination that hangs', migrating('host01', 'host02')],
    ['POWEROFF at the source', { state: 8, lcmState: 0, hosts: ['host01'] }],
    ['SUSPENDED at the source', { state: 5, lcmState: 0, hosts: ['host01'] }],
  ])('is not told of a VM that OpenNebula has %s', async (_, vm) => {
    frontend.setVm(7, vm);
    expect(await hook()).toBe(overtaken);
    expect(frontend.orders()).toEqual([]);
  });

  it('is not told to 3.8 either', async () => {
    frontend.setVersion('OpenNebula 3.8.5');
    frontend.setVm(7, running('host01'));
    expect(await hook()).toBe(overtaken);
    expect(frontend.orders()).toEqual([]);
  });

  it('is seen before each order, not only before the first', async () => {
    frontend.setSight('host02', 'running');
    frontend.setVm(7, running('host01'));
    frontend.onMigrate('lcm=16');
    events.push({ atMs: 1000, happen: () => frontend.setSight('host02', 'absent') });
    expect(await hook()).toBe(overtaken);
    expect(frontend.orders()).toEqual(['onevm migrate --live 7 host02']);
  });

  it('is told by its own hook, in whichever order the two come', async () => {
    frontend.setVm(7, { state: 3, lcmState: 16, hosts: ['host01'] });
    frontend.onMigrate('hosts="$hosts $to"; lcm=3');
    await hook(['one-7', 'host02', 'host03']);
    expect(await hook()).toBe(overtaken);
    expect(frontend.vm(7)).toEqual(running('host01', 'host03'));
  });
});

describe('the destination', () => {
  it('is asked after everything else, immediately before the order', async () => {
    frontend.setVm(7, running('host01'));
    await hook();
    const calls = frontend.calls();
    const order = calls.indexOf('onevm migrate --live 7 host02');
    expect(calls.slice(order - 3, order - 1)).toEqual([
      expect.stringMatching(
        /^ssh -T -o BatchMode=yes -o ConnectTimeout=10 .* -- host02 sudo -n \/usr\/local/,
      ) as string,
      'sudo -n /usr/local/sbin/cxm-host',
    ]);
    expect(frontend.requests().map((line) => JSON.parse(line) as unknown)).toEqual([
      expect.objectContaining({
        operation: 'domain-look',
        parameters: { vmId: 7, name: 'one-7' },
        settings: { VG_NAME: 'VG0', LV_PREFIX: 'lv-one', CFG_DIR: join(frontend.directory, 'vm') },
      }),
    ]);
  });

  it('is not asked when there is nothing to tell', async () => {
    frontend.setVm(7, running('host01', 'host02'));
    await hook();
    expect(frontend.requests()).toEqual([]);
  });

  it('is asked without ssh when the hook runs there', async () => {
    frontend.setSight('host01', 'running');
    frontend.setVm(7, running('host02'));
    await hook(['one-7', 'host02', 'HOST01.example.org']);
    expect(frontend.orders()).toEqual(['onevm migrate --live 7 host01']);
    expect(frontend.calls().filter((line) => line.startsWith('ssh -T'))).toEqual([]);
  });

  it.each(['no ssh', 'no helper', 'error', 'gibberish', 'present'] as const)(
    'may give no clear answer (%s) for a while: nothing is told until it does',
    async (sight) => {
      frontend.setVm(7, { state: 3, lcmState: 16, hosts: ['host01'] });
      frontend.onMigrate('hosts="$hosts $to"; lcm=3');
      frontend.setSight('host02', sight);
      events.push({
        atMs: 90_000,
        happen: () => {
          expect(frontend.orders()).toEqual([]);
          frontend.setSight('host02', 'running');
        },
      });
      await hook();
      expect(frontend.orders()).toEqual(['onevm migrate --live 7 host02']);
      expect(nowMs).toBeGreaterThanOrEqual(90_000);
    },
  );

  it.each([
    ['no ssh', /host host02 can't be reached over ssh: .*Connection refused/],
    ['no helper', /host host02 does not let this user run .*command not found/],
    ['error', /xl list did not end/],
    ['present', /it is on host02, but does not run there/],
  ] as const)('may not give an unclear answer (%s) for ever: the hook gives up', async (sight, said) => {
    frontend.setVm(7, { state: 3, lcmState: 16, hosts: ['host01'] });
    frontend.setSight('host02', sight);
    await expect(hook(undefined, { retryTimeoutMs: 100_000 })).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringMatching(said) as string,
      hint: expect.stringContaining('look on host02 with `xl list` first') as string,
    });
    expect(frontend.orders()).toEqual([]);
    expect(nowMs).toBe(100_000);
  });

  it('is not waited for when it hangs', async () => {
    lookTimeoutMs = 500;
    frontend.setVm(7, running('host01'));
    frontend.setSight('host02', 'hangs');
    const start = performance.now();
    await expect(hook(undefined, { retryTimeoutMs: 0 })).rejects.toMatchObject({
      message: expect.stringContaining('cxm-host on host02 did not answer within 0.5 s') as string,
    });
    expect(performance.now() - start).toBeLessThan(1900);
    expect(frontend.orders()).toEqual([]);
  });

  it.each(['web.example.org', 'one-7'])('gets the volume group that the configuration of %s names', async (name) => {
    const disks = "disk = ['phy:/dev/cdroms/seven,hdc:cdrom,r', 'phy:/dev/VG_SAN/lv-x-7-0,xvda,w']";
    writeFileSync(join(frontend.directory, 'vm', name), `# OpenNebula VM 7 (cxm)\n${disks}\n`);
    frontend.setVm(7, running('host01'));
    await hook([name, 'host01', 'host02']);
    expect(JSON.parse(frontend.requests()[0] ?? '')).toMatchObject({
      parameters: { vmId: 7, name },
      settings: { VG_NAME: 'VG_SAN', LV_PREFIX: 'lv-x' },
    });
  });

  it('is not believed to be without the VM when nobody knows by which volumes it would have to know it', async () => {
    frontend.setVm(7, running('host01'));
    frontend.setSight('host02', 'absent');
    await expect(hook(undefined, { volumes: undefined })).rejects.toMatchObject({
      code: 'CONFIG',
      hint: expect.stringContaining('VG_NAME') as string,
    });
    expect(frontend.orders()).toEqual([]);
  });

  it('is believed to have the VM even then', async () => {
    frontend.setVm(7, running('host01'));
    await hook(undefined, { volumes: undefined });
    expect(frontend.orders()).toEqual(['onevm migrate --live 7 host02']);
  });
});

describe('the frontend', () => {
  it.each(['no ssh', 'no oned'] as const)('may be away (%s) for a while', async (trouble) => {
    frontend.setVm(7, running('host01'));
    frontend.setReachable(trouble);
    events.push({ atMs: 120_000, happen: () => frontend.setReachable('yes') });
    await hook();
    expect(frontend.vm(7).hosts.at(-1)).toBe('host02');
    expect(frontend.calls().length).toBeLessThan(50);
  });

  it('may not be away for ever: the hook gives up with what to do', async () => {
    frontend.setReachable('no ssh');
    await expect(hook()).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringMatching(/within 600 s.*cannot be reached.*Connection refused/) as string,
      hint: expect.stringMatching(/look on host02 with `xl list` first.*`one-migrate one-7 host01 host02`/) as string,
    });
    expect(nowMs).toBe(600_000);
  });

  it('is asked over ssh as the configured user, without a password, with bounded words', async () => {
    frontend.setVm(7, running('host02'));
    await hook(['one-7', 'host01', 'host02'], { frontendUser: 'cloud', runAs: 'cloud' });
    expect(frontend.calls()).toContain(
      'ssh -o BatchMode=yes -o ConnectTimeout=10 -l cloud -- front onevm show -x 7; echo cxm-exit:$?',
    );
    expect(frontend.calls().find((line) => line.startsWith('runuser'))).toMatch(/^runuser -u cloud -- ssh /);
  });

  it('must be configured', async () => {
    await expect(hook(undefined, { frontendHost: '' })).rejects.toMatchObject({ code: 'CONFIG' });
  });

  it('may call the hosts by other names', async () => {
    frontend.setHosts(['host01', 'host02.example.org', 'host021']);
    frontend.setSight('host02.example.org', 'running');
    frontend.setVm(7, running('host01'));
    await hook(['one-7', 'host01.example.org', 'HOST02']);
    expect(frontend.orders()).toEqual(['onevm migrate --live 7 host02.example.org']);
  });

  it('may not know the host', async () => {
    frontend.setVm(7, running('host01'));
    await expect(hook(['one-7', 'host01', 'host09'])).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: 'OpenNebula has no host host09: it knows host01, host02, host03',
    });
  });

  it('may not have two hosts of that name', async () => {
    frontend.setHosts(['host01', 'host02.a', 'host02.b']);
    frontend.setVm(7, running('host01'));
    await expect(hook()).rejects.toMatchObject({ message: expect.stringContaining('could be any of') as string });
  });
});

describe('the VM', () => {
  it.each(['web.alice.example.org', 'web.alice.example.org.cfg'])('is found by the mark in %s', async (file) => {
    writeFileSync(join(frontend.directory, 'vm', file), "# OpenNebula VM 7 (cxm)\nname = 'x'\n");
    frontend.setVm(7, running('host01'));
    await hook(['web.alice.example.org', 'host01', 'host02']);
    expect(frontend.orders()).toEqual(['onevm migrate --live 7 host02']);
  });

  it('that is none of OpenNebula is let go, and the frontend is not bothered', async () => {
    writeFileSync(join(frontend.directory, 'vm', 'mail'), "name = 'mail'\n# OpenNebula VM 7 (cxm)\n");
    expect(await hook(['mail', 'host01', 'host02'])).toBe('mail is no VM of OpenNebula: nothing to tell');
    expect(frontend.calls()).toEqual([]);
  });

  it.each(['xone-7', 'one-7x', 'one-07', 'one-', 'one-7.example.org', 'one-99999999999'])(
    '%s is not called as those without a mark are',
    async (name) => {
      expect(await hook([name, 'host01', 'host02'])).toMatch(/is no VM of OpenNebula/);
    },
  );

  it.each([
    [[]],
    [['one-7']],
    [['one-7', 'host01', 'host02', 'x']],
    [['one-7', '-oX', 'host02']],
    [['one-7', 'host01', 'host02;id']],
    [['../../etc/passwd', 'host01', 'host02']],
    [['-rf', 'host01', 'host02']],
    [['', 'host01', 'host02']],
  ])('is named by valid arguments only: %j', async (argv) => {
    await expect(hook(argv)).rejects.toMatchObject({
      code: expect.stringMatching(/^(USAGE|INVALID_INPUT)$/) as string,
    });
    expect(frontend.calls()).toEqual([]);
  });
});

describe('the program', () => {
  const tsx = fileURLToPath(new URL('../../../node_modules/.bin/tsx', import.meta.url));
  const program = fileURLToPath(new URL('../../../hooks/one-migrate.ts', import.meta.url));
  const run = async (...argv: string[]): Promise<{ code: number; stderr: string }> => {
    const configuration = join(frontend.directory, 'cxmrc');
    writeFileSync(
      configuration,
      `ONE_HOST="front"\nONE_RETRY_TIMEOUT="1"\nCFG_DIR="${join(frontend.directory, 'vm')}"\n`,
    );
    const env = { ...process.env, PATH: frontend.path, CXM_CONFIGURATION: configuration };
    try {
      const { stderr } = await promisify(execFile)(tsx, [program, ...argv], { env });
      return { code: 0, stderr };
    } catch (error) {
      const { code, stderr } = error as { code: number; stderr: string };
      return { code, stderr };
    }
  };

  it('tells OpenNebula, writes what it did to syslog and ends with 0', async () => {
    frontend.setVm(7, running('host01'));
    expect(await run('one-7', 'host01', 'host02')).toEqual({ code: 0, stderr: '' });
    expect(frontend.vm(7).hosts).toEqual(['host01', 'host02']);
    expect(frontend.syslog()).toContain(
      'VM 7 (one-7) moved from host01 to host02: it is RUNNING at host01; running onevm migrate --live 7 host02',
    );
  });

  it('ends with 0 and leaves OpenNebula alone when the VM has moved on', async () => {
    frontend.setSight('host02', 'absent');
    frontend.setVm(7, { state: 3, lcmState: 16, hosts: ['host01'] });
    const configuration = "# OpenNebula VM 7 (cxm)\ndisk = ['phy:/dev/VG0/lv-one-7-0,xvda,w']\n";
    writeFileSync(join(frontend.directory, 'vm', 'one-7'), configuration);
    expect(await run('one-7', 'host01', 'host02')).toEqual({ code: 0, stderr: '' });
    expect(frontend.orders()).toEqual([]);
    expect(frontend.syslog().at(-1)).toMatch(/: overtaken: it does not run on host02 any more/);
  });

  it('gives up with one clear line and ends with 1', async () => {
    frontend.setReachable('no ssh');
    const { code, stderr } = await run('one-7', 'host01', 'host02');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^one-migrate: OpenNebula was not told within 1 s that VM 7 .*\[TIMEOUT\]\n$/);
    expect(frontend.syslog().at(-1)).toMatch(/given up: OpenNebula was not told/);
  });

  it('ends with 0 for a VM that is none of OpenNebula', async () => {
    expect(await run('mail', 'host01', 'host02')).toEqual({ code: 0, stderr: '' });
  });
});

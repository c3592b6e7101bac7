/** The hook asks the destination before it tells anything: is the VM there, still, and does anyone know? */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { events, frontend, hook, migrating, nowMs, running, setLookTimeout } from './hook-rig.ts';

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
    setLookTimeout(500);
    frontend.setVm(7, running('host01'));
    frontend.setSight('host02', 'hangs');
    const start = performance.now();
    await expect(hook(undefined, { retryTimeoutMs: 0 })).rejects.toMatchObject({
      message: expect.stringContaining('cxm-host on host02 did not answer within 0.5 s') as string,
    });
    expect(performance.now() - start).toBeLessThan(15_000);
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

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { events, frontend, hook, migrating, nowMs, running } from './hook-rig.ts';

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

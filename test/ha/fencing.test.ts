/** Fence commands and pings: only what was said counts. Real processes. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { bootClock } from '../../src/ha/effects/boot-clock.ts';
import { fence, powerOf, type FenceCommands } from '../../src/ha/effects/fencing.ts';
import { pingAll } from '../../src/ha/effects/pinging.ts';
import { localCommands } from '../../src/host/commands.ts';

const directory = fs.mkdtempSync(join(tmpdir(), 'cxm-ha-fencing-'));
afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));
const path = `${directory}:${process.env['PATH'] ?? ''}`;
let count = 0;

function program(text: string, name = `program${(count += 1)}`): string {
  const file = join(directory, name);
  fs.writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return file;
}

function commands(fenceText: string, statusText?: string, timeoutMs = 5000): FenceCommands {
  const status = statusText === undefined ? undefined : program(statusText);
  return { fence: program(fenceText), status, timeoutMs, path };
}

const clock = bootClock();
const soon = (): number => clock() + 5000;

describe('a fence command', () => {
  test('counts only with exit status 0, and gets the name of the node', async () => {
    const mark = join(directory, 'fenced');
    expect(await fence(commands(`echo "$@" >${mark}`), 'node2', clock, soon())).toEqual({ ok: true, reason: '' });
    expect(fs.readFileSync(mark, 'utf8')).toBe('node2\n');
    const failed = await fence(commands('echo no switch >&2; exit 3'), 'node2', clock, soon());
    expect(failed).toEqual({ ok: false, reason: expect.stringMatching(/exit code 3: no switch$/) as string });
    expect((await fence(commands('kill -9 $$'), 'node2', clock, soon())).ok).toBe(false);
    expect((await fence({ ...commands(''), fence: '/nowhere' }, 'node2', clock, soon())).ok).toBe(false);
  });

  test('that is late has failed, and nothing of it goes on', async () => {
    const mark = join(directory, 'late');
    const slow = commands(`(sleep 1; echo late >${mark}) & wait; exit 0`, undefined, 300);
    const { ok, reason } = await fence(slow, 'node2', clock, soon());
    expect(ok).toBe(false);
    expect(reason).toMatch(/did not end within 0.3 s/);
    await new Promise((resolve) => setTimeout(resolve, 1300));
    expect(fs.existsSync(mark)).toBe(false);
  });

  test('is not begun after its time, or for what is no name', async () => {
    const mark = join(directory, 'never');
    const all = commands(`echo >${mark}`);
    expect(await fence(all, 'node2', clock, clock() - 1)).toMatchObject({
      ok: false,
      reason: 'it was too late to begin',
    });
    for (const name of ['', '-rf', 'a b', '../x', 'node2;reboot']) {
      expect((await fence(all, name, clock, soon())).ok).toBe(false);
    }
    expect(fs.existsSync(mark)).toBe(false);
  });

  test('may leave something in the background', async () => {
    const begin = performance.now();
    expect((await fence(commands('sleep 20 &'), 'node2', clock, soon())).ok).toBe(true);
    expect(performance.now() - begin).toBeLessThan(15_000);
  });
});

test.each([
  ['echo off', 'off'],
  ['echo ON and more', 'on'],
  ['echo off; exit 1', 'unknown'],
  ['echo maybe', 'unknown'],
  ['exit 0', 'unknown'],
  ['echo the node is off', 'unknown'],
])('a power state of %j is %s', async (text, power) => {
  expect(await powerOf(commands('', text), 'node2')).toBe(power);
});

test('without a command for it, nobody knows the power state', async () => {
  expect(await powerOf(commands(''), 'node2')).toBe('unknown');
});

describe('pings', () => {
  const options = { deadlineMs: 4000, path };

  test('are answered, silent or unknown as fping says, in the order of the names', async () => {
    program(
      `while [ "$1" != -- ]; do shift; done; shift
for name; do case $name in up*) echo "$name is alive";; down*) echo "$name is unreachable";; *) echo "$name: Name or service not known" >&2;; esac; done; exit 1`,
      'fping',
    );
    const names = ['down.example.org', 'nobody.example.org', 'up.example.org', '-f/etc/passwd', 'a b'];
    expect(await pingAll(names, options)).toEqual(['silent', 'unknown', 'answer', 'unknown', 'unknown']);
    expect(await pingAll([], options)).toEqual([]);
  });

  test('that this machine could not even send are unknown, whatever the real fping says of them', async () => {
    program('exec unshare -rn /usr/bin/fping "$@"', 'fping');
    expect(await pingAll(['192.0.2.1', '192.0.2.2'], options)).toEqual(['unknown', 'unknown']);
  });

  test('that could not be finished in time are unknown', async () => {
    program('echo "up.example.org is alive"; sleep 30', 'fping');
    const begin = performance.now();
    expect(await pingAll(['up.example.org', 'down.example.org'], options)).toEqual(['answer', 'unknown']);
    expect(performance.now() - begin).toBeLessThan(15_000);
  });

  test('are sent by ping where there is no fping', async () => {
    fs.rmSync(join(directory, 'fping'), { force: true });
    program(
      `case $* in *up*) exit 0;; *down*) exit 1;; *filtered*) echo 'ping: sendmsg: Operation not permitted' >&2; exit 1;;
*) exit 2;; esac`,
      'ping',
    );
    const names = ['up.example.org', 'down.example.org', 'nobody.example.org', 'filtered.example.org'];
    expect(await pingAll(names, { deadlineMs: 4000, path: `${directory}:/nowhere` })).toEqual([
      'answer',
      'silent',
      'unknown',
      'unknown',
    ]);
  });
});

describe('the clock', () => {
  test('goes on while the machine sleeps, and never back', () => {
    const file = join(directory, 'uptime');
    const write = (seconds: number): void => fs.writeFileSync(file, `${seconds.toFixed(2)} 1.00\n`);
    write(100);
    const now = bootClock(file);
    const first = now();
    expect(first).toBeGreaterThanOrEqual(100_000);
    expect(first).toBeLessThan(102_000);
    write(160);
    expect(now()).toBeGreaterThanOrEqual(160_000);
    write(120);
    expect(now()).toBeGreaterThanOrEqual(160_000);
  });

  test('is the one of the kernel', () => {
    const uptimeMs = Number.parseFloat(fs.readFileSync('/proc/uptime', 'utf8')) * 1000;
    expect(Math.abs(bootClock()() - uptimeMs)).toBeLessThan(1000);
  });
});

describe('the commands that come along', () => {
  const own = (name: string): string => resolve('share/fence', name);

  async function run(name: string, node: string, settings: string): Promise<{ exitCode: number; stdout: string }> {
    // As an administrator installs it: under the name that says what is wanted.
    const link = join(directory, name);
    fs.rmSync(link, { force: true });
    fs.symlinkSync(own(name.replace('power', 'fence')), link);
    const env = { PATH: path, CXM_FENCE_SETTINGS: settings };
    return localCommands.run(link, [node], { env, okExitCodes: 'any' });
  }

  test('cxm_fence_ipmi believes only a power state of off', async () => {
    const settings = join(directory, 'ipmi');
    fs.writeFileSync(settings, 'node1 bmc1 admin /pw1\nnode2 bmc2 admin /pw2\n');
    const state = join(directory, 'power');
    const ipmi = (off: string): string =>
      program(
        `case "$*" in *bmc2*off) ${off};; *bmc2*status) echo "Chassis Power is $(cat ${state})";; *) exit 1;; esac`,
        'ipmitool',
      );
    fs.writeFileSync(state, 'on');
    ipmi(`echo off >${state}`);
    expect(await run('cxm_power_ipmi', 'node2', settings)).toMatchObject({ exitCode: 0, stdout: 'on\n' });
    expect(await run('cxm_fence_ipmi', 'node2', settings)).toMatchObject({ exitCode: 0 });
    expect(await run('cxm_power_ipmi', 'node2', settings)).toMatchObject({ exitCode: 0, stdout: 'off\n' });
    expect((await run('cxm_fence_ipmi', 'node1', settings)).exitCode).not.toBe(0);
    expect((await run('cxm_power_ipmi', 'node1', settings)).exitCode).not.toBe(0);
    expect((await run('cxm_fence_ipmi', 'node3', settings)).exitCode).toBe(1);
  });

  test('cxm_fence_agent gives the agent its options and asks it again afterwards', async () => {
    const settings = join(directory, 'fence.d');
    fs.mkdirSync(settings, { recursive: true });
    fs.writeFileSync(join(settings, 'node2'), 'fence_test\nip=pdu\nplug=7\n');
    fs.writeFileSync(join(settings, 'node3'), 'reboot\n');
    const state = join(directory, 'plug');
    fs.writeFileSync(state, '0');
    const agent = (off: string): string =>
      program(
        `words=$(cat); case $words in *plug=7*action=off) ${off};; *action=status) exit "$(cat ${state})";; esac`,
        'fence_test',
      );
    agent(`echo 2 >${state}`);
    expect(await run('cxm_power_agent', 'node2', settings)).toMatchObject({ exitCode: 0, stdout: 'on\n' });
    expect((await run('cxm_fence_agent', 'node2', settings)).exitCode).toBe(0);
    expect(await run('cxm_power_agent', 'node2', settings)).toMatchObject({ exitCode: 0, stdout: 'off\n' });
    // One that says so and doesn't do it.
    fs.writeFileSync(state, '0');
    agent('true');
    expect((await run('cxm_fence_agent', 'node2', settings)).exitCode).toBe(1);
    for (const node of ['node3', 'node4', '../node2']) {
      expect((await run('cxm_fence_agent', node, settings)).exitCode).toBe(1);
    }
  });
});

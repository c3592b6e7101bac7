/**
 * The program of a simulated guest: what is done to disks by a guest is only worth something as a test if it is done while
 * the domain runs, on one host at a time, and never after that.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Knobs } from '../../../src/sandbox/xl/knobs.ts';
import { Hosts, until } from './node.ts';

let hosts: Hosts;

beforeAll(async () => {
  hosts = await Hosts.make();
  for (const name of ['a', 'b']) await hosts.add(name);
  await hosts.file('disks/one');
  await hosts.file('kernel');
});
afterEach(() => hosts.reset());
afterAll(() => hosts.end());

/** The guest says again and again where it is, and what it was told. */
async function turn(name: string, knobs: Partial<Knobs> = {}): Promise<void> {
  const program = await hosts.file(
    `guest-${name}`,
    `#!/bin/sh\nwhile :; do echo "${name} $*" >>${hosts.root}/said; sleep 0.01; done\n`,
  );
  await hosts.run(name, 'chmod', '+x', program);
  await hosts.turn(name, { guestProgram: program, ...knobs });
}

async function create(...options: readonly string[]): Promise<void> {
  for (const name of ['a', 'b']) await turn(name);
  await hosts.file('said');
  const text = `name='vm'\nmemory=256\nkernel='${hosts.root}/kernel'\ndisk=['phy:${hosts.root}/disks/one,xvda,w']\n`;
  await ok('a', 'create', ...options, await hosts.file('vm.cfg', text));
}

async function ok(name: string, ...words: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await hosts.xl(name, ...words);
  if (exitCode !== 0) throw new Error(`xl ${words.join(' ')}: ${stderr}`);
}

async function said(): Promise<readonly string[]> {
  return (await hosts.read('said')).split('\n').slice(0, -1);
}

async function goesOn(): Promise<void> {
  const before = (await said()).length;
  await until(async () => (await said()).length > before + 2);
}

/** A `sleep` that was running when it was stopped makes no difference. */
async function standsStill(): Promise<void> {
  const before = await said();
  await sleep(200);
  expect(await said()).toEqual(before);
}

/** Where the guest was, in order, each once. */
async function places(): Promise<readonly string[]> {
  const all = (await said()).map((line) => line.charAt(0));
  return all.filter((place, index) => place !== all[index - 1]);
}

describe('the program of a guest', () => {
  it('knows its name, its boot and its disks, and runs until the domain is destroyed', async () => {
    await create();
    await goesOn();
    const { bootId } = (await hosts.guest('a', 'vm')) as { bootId: string };
    expect(new Set(await said())).toEqual(new Set([`a vm ${bootId} ${hosts.root}/disks/one`]));
    await ok('a', 'destroy', 'vm');
    await standsStill();
  });

  it('stands still while the domain is paused, from its creation on too', async () => {
    await create('-p');
    await standsStill();
    expect(await said()).toEqual([]);
    await ok('a', 'unpause', 'vm');
    await goesOn();
    await ok('a', 'pause', 'vm');
    await standsStill();
    await ok('a', 'unpause', 'vm');
    await goesOn();
  });

  it('goes on at the destination of a migration under the same boot, and was never on both hosts', async () => {
    await create();
    await goesOn();
    await ok('a', 'migrate', 'vm', 'b');
    await goesOn();
    expect(await places()).toEqual(['a', 'b']);
    expect(new Set((await said()).map((line) => line.split(' ')[2])).size).toBe(1);
  });

  it.each(['receive', 'copy', 'ready', 'start'] as const)(
    'goes on here, and does nothing there, when the migration fails at %s',
    async (migrateFailsAt) => {
      await create();
      await turn('b', { migrateFailsAt });
      expect((await hosts.xl('a', 'migrate', 'vm', 'b')).exitCode).not.toBe(0);
      await goesOn();
      expect(await places()).toEqual(['a']);
    },
  );

  it('does nothing any more where the other side may have been told to go on', async () => {
    await create();
    await turn('b', { migrateFailsAt: 'handshake' });
    expect((await hosts.xl('a', 'migrate', 'vm', 'b')).exitCode).not.toBe(0);
    await standsStill();
  });

  it('does nothing after a save or a shutdown, and goes on after a restore or a save that failed', async () => {
    await create();
    await turn('a', { saveFails: 'ENOSPC' });
    expect((await hosts.xl('a', 'save', 'vm', `${hosts.root}/vm.save`)).exitCode).not.toBe(0);
    await goesOn();
    await turn('a');
    await ok('a', 'save', 'vm', `${hosts.root}/vm.save`);
    await standsStill();
    await ok('b', 'restore', `${hosts.root}/vm.save`);
    await goesOn();
    expect(await places()).toEqual(['a', 'b']);
    await ok('b', 'shutdown', '-w', 'vm');
    await standsStill();
  });

  it('takes the domain with it when it ends', async () => {
    await hosts.file('said');
    await create();
    await goesOn();
    await hosts.run('a', 'pkill', '-KILL', '-f', `${hosts.root}/guest-a`);
    await until(async () => !(await hosts.xl('a', 'list')).stdout.includes('vm'));
  });
});

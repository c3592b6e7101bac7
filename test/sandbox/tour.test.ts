/** The tour and the sandbox that it leaves with --keep, as whoever starts them sees it. Needs a build. */
import * as fs from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, type onTestFinished } from 'vitest';
import { endOf, GuestHouse, keepBuild, written, type Ended } from './guest-house.ts';

const timeoutMs = 240_000;
const nobody = 65_534;
const isRoot = process.getuid?.() === 0;

const build = keepBuild();
afterAll(() => fs.rmSync(build, { recursive: true }));

function guestHouse(finished: typeof onTestFinished, user?: number): GuestHouse {
  const house = new GuestHouse(build, user);
  finished(() => house.close());
  return house;
}

const titles = [
  'A VM from an archive of files',
  'A VM from a raw image',
  'Monitoring',
  'Live migration',
  'The cluster moves the VM by itself',
  'Save and restore',
  'Off the hosts and back on another one',
  'Migration between hosts that share nothing',
  'Plugging while it runs',
  'A running disk saved as a new image',
  'The end of both VMs',
] as const;

interface Row {
  readonly calls: number;
  readonly seconds: number;
  readonly diskBytes: number | undefined;
  readonly sentBytes: number;
}

/** The closing table by the titles of its rows. */
function tableOf(text: string): ReadonlyMap<string, Row> {
  const rows = new Map<string, Row>();
  const pattern =
    /^ *\d* {2,4}(?<title>\S.*?) {2,}(?<calls>\d+) +(?<seconds>[\d.]+) s +(?:(?<disks>[\d.]+ \w+) +)?(?<sent>[\d.]+ \w+)(?: +<? ?[\d.]+ %)?$/;
  for (const line of text.slice(text.indexOf('    step ')).split('\n')) {
    const { title = '', calls, seconds, disks, sent = '' } = pattern.exec(line)?.groups ?? {};
    if (title === '') continue;
    const diskBytes = disks === undefined ? undefined : bytesOf(disks);
    rows.set(title, { calls: Number(calls), seconds: Number(seconds), diskBytes, sentBytes: bytesOf(sent) });
  }
  return rows;
}

const units: Readonly<Record<string, number>> = { bytes: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

function bytesOf(text: string): number {
  const [number = '', unit = ''] = text.split(' ');
  return Number(number) * (units[unit] ?? Number.NaN);
}

function sum(rows: readonly Row[], figure: (row: Row) => number): number {
  return rows.reduce((total, row) => total + figure(row), 0);
}

describe.concurrent('the tour', () => {
  it(
    'goes from start to end, and its closing table has the figures',
    { timeout: timeoutMs },
    async ({ onTestFinished }) => {
      const house = guestHouse(onTestFinished);
      const { exitCode, stdout, stderr } = await endOf(house.tour());
      expect(stdout).not.toContain('✗');
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
      expect(house.traces()).toEqual([]);
      for (const node of ['node1', 'node2', 'node3']) expect(stdout).toContain(`active on ${node}`);
      expect(stdout.split('\n').filter((line) => line.length > 100)).toEqual([]);
      // It is no terminal, so there is nothing that only a terminal understands.
      expect(stdout).not.toMatch(/[\x1b\r]/);

      const table = tableOf(stdout);
      expect([...table.keys()]).toEqual([...titles, 'all']);
      const rows = titles.flatMap((title) => table.get(title) ?? []);
      expect(sum(rows, ({ calls }) => calls)).toBe(table.get('all')?.calls);
      expect(sum(rows, ({ seconds }) => seconds)).toBeCloseTo(table.get('all')?.seconds ?? 0, 0);
      expect(sum(rows, ({ sentBytes }) => sentBytes) / (table.get('all')?.sentBytes ?? 0)).toBeCloseTo(1, 1);
      // An archive of files travels instead of 9 GiB of disks, and the data of a raw image without its holes.
      const [archive, raw, , live] = rows;
      expect(archive?.diskBytes).toBeGreaterThan(9 * 1024 ** 3);
      expect(archive?.sentBytes).toBeLessThan(6 * 1024 ** 2);
      expect(raw?.diskBytes).toBe((128 + 4) * 1024 ** 2); // the disk, and the smallest volume for the context
      expect(raw?.sentBytes).toBeGreaterThan(4 * 1024 ** 2 - 100_000);
      expect(raw?.sentBytes).toBeLessThan(5 * 1024 ** 2);
      // No block crosses the network when both hosts see the SAN.
      expect(live?.sentBytes).toBeLessThan(16 * 1024);
    },
  );

  it(
    'fails with what the driver said when a call fails, and leaves nothing',
    { timeout: timeoutMs },
    async ({ onTestFinished }) => {
      const house = guestHouse(onTestFinished);
      const action = join(house.dist, 'remotes/tm/cxm/context');
      fs.writeFileSync(action, '#!/bin/sh\necho "ERROR: no context today" >&2\nexit 3\n');
      const { exitCode, stdout } = await endOf(house.tour());
      expect(exitCode).toBe(1);
      expect(stdout).toMatch(/✗ this call failed: tm\/context, exit code 3\n(.*\n){1,2}.*ERROR: no context today/);
      expect(stdout).not.toContain('    step ');
      expect(house.traces()).toEqual([]);
    },
  );

  it(
    'fails when a driver says that all is well, but the disk is not the image',
    { timeout: timeoutMs },
    async ({ onTestFinished }) => {
      const house = guestHouse(onTestFinished);
      const action = join(house.dist, 'remotes/tm/cxm/clone');
      fs.renameSync(action, `${action}-right`);
      const volume = '$CXM_SANDBOX/nodes/node3/disks/VG0/lv-one-8-0';
      const damage = `printf X | dd of="${volume}" bs=1 seek=100000000 conv=notrunc status=none`;
      fs.writeFileSync(action, `#!/bin/sh\n"$0-right" "$@" || exit\n[ ! -e "${volume}" ] || ${damage}\n`, {
        mode: 0o755,
      });
      const { exitCode, stdout } = await endOf(house.tour('--quiet'));
      expect(exitCode).toBe(1);
      expect(stdout).toContain('✓  1  A VM from an archive of files');
      expect(stdout).toContain('✗  2  A VM from a raw image');
      expect(stdout).toContain('✗ this does not hold: the volume is the image, block for block');
      expect(house.traces()).toEqual([]);
    },
  );

  const interruptions = [
    ['SIGINT', 'A VM from an archive of files'],
    ['SIGTERM', 'tm/mkswap'],
  ] as const;
  it.for(interruptions)(
    'leaves nothing after %s',
    { timeout: timeoutMs },
    async ([signal, moment], { onTestFinished }) => {
      const house = guestHouse(onTestFinished);
      const child = house.tour();
      const ended = endOf(child);
      await written(child, moment);
      child.kill(signal);
      const { exitCode, stdout } = await ended;
      expect(exitCode).toBe(128 + constants.signals[signal]);
      expect(stdout).toMatch(new RegExp(`${signal}: removing the sandbox\n$`));
      expect(house.traces()).toEqual([]);
    },
  );

  it('leaves nothing when nobody reads on', { timeout: timeoutMs }, async ({ onTestFinished }) => {
    const house = guestHouse(onTestFinished);
    const child = house.tour();
    const closed = new Promise((resolve) => child.on('exit', resolve));
    await written(child, '+ shop.alice');
    child.stdout?.destroy();
    expect(await closed).toBe(1);
    expect(house.traces()).toEqual([]);
  });

  it(
    'refuses a directory that is not empty, and keeps what is there',
    { timeout: timeoutMs },
    async ({ onTestFinished }) => {
      const house = guestHouse(onTestFinished);
      fs.writeFileSync(join(house.temporary, 'precious'), '');
      const { exitCode, stderr } = await endOf(house.tour('--directory', house.temporary));
      expect({ exitCode, stderr }).toEqual({
        exitCode: 1,
        stderr: `${house.temporary} is not empty: name a new directory\n`,
      });
      expect(house.traces()).toEqual(['file precious']);
    },
  );
});

describe.concurrent('a sandbox that stays', () => {
  it(
    'can be played with by an ordinary user, until its command removes it',
    { timeout: timeoutMs },
    async ({ onTestFinished }) => {
      const house = guestHouse(onTestFinished, isRoot ? nobody : undefined);
      const { exitCode, stdout, stderr } = await endOf(house.tour('--keep'));
      expect(stdout).not.toContain('✗');
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
      expect(stdout).toContain('Running as an ordinary user');
      const sandbox = /The sandbox stays in (\S+?)\. /.exec(stdout)?.[1] ?? '';
      expect(stdout).toContain(`    ${sandbox}/enter\n`);
      const inside = (...words: readonly string[]): Promise<Ended> => house.run(join(sandbox, 'enter'), ...words);

      expect((await inside('onevm', 'list')).stdout).toMatch(/^7 .*RUNNING.*node1\n8 .*RUNNING.*node3\n$/m);
      expect(await inside('onevm', 'migrate', '--live', '7', 'node2')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
      expect((await inside('ssh', 'node2', 'xl', 'list')).stdout).toMatch(/^shop\.alice /m);
      expect((await inside('onevm', 'undeploy', '7')).exitCode).toBe(0);
      expect((await inside('onevm', 'deploy', '7', 'node1')).exitCode).toBe(0);
      expect((await inside('onevm', 'show', '-x', '7')).stdout).toContain('<HOSTNAME>');
      expect(await inside('onevm', 'fly', '7')).toMatchObject({ exitCode: 1, stdout: '' });

      fs.writeFileSync(join(sandbox, 'nodes/node3/down'), '');
      const dead = await inside('onevm', 'poweroff', '8');
      expect(dead.exitCode).toBe(1);
      expect(dead.stderr).toContain('No route to host');
      expect((await inside('onevm', 'list')).stdout).toMatch(/^8 .*RUNNING/m);

      expect(await house.run(join(sandbox, 'remove'))).toEqual({ exitCode: 0, stdout: '', stderr: '' });
      expect(house.traces()).toEqual([]);
    },
  );
});

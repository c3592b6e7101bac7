/** The conversation with `cxm guard`, held with a script in its place that does what it is told by its arguments. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { programGuard, type ClusterGuard } from '../../src/agent/cluster-guard.ts';
import { guardedVolumes } from '../../src/agent/guarded-volumes.ts';
import type { LogicalVolume } from '../../src/lvm/report.ts';
import type { Volumes } from '../../src/lvm/volumes.ts';

const directory = mkdtempSync(join(tmpdir(), 'cxm-guard-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const program = join(directory, 'cxm');
const log = join(directory, 'log');

/** A `cxm` that notes its arguments and what it reads, after its first words. */
function cxmThat(firstWords: string): void {
  writeFileSync(
    program,
    `#!/bin/sh\necho "$*" >>${log}\n${firstWords}\nwhile read -r word; do echo "read $word" >>${log}; done\necho end >>${log}\n`,
  );
  chmodSync(program, 0o755);
}

function logged(): string[] {
  return existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [];
}

beforeEach(() => rmSync(log, { force: true }));

describe('a start in a cluster', () => {
  const vm = { name: 'web.example', volumes: ['VG0/lv-one-7-0', 'VG0/lv-one-7-1'] };

  test('begins only once the VM is held, and says when it is done', async () => {
    cxmThat(`sleep 0.2; echo began >>${log}; echo held`);
    const result = await programGuard(program, directory).starting(vm, (requireHeld) => {
      requireHeld();
      expect(logged()).toContain('began');
      return Promise.resolve('started');
    });
    expect(result).toBe('started');
    const start = 'guard start --volume VG0/lv-one-7-0 --volume VG0/lv-one-7-1 -- web.example';
    expect(logged()).toEqual([start, 'began', 'read done', 'end']);
  });

  test('that fails lets go without saying that it is done', async () => {
    cxmThat('echo held');
    const failing = programGuard(program, directory).starting(vm, () => Promise.reject(new Error('no such kernel')));
    await expect(failing).rejects.toThrow('no such kernel');
    expect(logged()).toEqual([expect.stringContaining('guard start'), 'end']);
  });

  test('is not begun when the cluster refuses it, and the reason is passed on', async () => {
    const error = { code: 'REFUSED', message: 'web.example is running on node2', hint: 'look there' };
    cxmThat(`echo '${JSON.stringify({ error })}'; exit 2`);
    let begun = false;
    const refused = programGuard(program, directory).starting(vm, () => {
      begun = true;
      return Promise.resolve();
    });
    await expect(refused).rejects.toMatchObject(error);
    expect(begun).toBe(false);
  });

  test.each([
    ['says nothing', 'exit 0', 'PROTOCOL'],
    ['says something else', 'echo hello', 'PROTOCOL'],
    ['makes up an error code', `echo '{"error":{"code":"toString","message":"x"}}'`, 'PROTOCOL'],
  ])('is not begun when cxm %s', async (_what, words, code) => {
    cxmThat(words);
    await expect(programGuard(program, directory).starting(vm, () => Promise.resolve())).rejects.toMatchObject({
      code,
    });
  });

  test('is not begun when cxm is missing, and says what to install', async () => {
    const missing = programGuard(join(directory, 'nowhere'), directory).starting(vm, () => Promise.resolve());
    await expect(missing).rejects.toMatchObject({
      code: 'HELPER_MISSING',
      hint: expect.stringContaining('dist/sbin/cxm') as string,
    });
  });

  test('notices that the VM is not held any more', async () => {
    cxmThat('echo held; exit 0');
    const lost = programGuard(program, directory).starting(vm, async (requireHeld) => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      requireHeld();
    });
    await expect(lost).rejects.toMatchObject({ code: 'HOST_UNREACHABLE' });
  });

  test('does not ask once more for the volumes that it holds', async () => {
    cxmThat('echo held');
    const guard = programGuard(program, directory);
    const work = (): Promise<string> => Promise.resolve('activated');
    expect(await guard.starting(vm, () => guard.releasing(['VG0/lv-one-7-0'], work))).toBe('activated');
    expect(logged().filter((line) => line.includes('release'))).toEqual([]);
    cxmThat('echo held; read -r word; echo kept');
    expect(await guard.releasing(['VG0/lv-one-7-0'], work)).toBe('activated');
    expect(logged()).toContain('guard release -- VG0/lv-one-7-0');
  });
});

test('a VM that must not be moved is held, and let go', async () => {
  cxmThat('echo held');
  expect(await programGuard(program, directory).staying('web.example', () => Promise.resolve('made'))).toBe('made');
  expect(logged()).toEqual(['guard stay -- web.example', 'read done', 'end']);
});

describe('what is done to a volume that was taken from the other nodes', () => {
  const error = { code: 'IN_USE', message: 'VG0/lv was activated on node2 meanwhile', hint: 'look there' };

  test.each([
    ['is an error when another node has activated it meanwhile', `echo '${JSON.stringify({ error })}'`, error],
    ['is an error when nobody has looked afterwards', 'exit 1', { code: 'HOST_UNREACHABLE' }],
  ])('%s', async (_what, lastWords, expected) => {
    cxmThat(`echo held; read -r word; echo "read $word" >>${log}; ${lastWords}`);
    let done = false;
    const taken = programGuard(program, directory).releasing(['VG0/lv'], () => Promise.resolve(void (done = true)));
    await expect(taken).rejects.toMatchObject(expected);
    expect(done).toBe(true);
    expect(logged()).toContain('read done');
  });
});

test('where a VM is, the cluster says in one word', async () => {
  cxmThat('echo "held node3"');
  expect(await programGuard(program, directory).elsewhere(['web.example'])).toBe('node3');
  cxmThat('echo held');
  expect(await programGuard(program, directory).elsewhere(['web.example'])).toBeUndefined();
});

test('a VM that is worked on is held, and let go of at the end', async () => {
  cxmThat('echo held');
  expect(await programGuard(program, directory).holding('web.example', () => Promise.resolve('done'))).toBe('done');
  expect(logged()).toEqual(['guard hold -- web.example', 'read done', 'end']);
});

test('who held a VM last is what its lock says, and nobody can say where it was never held', () => {
  const guard = programGuard(program, directory);
  expect(guard.lastHold('web.example')).toBeUndefined();
  writeFileSync(join(directory, 'vm-web.example.token'), 'abc\n');
  expect(guard.lastHold('web.example')).toBe('abc');
});

describe('a volume in a cluster', () => {
  const idle: LogicalVolume = {
    name: 'lv',
    uuid: 'u',
    sizeBytes: 1,
    tags: [],
    active: false,
    open: false,
    path: '/dev/VG0/lv',
    origin: '',
  };

  const active = { ...idle, active: true };
  const held = { ...active, open: true };

  /** A volume that was made already, or will be. */
  function rig(volume: LogicalVolume, judge: () => Promise<void> = () => Promise.resolve()) {
    const calls: string[] = [];
    let now = volume;
    const done = (call: string, change: Partial<LogicalVolume> = {}): Promise<void> => {
      calls.push(call);
      now = { ...now, ...change };
      return Promise.resolve();
    };
    const known = {
      find: () => Promise.resolve(now),
      create: ({ name }: { name: string }) => done(`create ${name}`, { active: true }),
      activate: (name: string, mode: string) => done(`activate ${name} ${mode}`, { active: true }).then(() => now),
      deactivate: (name: string) => done(`deactivate ${name}`, { active: false }),
      remove: (name: string) => done(`remove ${name}`),
    };
    const guard: ClusterGuard = {
      ...programGuard(program, directory),
      async releasing(_volumes, work) {
        calls.push('release');
        const result = await work();
        await judge();
        return result;
      },
    };
    return { calls, volumes: guardedVolumes(known as unknown as Volumes, 'VG0', guard) };
  }

  test.each<[string, LogicalVolume, readonly string[]]>([
    ['is taken from the other nodes', idle, ['release', 'activate lv exclusive']],
    [
      'that is active here and not open is, too: a guest elsewhere may have it',
      active,
      ['release', 'activate lv exclusive'],
    ],
    ["that is open here is used here, and is nobody else's", held, ['activate lv exclusive']],
  ])('%s, before it is activated', async (_what, volume, expected) => {
    const { calls, volumes } = rig(volume);
    await volumes.activate('lv', 'exclusive');
    expect(calls).toEqual(expected);
  });

  test.each([idle, active])('is taken from the other nodes before it is removed', async (volume) => {
    const { calls, volumes } = rig(volume);
    await volumes.remove('lv');
    expect(calls).toEqual(['release', 'remove lv']);
  });

  test('is taken once while it stays active, and once more for its removal', async () => {
    const { calls, volumes } = rig(idle);
    await volumes.activate('lv', 'exclusive');
    await volumes.activate('lv', 'exclusive');
    await volumes.remove('lv');
    await volumes.deactivate('lv');
    await volumes.activate('lv', 'exclusive');
    const again = ['activate lv exclusive', 'release', 'remove lv', 'deactivate lv'];
    expect(calls).toEqual(['release', 'activate lv exclusive', ...again, 'release', 'activate lv exclusive']);
  });

  test("that was made here just now is nobody else's", async () => {
    const { calls, volumes } = rig(idle);
    await volumes.create({ name: 'lv', sizeBytes: 1, tags: [] });
    await volumes.activate('lv', 'exclusive');
    await volumes.remove('lv');
    expect(calls).toEqual(['create lv', 'activate lv exclusive', 'remove lv']);
  });

  test('is left to both nodes for the time of a migration', async () => {
    const { calls, volumes } = rig(idle);
    await volumes.activate('lv', 'shared');
    expect(calls).toEqual(['activate lv shared']);
  });

  test('is given up again when another node has activated it at the same time', async () => {
    const { calls, volumes } = rig(idle, () => Promise.reject(new Error('activated on node2 meanwhile')));
    await expect(volumes.activate('lv', 'exclusive')).rejects.toThrow('activated on node2 meanwhile');
    expect(calls).toEqual(['release', 'activate lv exclusive', 'deactivate lv']);
  });

  test('is not touched when another node has it in use', async () => {
    for (const volume of [idle, active]) {
      const known = { find: () => Promise.resolve(volume) } as unknown as Volumes;
      const guard = {
        ...programGuard(program, directory),
        releasing: () => Promise.reject(new Error('in use on node2')),
      };
      const volumes = guardedVolumes(known, 'VG0', guard);
      await expect(volumes.remove('lv')).rejects.toThrow('in use on node2');
      await expect(volumes.activate('lv', 'exclusive')).rejects.toThrow('in use on node2');
    }
  });
});

/** The conversation with `cxm guard`, held with a script in its place that does what it is told by its arguments. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { programGuard } from '../../src/agent/cluster-guard.ts';
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
    await guard.starting(vm, () => guard.releasing(['VG0/lv-one-7-0']));
    expect(logged().filter((line) => line.includes('release'))).toEqual([]);
    await guard.releasing(['VG0/lv-one-7-0']);
    expect(logged()).toContain('guard release -- VG0/lv-one-7-0');
  });
});

test('a VM that must not be moved is held, and let go', async () => {
  cxmThat('echo held');
  expect(await programGuard(program).staying('web.example', () => Promise.resolve('made'))).toBe('made');
  expect(logged()).toEqual(['guard stay -- web.example', 'read done', 'end']);
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

  function volumesWith(volume: LogicalVolume, calls: string[]): Volumes {
    const known = {
      find: () => Promise.resolve(volume),
      activate: (name: string, mode: string) => (calls.push(`activate ${name} ${mode}`), Promise.resolve(volume)),
      remove: (name: string) => (calls.push(`remove ${name}`), Promise.resolve()),
    };
    return known as unknown as Volumes;
  }

  test.each([
    [
      'is taken from the other nodes before it is activated',
      idle,
      ['release', 'activate lv exclusive', 'release', 'remove lv'],
    ],
    ['that is active here has been taken', { ...idle, active: true }, ['activate lv exclusive', 'remove lv']],
  ])('%s', async (_what, volume, expected) => {
    const calls: string[] = [];
    const guard = { ...programGuard(program, directory), releasing: () => (calls.push('release'), Promise.resolve()) };
    const volumes = guardedVolumes(volumesWith(volume, calls), 'VG0', guard);
    await volumes.activate('lv', 'exclusive');
    await volumes.remove('lv');
    expect(calls).toEqual(expected);
  });

  test('is left to both nodes for the time of a migration', async () => {
    const calls: string[] = [];
    const guard = { ...programGuard(program, directory), releasing: () => (calls.push('release'), Promise.resolve()) };
    await guardedVolumes(volumesWith(idle, calls), 'VG0', guard).activate('lv', 'shared');
    expect(calls).toEqual(['activate lv shared']);
  });

  test('is not touched when another node has it in use', async () => {
    const calls: string[] = [];
    const guard = {
      ...programGuard(program, directory),
      releasing: () => Promise.reject(new Error('in use on node2')),
    };
    const volumes = guardedVolumes(volumesWith(idle, calls), 'VG0', guard);
    await expect(volumes.remove('lv')).rejects.toThrow('in use on node2');
    await expect(volumes.activate('lv', 'exclusive')).rejects.toThrow('in use on node2');
    expect(calls).toEqual([]);
  });
});

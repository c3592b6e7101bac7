/** The lock of a VM with real processes: who holds it, who waits, and what a killed cxm leaves behind. */
import { spawn, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { commandNode } from '../../src/cluster/node-body.ts';
import type { ClusterNode } from '../../src/cluster/node.ts';
import { localMachine } from '../../src/host/hold.ts';

const vm = 'vm1.example.org';
const checkout = fileURLToPath(new URL('../..', import.meta.url));
let directory: string;
let children: ChildProcess[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cxm-lock-'));
  children = [];
});

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  // A stand-in for xl that nobody waits for any more ends by itself.
  writeFileSync(join(directory, 'go'), '');
  await sleep(200);
  rmSync(directory, { recursive: true, force: true });
});

const paths = () => ({
  configDirectory: directory,
  autostartDirectory: directory,
  runDirectory: join(directory, 'run'),
});
const here = (): ClusterNode => commandNode('here', localMachine, paths());

/** A program named xl, first in PATH. */
function standInXl(script: string): void {
  writeFileSync(join(directory, 'xl'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(directory, 'xl'), 0o755);
}

/** Another cxm: takes the lock, says so, and creates a domain if it is told to. */
async function anotherCxm(act: 'hold' | 'create'): Promise<ChildProcess> {
  const script = join(directory, `cxm-${children.length}.mts`);
  const source = (path: string): string => JSON.stringify(join(checkout, 'src', path));
  writeFileSync(
    script,
    `import { commandNode } from ${source('cluster/node-body.ts')};
import { localMachine } from ${source('host/hold.ts')};
const node = commandNode('here', localMachine, ${JSON.stringify(paths())});
const lock = await node.lock(${JSON.stringify(vm)}, 10000);
console.log('held');
if (${act === 'create'}) {
  await node.under(${JSON.stringify(vm)}).toolstack.create('/etc/xen/vm/x').then(() => console.log('created'), (e) => console.log(String(e)));
}
process.stdin.resume().on('end', () => lock.release());
`,
  );
  const child = spawn(process.execPath, [join(checkout, 'node_modules/tsx/dist/cli.mjs'), script], {
    stdio: ['pipe', 'pipe', 'inherit'],
    cwd: checkout,
    env: { ...process.env, PATH: `${directory}:${process.env['PATH'] ?? ''}` },
    detached: true,
  });
  children.push(child);
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('exit', () => reject(new Error('the other cxm has ended')));
  });
  return child;
}

/** As a kill of the whole cxm, tsx's own child included. */
function killHard(child: ChildProcess): void {
  if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
}

async function appears(name: string): Promise<void> {
  for (let tries = 0; !existsSync(join(directory, name)); tries += 1) {
    if (tries > 200) throw new Error(`${name} did not appear`);
    await sleep(50);
  }
}

describe('the lock of a VM', () => {
  it('is held by one at a time, and free when it is released', async () => {
    const lock = await here().lock(vm, 1000);
    expect(lock.held).toBe(true);
    await expect(here().lock(vm, 1000)).rejects.toMatchObject({ code: 'IN_USE' });
    await lock.release();
    expect(lock.held).toBe(false);
    await (await here().lock(vm, 1000)).release();
  });

  it('is one of the VM, not of the node', async () => {
    const lock = await here().lock(vm, 1000);
    await (await here().lock('vm2', 1000)).release();
    await lock.release();
  });

  it.each(['../../etc/passwd', '', 'a b', '$(id)'])('is not made for %j', async (name) => {
    await expect(here().lock(name, 1000)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });

  it('of another process is free once that was killed', async () => {
    const other = await anotherCxm('hold');
    await expect(here().lock(vm, 1000)).rejects.toMatchObject({ code: 'IN_USE' });
    const waiting = here().lock(vm, 20_000);
    killHard(other);
    await (await waiting).release();
  });

  it('tells whether somebody else has had it between two looks', async () => {
    expect(await here().holders(vm)).toEqual({ latest: '', former: '' });
    await (await here().lock(vm, 1000)).release();
    const { latest } = await here().holders(vm);
    expect(latest).not.toBe('');
    const mine = await here().lock(vm, 1000);
    expect((await here().holders(vm)).former).toBe(latest);
    await mine.release();
    await (await here().lock(vm, 1000)).release();
    expect((await here().holders(vm)).former).not.toBe(latest);
  });

  it('survives a Ctrl-C, so that what was begun can be undone under it', async () => {
    const lock = await here().lock(vm, 1000);
    const groups = readdirSync('/proc').flatMap((pid) => {
      if (!/^\d+$/.test(pid)) return [];
      try {
        const [, parent, group] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
        return parent === String(process.pid) ? [group] : [];
      } catch {
        return []; // it has ended in the meantime
      }
    });
    const own = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ')[2];
    expect(groups).not.toContain(own);
    await lock.release();
  });
});

describe('a migration that has begun', () => {
  const move = { source: 'here', destination: 'there', linked: true };

  it('is remembered until it is forgotten, also when that is done twice', async () => {
    expect(await here().moves.read(vm)).toBeUndefined();
    const node = here();
    const lock = await node.lock(vm, 1000);
    await node.under(vm).moves.write(vm, { ...move, linked: false });
    await node.under(vm).moves.write(vm, move);
    expect(await here().moves.read(vm)).toEqual(move);
    expect(await here().moves.read('vm2.example.org')).toBeUndefined();
    for (let times = 0; times < 2; times += 1) await node.under(vm).moves.remove(vm);
    expect(await here().moves.read(vm)).toBeUndefined();
    await lock.release();
  });

  it('is not remembered any more by a cxm that has lost the lock', async () => {
    const late = here();
    await (await late.lock(vm, 1000)).release();
    const lock = await here().lock(vm, 1000);
    await expect(late.under(vm).moves.write(vm, move)).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(await here().moves.read(vm)).toBeUndefined();
    await lock.release();
  });

  it.each(['', 'null', '{"source":1}', '{"source":"a","destination":"b"'])(
    'is none when %j was noted',
    async (text) => {
      await (await here().lock(vm, 1000)).release();
      writeFileSync(join(directory, 'run', `vm-${vm}.moving`), text);
      expect(await here().moves.read(vm)).toBeUndefined();
    },
  );

  it('is listed once it is so old, and not after it was concluded', async () => {
    const node = here();
    expect(await node.moves.begun(0)).toEqual([]);
    const lock = await node.lock(vm, 1000);
    const { moves } = node.under(vm);
    await moves.write(vm, move);
    expect(await node.moves.begun(60)).toEqual([]);
    const minuteAgo = Date.now() / 1000 - 61;
    utimesSync(join(directory, 'run', `vm-${vm}.moving`), minuteAgo, minuteAgo);
    expect(await node.moves.begun(60)).toEqual([vm]);
    expect(await node.moves.begun(120)).toEqual([]);
    await moves.remove(vm);
    expect(await node.moves.begun(60)).toEqual([]);
    await lock.release();
  });
});

describe('a domain that is being created', () => {
  it('keeps the VM busy when its cxm was killed, until xl has ended', async () => {
    standInXl(
      `touch "${directory}/begun"; while [ ! -e "${directory}/go" ]; do sleep 0.05; done; touch "${directory}/ended"`,
    );
    const other = await anotherCxm('create');
    await appears('begun');
    killHard(other);
    await expect(here().lock(vm, 1000)).rejects.toMatchObject({ code: 'IN_USE' });
    const waiting = here().lock(vm, 20_000);
    writeFileSync(join(directory, 'go'), '');
    const lock = await waiting;
    expect(existsSync(join(directory, 'ended'))).toBe(true);
    await lock.release();
  });

  it('is not ended by what it says to a cxm that is no more', async () => {
    standInXl(
      `touch "${directory}/begun"; while [ ! -e "${directory}/go" ]; do sleep 0.05; done
      echo "Parsing config"; echo "libxl: error" >&2; touch "${directory}/ended"`,
    );
    const other = await anotherCxm('create');
    await appears('begun');
    killHard(other);
    writeFileSync(join(directory, 'go'), '');
    await appears('ended');
  });

  it('does not keep the VM busy by the monitor that xl leaves behind', async () => {
    standInXl(`setsid sleep 300 </dev/null >/dev/null 2>&1 & echo $! >"${directory}/monitor"`);
    const node = here();
    const lock = await node.lock(vm, 1000);
    await withPath(() => node.under(vm).toolstack.create('/etc/xen/vm/x'));
    await lock.release();
    const monitor = Number(readFileSync(join(directory, 'monitor'), 'utf8'));
    try {
      expect(() => process.kill(monitor, 0)).not.toThrow();
      await (await here().lock(vm, 1000)).release();
    } finally {
      process.kill(monitor, 'SIGKILL');
    }
  });

  it('is not begun any more when another cxm has had the lock meanwhile', async () => {
    standInXl(`touch "${directory}/begun"`);
    const late = here();
    await (await late.lock(vm, 1000)).release();
    const lock = await here().lock(vm, 1000);
    await expect(withPath(() => late.under(vm).toolstack.create('/etc/xen/vm/x'))).rejects.toMatchObject({
      code: 'INTERRUPTED',
    });
    expect(existsSync(join(directory, 'begun'))).toBe(false);
    await lock.release();
  });

  it('tells how it failed, with what xl has said', async () => {
    standInXl('echo "failed to stat: /dev/x" >&2; exit 3');
    const node = here();
    const lock = await node.lock(vm, 1000);
    await expect(withPath(() => node.under(vm).toolstack.create('/etc/xen/vm/x'))).rejects.toMatchObject({
      reason: 'missingDisk',
    });
    await lock.release();
    expect(readdirSync(join(directory, 'run')).sort()).toEqual([`vm-${vm}.busy`, `vm-${vm}.lock`, `vm-${vm}.token`]);
  });

  it('needs the lock', () => {
    expect(() => here().under(vm)).toThrow(/never taken/);
  });
});

async function withPath<T>(act: () => Promise<T>): Promise<T> {
  const before = process.env['PATH'];
  process.env['PATH'] = `${directory}:${before ?? ''}`;
  try {
    return await act();
  } finally {
    process.env['PATH'] = before;
  }
}

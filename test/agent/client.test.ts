import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { callHelper, questionTimeoutMs, type Call } from '../../src/agent/client.ts';
import { domainHost } from '../../src/agent/operations/domain-host.ts';
import { resolveCxmrc, settingsFromRecord } from '../../src/config/load.ts';
import { localCommands } from '../../src/host/commands.ts';
import { fileLock, type MetadataLock } from '../../src/agent/lock.ts';
import { CxmError } from '../../src/errors.ts';
import { sendForever } from './caller.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const path = process.env.PATH;
let root: string;
let notes: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'cxm-client-'));
  mkdirSync(join(root, 'bin'));
  bundle(join(here, 'helper.ts'), 'helper.cjs');
  const script = `#!/bin/sh\nexec '${process.execPath}' '${root}/helper.cjs'\n`;
  writeFileSync(join(root, 'bin/sudo'), script, { mode: 0o755 });
  process.env.PATH = `${root}/bin:${path ?? ''}`;
});
afterAll(() => {
  process.env.PATH = path;
  rmSync(root, { recursive: true, force: true });
});
beforeEach(() => {
  notes = join(root, 'notes');
});
afterEach(() => rmSync(notes, { force: true }));

/** One file of a program, as it is installed: it starts faster. */
function bundle(source: string, name: string): void {
  buildSync({ entryPoints: [source], outfile: join(root, name), bundle: true, platform: 'node', format: 'cjs' });
}

/** A message as the helper writes it. */
function frame(message: unknown): Buffer {
  const payload = Buffer.from(JSON.stringify(message));
  const header = Buffer.alloc(5);
  header.writeUInt8(0x4a);
  header.writeUInt32BE(payload.length, 1);
  return Buffer.concat([header, payload]);
}

/** What the helper did, in order. */
function noted(): string[] {
  return existsSync(notes) ? readFileSync(notes, 'utf8').trim().split('\n') : [];
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds() && tries < 300; tries += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(holds()).toBe(true);
}

function call(operation: string, rest: Partial<Call> = {}): Promise<unknown> {
  const lock = fileLock(join(root, 'lock/VG0'), 10);
  const settings = { VG_NAME: 'VG0' };
  return callHelper(
    { kind: 'sudo' },
    { operation, parameters: { notes }, settings, lock, log: () => undefined, ...rest },
  );
}

/** A lock that remembers when it was held. */
function rememberingLock(): { readonly lock: MetadataLock; readonly uses: string[] } {
  const own = fileLock(join(root, 'lock/VG0'), 10);
  const uses: string[] = [];
  const use = (name: string, work: Promise<boolean>): Promise<boolean> =>
    work.finally(() => uses.push(name, ...noted()));
  const lock: MetadataLock = {
    ...own,
    acquire: (fd) => use('acquired', own.acquire(fd)),
    release: (fd) => use('released', own.release(fd)),
  };
  return { lock, uses };
}

const lent = ['acquired', 'released', 'taken back'];

/** A lock that others hold. */
function busyLock(): MetadataLock {
  const own = fileLock(join(root, 'lock/busy'), 1);
  return { ...own, acquire: () => Promise.reject(new CxmError('TIMEOUT', 'the lock was not free within 1 s')) };
}

describe('what the helper sends last', () => {
  test('arrives although the helper ends at once and the caller is slow', async () => {
    let received = 0;
    const receive: Call['receive'] = async (data) => {
      for await (const item of data) received += item.data.length;
    };
    const result = call('send-and-end', { receive });
    // The caller reads nothing for a while: neither it nor the kernel can take all of it.
    await new Promise((resolve) => setImmediate(resolve));
    const sleeping = spawnSync('sleep', ['0.5']);
    expect(sleeping.status).toBe(0);
    expect(await result).toBe('all was sent');
    expect(received).toBe(1024 ** 2 - 1000);
  });
});

describe('a helper that never answers', () => {
  const hurried = (): void => {
    const real = setTimeout;
    const hurry = (work: () => void, delayMs?: number) => real(work, delayMs === questionTimeoutMs ? 300 : delayMs);
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(hurry as typeof setTimeout);
  };
  afterEach(() => vi.restoreAllMocks());

  test.each(['domain-prepare', 'domain-look', 'domain-settle', 'domain-abandon'])(
    'on the other host of a migration is not waited for when it is asked for %s',
    async (operation) => {
      // The connection lives, and nothing is ever said.
      writeFileSync(join(root, 'bin/ssh'), '#!/bin/sh\nexec sleep 20\n', { mode: 0o755 });
      const settings = resolveCxmrc(settingsFromRecord({ VG_NAME: 'VG0' }, 'the test'));
      const { remote } = domainHost({ settings, commands: localCommands, log: () => undefined } as never);
      hurried();
      const start = performance.now();
      await expect(remote.call('host02', operation, {})).rejects.toMatchObject({
        code: 'TIMEOUT',
        changed: 'maybe',
        message: 'cxm-host on host02 did not answer within 120 s',
      });
      expect(performance.now() - start).toBeLessThan(15_000);
    },
  );
});

describe('the lock of the volume group', () => {
  test('that is not free in time is an error that says so, and nothing is changed', async () => {
    await expect(call('change', { lock: busyLock() })).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: 'the lock was not free within 1 s',
      changed: 'nothing',
    });
    expect(noted()).toEqual([]);
    await call('change');
    expect(noted()).toEqual(['changed']);
  });

  test('is lent for the roll-back when the source of the data fails, and that is the error', async () => {
    const send: Call['send'] = async (sink) => {
      await sink.data(Buffer.alloc(1000));
      throw new CxmError('IO', 'the image can not be read');
    };
    const { lock, uses } = rememberingLock();
    await expect(call('receive', { send, lock })).rejects.toMatchObject({ message: 'the image can not be read' });
    expect(uses).toEqual(lent);
  });

  test('is lent for the roll-back when what arrives can not be stored, and that is the error', async () => {
    const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    const receive: Call['receive'] = async (data) => {
      for await (const item of data) if (item.data.length > 0) throw full;
    };
    const { lock, uses } = rememberingLock();
    await expect(call('send', { receive, lock })).rejects.toBe(full);
    expect(uses).toEqual(lent);
  });

  test('is lent for the roll-back when a question can not be answered, and that is the error', async () => {
    const answer: Call['answer'] = () => Promise.reject(new CxmError('IO', 'it could not be renamed'));
    const { lock, uses } = rememberingLock();
    await expect(call('ask', { answer, lock })).rejects.toMatchObject({ message: 'it could not be renamed' });
    expect(uses).toEqual(lent);
  });

  test('stays held until the helper has ended when the whole process group of the action is killed', async () => {
    const lockPath = join(root, 'lock/VG0');
    const action = join(root, 'action.ts');
    writeFileSync(
      action,
      `import { callHelper } from '${here}../../src/agent/client.ts';
       import { fileLock } from '${here}../../src/agent/lock.ts';
       void callHelper({ kind: 'sudo' }, { operation: 'hold', parameters: { notes: '${notes}' },
         settings: { VG_NAME: 'VG0' }, lock: fileLock('${lockPath}', 10), log: () => undefined });`,
    );
    bundle(action, 'action.cjs');
    const child = spawn(process.execPath, [join(root, 'action.cjs')], { detached: true, stdio: 'ignore' });
    await until(() => noted().includes('holding'));
    process.kill(-(child.pid ?? 0), 'SIGKILL');
    await call('change');
    expect(noted()).toEqual(['holding', 'held to the end', 'changed']);
  });
});

describe('what the helper says', () => {
  test.each([
    ['device-fails', 'IO', 'the device is broken'],
    ['device-fails-at-once', 'IO', 'data: the device is broken'],
    ['deaf', 'NO_SPACE', 'there is no room'],
  ])('of %s arrives, however much data was still to be sent', async (operation, code, message) => {
    const send: Call['send'] = (sink) => sendForever(sink);
    await expect(call(operation, { send })).rejects.toMatchObject({ code, message });
    expect(noted()).toEqual(operation === 'device-fails' ? ['taken back'] : []);
  });

  test('is read when writing to it fails first', async () => {
    // Closes its ears, asks something all the same, and says what is wrong.
    const said = join(root, 'said');
    writeFileSync(said, frame({ kind: 'ready', detail: {} }));
    const last = { kind: 'error', code: 'FOREIGN', message: 'not yours', hint: '', changed: 'nothing' };
    writeFileSync(`${said}-last`, Buffer.concat([frame({ kind: 'ask', topic: 'lock', detail: {} }), frame(last)]));
    const bin = join(root, 'deaf-bin');
    mkdirSync(bin);
    const script = `#!/bin/sh\ncat '${said}'; exec <&-; sleep 0.5; cat '${said}-last'\n`;
    writeFileSync(join(bin, 'sudo'), script, { mode: 0o755 });
    const before = process.env.PATH;
    process.env.PATH = `${bin}:${before ?? ''}`;
    const send: Call['send'] = (sink) => sendForever(sink);
    await expect(call('whatever', { send }).finally(() => (process.env.PATH = before))).rejects.toMatchObject({
      code: 'FOREIGN',
      message: 'not yours',
    });
  });
});

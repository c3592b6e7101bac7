import { spawn, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Call } from '../../src/agent/client.ts';
import { protocolVersion } from '../../src/agent/protocol.ts';
import { here, InstalledHelper, until } from './installed-helper.ts';

const mebibyte = 1024 ** 2;
let helper: InstalledHelper;
let image: string;
let content: Buffer;

beforeAll(() => {
  helper = new InstalledHelper();
  image = join(helper.root, 'image');
  content = randomBytes(70 * mebibyte + 4321); // three pieces
});
afterAll(() => helper.remove());
afterEach(() => helper.forget());

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Sends the image as it lies there. */
function sending(onBytes: (count: number) => void = () => undefined): Pick<Call, 'send'> {
  writeFileSync(image, content);
  return { send: (sink) => sink.file(image, onBytes) };
}

describe('a file that goes raw', () => {
  test('arrives byte for byte at the program that unpacks it, and its progress is told', async () => {
    const counts: number[] = [];
    const said = await helper.call(
      'unpack-slowly',
      sending((count) => counts.push(count)),
    );
    expect(said).toBe(`${digest(content)}  -`);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(content.length);
    expect(counts.length).toBeGreaterThan(3);
    expect(helper.noted()).toEqual(['unpacking', 'complete']);
  });

  test('arrives in frames where no program takes it', async () => {
    expect(await helper.call('digest', sending())).toBe(digest(content));
  });

  test('may be larger than what the program wants of it', async () => {
    expect(await helper.call('unpack-a-part', sending())).toBe(`${digest(content.subarray(0, 5_000_000))}  -`);
  });

  test('that becomes shorter is an error, after a roll-back under the lock', async () => {
    const call = sending();
    const result = helper.call('unpack-slowly', call).catch((error: unknown) => error);
    await until(() => helper.noted().includes('unpacking'));
    truncateSync(image, 40 * mebibyte);
    expect(await result).toMatchObject({ code: 'IO', message: `${image} became shorter while it was read` });
    expect(helper.noted()).toEqual(['unpacking', 'taken back']);
  });

  test('is given up when the program fails half-way: that is the error, after a roll-back under the lock', async () => {
    await expect(helper.call('unpack-fails', sending())).rejects.toMatchObject({ message: 'it is damaged' });
    expect(helper.noted()).toEqual(['unpacking', 'taken back']);
  });

  test('does not keep the helper from failing before anything takes it', async () => {
    await expect(helper.call('mkfs-fails', sending())).rejects.toMatchObject({
      message: 'no file system could be made',
    });
    expect(helper.noted()).toEqual(['taken back']);
  });
});

/** An action as a process of its own, which sends or receives. */
function startAction(operation: string, work: string): ChildProcess {
  const source = join(helper.root, 'action.ts');
  writeFileSync(
    source,
    `import { writeFileSync } from 'node:fs';
     import { callHelper } from '${here}../../src/agent/client.ts';
     import { fileLock } from '${here}../../src/agent/lock.ts';
     void callHelper({ kind: 'sudo' }, { operation: '${operation}', parameters: { notes: '${helper.notes}' },
       settings: { VG_NAME: 'VG0' }, lock: fileLock('${helper.lockPath}', 10), log: () => undefined, ${work} });`,
  );
  helper.bundle(source, 'action.cjs');
  return spawn(process.execPath, [join(helper.root, 'action.cjs')], { detached: true, stdio: 'ignore' });
}

/** Processes whose command line holds `words`. */
function running(words: string): string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return /^[0-9]+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'latin1').includes(words);
    } catch {
      return false;
    }
  });
}

function endHard(pid: string): void {
  try {
    process.kill(Number(pid), 'SIGKILL');
  } catch {
    // It has ended in the meantime.
  }
}

describe('an action that is killed', () => {
  const left = 'left: the caller went away';

  test.each([
    ['SIGKILL', 'alone', 1],
    ['SIGKILL', 'with its group', -1],
    ['SIGTERM', 'with its group', -1],
  ] as const)('by %s, %s, while it sends raw is no end of the data', async (signal, _whom, sign) => {
    writeFileSync(image, content);
    const action = startAction('unpack-never', `send: (sink) => sink.file('${image}', () => undefined)`);
    await until(() => helper.noted().includes('unpacking'));
    process.kill(sign * (action.pid ?? 0), signal);
    // The program reads nothing, so the feeder sees the end only when the program is gone: as after a hang. What notes that
    // it unpacks may not have started it yet.
    await until(() => {
      running('sleep\0' + '61.625').forEach(endHard);
      return helper.noted().length === 2;
    });
    expect(helper.noted()[1]).toMatch(/^left: /);
    await until(() => running(helper.root).length === 0);
  });

  test('while the program reads makes the helper end it, and what is there does not count', async () => {
    writeFileSync(image, content);
    const action = startAction('unpack-slowly', `send: (sink) => sink.file('${image}', () => undefined)`);
    await until(() => helper.noted().includes('unpacking'));
    process.kill(-(action.pid ?? 0), 'SIGKILL');
    await until(() => helper.noted().length === 2);
    expect(helper.noted()).toEqual(['unpacking', left]);
  });

  test('while it receives ends the program that sends', async () => {
    const received = join(helper.root, 'received');
    const look = `if (item.data.length > 0) writeFileSync('${received}', '');`;
    const action = startAction('pack-for-ever', `receive: async (data) => { for await (const item of data) ${look} }`);
    await until(() => existsSync(received));
    process.kill(-(action.pid ?? 0), 'SIGKILL');
    await until(() => helper.noted().length === 1);
    expect(helper.noted()[0]).toMatch(/^left: /);
    await until(() => running(helper.root).length === 0);
  });
});

describe('what comes instead of the raw data that was announced', () => {
  const frame = (code: number, payload = ''): Buffer => {
    const header = Buffer.alloc(5);
    header.writeUInt8(code);
    header.writeUInt32BE(payload.length, 1);
    return Buffer.concat([header, Buffer.from(payload)]);
  };
  const message = (words: object): Buffer => frame(0x4a, JSON.stringify(words));
  const settings = { VG_NAME: 'VG0' };

  /** Talks to the helper by hand, and goes at once or when it has heard the first word on it. */
  async function talk(goes: 'at once' | 'later', bytes: readonly (string | Buffer)[]): Promise<string> {
    const child = spawn('sudo', [], { stdio: ['pipe', 'pipe', 'inherit'] });
    const closed = new Promise((resolve) => child.on('close', resolve));
    child.stdin.on('error', () => undefined);
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')));
    const parameters = { notes: helper.notes };
    child.stdin.write(
      message({ kind: 'request', version: protocolVersion, operation: 'unpack', parameters, settings }),
    );
    child.stdin.write(message({ kind: 'raw' }));
    await until(() => said.includes('"agreed":true'));
    for (const part of bytes) child.stdin.write(part);
    if (goes === 'later') await until(() => /"kind":"(error|result|ask)"/.test(said));
    child.stdin.end();
    await closed;
    return said;
  }

  test.each([
    ['nothing', []],
    ['a piece that is cut off', ['1000\nabc']],
    ['a piece and no other', ['3\nabc']],
    ['the end of the pieces, but not of the data', ['3\nabc', '0\n']],
    ['a cut line', ['3']],
  ])('%s: the connection broke off, the data is not complete', async (_name, parts) => {
    const said = await talk('at once', parts);
    expect(said).toContain('"code":"INTERRUPTED"');
    expect(helper.noted()).toEqual(['unpacking', 'left: the caller went away']);
  });

  test.each([
    ['no length', ['x\nabc']],
    ['a negative one', ['-5\nabc']],
    ['one with a command in it', ['$(id)\nabc']],
    ['one that is too long', ['1'.repeat(100)]],
    ['one in octal digits', ['010\nabcdefgh']],
    ['data in frames behind it', ['3\nabc', '0\n', frame(0x44, 'def'), frame(0x45)]],
  ])('%s: the data does not count', async (_name, parts) => {
    expect(await talk('later', parts)).not.toContain('"kind":"result"');
    expect(helper.noted()[1]).toMatch(/^left: |^taken back$/);
  });

  test('the data and its end are what it takes', async () => {
    const said = await talk('later', ['3\nabc', '2\nde', '0\n', frame(0x45)]);
    expect(said).toContain(digest(Buffer.from('abcde')));
    expect(helper.noted()).toEqual(['unpacking', 'complete']);
  });
});

describe('what a program of the host sends raw', () => {
  const collecting = (parts: Buffer[]): Pick<Call, 'receive'> => ({
    receive: async (data) => {
      for await (const item of data) parts.push(Buffer.from(item.data));
    },
  });
  const numbers = Array.from({ length: 3_000_000 }, (_unused, index) => `${index + 1}\n`).join('');

  test.each([true, false])('arrives whole, and nothing else with it (inPieces %s)', async (inPieces) => {
    const parts: Buffer[] = [];
    expect(await helper.call('pack', { ...collecting(parts), inPieces })).toBe('all was sent');
    expect(digest(Buffer.concat(parts))).toBe(digest(Buffer.from(numbers)));
  });

  test('is no result when the program fails: that is the error', async () => {
    await expect(helper.call('pack-fails', collecting([]))).rejects.toMatchObject({ message: 'it can not be read' });
    expect(helper.noted()).toEqual(['taken back']);
  });

  test.each([true, false])('is ended by an action that can not store it (inPieces %s)', async (inPieces) => {
    const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    const receive: Call['receive'] = async (data) => {
      let length = 0;
      for await (const item of data) if ((length += item.data.length) > mebibyte) throw full;
    };
    await expect(helper.call('pack-for-ever', { receive, inPieces })).rejects.toBe(full);
    expect(helper.noted()).toEqual(['taken back']);
  });
});

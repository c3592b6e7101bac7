/** Whoever asks too much, too slowly or without an end costs the daemon a bounded part of its memory and time. */
import * as fs from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { serve, type Connection, type Method, type ServeLimits } from '../../src/ha/calls/json-rpc.ts';
import { onLines } from '../../src/ha/calls/lines.ts';
import { connectLocally, serveLocally } from '../../src/ha/calls/local-calls.ts';
import { Pacer } from '../../src/ha/calls/pacer.ts';
import { callPeer, servePeers } from '../../src/ha/calls/peer-calls.ts';
import { Journal } from '../../src/ha/daemon/journal.ts';
import { readingMethods, type MethodParts } from '../../src/ha/daemon/methods.ts';
import { readClusterKeys } from '../../src/ha/wire/cluster-key.ts';

const directory = fs.mkdtempSync(join(tmpdir(), 'cxm-ha-limits-'));
afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

const closers: (() => void)[] = [];
afterEach(() => closers.splice(0).forEach((close) => close()));

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

describe('lines', () => {
  test('are the same in whatever pieces they come, up to one that is too long', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(fc.string({ unit: 'binary', maxLength: 30 }), fc.constant('\n'), fc.constant('x'.repeat(70))),
        ),
        fc.infiniteStream(fc.integer({ min: 1, max: 40 })),
        (parts, sizes) => {
          const bytes = Buffer.from(parts.join(''));
          const stream = new PassThrough();
          const lines: string[] = [];
          let tooLong = 0;
          onLines(stream, 64, { line: (line) => lines.push(line), tooLong: () => (tooLong += 1) });
          for (let at = 0; at < bytes.length && !stream.destroyed;) {
            const size = sizes.next().value ?? 1;
            stream.emit('data', bytes.subarray(at, at + size));
            at += size;
          }
          const all = bytes.toString('latin1').split('\n');
          const longest = all.findIndex((line) => line.length > 64);
          const whole = all.slice(0, longest < 0 ? -1 : longest);
          expect(lines).toEqual(whole.map((line) => Buffer.from(line, 'latin1').toString()));
          expect([tooLong, stream.destroyed]).toEqual(longest < 0 ? [0, false] : [1, true]);
        },
      ),
    );
  });

  test('that come byte by byte take no more room than those that come at once', () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const used = (): number => {
      collect();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    const stream = new PassThrough();
    let longest = 0;
    onLines(stream, 512 * 1024, { line: (line) => (longest = line.length) });
    const before = used();
    for (let at = 0; at < 400_000; at += 1) stream.emit('data', Buffer.from([65]));
    expect(used() - before).toBeLessThan(4 * 1024 * 1024);
    stream.emit('data', Buffer.from('\n'));
    expect(longest).toBe(400_000);
  });
});

let sockets = 0;

/** A server of one method, and what its connections were refused for. */
async function serving(method: Method, limits: Partial<ServeLimits>) {
  const path = join(directory, `socket${(sockets += 1)}`);
  const refused: string[] = [];
  const all: ServeLimits = { maxLineBytes: 1000, requestMs: 1000, endsIdle: false, ...limits };
  const server: Server = createServer((socket) => {
    serve(socket, new Map([['work', method]]), all, (kind) => refused.push(kind));
  });
  await new Promise((resolve) => server.listen(path, () => resolve(undefined)));
  closers.push(() => server.close());
  return { path, refused };
}

function stranger(path: string | { host: string; port: number; localAddress: string }): Socket {
  const socket = typeof path === 'string' ? connect(path) : connect(path);
  socket.on('error', () => undefined);
  closers.push(() => socket.destroy());
  return socket;
}

const request = `${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'work', params: {} })}\n`;

describe('a connection', () => {
  test('with a request that never ends is ended, however busily it is written', async () => {
    const { path, refused } = await serving(() => Promise.resolve('done'), {});
    const socket = stranger(path);
    const timer = setInterval(() => socket.write('x'), 20);
    closers.push(() => clearInterval(timer));
    await new Promise((resolve) => socket.once('close', resolve));
    expect(refused).toEqual(['a request without an end']);
  });

  test('that waits for an answer, or for news, is not', async () => {
    let finish: (value: string) => void = () => undefined;
    const { path, refused } = await serving(() => new Promise((resolve) => (finish = resolve)), { endsIdle: true });
    const socket = stranger(path);
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    socket.write(request);
    await pause(2500);
    finish('done');
    await expect.poll(() => answer, { timeout: 20_000 }).toContain('"result":"done"');
    expect(refused).toEqual([]);
    const local = await serving(() => Promise.resolve('watching'), {});
    const watcher = stranger(local.path);
    watcher.write(request);
    await pause(2500);
    expect(watcher.destroyed).toBe(false);
  });

  test('on which nothing is asked is ended where that is wanted', async () => {
    const { path, refused } = await serving(() => Promise.resolve('done'), { endsIdle: true });
    await new Promise((resolve) => stranger(path).once('close', resolve));
    expect(refused).toEqual(['a request without an end']);
    const socket = stranger(path);
    socket.write(request);
    await new Promise((resolve) => socket.resume().once('close', resolve));
    expect(refused).toHaveLength(2);
  });
});

describe('many who ask for much', () => {
  const burn = (ms: number): void => {
    const end = performance.now() + ms;
    while (performance.now() < end);
  };

  test('get their part of the time, and each its turn', { timeout: 60_000 }, async () => {
    const work: Method = () => {
      burn(20);
      return Promise.resolve('done');
    };
    const { path } = await serving(work, { pacer: new Pacer(0.2, 100), requestMs: 60_000 });
    let longestMs = 0;
    let lastMs = performance.now();
    const ticking = setInterval(() => {
      const nowMs = performance.now();
      longestMs = Math.max(longestMs, nowMs - lastMs);
      lastMs = nowMs;
    }, 10);
    closers.push(() => clearInterval(ticking));
    let answered = 0;
    for (let at = 0; at < 8; at += 1) {
      const socket = stranger(path);
      socket.on('data', (chunk: Buffer) => (answered += chunk.toString().split('\n').length - 1));
      socket.write(request.repeat(16));
    }
    await expect.poll(() => answered, { timeout: 10_000 }).toBeGreaterThan(2);
    const late = stranger(path);
    late.write(request);
    await new Promise((resolve) => late.once('data', resolve));
    // All that was asked takes 2.5 s of the thread, and more than 10 s at its part.
    expect(answered).toBeLessThan(64);
    expect(longestMs).toBeLessThan(2000);
  });

  test('are served in the end', async () => {
    const { path } = await serving(() => Promise.resolve('done'), { pacer: new Pacer(0.2, 100) });
    const socket = stranger(path);
    let answers = '';
    socket.on('data', (chunk: Buffer) => (answers += chunk.toString()));
    socket.write(request.repeat(16));
    await expect.poll(() => answers.split('\n').length - 1, { timeout: 20_000 }).toBe(16);
  });
});

test('a long answer comes through the local socket, a long request does not', async () => {
  const path = join(directory, 'long');
  const methods = new Map<string, Method>([['long', () => Promise.resolve('x'.repeat(3_000_000))]]);
  const server = await serveLocally({ path, group: undefined, methods, readingMethods: new Map() });
  closers.push(() => server.close());
  const connection = await connectLocally(path);
  closers.push(() => connection.close());
  expect(await connection.ask('long', {})).toHaveLength(3_000_000);
  await expect(connection.ask('long', { much: 'x'.repeat(20_000) })).rejects.toMatchObject({
    code: 'HOST_UNREACHABLE',
  });
});

test('strangers from many addresses do not take the places of the nodes', { timeout: 60_000 }, async () => {
  // Calls of ours come from the loopback's own address.
  const [port, host, node] = [12_563, '127.0.8.1', '127.0.0.1'];
  let isKnown = false;
  const file = join(directory, 'key');
  fs.writeFileSync(file, '11'.repeat(32), { mode: 0o600 });
  const keys = readClusterKeys(file, 'lab');
  const refused = new Set<string>();
  const server = await servePeers({
    port,
    listen: [host],
    keys: () => keys,
    methods: new Map([['ask', () => Promise.resolve('done')]]),
    isNode: (address) => isKnown && address === node,
    refused: (kind, source) => refused.add(`${kind} ${source}`),
  });
  closers.push(() => server.close());
  for (let address = 10; address < 30; address += 1) {
    for (let at = 0; at < 20; at += 1) stranger({ host, port, localAddress: `127.0.8.${address}` });
  }
  await expect.poll(() => refused.size, { timeout: 10_000 }).toBeGreaterThan(10);
  const [key] = keys;
  if (key === undefined) throw new Error('no key');
  const call = { addresses: [host], port, key, method: 'ask', params: {}, deadlineMs: 20_000 };
  await expect(callPeer(call)).rejects.toMatchObject({ code: 'HOST_UNREACHABLE' });
  isKnown = true;
  expect(await callPeer(call)).toBe('done');
});

test('a connection that asks for news again and again gets each once', async () => {
  const journal = new Journal(join(directory, 'journal'), () => undefined);
  const parts = { journal, shell: undefined, clock: () => 0, started: new Date(), version: '1', rejections: () => [] };
  const methods = readingMethods(parts as unknown as MethodParts);
  const watch = methods.get('watch');
  const told: unknown[] = [];
  const closing: (() => void)[] = [];
  const connection = (): Connection => ({
    notify: (_method, entry) => told.push(entry),
    onClose: (callback) => closing.push(callback),
  });
  const one = connection();
  for (let at = 0; at < 50; at += 1) expect(await watch?.({}, one)).toBe('watching');
  for (let at = 0; at < 15; at += 1) await watch?.({}, connection());
  expect(() => watch?.({}, connection())).toThrow(/too many/);
  journal.add({ at: '', epoch: 1, subject: 'node1', decision: 'fence', evidence: '' });
  expect(told).toHaveLength(16);
  closing.forEach((close) => close());
  journal.add({ at: '', epoch: 1, subject: 'node1', decision: 'fence', evidence: '' });
  expect(told).toHaveLength(16);
  await journal.flush();
});

/** Calls: who has the key or may open the socket is served, within limits; whatever else comes changes nothing. */
import * as fs from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { maxLineBytes, type Method, type Methods } from '../../src/ha/calls/json-rpc.ts';
import { connectLocally, readSocketOf, serveLocally, type LocalServer } from '../../src/ha/calls/local-calls.ts';
import { answerShape, askShape, callShape, requestShape } from '../../src/ha/calls/messages.ts';
import { callPeer, servePeers, type PeerCall, type PeerServer } from '../../src/ha/calls/peer-calls.ts';
import { readClusterKeys, type ClusterKey } from '../../src/ha/wire/cluster-key.ts';

const directory = fs.mkdtempSync(join(tmpdir(), 'cxm-ha-calls-'));
const port = 12_561;
const host = '127.0.8.1';

function keysOf(...secrets: readonly string[]): readonly ClusterKey[] {
  const file = join(directory, 'key');
  fs.writeFileSync(file, secrets.map((one) => one.repeat(32)).join('\n'), { mode: 0o600 });
  return readClusterKeys(file, 'lab');
}

let asked: unknown[];
const methods: Methods = new Map<string, Method>([
  [
    'ask',
    (params: unknown) => {
      asked.push(askShape(params, 'params'));
      return Promise.resolve({ kind: 'survey', vms: [], others: false });
    },
  ],
  ['never', () => new Promise(() => undefined)],
]);

beforeEach(() => {
  asked = [];
});
afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

async function said(socket: Socket, text: string | Buffer): Promise<string> {
  let answer = '';
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
  socket.on('error', () => undefined);
  socket.write(text);
  await new Promise((resolve) => {
    const timer = setInterval(() => answer.includes('\n') && done(), 10);
    const done = (): void => {
      clearInterval(timer);
      resolve(undefined);
    };
    socket.once('close', done);
  });
  return answer;
}

describe('between nodes', () => {
  let server: PeerServer;
  let serverKeys: readonly ClusterKey[];
  const refused: string[] = [];

  beforeEach(async () => {
    refused.length = 0;
    serverKeys = keysOf('11');
    const refuse = (kind: string): void => void refused.push(kind);
    const isNode = (address: string): boolean => address === host;
    server = await servePeers({ port, listen: [host], keys: () => serverKeys, methods, isNode, refused: refuse });
  });
  afterEach(() => server.close());

  function call(change: Partial<PeerCall> = {}): Promise<unknown> {
    const [key] = keysOf('11') as readonly [ClusterKey];
    const params = { from: 1, request: { kind: 'survey' } };
    return callPeer({ addresses: [host], port, key, method: 'ask', params, deadlineMs: 20_000, ...change });
  }

  test('a call with the key is answered', async () => {
    expect(await call()).toEqual({ kind: 'survey', vms: [], others: false });
    expect(asked).toEqual([{ from: 1, request: { kind: 'survey' } }]);
  });

  test('one with another key is not, and is counted', async () => {
    const [key] = keysOf('22') as readonly [ClusterKey];
    await expect(call({ key })).rejects.toMatchObject({ code: 'HOST_UNREACHABLE' });
    const [same] = keysOf('11') as readonly [ClusterKey];
    await expect(call({ key: { ...key, id: same.id } })).rejects.toMatchObject({ code: 'HOST_UNREACHABLE' });
    expect(refused).toEqual(['call without the key', 'call without the key']);
    expect(asked).toEqual([]);
  });

  test('a key may be changed while calls go on', async () => {
    const [both] = [keysOf('11', '22')];
    serverKeys = both;
    for (const key of both) expect(await call({ key })).toEqual({ kind: 'survey', vms: [], others: false });
  });

  test('a call ends by its deadline, and a second address is tried', async () => {
    const begin = performance.now();
    await expect(call({ method: 'never', deadlineMs: 200 })).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(performance.now() - begin).toBeLessThan(1800);
    expect(await call({ addresses: ['127.0.8.99', host] })).toEqual({ kind: 'survey', vms: [], others: false });
    await expect(call({ addresses: [] })).rejects.toMatchObject({ code: 'HOST_UNREACHABLE' });
  });

  test('what has not the right shape is refused', async () => {
    for (const params of [{}, { from: 64, request: { kind: 'survey' } }, { from: 1, request: { kind: 'fence' } }]) {
      await expect(call({ params })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    }
    await expect(call({ method: 'nothing' })).rejects.toMatchObject({ code: 'PROTOCOL' });
    expect(asked).toEqual([]);
  });

  test('strangers who only connect, or send what is no TLS, do not keep nodes from being served', async () => {
    const sockets = Array.from({ length: 60 }, (_, index) => {
      const socket = connect({ host, port, localAddress: '127.0.8.7' });
      socket.on('error', () => undefined);
      socket.on('connect', () => void (index % 2 === 0 && socket.write(Buffer.alloc(2000, index))));
      return socket;
    });
    await expect.poll(() => refused.includes('too many connections'), { timeout: 20_000 }).toBe(true);
    expect(await call()).toEqual({ kind: 'survey', vms: [], others: false });
    for (const socket of sockets) socket.destroy();
    expect(asked).toHaveLength(1);
  });
});

// Giving a socket to a group takes root.
describe.skipIf(process.getuid?.() !== 0)('on this node', () => {
  const path = join(directory, 'socket');
  let server: LocalServer;
  const reading: Methods = new Map([['ping', () => Promise.resolve('OK')]]);
  beforeEach(async () => {
    const all = new Map([...methods, ...reading]);
    server = await serveLocally({ path, group: 'daemon', methods: all, readingMethods: reading });
  });
  afterEach(() => server.close());

  test('the sockets have their modes, and the second one only the methods that look', async () => {
    expect(fs.statSync(path).mode & 0o777).toBe(0o600);
    expect(fs.statSync(readSocketOf(path)).mode & 0o777).toBe(0o660);
    const [one, other] = [await connectLocally(path), await connectLocally(readSocketOf(path))];
    expect(await one.ask('ping', {})).toBe('OK');
    expect(await other.ask('ping', {})).toBe('OK');
    await expect(other.ask('ask', { from: 1, request: { kind: 'survey' } })).rejects.toThrow(/no such method/);
    one.close();
    other.close();
  });

  test('without a daemon one is told so', async () => {
    await expect(connectLocally(join(directory, 'nobody'))).rejects.toThrow("Can't contact cxmd. Is daemon running ?");
  });

  test('a line that is too long, and too many requests, end the connection', async () => {
    expect(await said(connect(path), Buffer.alloc(maxLineBytes + 10, 32))).toBe('');
    const flood = `${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' })}\n`.repeat(500);
    const socket = connect(path);
    socket.on('error', () => undefined);
    socket.write(flood);
    await new Promise((resolve) => socket.once('close', resolve));
    expect(await (await connectLocally(path)).ask('ping', {})).toBe('OK');
  });

  test('random lines are answered with an error or not at all, and change nothing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.jsonValue().map((v) => JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ask', params: v })),
        ),
        async (text) => {
          const socket = connect(path);
          const answer = await said(socket, `${text.replaceAll('\n', ' ')}\n`);
          socket.destroy();
          expect(JSON.parse(answer)).toMatchObject({ jsonrpc: '2.0', error: {} });
        },
      ),
      { numRuns: 100 },
    );
    expect(asked).toEqual([]);
  });
});

describe('shapes', () => {
  test('whatever is given, it has the shape or is refused', () => {
    for (const shape of [requestShape, answerShape, callShape, askShape]) {
      fc.assert(
        fc.property(fc.oneof(fc.jsonValue(), fc.anything()), (value) => {
          try {
            shape(value, 'it');
          } catch (error) {
            expect(error).toMatchObject({ code: 'INVALID_INPUT' });
          }
        }),
      );
    }
  });

  test('fields that nobody knows are refused, inherited ones are none', () => {
    expect(() => callShape({ kind: 'join', more: 1 }, 'call')).toThrow(/without a field "more"/);
    expect(() => callShape({ kind: 'constructor' }, 'call')).toThrow(/call.kind must be one of join/);
    expect(() => callShape({ kind: '__proto__' }, 'call')).toThrow(/call.kind/);
    expect(callShape({ kind: 'kill', node: 1, confirmedOff: false }, 'call')).toMatchObject({ kind: 'kill', node: 1 });
  });
});

/**
 * JSON-RPC 2.0 over a stream, one message a line; without batches. Both ends: serving and asking.
 *
 * Guarantees: a line longer than the limit, a request that does not end, more requests than the rate, or too many at once end
 * the connection, and all that was held for it is freed; nothing of what is read is acted on before its shape was checked by
 * the method; an answer comes once or not at all.
 */
import type { Duplex } from 'node:stream';
import { asCxmError, CxmError, errorCodes, type ErrorCode } from '../../errors.ts';
import { onLines } from './lines.ts';
import type { Pacer } from './pacer.ts';

export const maxLineBytes = 512 * 1024;
const maxWaiting = 16;
const requestsASecond = 50;

/** The standard's own numbers; -32000 is an error of the method, whose data names the code of ours. */
const rpcErrors = { parse: -32_700, request: -32_600, method: -32_601, params: -32_602, server: -32_000 } as const;

export interface Connection {
  /** A message that answers nothing. */
  notify(method: string, params: unknown): void;
  /** Calls back when the other end has gone. */
  onClose(callback: () => void): void;
}

/** @returns the result. @throws CxmError for the caller */
export type Method = (params: unknown, connection: Connection) => Promise<unknown>;

export type Methods = ReadonlyMap<string, Method>;

/** What whoever is served may use up. */
export interface ServeLimits {
  readonly maxLineBytes: number;
  /** A request that was begun is complete after this, or its connection ends. */
  readonly requestMs: number;
  /** A connection on which nothing is asked ends after `requestMs`, too. */
  readonly endsIdle: boolean;
  /** With whom the time of the main thread is shared; nobody when left out. */
  readonly pacer?: Pacer;
}

/** Answers what comes over the stream, until it ends. @param refused is told why a connection was ended or refused */
export function serve(stream: Duplex, methods: Methods, limits: ServeLimits, refused: (kind: string) => void): void {
  const { pacer } = limits;
  const lines: string[] = [];
  const rate = new Rate();
  let waiting = 0;
  let waitingBytes = 0;
  let patience: NodeJS.Timeout | undefined;
  const send = sender(stream, pacer);
  const connection: Connection = {
    notify: (method, params) => send({ method, params }),
    onClose: (callback) => void stream.once('close', callback),
  };
  const end = (kind: string): void => {
    refused(kind);
    stream.destroy();
  };
  const watch = (): void => {
    const isAsked = waiting > 0 || (waitingBytes === 0 && !limits.endsIdle) || stream.destroyed;
    if (!isAsked) patience ??= setTimeout(() => end('a request without an end'), limits.requestMs);
    else {
      clearTimeout(patience);
      patience = undefined;
    }
  };
  const turn = (): boolean => {
    const line = lines.shift();
    if (line === undefined) return false;
    void answerTo(line, methods, connection).then((answer) => {
      waiting -= 1;
      watch();
      if (answer === undefined) return;
      if ('error' in answer && answer.id === null) refused('not understood');
      send(answer);
    });
    return lines.length > 0;
  };
  stream.on('error', () => undefined);
  stream.once('close', () => {
    lines.length = 0;
    watch();
  });
  onLines(stream, limits.maxLineBytes, {
    line(text) {
      if (!rate.admits() || waiting >= maxWaiting) return end('too many requests');
      waiting += 1;
      if (lines.push(text) > 1) return;
      if (pacer === undefined) turn();
      else pacer.run(turn);
    },
    waits(bytes) {
      waitingBytes = bytes;
      watch();
    },
    tooLong: () => refused('a line that is too long'),
  });
  watch();
}

function sender(stream: Duplex, pacer: Pacer | undefined): (message: object) => void {
  return (message) => {
    const beginMs = performance.now();
    // Who does not read is not waited for.
    if (stream.writableLength > 4 * maxLineBytes) stream.destroy();
    else if (stream.writable) stream.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
    pacer?.charge(performance.now() - beginMs);
  };
}

/** Requests of one connection: a second's at once, then as many a second. */
class Rate {
  private tokens = requestsASecond;
  private filledMs = performance.now();

  admits(): boolean {
    const nowMs = performance.now();
    this.tokens = Math.min(requestsASecond, this.tokens + ((nowMs - this.filledMs) * requestsASecond) / 1000);
    this.filledMs = nowMs;
    this.tokens -= 1;
    return this.tokens >= 0;
  }
}

type RpcAnswer = { readonly id: unknown } & ({ readonly result: unknown } | { readonly error: object });

async function answerTo(line: string, methods: Methods, connection: Connection): Promise<RpcAnswer | undefined> {
  const failure = (id: unknown, code: number, message: string, data?: object): RpcAnswer => {
    return { id, error: { code, message, ...(data === undefined ? {} : { data }) } };
  };
  let message: unknown;
  try {
    message = JSON.parse(line);
  } catch {
    return failure(null, rpcErrors.parse, 'no JSON');
  }
  const { jsonrpc, id, method, params } = (message ?? {}) as Record<string, unknown>;
  const isId = id === undefined || typeof id === 'string' || typeof id === 'number';
  if (jsonrpc !== '2.0' || typeof method !== 'string' || !isId) {
    return failure(null, rpcErrors.request, 'no request of JSON-RPC 2.0');
  }
  const body = methods.get(method);
  if (body === undefined) {
    return id === undefined ? undefined : failure(id, rpcErrors.method, 'there is no such method here');
  }
  try {
    const result = await body(params ?? {}, connection);
    return id === undefined ? undefined : { id, result: result ?? null };
  } catch (error) {
    const { code, message: text, hint } = asCxmError(error);
    const number = code === 'INVALID_INPUT' ? rpcErrors.params : rpcErrors.server;
    return id === undefined ? undefined : failure(id, number, text, { code, hint });
  }
}

export interface Asking {
  /** @throws CxmError of the other side; HOST_UNREACHABLE when the connection is lost, PROTOCOL */
  ask(method: string, params: unknown): Promise<unknown>;
  /** Messages that answer nothing. */
  onNotification(callback: (method: string, params: unknown) => void): void;
}

/** The asking end of a stream. @param maxAnswerBytes over which an answer is none, and ends the stream */
export function askOver(stream: Duplex, maxAnswerBytes = maxLineBytes): Asking {
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: CxmError): void }>();
  let notified: (method: string, params: unknown) => void = () => undefined;
  let lastId = 0;
  let lost: CxmError | undefined;
  const lose = (why: string): void => {
    lost ??= new CxmError('HOST_UNREACHABLE', `the connection to cxmd is lost: ${why}`, { changed: 'maybe' });
    for (const { reject } of waiting.values()) reject(lost);
    waiting.clear();
  };
  stream.on('error', (error) => lose(error.message));
  stream.on('close', () => lose('it was closed'));
  const take = (line: string): void => {
    const message = messageIn(line);
    if (message === undefined) return void stream.destroy();
    const entry = typeof message['id'] === 'number' ? waiting.get(message['id']) : undefined;
    if (entry === undefined) {
      if (typeof message['method'] === 'string') notified(message['method'], message['params']);
      return;
    }
    waiting.delete(message['id'] as number);
    if (message['error'] === undefined) entry.resolve(message['result']);
    else entry.reject(errorIn(message['error']));
  };
  onLines(stream, maxAnswerBytes, { line: take });
  return {
    ask(method, params) {
      if (lost !== undefined) return Promise.reject(lost);
      const id = (lastId += 1);
      stream.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
      return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    },
    onNotification: (callback) => void (notified = callback),
  };
}

function messageIn(line: string): Record<string, unknown> | undefined {
  try {
    const message: unknown = JSON.parse(line);
    return typeof message === 'object' && message !== null ? (message as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function errorIn(value: unknown): CxmError {
  const { message, data } = (value ?? {}) as { message?: unknown; data?: { code?: unknown; hint?: unknown } };
  const said = data?.code;
  const code = typeof said === 'string' && Object.hasOwn(errorCodes, said) ? (said as ErrorCode) : 'PROTOCOL';
  const hint = typeof data?.hint === 'string' ? { hint: data.hint } : {};
  return new CxmError(code, typeof message === 'string' ? message : 'cxmd has sent an error without words', hint);
}

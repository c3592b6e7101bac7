/**
 * JSON-RPC 2.0 over a stream, one message a line; without batches. Both ends: serving and asking.
 *
 * Guarantees: a line longer than the limit, more requests than the rate, or too many at once end the connection; nothing of
 * what is read is acted on before its shape was checked by the method; an answer comes once or not at all.
 */
import type { Duplex } from 'node:stream';
import { asCxmError, CxmError, errorCodes, type ErrorCode } from '../../errors.ts';

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

/** Calls back for each line; ends the stream when one is too long. */
function onLines(stream: Duplex, take: (line: string) => void): void {
  let parts: Buffer[] = [];
  let length = 0;
  stream.on('data', (chunk: Buffer) => {
    let rest = chunk;
    for (let end = rest.indexOf(10); end >= 0 && !stream.destroyed; end = rest.indexOf(10)) {
      if (length + end > maxLineBytes) break;
      const line = Buffer.concat([...parts, rest.subarray(0, end)]).toString();
      parts = [];
      length = 0;
      rest = rest.subarray(end + 1);
      take(line);
    }
    parts.push(rest);
    length += rest.length;
    if (length > maxLineBytes) stream.destroy();
  });
}

/** Answers what comes over the stream, until it ends. @param refused is told why a connection was ended or refused */
export function serve(stream: Duplex, methods: Methods, refused: (kind: string) => void): void {
  let waiting = 0;
  let tokens = requestsASecond;
  let filledMs = performance.now();
  const send = (message: object): void => {
    // Who does not read is not waited for.
    if (stream.writableLength > 4 * maxLineBytes) stream.destroy();
    else if (stream.writable) stream.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  };
  const connection: Connection = {
    notify: (method, params) => send({ method, params }),
    onClose: (callback) => void stream.once('close', callback),
  };
  stream.on('error', () => undefined);
  onLines(stream, (line) => {
    const nowMs = performance.now();
    tokens = Math.min(requestsASecond, tokens + ((nowMs - filledMs) * requestsASecond) / 1000);
    filledMs = nowMs;
    tokens -= 1;
    if (tokens < 0 || waiting >= maxWaiting) {
      refused('too many requests');
      stream.destroy();
      return;
    }
    waiting += 1;
    void answerTo(line, methods, connection).then((answer) => {
      waiting -= 1;
      if (answer === undefined) return;
      if ('error' in answer && answer.id === null) refused('not understood');
      send(answer);
    });
  });
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

/** The asking end of a stream. */
export function askOver(stream: Duplex): Asking {
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
  onLines(stream, (line) => {
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
  });
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

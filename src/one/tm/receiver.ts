/**
 * The receiving side of a move, as something the sending side can talk to: what the destination sees, what it shall
 * do, where data goes, and whether it has it all. One conversation with the destination's helper.
 */
import type { DataSink } from '../../agent/client.ts';
import { CxmError } from '../../errors.ts';
import type { ActionContext } from '../action.ts';

export interface Receiver {
  /** What the destination sees. */
  readonly seen: Promise<Readonly<Record<string, unknown>>>;
  /** Tells the destination what to do. */
  answer(route: unknown): void;
  /** Where data goes, once the destination is ready for it. */
  readonly sink: Promise<DataSink>;
  /** All data was sent. */
  finish(): void;
  /** Settles when the destination has done its part. */
  readonly done: Promise<unknown>;
  /** The destination rolls back, unless it is done. */
  abort(reason: unknown): void;
}

interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

/** A promise with its two ends; a rejection that nobody waits for is no event. */
function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => undefined;
  let reject: (reason: unknown) => void = () => undefined;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}

export function openReceiver(
  context: ActionContext,
  host: string,
  operation: string,
  parameters: Readonly<Record<string, unknown>>,
): Receiver {
  const seen = deferred<Readonly<Record<string, unknown>>>();
  const route = deferred<unknown>();
  const sink = deferred<DataSink>();
  const sent = deferred<void>();
  const done = context.helper(
    { host },
    {
      operation,
      parameters,
      answer: (_topic, detail) => {
        seen.resolve(detail);
        return route.promise;
      },
      send: async (out) => {
        sink.resolve(out);
        await sent.promise;
      },
    },
  );
  done.catch((error: unknown) => {
    seen.reject(error);
    sink.reject(error);
  });
  return {
    seen: seen.promise,
    answer: route.resolve,
    sink: sink.promise,
    finish: () => sent.resolve(),
    done,
    abort: (reason) => {
      const error = reason instanceof CxmError ? reason : new CxmError('INTERRUPTED', 'the move was given up');
      route.reject(error);
      sent.reject(error);
    },
  };
}

/**
 * Ends a move that has failed on the sending side, and returns the error to tell. A destination that fails closes its
 * connection: the sending side only sees that, and the cause is over there.
 */
export async function givenUp(receiver: Receiver, error: unknown): Promise<unknown> {
  receiver.abort(error);
  const theirs = await receiver.done.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  return isInterruption(error) && theirs !== undefined && !isInterruption(theirs) ? theirs : error;
}

function isInterruption(error: unknown): boolean {
  return error instanceof CxmError && error.code === 'INTERRUPTED';
}

import { createReadStream } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { OperationContext } from '../../src/agent/operation.ts';
import { CxmError } from '../../src/errors.ts';
import { Caller, sendForever } from './caller.ts';

/** Changes that were made, each with what had to be held for it. */
function recorder(): { changes: string[]; change: (name: string) => () => Promise<string> } {
  const changes: string[] = [];
  return { changes, change: (name) => () => Promise.resolve(changes.push(name)).then(() => name) };
}

describe('metadata of a volume group', () => {
  test('is changed once the caller holds the lock, not before, and the lock is given back', async () => {
    const { changes, change } = recorder();
    const caller = new Caller((context) => context.withMetadataLock(change('create')));
    expect(await caller.asked()).toBe('lock');
    await turn();
    expect(changes).toEqual([]);
    await caller.answer(true);
    expect(await caller.asked()).toBe('unlock');
    expect(changes).toEqual(['create']);
    await caller.answer(true);
    expect(await caller.next('result')).toMatchObject({ value: 'create' });
  });

  test.each([
    ['the lock was not free within 300 s', 'the lock was not free within 300 s'],
    [false, 'the caller could not get the lock of volume group VG0'],
    [null, 'the caller could not get the lock of volume group VG0'],
  ])('is not changed when the answer about the lock is %j: that is the error', async (answer, message) => {
    const { changes, change } = recorder();
    const caller = new Caller((context) => context.withMetadataLock(change('create')));
    expect(await caller.asked()).toBe('lock');
    await caller.answer(answer);
    expect(await caller.next('error')).toMatchObject({ code: 'TIMEOUT', message, changed: 'nothing' });
    expect(changes).toEqual([]);
  });

  test('is not changed when the caller is gone: neither forward nor back', async () => {
    const { changes, change } = recorder();
    const seen: unknown[] = [];
    const caller = new Caller(async (context) => {
      await context.withMetadataLock(change('forward')).catch((error: unknown) => seen.push(error));
      await context.withMetadataLock(change('back')).catch((error: unknown) => seen.push(error));
    });
    expect(await caller.asked()).toBe('lock');
    caller.goAway();
    await caller.served;
    expect(changes).toEqual([]);
    expect(seen).toMatchObject([{ code: 'INTERRUPTED' }, { code: 'INTERRUPTED' }]);
  });

  test('is changed to the end under a lock that was held when the caller died', async () => {
    const { changes, change } = recorder();
    let dies: () => void = () => undefined;
    const death = new Promise<void>((resolve) => (dies = resolve));
    const caller = new Caller((context) =>
      context.withMetadataLock(async () => {
        await death;
        await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
        return change('removal')();
      }),
    );
    await caller.asked();
    await caller.answer(true);
    dies();
    await turn();
    caller.goAway();
    await caller.served;
    expect(changes).toEqual(['removal']);
  });

  test('needs no lock of the caller where lvmlockd keeps one', async () => {
    const { changes, change } = recorder();
    const caller = new Caller((context) => context.withMetadataLock(change('create')), 'sanlock');
    await caller.next('result');
    expect(changes).toEqual(['create']);
  });
});

describe('a caller that gave up', () => {
  async function fillThenTakeBack(context: OperationContext, takeBack: () => Promise<unknown>): Promise<void> {
    await context.ready();
    try {
      for await (const item of context.incoming()) void item;
    } catch (error) {
      await context.withMetadataLock(takeBack);
      throw error;
    }
  }

  test('is asked for the lock, and taking back waits until it is held', async () => {
    const { changes, change } = recorder();
    const caller = new Caller((context) => fillThenTakeBack(context, change('removal')));
    await caller.next('ready');
    await caller.writer.data(Buffer.alloc(1000));
    await caller.say({ kind: 'abort' });
    expect(await caller.asked()).toBe('lock');
    await turn();
    expect(changes).toEqual([]);
    await caller.answer(true);
    expect(await caller.asked()).toBe('unlock');
    expect(changes).toEqual(['removal']);
    await caller.answer(true);
    expect(await caller.next('error')).toMatchObject({ code: 'INTERRUPTED', changed: 'rolled-back' });
  });

  test('answers each question in order: the answer to an old one is not taken for the lock', async () => {
    const { changes, change } = recorder();
    const caller = new Caller(async (context) => {
      await context.ask('stored').catch(() => undefined);
      await context.withMetadataLock(change('removal'));
    });
    expect(await caller.asked()).toBe('stored');
    await caller.say({ kind: 'abort' });
    expect(await caller.asked()).toBe('lock');
    await caller.answer(true);
    await turn();
    await turn();
    expect(changes).toEqual([]);
    await caller.answer(true);
    expect(await caller.asked()).toBe('unlock');
    await caller.answer(true);
    await caller.next('result');
    expect(changes).toEqual(['removal']);
  });

  test('gets that as the reason also when a stream has noticed it first', async () => {
    const caller = new Caller(async (context) => {
      await context.ready();
      for await (const bytes of createReadStream('/dev/zero', { signal: context.signal })) void bytes;
    });
    await caller.next('ready');
    await caller.say({ kind: 'abort' });
    expect(await caller.next('error')).toMatchObject({ code: 'INTERRUPTED', message: 'the caller gave up' });
  });

  test('is not asked anything else', async () => {
    const caller = new Caller(async (context) => {
      await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
      await context.ask('stored');
    });
    await caller.say({ kind: 'abort' });
    expect(await caller.next('error')).toMatchObject({ code: 'INTERRUPTED' });
  });
});

describe('data that nobody wants any more', () => {
  async function answerAll(caller: Caller): Promise<void> {
    for (;;) {
      await caller.asked();
      await caller.answer(true);
    }
  }

  test.each([
    ['with a lock', ''],
    ['under lvmlockd', 'dlm'],
  ])('does not keep an error in the middle of a transfer from being told, %s', async (_name, lockType) => {
    const { changes, change } = recorder();
    const caller = new Caller(async (context) => {
      await context.ready();
      try {
        for await (const item of context.incoming()) throw new CxmError('IO', `${item.type}: the device is broken`);
      } catch (error) {
        await context.withMetadataLock(change('removal'));
        throw error;
      }
    }, lockType);
    await caller.next('ready');
    const sending = sendForever(caller.writer, { mostBytes: 64 * 1024 ** 2, pieceBytes: 65_536, piecesAtOnce: 200 });
    void answerAll(caller).catch(() => undefined);
    await caller.served;
    expect(changes).toEqual(['removal']);
    expect(caller.audit).toContain('failed: data: the device is broken');
    await sending;
  });

  test('does not keep an operation from ending that had all it needed', async () => {
    const { changes, change } = recorder();
    const caller = new Caller(async (context) => {
      await context.ready();
      for await (const item of context.incoming()) if (item.type === 'data') break;
      await context.withMetadataLock(change('first'));
      await context.withMetadataLock(change('second'));
    });
    await caller.next('ready');
    const sending = sendForever(caller.writer, { mostBytes: 64 * 1024 ** 2, pieceBytes: 65_536, piecesAtOnce: 200 });
    void answerAll(caller).catch(() => undefined);
    await caller.served;
    await sending;
    expect(changes).toEqual(['first', 'second']);
  });

  test('ends a reader that still waits for more', async () => {
    const seen: unknown[] = [];
    const caller = new Caller(async (context) => {
      await context.ready();
      const reading = (async () => {
        for await (const item of context.incoming()) void item;
      })().catch((error: unknown) => seen.push(error));
      await context.withMetadataLock(() => Promise.resolve());
      await reading;
    });
    await caller.asked();
    await caller.answer(true);
    await caller.asked();
    await caller.answer(true);
    await caller.next('result');
    expect(seen).toMatchObject([{ code: 'INTERRUPTED' }]);
  });
});

import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { DataPipe } from '../../src/agent/data-pipe.ts';
import type { Data } from '../../src/agent/operation.ts';

const mib = 1024 * 1024;
const piece = (fill: number, length = 1000): Data => ({ type: 'data', data: Buffer.alloc(length, fill) });
const extent = (offset: number, length: number): Data => ({
  type: 'extent',
  offset,
  data: Buffer.alloc(length, offset / 1000),
});

async function all(pipe: DataPipe): Promise<Data[]> {
  const items: Data[] = [];
  for await (const item of pipe.read()) items.push(item);
  return items;
}

describe('what the reader of a connection hands over', () => {
  test('arrives whole and in order, as few pieces when the receiver comes late', async () => {
    const pipe = new DataPipe();
    for (let fill = 0; fill < 200; fill += 1) await pipe.push(piece(fill));
    pipe.end();
    const items = await all(pipe);
    const expected = Buffer.concat(Array.from({ length: 200 }, (_, fill) => Buffer.alloc(1000, fill)));
    expect(Buffer.concat(items.map(({ data }) => data)).equals(expected)).toBe(true);
    expect(items.length).toBe(1);
  });

  test('is never joined to pieces of more than 1 MiB', async () => {
    const pipe = new DataPipe();
    for (let fill = 0; fill < 5; fill += 1) await pipe.push(piece(fill, 700_000));
    pipe.end();
    expect((await all(pipe)).map(({ data }) => data.length)).toEqual([700_000, 700_000, 700_000, 700_000, 700_000]);
  });

  test('keeps its place: extents are joined only where one ends and the next begins', async () => {
    const pipe = new DataPipe();
    for (const item of [extent(0, 1000), extent(1000, 1000), extent(5000, 1000), piece(9), extent(7000, 1000)]) {
      await pipe.push(item);
    }
    pipe.end();
    const items = await all(pipe);
    expect(items.map((item) => (item.type === 'extent' ? [item.offset, item.data.length] : 'data'))).toEqual([
      [0, 2000],
      [5000, 1000],
      'data',
      [7000, 1000],
    ]);
    expect([...new Set(items[0]?.data)]).toEqual([0, 1]);
  });

  test('waits while too much is unread', async () => {
    const pipe = new DataPipe();
    for (let count = 0; count < 4; count += 1) await pipe.push(piece(count, mib));
    let pushed = false;
    const last = pipe.push(piece(9, mib)).then(() => (pushed = true));
    await turn();
    expect(pushed).toBe(false);
    const reading = pipe.read();
    await reading.next();
    await last;
    expect(pushed).toBe(true);
  });

  test('stops both sides when one has failed, and nobody after the end', async () => {
    const pipe = new DataPipe();
    for (let count = 0; count < 4; count += 1) await pipe.push(piece(count, mib));
    const waiting = pipe.push(piece(9));
    pipe.fail(new Error('no'));
    await expect(waiting).rejects.toThrow('no');
    await expect(all(pipe)).rejects.toThrow('no');
    const ended = new DataPipe();
    ended.end();
    ended.fail(new Error('late'));
    expect(await all(ended)).toEqual([]);
  });
});

import { PassThrough, Writable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { FrameWriter, maxQueuedBytes, readFrames, type Incoming } from '../../src/agent/frames.ts';

async function all(stream: PassThrough): Promise<Incoming[]> {
  const frames: Incoming[] = [];
  for await (const frame of readFrames(stream)) frames.push(frame);
  return frames;
}

describe('writing frames', () => {
  test('many writers at once on a full stream leave every frame whole, in the order in which they were written', async () => {
    const stream = new PassThrough({ highWaterMark: 16 });
    const writer = new FrameWriter(stream);
    const writes = Array.from({ length: 40 }, (_, number) =>
      number % 2 === 0 ? writer.message({ number }) : writer.data(Buffer.alloc(maxQueuedBytes / 8, number)),
    );
    const reading = all(stream);
    await Promise.all(writes);
    await writer.end();
    stream.end();
    const seen = await reading;
    expect(seen.at(-1)).toEqual({ type: 'end' });
    const numbers = seen.flatMap((frame) => {
      if (frame.type === 'message') return [(frame.message as { number: number }).number];
      return frame.type === 'data' ? [...new Set(frame.data.subarray(0, 1))] : [];
    });
    expect([...new Set(numbers)]).toEqual(Array.from({ length: 40 }, (_, number) => number));
    expect(seen.reduce((sum, frame) => sum + (frame.type === 'data' ? frame.data.length : 0), 0)).toBe(
      (20 * maxQueuedBytes) / 8,
    );
  });

  test('writers that wait for room listen to the stream once, not once each', async () => {
    const stream = new PassThrough({ highWaterMark: 16 });
    const writer = new FrameWriter(stream);
    const before = stream.listenerCount('drain');
    const writes = [writer.data(Buffer.alloc(2 * maxQueuedBytes))];
    for (let number = 0; number < 40; number += 1) writes.push(writer.message({ number }));
    expect(stream.listenerCount('drain')).toBeLessThanOrEqual(before + 1);
    stream.resume();
    await Promise.all(writes);
    expect(stream.listenerCount('drain')).toBe(before);
  });

  test('writers wait while too much lies in the stream, and again when it does again', async () => {
    const taken: (() => void)[] = [];
    const stream = new Writable({ highWaterMark: 16, write: (_chunk, _encoding, done) => void taken.push(done) });
    const writer = new FrameWriter(stream);
    for (let round = 0; round < 2; round += 1) {
      let settled = false;
      const write = writer.data(Buffer.alloc(2 * maxQueuedBytes)).then(() => (settled = true));
      await turn();
      expect(settled).toBe(false);
      while (taken.length > 0) {
        taken.shift()?.();
        await turn();
      }
      await write;
    }
  });

  test('all that wait are told when the stream is closed, and so is whoever writes afterwards', async () => {
    const stream = new PassThrough({ highWaterMark: 16 });
    const writer = new FrameWriter(stream);
    const writes = [writer.data(Buffer.alloc(2 * maxQueuedBytes)), writer.message({ text: 'x' })];
    stream.destroy();
    for (const write of [...writes, writer.end()]) await expect(write).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });
});

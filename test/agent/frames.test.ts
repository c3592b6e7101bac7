import { PassThrough, Writable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { assert, asyncProperty, array, constant, integer, oneof, uint8Array } from 'fast-check';
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

describe('raw data up to a boundary', () => {
  const boundary = Buffer.from('abacabadabacabaeabacabadabacaba!');
  const frame = (code: number, payload: Buffer): Buffer => {
    const header = Buffer.alloc(5);
    header.writeUInt8(code);
    header.writeUInt32BE(payload.length, 1);
    return Buffer.concat([header, payload]);
  };
  // Beginnings of the boundary, which has beginnings of itself within, and other bytes.
  const part = oneof(
    uint8Array({ maxLength: 50 }),
    integer({ min: 1, max: boundary.length - 1 }).map((length) => boundary.subarray(0, length)),
    constant(Buffer.from('x')),
  );

  test('is what lies before it, however it is cut on the way and whatever looks like its beginning', async () => {
    await assert(
      asyncProperty(array(part), array(integer({ min: 1, max: 40 }), { minLength: 1 }), async (parts, cuts) => {
        const data = Buffer.concat(parts);
        const bytes = Buffer.concat([frame(0x42, boundary), data, boundary, frame(0x45, Buffer.alloc(0))]);
        if (bytes.indexOf(boundary, 6) < 37 + data.length) return; // a part and the boundary made another one
        const stream = new PassThrough();
        for (let at = 0, cut = 0; at < bytes.length; cut += 1) {
          const length = cuts[cut % cuts.length] ?? 1;
          stream.write(bytes.subarray(at, at + length));
          at += length;
        }
        stream.end();
        const frames = await all(stream);
        expect(frames.pop()).toEqual({ type: 'end' });
        const got = frames.map((found) => (found.type === 'data' ? found.data : Buffer.from('not data')));
        expect(Buffer.concat(got).equals(data)).toBe(true);
      }),
    );
  });

  test('that does not come is a connection that broke off', async () => {
    const stream = new PassThrough();
    stream.end(Buffer.concat([frame(0x42, boundary), Buffer.from('data'), boundary.subarray(0, 20)]));
    await expect(all(stream)).rejects.toMatchObject({ code: 'PROTOCOL' });
  });

  test('has one length', async () => {
    const stream = new PassThrough();
    stream.end(frame(0x42, boundary.subarray(1)));
    await expect(all(stream)).rejects.toMatchObject({ code: 'PROTOCOL' });
  });
});

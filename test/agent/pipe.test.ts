import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FrameWriter } from '../../src/agent/frames.ts';

interface Read {
  readonly seen: readonly unknown[];
  readonly bytes: number;
  /** Bytes that were waited for without the event loop. */
  readonly waited: number;
  /** Of extents: where each stretch without a gap begins and ends. */
  readonly places: readonly number[];
  readonly digest: string;
}

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'cxm-pipe-'));
  const source = fileURLToPath(new URL('pipe-reader.ts', import.meta.url));
  buildSync({
    entryPoints: [source],
    outfile: join(root, 'reader.cjs'),
    bundle: true,
    platform: 'node',
    format: 'cjs',
  });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** What a program reads from a pipe that these bytes were written to. @param pace a shell command between two programs */
function throughPipe(bytes: Buffer, pace = 'cat'): Read {
  const file = join(root, 'frames');
  writeFileSync(file, bytes);
  const line = `cat '${file}' | ${pace} | '${process.execPath}' '${root}/reader.cjs'`;
  return JSON.parse(execFileSync('sh', ['-c', line]).toString()) as Read;
}

async function written(write: (writer: FrameWriter) => Promise<void>): Promise<Buffer> {
  const stream = new PassThrough({ highWaterMark: 1024 ** 3 });
  await write(new FrameWriter(stream));
  stream.end();
  return Buffer.concat(await stream.toArray());
}

describe('frames that come through a pipe', () => {
  const [small, large] = [randomBytes(1000), randomBytes(3_000_001)];

  test.each(['cat', 'dd bs=1000 status=none', 'dd bs=200k status=none'])(
    'are what was sent, messages between them too, when %s hands them on',
    async (pace) => {
      const sent = await written(async (writer) => {
        await writer.message({ number: 1 });
        await writer.data(large);
        await writer.message({ number: 2 });
        await writer.data(small);
        await writer.data(large);
        await writer.end();
        await writer.message({ number: 3 });
      });
      const { seen, bytes, waited, digest } = throughPipe(sent, pace);
      expect(seen).toEqual([{ number: 1 }, { number: 2 }, 'end', { number: 3 }]);
      expect(bytes).toBe(2 * large.length + small.length);
      expect(digest).toBe(createHash('sha256').update(large).update(small).update(large).digest('hex'));
      expect(waited).toBeGreaterThan(large.length);
    },
  );

  test('keep their places when they are extents', async () => {
    const [here, there] = [1024 ** 4, 7 * 1024 ** 3];
    const sent = await written(async (writer) => {
      await writer.extent({ offset: here, data: large });
      await writer.extent({ offset: there, data: small });
      await writer.extent({ offset: there + small.length, data: large });
      await writer.end();
    });
    const { places, digest } = throughPipe(sent, 'dd bs=64k status=none');
    expect(places).toEqual([here, here + large.length, there, there + small.length + large.length]);
    expect(digest).toBe(createHash('sha256').update(large).update(small).update(large).digest('hex'));
  });

  test('are an error when the pipe ends within one, however much was there', async () => {
    const sent = await written((writer) => writer.data(large));
    for (const missing of [1, 1_000_000, large.length]) {
      const { seen, bytes } = throughPipe(sent.subarray(0, sent.length - missing));
      expect(seen).toEqual(['the connection ended within a frame']);
      expect(bytes).toBe(large.length - missing);
    }
  });
});

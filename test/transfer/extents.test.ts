import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { extentsOfBytes, gapsBetween, openExtents, openExtentWriter } from '../../src/transfer/extents.ts';
import type { Extent } from '../../src/transfer/extents.ts';
import { dataRanges, sparseMap } from '../../src/transfer/holes.ts';
import { chunked, failure, loopDevice, run, temporaryDirectory, whyNoLoop } from './helpers.ts';

const directory = temporaryDirectory();
afterAll(() => directory.remove());
const grain = 64 * 1024;
const noLoop = whyNoLoop();

/** A disk as pieces: length in bytes, and the byte it is full of; 0 may be a hole. */
const pieces = fc.array(
  fc.record({ lengthBytes: fc.integer({ min: 1, max: 5 * grain }), fill: fc.constantFrom(0, 0, 1, 255) }),
  { maxLength: 12 },
);

function disk(parts: readonly { readonly lengthBytes: number; readonly fill: number }[]): Buffer {
  return Buffer.concat(parts.map(({ lengthBytes, fill }) => Buffer.alloc(lengthBytes, fill)));
}

/** Writes content with holes for zeros, so that the map of holes has a say. */
async function sparseFile(name: string, content: Buffer): Promise<string> {
  const path = join(directory.path, name);
  writeFileSync(path, '');
  truncateSync(path, content.length);
  const handle = await open(path, 'r+');
  for (let at = 0; at < content.length; at += 4096) {
    const block = content.subarray(at, at + 4096);
    if (block.some((byte) => byte !== 0)) await handle.write(block, 0, block.length, at);
  }
  await handle.close();
  return path;
}

async function all(extents: AsyncIterable<Extent>): Promise<Extent[]> {
  const list: Extent[] = [];
  for await (const extent of extents) list.push(extent);
  return list;
}

function assembled(extents: readonly Extent[], totalBytes: number): Buffer {
  const content = Buffer.alloc(totalBytes);
  for (const { offset, data } of extents) content.set(data, offset);
  return content;
}

describe('reading extents', () => {
  it('yields all of the content and only grains with data, whatever the holes', async () => {
    let count = 0;
    await fc.assert(
      fc.asyncProperty(pieces, fc.constantFrom(grain, 2 * grain, 1024 * 1024), async (parts, blockBytes) => {
        const content = disk(parts);
        const source = await openExtents(await sparseFile(`read-${count++}`, content), { blockBytes });
        const extents = await all(source.extents);
        expect(source.totalBytes).toBe(content.length);
        expect(assembled(extents, content.length).equals(content)).toBe(true);
        for (const { data } of extents) {
          expect(data.length).toBeLessThanOrEqual(blockBytes);
          for (let at = 0; at < data.length; at += grain) {
            expect(data.subarray(at, at + grain).some((byte) => byte !== 0)).toBe(true);
          }
        }
        let end = 0;
        for (const { offset, data } of extents) {
          expect(offset).toBeGreaterThanOrEqual(end);
          end = offset + data.length;
        }
      }),
      { numRuns: 60 },
    );
  });

  it('does not read the holes of a sparse file at all', async () => {
    const path = join(directory.path, 'huge');
    writeFileSync(path, 'begin');
    truncateSync(path, 2 ** 42);
    const handle = await open(path, 'r+');
    await handle.write(Buffer.from('end'), 0, 3, 2 ** 42 - 3);
    await handle.close();
    const started = performance.now();
    const source = await openExtents(path);
    const extents = await all(source.extents);
    expect(extents[0]?.offset).toBe(0);
    expect(Buffer.from(extents[0]?.data ?? []).toString('latin1', 0, 5)).toBe('begin');
    expect(Buffer.from(extents.at(-1)?.data ?? []).toString('latin1')).toMatch(/\0end$/);
    expect(source.totalBytes).toBe(2 ** 42);
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it('knows the data of a file with twenty thousand pieces, and of names that tar would take apart', async () => {
    const path = join(directory.path, 'a\\nb*\n--c');
    writeFileSync(path, '');
    truncateSync(path, 2 ** 32);
    const handle = await open(path, 'r+');
    for (let index = 0; index < 20_000; index++) await handle.write(Buffer.from('x'), 0, 1, index * 8192);
    await handle.close();
    const ranges = await dataRanges(path, 2 ** 32);
    expect(ranges.length).toBe(20_000);
    expect(ranges.at(-1)).toEqual({ start: 19_999 * 8192, end: 19_999 * 8192 + 4096 });
  });

  it('takes the whole file for data when the map is of another size or cut off', () => {
    expect(sparseMap(Buffer.alloc(4096), 100)).toBeUndefined();
    expect(sparseMap(Buffer.alloc(10), 100)).toBe('more');
  });

  it('fails clearly for what is absent, a directory, or interrupted', async () => {
    await failure(openExtents(join(directory.path, 'absent')), 'NOT_FOUND');
    await failure(openExtents(directory.path), 'UNSUPPORTED');
    const path = await sparseFile('interrupted', Buffer.alloc(grain, 1));
    const source = await openExtents(path, { signal: AbortSignal.abort() });
    await failure(all(source.extents), 'INTERRUPTED');
  });

  it('fails when the file becomes shorter while it is read', async () => {
    const path = await sparseFile('shorter', Buffer.alloc(4 * grain, 1));
    const source = await openExtents(path, { blockBytes: grain });
    truncateSync(path, grain);
    await failure(all(source.extents), 'IO');
  });
});

describe('a stream of bytes as extents', () => {
  it('holds the same content, whatever the sizes of chunks', async () => {
    await fc.assert(
      fc.asyncProperty(pieces, fc.integer({ min: 1000, max: 3 * grain }), async (parts, chunkBytes) => {
        const content = disk(parts);
        const stream = extentsOfBytes(chunked(content, chunkBytes), {
          limitBytes: content.length,
          blockBytes: 2 * grain,
        });
        const extents: Extent[] = [];
        let step = await stream.next();
        for (; !step.done; step = await stream.next()) extents.push(step.value);
        expect(step.value.totalBytes).toBe(content.length);
        expect(assembled(extents, content.length).equals(content)).toBe(true);
      }),
    );
  });

  it('that is longer than the device is TOO_SMALL', async () => {
    const bytes = extentsOfBytes(chunked(Buffer.alloc(1001)), { limitBytes: 1000 });
    await failure(all(bytes), 'TOO_SMALL');
  });
});

/** Writes extents over old content and tells what is there then. */
async function overwritten(
  target: string,
  deviceBytes: number,
  content: Buffer,
  zeroed: [number, number][] | undefined,
): Promise<void> {
  const writer = await openExtentWriter(target, {
    deviceBytes,
    ...(zeroed === undefined
      ? {}
      : {
          zeroRange: (offset: number, lengthBytes: number): Promise<void> => {
            zeroed.push([offset, lengthBytes]);
            run('blkdiscard', '--zeroout', '--offset', String(offset), '--length', String(lengthBytes), target);
            return Promise.resolve();
          },
        }),
  });
  for await (const extent of extentsOfBytes(chunked(content), { limitBytes: deviceBytes })) await writer.write(extent);
  await writer.finish();
}

describe('writing extents', () => {
  it('to a file leaves exactly the content and zeros behind it, whatever was there', async () => {
    await fc.assert(
      fc.asyncProperty(pieces, fc.integer({ min: 0, max: 3 * grain }), async (parts, tailBytes) => {
        const content = disk(parts);
        const path = join(directory.path, 'target');
        writeFileSync(path, Buffer.alloc(content.length + 10_000, 0xaa));
        await overwritten(path, content.length + tailBytes, content, undefined);
        expect(readFileSync(path).equals(Buffer.concat([content, Buffer.alloc(tailBytes)]))).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it.skipIf(noLoop !== undefined)(
    `to a device leaves exactly the content and zeros behind it, whatever was there (${noLoop ?? 'loop device'})`,
    async () => {
      const { device, detach } = loopDevice(directory.path, 24);
      const deviceBytes = 24 * 2 ** 20;
      const large = fc.array(
        fc.record({ lengthBytes: fc.integer({ min: 1, max: 9 * 2 ** 20 }), fill: fc.constantFrom(0, 0, 7) }),
        { maxLength: 4 },
      );
      let zeroRanges = 0;
      try {
        await fc.assert(
          fc.asyncProperty(large, fc.boolean(), async (parts, discards) => {
            const content = disk(parts).subarray(0, deviceBytes);
            writeFileSync(device, Buffer.alloc(deviceBytes, 0xaa));
            const zeroed: [number, number][] = [];
            await overwritten(device, deviceBytes, content, discards ? zeroed : undefined);
            zeroRanges += zeroed.length;
            const found = readFileSync(device);
            expect(found.subarray(0, content.length).equals(content)).toBe(true);
            expect(found.subarray(content.length).every((byte) => byte === 0)).toBe(true);
          }),
          // At least one run lets the device make zeros by itself.
          { numRuns: 8, examples: [[[{ lengthBytes: 1, fill: 7 }], true]] },
        );
      } finally {
        detach();
      }
      expect(zeroRanges).toBeGreaterThan(0);
    },
    60_000,
  );

  it.skipIf(noLoop !== undefined)(
    `to a large device that zeroes by itself asks for zeros once, however many gaps there are (${noLoop ?? 'loop device'})`,
    async () => {
      const deviceBytes = 72 * 2 ** 20;
      const { device, detach } = loopDevice(directory.path, 72);
      try {
        writeFileSync(device, Buffer.alloc(deviceBytes, 0xaa));
        const content = Buffer.alloc(48 * 2 ** 20);
        for (let at = 0; at < content.length; at += 8 * 2 ** 20) content.fill(7, at, at + grain);
        const zeroed: [number, number][] = [];
        await overwritten(device, deviceBytes, content, zeroed);
        expect(zeroed).toEqual([[0, deviceBytes]]);
        const found = readFileSync(device);
        expect(found.equals(Buffer.concat([content, Buffer.alloc(deviceBytes - content.length)]))).toBe(true);
      } finally {
        detach();
      }
    },
    60_000,
  );

  it('refuses what is beyond the device, before or behind, and writes nothing of it', async () => {
    const path = join(directory.path, 'bounds');
    const writer = await openExtentWriter(path, { deviceBytes: 1000 });
    await failure(writer.write({ offset: 999, data: Buffer.from('ab') }), 'TOO_SMALL');
    await failure(writer.write({ offset: -1, data: Buffer.from('ab') }), 'TOO_SMALL');
    await failure(writer.write({ offset: 2 ** 60, data: Buffer.from('ab') }), 'TOO_SMALL');
    await writer.write({ offset: 998, data: Buffer.from('ab') });
    await writer.finish();
    expect(readFileSync(path)).toHaveLength(1000);
  });

  it('keeps no list of a million pieces where all is zero already', async () => {
    const path = join(directory.path, 'pieces');
    const writer = await openExtentWriter(path, { deviceBytes: 2000 });
    for (let offset = 0; offset < 2000; offset += 2) await writer.write({ offset, data: Buffer.from('a') });
    expect((writer as unknown as { readonly written: unknown[] }).written).toEqual([]);
    await writer.finish();
    expect(readFileSync(path, 'latin1')).toBe('a\0'.repeat(1000));
  });

  it('never makes a file in /dev for a device that is missing', async () => {
    await failure(openExtentWriter('/dev/cxm-test-absent', { deviceBytes: 1000 }), 'NOT_FOUND');
  });

  it('knows the gaps between ranges in any order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ start: fc.nat(100), length: fc.integer({ min: 1, max: 20 }) })),
        fc.nat(120),
        (list, end) => {
          const ranges = list.map(({ start, length }) => ({ start, end: Math.min(start + length, end) }));
          const sound = ranges.filter((range) => range.start < range.end);
          const covered = new Set<number>();
          for (const { start, end: stop } of sound) for (let at = start; at < stop; at++) covered.add(at);
          const inGaps = new Set<number>();
          for (const { start, end: stop } of gapsBetween(sound, end)) {
            for (let at = start; at < stop; at++) inGaps.add(at);
          }
          for (let at = 0; at < end; at++) expect(inGaps.has(at)).toBe(!covered.has(at));
          expect(inGaps.size).toBe(end - covered.size);
        },
      ),
    );
  });
});

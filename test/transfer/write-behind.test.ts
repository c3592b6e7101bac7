import { readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { WriteBehind } from '../../src/transfer/write-behind.ts';
import { failure, temporaryDirectory } from './helpers.ts';

const directory = temporaryDirectory();
afterAll(() => directory.remove());

it('leaves what the pieces say, the later of two that overlap, however they lie', async () => {
  const piece = fc.record({
    offset: fc.integer({ min: 0, max: 3_000_000 }),
    lengthBytes: fc.integer({ min: 1, max: 700_000 }),
    adjacent: fc.boolean(),
    fill: fc.integer({ min: 1, max: 255 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
      const path = join(directory.path, 'file');
      const expected = Buffer.alloc(12_000_000);
      writeFileSync(path, expected);
      const handle = await open(path, 'r+');
      const writer = new WriteBehind(handle, path);
      let end = 0;
      for (const { offset, lengthBytes, adjacent, fill } of pieces) {
        const at = adjacent ? end : offset;
        end = at + lengthBytes;
        expected.fill(fill, at, end);
        await writer.write(at, Buffer.alloc(lengthBytes, fill));
      }
      await writer.flush();
      await handle.close();
      expect(readFileSync(path).equals(expected)).toBe(true);
    }),
    { numRuns: 40 },
  );
});

it('gathers small adjacent pieces into few writes, more of them than the kernel takes at once too', async () => {
  const path = join(directory.path, 'small');
  writeFileSync(path, '');
  const handle = await open(path, 'r+');
  let writes = 0;
  const counting = new Proxy(handle, {
    get(target, name) {
      if (name === 'writev' || name === 'write') writes += 1;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  const writer = new WriteBehind(counting, path);
  const content = Buffer.from(Array.from({ length: 5000 }, (_, index) => index % 251));
  for (let at = 0; at < content.length; at += 1) await writer.write(at, content.subarray(at, at + 1));
  await writer.flush();
  await handle.close();
  expect(readFileSync(path).equals(content)).toBe(true);
  expect(writes).toBe(5);
});

it('says that a write has failed to whoever writes next, and at the end at the latest', async () => {
  const path = join(directory.path, 'closed');
  writeFileSync(path, '');
  const handle = await open(path, 'r');
  const writer = new WriteBehind(handle, path);
  await writer.write(0, Buffer.alloc(2_000_000));
  await failure(writer.write(0, Buffer.alloc(2_000_000)), 'IO');
  const late = new WriteBehind(handle, path);
  await late.write(0, Buffer.from('x'));
  await failure(late.flush(), 'IO');
  await late.settle();
  await handle.close();
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BlockPool } from '../../src/transfer/block-pool.ts';
import { openExtents, openExtentWriter, type Extent } from '../../src/transfer/extents.ts';

describe('memory that is used again', () => {
  test('is lent to nobody else before it is released, and once even if it is released twice', () => {
    const pool = new BlockPool(16, 2);
    const [one, other] = [pool.lend(), pool.lend()];
    expect(one.memory).not.toBe(other.memory);
    one.release();
    one.release();
    const [again, fresh] = [pool.lend(), pool.lend()];
    expect(again.memory).toBe(one.memory);
    expect(fresh.memory).not.toBe(one.memory);
    one.release();
    expect(pool.lend().memory).not.toBe(again.memory);
  });

  test('changes no byte of a disk that is copied, however late its parts are released', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'cxm-pool-'));
    try {
      const grain = 64 * 1024;
      const disk = Buffer.alloc(120 * grain);
      // Blocks of four grains: whole ones, zeros, and ones with a hole in them.
      for (let at = 0; at < 120; at += 1)
        if (at % 7 !== 3 && at % 24 > 5) disk.fill(1 + (at % 250), at * grain, (at + 1) * grain);
      const [from, to] = [join(directory, 'from'), join(directory, 'to')];
      writeFileSync(from, disk);
      const writer = await openExtentWriter(to, { deviceBytes: disk.length });
      let number = 0;
      const held: Extent[] = [];
      for await (const extent of (await openExtents(from, { blockBytes: 4 * grain })).extents) {
        number += 1;
        held.push(extent);
        // Some leave at once, some stay while others are read, some never give their memory back.
        const [oldest] = number % 2 === 0 && held.length < 6 ? [] : held.splice(number % 3 === 0 ? -1 : 0, 1);
        if (oldest === undefined) continue;
        const { offset, data, release } = oldest;
        await writer.write({ offset, data: Buffer.from(data) });
        if (number % 5 !== 0) release?.();
      }
      for (const { offset, data } of held) await writer.write({ offset, data: Buffer.from(data) });
      await writer.finish();
      const { extents } = await openExtents(to);
      const copied = Buffer.alloc(disk.length);
      for await (const { offset, data } of extents) copied.set(data, offset);
      expect(copied.equals(disk)).toBe(true);
      expect(number).toBeGreaterThan(30);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

/** What a host may send for a disk: no more than the disk can hold. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { Data } from '../../../src/agent/operation.ts';
import type { ActionContext } from '../../../src/one/action.ts';
import { IncomingFile } from '../../../src/one/tm/incoming-file.ts';
import { failure, temporaryDirectory } from '../../transfer/helpers.ts';

const directory = temporaryDirectory();
afterAll(() => directory.remove());
const mib = 2 ** 20;
const context = { report: { info: () => undefined } } as unknown as ActionContext;

/** Receives pieces of 1 MiB for a volume of 1 MiB. */
async function receive(file: string, detail: object, pieces: number): Promise<void> {
  async function* data(): AsyncGenerator<Data> {
    for (let at = 0; at < pieces; at++)
      yield await Promise.resolve({ type: 'data', data: Buffer.alloc(mib, 1) } as const);
  }
  const incoming = new IncomingFile(context, 'disk 0 of VM 7', () => Promise.resolve(file));
  await incoming.during(async ({ receive: take }) => {
    await take?.(data(), { sizeBytes: mib, ...detail });
    await incoming.store();
  });
}

it.each([
  ['an archive', { kind: 'archive', compression: 'none' }, 66],
  ['a compressed image', { kind: 'image', compression: 'zstd' }, 66],
  ['an image', { kind: 'image', compression: 'none' }, 1],
])('%s has a limit, and beyond it nothing is left', async (name, detail, limit) => {
  const file = join(directory.path, name);
  await receive(file, detail, limit);
  expect(readFileSync(file)).toHaveLength(limit * mib);
  const error = await failure(receive(`${file} 2`, detail, limit + 1), 'REFUSED');
  expect(error.message).toContain('the host sends more for disk 0 of VM 7');
  expect(existsSync(`${file} 2`) || existsSync(`${file} 2.cxm-partial`)).toBe(false);
});

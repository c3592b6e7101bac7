/** The CD of a context, as far as the frontend decides. */
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { resolveCxmrc, settingsFromRecord } from '../../../src/config/load.ts';
import type { ActionContext } from '../../../src/one/action.ts';
import { contextualise } from '../../../src/one/tm/context.ts';
import { failure, temporaryDirectory } from '../../transfer/helpers.ts';

const directory = temporaryDirectory();
afterAll(() => directory.remove());

it('is no larger than MAX_LV_SIZE, and no host is asked for a larger one', async () => {
  const asked: string[] = [];
  const context = {
    config: resolveCxmrc(settingsFromRecord({ VG_NAME: 'VG0', MAX_LV_SIZE: '4M' }, 'the test')),
    hostName: 'fe',
    helper: ({ host }: { readonly host: string }) => Promise.resolve(void asked.push(host)),
  } as unknown as ActionContext;
  const file = (name: string, sizeBytes: number): string => {
    writeFileSync(join(directory.path, name), '');
    truncateSync(join(directory.path, name), sizeBytes);
    return join(directory.path, name);
  };
  const make = (path: string): Promise<undefined> =>
    contextualise(context, {
      vmId: 7,
      datastoreId: 0,
      sources: [{ origin: { kind: 'file', path }, name: 'files' }],
      destination: { host: 'node1', directory: '/one/7', path: '/one/7/disk.1', diskId: 1 },
    } as unknown as Parameters<typeof contextualise>[1]);
  await make(file('small', 3 * 2 ** 20));
  expect(asked).toEqual(['node1']);
  const { message } = await failure(make(file('large', 4 * 2 ** 20)), 'REFUSED');
  expect(message).toMatch(/^disk 1 of VM 7, its context, would need 4.*MAX_LV_SIZE of cxmrc allows 4/);
  expect(asked).toHaveLength(1);
});

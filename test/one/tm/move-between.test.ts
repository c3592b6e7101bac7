import { describe, expect, test } from 'vitest';
import type { Call } from '../../../src/agent/client.ts';
import type { DiskSight } from '../../../src/agent/operations/move-disk.ts';
import { CxmError } from '../../../src/errors.ts';
import type { ActionContext } from '../../../src/one/action.ts';
import { diskLocation } from '../../../src/one/arguments/locations.ts';
import { moveBetweenHosts } from '../../../src/one/tm/move-between.ts';

const sight: DiskSight = {
  volumeGroupUuid: 'source',
  present: true,
  open: false,
  sizeBytes: 1024,
  snapshots: 0,
  persistent: false,
  imageId: undefined,
};
const closed = new CxmError('INTERRUPTED', 'the other side has closed the connection');
const broken = new CxmError('IO', 'the device of the destination is broken');
const unreadable = new CxmError('IO', 'the device of the source is broken');

type Helper = (call: Omit<Call, 'settings' | 'lock' | 'log'>) => Promise<unknown>;

/** Takes some data; its helper then fails with `error`, and the action can write no more. */
function destination(error: CxmError | undefined): Helper {
  return async ({ answer, send }) => {
    await answer?.('route', { ...sight, volumeGroupUuid: 'destination', present: false });
    let count = 0;
    const take = (): Promise<void> => (error !== undefined && ++count > 3 ? Promise.reject(closed) : Promise.resolve());
    const sent = await send?.({ data: take, extent: take, file: take }, {}).then(
      () => undefined,
      (failure: unknown) => failure,
    );
    if (error ?? sent) throw error ?? sent;
    return {};
  };
}

/** Sends 10 extents; its helper fails with `error` in the middle. */
function source(error?: CxmError): Helper {
  return async ({ answer, receive }) => {
    await answer?.('route', { ...sight });
    let failure: unknown;
    async function* extents(): AsyncGenerator<{ type: 'extent'; offset: number; data: Buffer }> {
      for (let offset = 0; offset < 10; offset += 1) {
        if (error !== undefined && offset === 5) throw error;
        yield await Promise.resolve({ type: 'extent', offset, data: Buffer.alloc(1) });
      }
    }
    await receive?.(extents(), {}).catch((thrown: unknown) => (failure = thrown));
    if (failure !== undefined) throw failure as Error;
    await answer?.('stored', {});
    return {};
  };
}

function move(helpers: { readonly node1: Helper; readonly node2: Helper }): Promise<unknown> {
  const context = {
    hostName: 'frontend',
    config: { CLOUD_NAME: '' },
    report: { info: () => undefined },
    helper: ({ host }: { host: 'node1' | 'node2' }, call: Parameters<Helper>[0]) => helpers[host](call),
  } as unknown as ActionContext;
  const at = (host: string): ReturnType<typeof diskLocation> => diskLocation(`${host}:/ds/0/7/disk.0`, 'the disk', 7);
  return moveBetweenHosts(context, at('node1'), at('node2'), 7);
}

describe('a stream between two hosts', () => {
  test('that the destination ends fails with what the destination says, not with the broken stream', async () => {
    await expect(move({ node1: source(), node2: destination(broken) })).rejects.toBe(broken);
  });

  test('that the source ends fails with what the source says', async () => {
    await expect(move({ node1: source(unreadable), node2: destination(undefined) })).rejects.toBe(unreadable);
  });

  test('that breaks off without anybody knowing why says just that', async () => {
    await expect(move({ node1: source(), node2: destination(closed) })).rejects.toBe(closed);
  });

  test('arrives when nothing fails', async () => {
    await expect(move({ node1: source(), node2: destination(undefined) })).resolves.toBeUndefined();
  });
});

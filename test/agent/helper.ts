/**
 * A helper as a program of its own, for tests of the caller: it is reached as `sudo` and serves the operations below,
 * which note what they do in the file that the caller names.
 */
import { appendFileSync } from 'node:fs';
import { noCluster } from '../../src/agent/cluster-guard.ts';
import type { Operation, OperationContext } from '../../src/agent/operation.ts';
import { serve } from '../../src/agent/session.ts';
import { CxmError } from '../../src/errors.ts';
import { localCommands } from '../../src/host/commands.ts';
import type { Volumes } from '../../src/lvm/volumes.ts';
import { createRootFileSystemTools } from '../../src/transfer/filesystem.ts';

type Work = (context: OperationContext, note: (line: string) => void) => Promise<unknown>;

const mebibyte = 1024 ** 2;

async function takingBack(context: OperationContext, note: (line: string) => void, work: () => Promise<void>) {
  try {
    await work();
  } catch (error) {
    await context
      .withMetadataLock(() => Promise.resolve(note('taken back')))
      .catch((failure: unknown) => note(`left: ${failure instanceof Error ? failure.message : ''}`));
    throw error;
  }
}

const works: Readonly<Record<string, Work>> = {
  /** Changes metadata, once. */
  change: (context, note) => context.withMetadataLock(() => Promise.resolve(note('changed'))),
  /** Takes some data; then the device fails. */
  'device-fails': async (context, note) => {
    await context.ready();
    await takingBack(context, note, async () => {
      let length = 0;
      for await (const { data } of context.incoming()) {
        length += data.length;
        if (length > 8 * mebibyte) throw new CxmError('IO', 'the device is broken');
      }
    });
  },
  /** The same, where nobody asks for a lock. */
  'device-fails-at-once': async (context) => {
    await context.ready();
    for await (const item of context.incoming()) throw new CxmError('IO', `${item.type}: the device is broken`);
  },
  /** Does not even listen to what is sent. */
  deaf: async (context) => {
    await context.ready();
    await new Promise((resolve) => setTimeout(resolve, 300));
    throw new CxmError('NO_SPACE', 'there is no room');
  },
  receive: async (context, note) => {
    await context.ready();
    await takingBack(context, note, async () => {
      for await (const item of context.incoming()) void item;
    });
  },
  send: async (context, note) => {
    await context.ready();
    await takingBack(context, note, async () => {
      for (let count = 0; count < 100_000; count += 1) {
        if (context.signal.aborted) throw context.signal.reason as Error;
        await context.sendData(Buffer.alloc(mebibyte));
      }
      await context.sendEnd();
    });
  },
  /** As much as may lie in the stream, and the result at once. */
  'send-and-end': async (context) => {
    await context.ready();
    await context.sendData(Buffer.alloc(mebibyte - 1000));
    await context.sendEnd();
    return 'all was sent';
  },
  ask: (context, note) => takingBack(context, note, () => context.ask('stored').then(() => undefined)),
  /** Holds the lock until `done` is seen on the way out. */
  hold: (context, note) =>
    context.withMetadataLock(async () => {
      note('holding');
      await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
      await new Promise((resolve) => setTimeout(resolve, 1500));
      note('held to the end');
    }),
};

const operations: readonly Operation[] = Object.entries(works).map(([name, work]) => ({
  name,
  parse: ({ notes }) => String(notes),
  run: (context, notes) => work(context, (line) => appendFileSync(String(notes), `${line}\n`)),
}));

for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGPIPE'] as const) process.on(signal, () => undefined);
process.stdout.on('error', () => undefined);
const info = { name: 'VG0', uuid: 'u', sizeBytes: 1, freeBytes: 1, extentBytes: 1, lockType: '' };
void serve(process.stdin, process.stdout, {
  commands: localCommands,
  owner: { uid: 0, gid: 0 },
  operations,
  runDirectory: '/nowhere',
  volumes: () => ({ info: () => Promise.resolve(info) }) as unknown as Volumes,
  fileSystems: () => createRootFileSystemTools(localCommands, '/nowhere'),
  guard: () => noCluster,
  hostSettings: () => undefined,
  audit: () => undefined,
}).then(() => process.exit(0));

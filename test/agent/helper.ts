/**
 * A helper as a program of its own, for tests of the caller: it is reached as `sudo` and serves the operations below,
 * which note what they do in the file that the caller names.
 */
import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { noCluster } from '../../src/agent/cluster-guard.ts';
import { DescriptorSource } from '../../src/agent/descriptor.ts';
import type { Operation, OperationContext } from '../../src/agent/operation.ts';
import { serve } from '../../src/agent/session.ts';
import { CxmError } from '../../src/errors.ts';
import { localCommands } from '../../src/host/commands.ts';
import type { Volumes } from '../../src/lvm/volumes.ts';
import { createRootFileSystemTools } from '../../src/transfer/filesystem.ts';
import { drain, throughProcess } from '../../src/transfer/process.ts';

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

/** A program that takes what comes raw, and what it printed. */
async function unpack(context: OperationContext, note: (line: string) => void, script: string): Promise<string> {
  await context.ready();
  let said = '';
  await takingBack(context, note, async () => {
    const input = await context.rawInput();
    if (input === undefined) throw new CxmError('INTERNAL', 'nothing came raw');
    const { signal } = context;
    const explain = (end: { readonly stderr: string }): CxmError => new CxmError('INVALID_INPUT', end.stderr);
    note('unpacking');
    for await (const bytes of throughProcess('sh', ['-c', script], { input, signal, explain })) {
      said += Buffer.from(bytes).toString();
    }
    note('complete');
  });
  return said.trim();
}

/** A program that sends by itself. */
async function pack(context: OperationContext, note: (line: string) => void, script: string): Promise<string> {
  await context.ready();
  await takingBack(context, note, async () => {
    const { signal } = context;
    const explain = (end: { readonly stderr: string }): CxmError => new CxmError('IO', end.stderr);
    await context.sendRaw?.((output) => drain(throughProcess('sh', ['-c', script], { output, signal, explain })));
    await context.sendEnd();
    note('complete');
  });
  return 'all was sent';
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
  unpack: (context, note) => unpack(context, note, 'sha256sum'),
  'unpack-slowly': (context, note) => unpack(context, note, 'sleep 4; sha256sum'),
  'unpack-never': (context, note) => unpack(context, note, 'exec sleep 61.625'),
  'unpack-fails': (context, note) =>
    unpack(context, note, 'head -c 5000000 >/dev/null; echo it is damaged >&2; exit 1'),
  'unpack-a-part': (context, note) => unpack(context, note, 'head -c 5000000 | sha256sum'),
  /** Would take it raw, but fails before. */
  'mkfs-fails': async (context, note) => {
    await context.ready();
    await takingBack(context, note, async () => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      throw new CxmError('IO', 'no file system could be made');
    });
  },
  /** Takes it in frames. */
  digest: async (context) => {
    await context.ready();
    const hash = createHash('sha256');
    for await (const { data } of context.incoming()) hash.update(data);
    return hash.digest('hex');
  },
  pack: (context, note) => pack(context, note, 'seq 3000000'),
  'pack-fails': (context, note) => pack(context, note, 'seq 300000; echo it can not be read >&2; exit 1'),
  'pack-for-ever': (context, note) => pack(context, note, 'exec yes'),
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
void serve(new DescriptorSource(0), process.stdout, {
  outputDescriptor: 1,
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

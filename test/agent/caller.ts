/**
 * The caller's end of a conversation with the helper's session, in one process: both streams are pipes in memory. What
 * the helper asks stays open until the test answers it.
 */
import { PassThrough } from 'node:stream';
import type { DataSink } from '../../src/agent/client.ts';
import { FrameWriter, readFrames } from '../../src/agent/frames.ts';
import { noCluster } from '../../src/agent/cluster-guard.ts';
import type { Operation, OperationContext } from '../../src/agent/operation.ts';
import { protocolVersion, type HelperMessage } from '../../src/agent/protocol.ts';
import { serve } from '../../src/agent/session.ts';
import { localCommands } from '../../src/host/commands.ts';
import type { Volumes } from '../../src/lvm/volumes.ts';
import { createRootFileSystemTools } from '../../src/transfer/filesystem.ts';

const group = { name: 'VG0', uuid: 'uuid', sizeBytes: 1, freeBytes: 1, extentBytes: 1, lockType: '' };

export class Caller {
  readonly audit: string[] = [];
  readonly messages: HelperMessage[] = [];
  readonly served: Promise<void>;
  readonly writer: FrameWriter;
  private readonly input = new PassThrough();
  private readonly output = new PassThrough();
  private wake: (() => void)[] = [];

  /** Calls an operation that does `work`. */
  constructor(work: (context: OperationContext) => Promise<unknown>, lockType = '') {
    const operation: Operation = { name: 'work', parse: () => ({}), run: work };
    this.writer = new FrameWriter(this.input);
    this.served = serve(this.input, this.output, {
      commands: localCommands,
      owner: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
      operations: [operation],
      runDirectory: '/nowhere',
      volumes: () => ({ info: () => Promise.resolve({ ...group, lockType }) }) as unknown as Volumes,
      fileSystems: () => createRootFileSystemTools(localCommands, '/nowhere'),
      guard: () => noCluster,
      hostSettings: () => undefined,
      audit: (line) => void this.audit.push(line),
    });
    void this.read();
    const settings = { VG_NAME: group.name };
    void this.say({ kind: 'request', version: protocolVersion, operation: 'work', parameters: {}, settings });
  }

  say(message: unknown): Promise<void> {
    return this.writer.message(message);
  }

  answer(value: unknown): Promise<void> {
    return this.say({ kind: 'answer', value });
  }

  /** Killed, or the network is gone. */
  goAway(): void {
    this.input.end();
  }

  /** The next message of this kind, among all that were not handed out yet; what comes before it is passed over. */
  async next<Kind extends HelperMessage['kind']>(kind: Kind): Promise<Extract<HelperMessage, { kind: Kind }>> {
    for (;;) {
      const message = this.messages.shift();
      if (message === undefined) await new Promise<void>((resolve) => this.wake.push(resolve));
      else if (message.kind === 'error' && kind !== 'error') throw new Error(message.message);
      else if (message.kind === kind) return message as Extract<HelperMessage, { kind: Kind }>;
    }
  }

  async asked(): Promise<string> {
    return (await this.next('ask')).topic;
  }

  private async read(): Promise<void> {
    for await (const frame of readFrames(this.output)) {
      if (frame.type === 'message') this.messages.push(frame.message as HelperMessage);
      for (const wake of this.wake.splice(0)) wake();
    }
  }
}

/** Data until nobody wants it any more, or 3 GB. */
export async function sendForever(
  sink: Pick<DataSink, 'data'>,
  // As much at once as lies on the way in the buffers of ssh and of networks.
  { mostBytes = 3 * 1024 ** 3, pieceBytes = 4 * 1024 ** 2, piecesAtOnce = 4 } = {},
): Promise<void> {
  const pieces = Array.from({ length: piecesAtOnce }, () => Buffer.alloc(pieceBytes, 1));
  for (let sent = 0; sent < mostBytes; sent += pieceBytes * piecesAtOnce) {
    await Promise.all(pieces.map((piece) => sink.data(piece)));
  }
}

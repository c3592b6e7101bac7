/**
 * The action's side of a conversation with `cxm-host`: starts it (over ssh, or through sudo on the host itself), sends
 * one request, answers its questions and carries the data.
 *
 * The lock of a volume group is a lock of a file of the caller. The descriptor is handed to the process that holds the
 * connection, too: when the action is killed, the lock lasts until the helper on the other side has ended.
 *
 * What fails on this side ends the work, not the conversation: the helper is told, and gets the lock for its roll-back.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { asCxmError, CxmError, errorCodes, type ErrorCode } from '../errors.ts';
import type { Extent } from '../transfer/extents.ts';
import { localCommands } from '../host/commands.ts';
import { bulkCiphers } from './ciphers.ts';
import { DataPipe } from './data-pipe.ts';
import { SocketSource, type ByteSource } from './descriptor.ts';
import { socketPair } from './socket-pair.ts';
import { sendFile } from './file-sender.ts';
import { FrameWriter, readFrames } from './frames.ts';
import { helperPath, protocolVersion, type HelperMessage, type Topic } from './protocol.ts';
import type { Data } from './operation.ts';
import type { MetadataLock } from './lock.ts';

/** How the helper is reached. */
export type Route =
  { readonly kind: 'ssh'; readonly host: string; readonly connectTimeoutSeconds: number } | { readonly kind: 'sudo' };

export interface Call {
  readonly operation: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** cxmrc of the caller, see settingsToRecord. */
  readonly settings: Readonly<Record<string, string>>;
  readonly lock: MetadataLock;
  log(severity: 'INFO' | 'DEBUG' | 'WARN', text: string): void;
  /** Called once the helper is ready for data; sends it. The end is marked by the caller of this function. */
  readonly send?: (sink: DataSink, detail: Readonly<Record<string, unknown>>) => Promise<void>;
  /** Called when the helper is about to send data. */
  readonly receive?: (data: AsyncIterable<Data>, detail: Readonly<Record<string, unknown>>) => Promise<void>;
  /** Much is going to come, and `receive` takes it in the pieces in which it arrives. */
  readonly inPieces?: boolean;
  /** Answers questions other than the lock's. */
  readonly answer?: (topic: Topic, detail: Readonly<Record<string, unknown>>) => Promise<unknown>;
  /** The result is not waited for any longer, and what becomes of the work there is unknown; for ever when left out. */
  readonly timeoutMs?: number;
}

/** For short questions: longer than cxm-host gives the programs that it runs for them. */
export const questionTimeoutMs = 120_000;

export interface DataSink {
  data(data: Buffer): Promise<void>;
  /** All of a file as it is: the fastest way. @throws CxmError NOT_FOUND, IO, INTERRUPTED */
  file(path: string, onBytes: (count: number) => void): Promise<void>;
  extent(extent: Extent): Promise<void>;
}

const ownEnd = new CxmError('INTERRUPTED', 'the conversation has ended');

/**
 * Runs one operation and returns its result.
 * @throws CxmError what the helper said, or HOST_UNREACHABLE, HELPER_MISSING, PROTOCOL, TIMEOUT
 */
export function callHelper(route: Route, call: Call): Promise<unknown> {
  const answer = converse(route, call);
  return call.timeoutMs === undefined ? answer : within(call.timeoutMs, answer, route);
}

/** A directory of configurations on a dead NFS server holds cxm-host for ever; its caller has to end all the same. */
async function within(timeoutMs: number, answer: Promise<unknown>, route: Route): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const where = route.kind === 'ssh' ? route.host : 'this host';
  const timeout = new Promise<never>((_, reject) => {
    const sentence = `cxm-host on ${where} did not answer within ${timeoutMs / 1000} s`;
    const hint = `look there whether CFG_DIR and the volume group answer`;
    timer = setTimeout(() => reject(new CxmError('TIMEOUT', sentence, { hint, changed: 'maybe' })), timeoutMs);
  });
  try {
    return await Promise.race([answer, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

async function converse(route: Route, call: Call): Promise<unknown> {
  const lockFile = await call.lock.open();
  const { child, output } = await start(route, lockFile.fd, call);
  const conversation = new Conversation(child, output, call, lockFile.fd);
  try {
    return await conversation.run();
  } catch (error) {
    throw (await conversation.explain(route)) ?? error;
  } finally {
    await conversation.close();
    await lockFile.close();
  }
}

/** The command line that reaches the helper. @param ciphers in order of preference; ssh's own when left out */
function helperCommand(route: Route, ciphers?: readonly string[]): readonly string[] {
  if (route.kind === 'sudo') return ['sudo', '-n', helperPath];
  const options = [
    'BatchMode=yes',
    `ConnectTimeout=${route.connectTimeoutSeconds}`,
    'ServerAliveInterval=5',
    'ServerAliveCountMax=6',
    'ControlMaster=no',
    ...(ciphers === undefined ? [] : [`Ciphers=${ciphers.join(',')}`]),
  ];
  return ['ssh', '-T', ...options.flatMap((option) => ['-o', option]), '--', route.host, `sudo -n ${helperPath}`];
}

interface Started {
  readonly child: ChildProcess;
  /** What it says. */
  readonly output: ByteSource;
}

async function start(route: Route, lockFd: number, { send, inPieces }: Call): Promise<Started> {
  const bulk = route.kind === 'ssh' && (send !== undefined || inPieces === true);
  const ciphers = bulk ? await bulkCiphers(localCommands, route.host) : undefined;
  const source = new SocketSource();
  // Without one it goes on as well, only slower.
  const pair = inPieces === true ? await socketPair(source.onread).catch(() => undefined) : undefined;
  // The shell holds the lock's descriptor: ssh closes all that it doesn't know. A process group of its own, since oned
  // kills the whole group of an action.
  const args = ['-c', '"$@"; exit $?', 'cxm', ...helperCommand(route, ciphers)];
  const child = spawn('sh', args, { stdio: ['pipe', pair?.theirs ?? 'pipe', 'pipe', lockFd], detached: true });
  if (pair !== undefined) source.attach(pair.ours);
  pair?.theirs.destroy();
  return { child, output: child.stdout ?? source };
}

class Conversation {
  private readonly writer: FrameWriter;
  private readonly exited: Promise<number>;
  private stderr = '';
  private answered = false;
  /** Neither ever rejects: see giveUp. */
  private sending: Promise<void> = Promise.resolve();
  private receiving: Promise<void> = Promise.resolve();
  private incoming: DataPipe | undefined;
  /** Tells who has offered raw data what the helper says to it. */
  private onGo: (agreed: boolean) => void = () => undefined;
  private over = false;
  /** What failed on this side. */
  private failure: { readonly error: unknown } | undefined;

  constructor(
    private readonly child: ChildProcess,
    private readonly output: ByteSource,
    private readonly call: Call,
    private readonly lockFd: number,
  ) {
    const { stdin, stderr } = child;
    if (stdin === null || stderr === null) throw new CxmError('INTERNAL', 'a child without pipes');
    this.writer = new FrameWriter(stdin);
    stderr.on('data', (chunk: Buffer) => {
      if (this.stderr.length < 10_000) this.stderr += chunk.toString();
    });
    this.exited = new Promise((resolve) => {
      child.on('error', () => resolve(127));
      child.on('close', (code) => resolve(code ?? 255));
    });
  }

  async run(): Promise<unknown> {
    const { operation, parameters, settings } = this.call;
    const request = { kind: 'request', version: protocolVersion, operation, parameters, settings };
    await this.say(request);
    for await (const frame of readFrames(this.output)) {
      this.answered = true;
      if (frame.type === 'data' || frame.type === 'extent') await this.take(frame);
      else if (frame.type === 'end') await this.finishReceiving();
      else {
        const result = await this.handle(frame.message as HelperMessage);
        if (result !== undefined) return result.value;
      }
    }
    throw this.ownError() ?? new CxmError('INTERRUPTED', 'the connection to the host broke off', { changed: 'maybe' });
  }

  /** Ends the helper, which rolls back whatever is not finished, and waits for that. */
  async close(): Promise<void> {
    this.incoming?.fail(ownEnd);
    this.over = true;
    this.onGo(false);
    this.child.stdin?.end();
    void this.dropOutput();
    await Promise.allSettled([this.sending, this.receiving, this.exited]);
  }

  /** It must not keep the helper from ending. */
  private async dropOutput(): Promise<void> {
    if (this.child.stdout !== null) return void this.child.stdout.resume();
    try {
      for await (const bytes of this.output) void bytes;
    } catch {
      // Whatever is wrong with it, nobody wants it any more.
    }
  }

  /** A better error than a broken stream when the helper never spoke. */
  async explain(route: Route): Promise<CxmError | undefined> {
    if (this.answered) return undefined;
    this.child.stdin?.end();
    const code = await this.exited;
    return explainSilence(route, code, this.stderr);
  }

  private async handle(message: HelperMessage): Promise<{ value: unknown } | undefined> {
    switch (message.kind) {
      case 'log':
        this.call.log(message.severity, String(message.text));
        return undefined;
      case 'ready':
        this.startData(message.detail);
        return undefined;
      case 'go':
        this.onGo(message.agreed);
        return undefined;
      case 'ask':
        // Not waited for: it may have to wait for raw data, about which the helper's next word may be.
        void this.say({ kind: 'answer', value: await this.decide(message.topic, message.detail) });
        return undefined;
      case 'result':
        await this.sending;
        if (this.failure !== undefined) throw this.failure.error;
        return { value: message.value };
      case 'error':
        throw this.causeOf(message);
    }
  }

  private startData(detail: Readonly<Record<string, unknown>>): void {
    const { send, receive } = this.call;
    if (send !== undefined) {
      const sink: DataSink = {
        data: (data) => this.writer.data(data),
        file: (path, onBytes) => this.sendFile(path, onBytes),
        extent: (extent) => this.writer.extent(extent),
      };
      this.sending = send(sink, detail)
        .then(() => this.writer.end())
        .catch((error: unknown) => this.giveUp(error));
    }
    if (receive !== undefined) {
      const incoming = new DataPipe(this.call.inPieces);
      this.incoming = incoming;
      this.receiving = receive(incoming.read(), detail).catch((error: unknown) => {
        this.giveUp(error);
        incoming.fail(error);
      });
    }
  }

  private async sendFile(path: string, onBytes: (count: number) => void): Promise<void> {
    const { writer } = this;
    const { stdin } = this.child;
    if (stdin === null) throw new CxmError('INTERNAL', 'a child without pipes');
    const agreed = (): Promise<boolean> =>
      this.over ? Promise.resolve(false) : new Promise((resolve) => (this.onGo = resolve));
    await sendFile({ path, writer, stream: stdin, agreed, onBytes });
  }

  private async take(data: Data): Promise<void> {
    if (this.failure === undefined) await this.incoming?.push(data).catch((error: unknown) => this.giveUp(error));
  }

  private async finishReceiving(): Promise<void> {
    this.incoming?.end();
    await this.receiving;
  }

  /** The helper's final word is waited for all the same: until then it may need the lock. */
  private giveUp(error: unknown): void {
    if (this.failure !== undefined) return;
    this.failure = { error };
    void this.say({ kind: 'abort' });
  }

  /** A helper that does not listen any more may have said why: that is read, so here it is no error. */
  private async say(message: unknown): Promise<void> {
    await this.writer.message(message).catch(() => undefined);
  }

  /** Never rejects: each question gets its answer, whatever fails here. */
  private async decide(topic: Topic, detail: Readonly<Record<string, unknown>>): Promise<unknown> {
    const { lock, answer } = this.call;
    if (topic === 'lock') return lock.acquire(this.lockFd).catch((error: unknown) => asCxmError(error).message);
    if (topic === 'unlock') return lock.release(this.lockFd).catch(() => false);
    if (this.failure !== undefined) return null;
    try {
      return (await answer?.(topic, detail)) ?? null;
    } catch (error) {
      this.giveUp(error);
      return null;
    }
  }

  /** What went wrong here, unless it only says that something went wrong elsewhere. */
  private ownError(): Error | undefined {
    const { error } = this.failure ?? {};
    if (error instanceof CxmError && error.code === 'INTERRUPTED') return undefined;
    return error instanceof Error ? error : undefined;
  }

  /** Our own side may have failed first; then that is what to tell. */
  private causeOf(message: Extract<HelperMessage, { kind: 'error' }>): Error {
    const own = message.code === 'INTERRUPTED' ? this.ownError() : undefined;
    if (own !== undefined) return own;
    const code: ErrorCode = Object.hasOwn(errorCodes, message.code) ? message.code : 'INTERNAL';
    const { hint, changed } = message;
    return new CxmError(code, String(message.message), { hint: String(hint), changed });
  }
}

/** Why nothing came back: the words of ssh and sudo, told apart. */
function explainSilence(route: Route, exitCode: number, stderr: string): CxmError {
  const said = stderr.trim().split('\n').at(-1)?.trim() ?? '';
  const where = route.kind === 'ssh' ? `host ${route.host}` : 'this host';
  if (/command not found|No such file|not allowed|may not run|a password is required|sorry, you must/i.test(stderr)) {
    return new CxmError('HELPER_MISSING', `${where} does not let this user run ${helperPath}: ${said}`);
  }
  if (route.kind === 'ssh' && exitCode === 255) {
    return new CxmError('HOST_UNREACHABLE', `${where} can't be reached over ssh: ${said || 'no answer'}`);
  }
  return new CxmError('PROTOCOL', `${where} did not answer (exit code ${exitCode}): ${said || 'no message'}`);
}

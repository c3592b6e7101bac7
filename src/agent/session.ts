/**
 * The helper's side of a conversation: takes one request, runs its operation and answers. It outlives its caller: when
 * the action dies or the network goes, the operation is told so and rolls back before the helper ends.
 *
 * Metadata of a volume group is changed under the caller's lock or not at all. A caller that gave up still lends it for
 * the roll-back; one that is gone can't, and what would have to be changed then stays, marked as incomplete.
 */
import type { Writable } from 'node:stream';
import { parseSettings, resolveCxmrc, settingsFromRecord, hostCxmrcPath, type Settings } from '../config/load.ts';
import type { Cxmrc } from '../config/cxmrc.ts';
import { asCxmError, CxmError } from '../errors.ts';
import type { Commands } from '../host/commands.ts';
import type { VolumeGroupInfo } from '../lvm/report.ts';
import type { Volumes } from '../lvm/volumes.ts';
import type { FileSystemTools } from '../transfer/filesystem.ts';
import type { ClusterGuard } from './cluster-guard.ts';
import type { ProgramInput } from '../transfer/process.ts';
import { DataPipe } from './data-pipe.ts';
import type { ByteSource } from './descriptor.ts';
import { RawIntake } from './feeder.ts';
import { FrameWriter, readFrames } from './frames.ts';
import { guardedVolumes } from './guarded-volumes.ts';
import type { Data, Operation, OperationContext, Owner } from './operation.ts';
import { boundaryBytes, protocolVersion, type HelperMessage, type Topic } from './protocol.ts';
import { randomBytes } from './random.ts';

export interface HelperEnvironment {
  readonly commands: Commands;
  readonly owner: Owner;
  readonly operations: readonly Operation[];
  /** Directory for locks and pipes, root's own; made when it is missing. */
  readonly runDirectory: string;
  volumes(settings: Cxmrc): Volumes;
  /** @throws CxmError CONFIG for a cxm.conf that can't be read */
  guard(): ClusterGuard;
  fileSystems(settings: Cxmrc): FileSystemTools;
  /** The text of /etc/cxm/cxmrc, if there is one. */
  hostSettings(): string | undefined;
  /** What `output` writes to, when programs may inherit it to send raw data. */
  readonly outputDescriptor?: number;
  /** One line for the system's log: who did what. */
  audit(line: string): void;
}

/**
 * Serves one request. Resolves when everything is answered and rolled back, and the caller has what was sent or is gone;
 * never rejects.
 */
export async function serve(input: ByteSource, output: Writable, environment: HelperEnvironment): Promise<void> {
  await serveRequest(input, output, environment);
  // What still lies in the stream would be lost with the process.
  await new Promise<void>((resolve) => {
    output.once('close', resolve).end(resolve);
  });
}

async function serveRequest(input: ByteSource, output: Writable, environment: HelperEnvironment): Promise<void> {
  const session = new Session(input, new FrameWriter(output));
  let asked = false;
  try {
    const request = await session.request();
    asked = true;
    const operation = environment.operations.find(({ name }) => name === request.operation);
    if (operation === undefined) {
      throw new CxmError('PROTOCOL', `cxm-host of this host does not know the operation ${request.operation}`);
    }
    const settings = effectiveSettings(request.settings, environment);
    const parameters = operation.parse(request.parameters);
    environment.audit(`${operation.name} ${JSON.stringify(request.parameters).slice(0, 500)}`);
    const context = session.context(settings, environment);
    const value = await operation.run(context, parameters);
    await session.send({ kind: 'result', value: value ?? null });
  } catch (thrown) {
    session.discard();
    const { code, message, hint, changed } = asCxmError(thrown);
    // Who has asked for nothing and is gone has done nothing.
    if (asked || code !== 'INTERRUPTED') environment.audit(`failed: ${message}`);
    await session.send({ kind: 'error', code, message, hint, changed }).catch(() => undefined);
  } finally {
    session.close();
  }
}

function effectiveSettings(sent: Readonly<Record<string, string>>, environment: HelperEnvironment): Cxmrc {
  const layers: Settings[] = [settingsFromRecord(sent, 'settings of the caller')];
  const own = environment.hostSettings();
  if (own !== undefined) layers.push(parseSettings(own, hostCxmrcPath));
  return resolveCxmrc(...layers);
}

interface Request {
  readonly operation: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly settings: Readonly<Record<string, string>>;
}

interface Question {
  /** These are answered even by a caller that gave up. */
  readonly aboutLock: boolean;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

class Session {
  private readonly abort = new AbortController();
  private readonly data = new DataPipe();
  private readonly intake = new RawIntake();
  /** Every question is answered, in order; one that nobody waits for any more keeps its place. */
  private readonly questions: Question[] = [];
  private requested: { resolve: (value: unknown) => void; reject: (error: Error) => void } | undefined;
  /** Between `ready` and the end of the data. */
  private taking = false;
  /** Why the work has to stop: the caller gave up or is gone. */
  private failure: CxmError | undefined;
  /** Set once nobody answers any more. */
  private gone: CxmError | undefined;
  private group: Promise<VolumeGroupInfo> | undefined;

  constructor(
    input: ByteSource,
    private readonly writer: FrameWriter,
  ) {
    void this.pump(input);
  }

  async request(): Promise<Request> {
    const requested = new Promise<unknown>((resolve, reject) => {
      this.requested = { resolve, reject };
    });
    const message = (await requested) as {
      version?: unknown;
      operation?: unknown;
      parameters?: unknown;
      settings?: unknown;
    };
    if (message.version !== protocolVersion) {
      throw new CxmError(
        'PROTOCOL',
        `this host speaks version ${protocolVersion}, the caller ${String(message.version)}`,
      );
    }
    if (typeof message.operation !== 'string' || !isRecord(message.parameters) || !isRecord(message.settings)) {
      throw new CxmError('PROTOCOL', 'the request is incomplete');
    }
    return { ...message, settings: message.settings as Record<string, string> } as Request;
  }

  send(message: HelperMessage): Promise<void> {
    return this.writer.message(message);
  }

  context(settings: Cxmrc, environment: HelperEnvironment): OperationContext {
    const guard = environment.guard();
    const volumes = guardedVolumes(environment.volumes(settings), settings.VG_NAME, guard);
    return {
      settings,
      volumes,
      guard,
      commands: environment.commands,
      owner: environment.owner,
      runDirectory: environment.runDirectory,
      fileSystems: environment.fileSystems(settings),
      signal: this.abort.signal,
      log: (severity, text) => {
        if (severity !== 'DEBUG' || settings.DEBUG)
          void this.send({ kind: 'log', severity, text }).catch(() => undefined);
      },
      withMetadataLock: (change) => this.withMetadataLock(volumes, change),
      ask: (topic, detail) => this.ask(topic, detail),
      ready: (detail = {}) => {
        this.taking = true;
        return this.send({ kind: 'ready', detail });
      },
      incoming: () => this.incoming(),
      rawInput: () => this.rawInput(),
      sendRaw: this.rawSender(environment.outputDescriptor),
      sendData: (data) => this.writer.data(data),
      sendExtent: (extent) => this.writer.extent(extent),
      sendEnd: () => this.writer.end(),
    };
  }

  private async withMetadataLock<T>(volumes: Volumes, change: () => Promise<T>): Promise<T> {
    // The group stays the same for the time of one conversation.
    this.group ??= volumes.info();
    const { name, uuid, lockType } = await this.group;
    if (lockType !== '') return change();
    const granted = await this.ask('lock', { name, uuid });
    if (granted !== true) throw notGranted(name, granted);
    try {
      return await change();
    } finally {
      await this.ask('unlock').catch(() => undefined);
    }
  }

  private async ask(topic: Topic, detail: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const aboutLock = topic === 'lock' || topic === 'unlock';
    const hopeless = aboutLock ? this.gone : this.failure;
    if (hopeless !== undefined) throw hopeless;
    // Whoever asks for the lock while data is still coming is rolling back.
    if (topic === 'lock' && this.taking) this.discard();
    const answer = new Promise((resolve, reject) => {
      this.questions.push({ aboutLock, resolve, reject });
    });
    answer.catch(() => undefined);
    await this.send({ kind: 'ask', topic, detail });
    return answer;
  }

  private async *incoming(): AsyncGenerator<Data> {
    this.intake.refuse();
    try {
      yield* this.data.read();
      this.taking = false;
    } finally {
      if (this.taking) this.discard();
    }
  }

  private async rawInput(): Promise<ProgramInput | undefined> {
    if (!(await this.intake.offered)) return undefined;
    return {
      openForProgram: () => {
        const { stream, discard } = this.intake.open();
        const complete = this.nothingBehind();
        complete.catch(() => undefined);
        return { stream, complete, discard };
      },
    };
  }

  /** Behind raw data comes its end. @throws CxmError also INTERRUPTED */
  private async nothingBehind(): Promise<void> {
    for await (const { type } of this.incoming()) throw new CxmError('PROTOCOL', `${type} behind raw data`);
  }

  private rawSender(descriptor: number | undefined): OperationContext['sendRaw'] {
    if (descriptor === undefined) return undefined;
    return (work) =>
      this.writer.exclusively(async ({ frame, bytes }) => {
        const boundary = await randomBytes(boundaryBytes);
        await frame('boundary', boundary);
        try {
          await work(descriptor);
        } finally {
          // If nobody listens any more, that is why the work has failed.
          await bytes(boundary);
        }
      });
  }

  /** The caller offers raw data and waits for our word. Returns when it was taken: then frames come again. */
  private async takeRaw(descriptor: number | undefined): Promise<void> {
    const feeder = await this.intake.offering(descriptor);
    await this.send({ kind: 'go', agreed: feeder !== undefined });
    await feeder?.ended;
  }

  private async pump(input: ByteSource): Promise<void> {
    let end = new CxmError('INTERRUPTED', 'the caller went away', { changed: 'maybe' });
    try {
      for await (const frame of readFrames(input)) {
        if (frame.type === 'message') {
          if (isRecord(frame.message) && frame.message.kind === 'raw') {
            await this.takeRaw(frame.alone ? input.descriptor : undefined);
          } else this.receive(frame.message);
          continue;
        }
        this.intake.refuse();
        if (frame.type === 'end') this.data.end();
        // Dropped when nobody takes it any more: it must not keep messages from being read.
        else await this.data.push(frame).catch(() => undefined);
      }
    } catch (error) {
      end = asCxmError(error);
    }
    this.gone = end;
    this.fail(end);
    for (const { reject } of this.questions.splice(0)) reject(end);
  }

  private receive(message: unknown): void {
    const { kind, value } = isRecord(message) ? message : {};
    if (kind === 'request' && this.requested !== undefined) {
      this.requested.resolve(message);
      this.requested = undefined;
    } else if (kind === 'answer') {
      this.questions.shift()?.resolve(value);
    } else if (kind === 'abort') {
      this.fail(new CxmError('INTERRUPTED', 'the caller gave up', { changed: 'rolled-back' }));
    }
  }

  private fail(error: CxmError): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    this.requested?.reject(error);
    for (const { aboutLock, reject } of this.questions) if (!aboutLock) reject(error);
    this.abort.abort(error);
    this.data.fail(error);
    this.intake.refuse();
  }

  /**
   * The work on what comes in has ended, well or not. For good, since a caller stops sending only when it has heard the
   * helper's last word.
   */
  discard(): void {
    this.data.discard(new CxmError('INTERRUPTED', 'the rest of the data is not wanted any more'));
    this.intake.discard();
  }

  /** Everything is said. */
  close(): void {
    this.intake.close();
  }
}

/** @param answer why, in the caller's words */
function notGranted(group: string, answer: unknown): CxmError {
  const why = typeof answer === 'string' ? answer : `the caller could not get the lock of volume group ${group}`;
  return new CxmError('TIMEOUT', why, { hint: 'try again; if it lasts, look for an action that hangs' });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

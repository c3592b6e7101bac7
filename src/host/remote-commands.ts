/**
 * Running programs on another node: the body of `Commands` over an ssh connection, with the same meaning as
 * `localCommands`. Every run ends: with the program, at its deadline (kept over there, and here when nothing comes back),
 * or with the connection. What may have been carried out in part says so (`changed: 'maybe'`); all else has not begun, and
 * will not.
 */
import { randomBytes } from 'node:crypto';
import type { ClientChannel } from 'ssh2';
import { CxmError } from '../errors.ts';
import { commandFailed, describeCommand, type CommandOptions, type CommandResult, type Commands } from './commands.ts';
import { goLine, killAfterMs, programOutput, remoteCommandLine } from './remote-command.ts';
import { perhapsRun, type SshConnection } from './ssh-connection.ts';

/** Of each of standard output and standard error, as for local programs. */
const maxOutputBytes = 64 * 1024 * 1024;
const defaultTimeoutMs = 60_000;
/** Waits no longer for the word that the other side has ended the program. */
const abandonAfterMs = 2000;

export interface RemoteOptions {
  readonly node: string;
  readonly connect: () => Promise<SshConnection>;
  /** Searched before the system's own directories. */
  readonly path: string | undefined;
  /** Whether programs are run with sudo, by the user who has logged in. */
  readonly useSudo: (user: string) => boolean;
}

export function remoteCommands({ node, connect, path, useSudo }: RemoteOptions): Commands {
  const mark = `cxm-${randomBytes(12).toString('hex')}:`;
  return {
    async run(program, args, options = {}) {
      const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
      const env = { ...(path === undefined ? {} : { PATH: path }), ...options.env };
      const named: Named = { node, text: describeCommand(program, args) };
      const connection = await connect();
      const sudo = useSudo(connection.user);
      const command = remoteCommandLine({ program, args, timeoutMs, env, useSudo: sudo, mark });
      const run: Run = { input: options.input, timeoutMs, named, mark };
      const end = await connection.run(command, timeoutMs, (channel) => runToEnd(connection, channel, run));
      return judge(end, { program, args, options, named, mark });
    },
  };
}

/** A run for messages. */
interface Named {
  readonly node: string;
  readonly text: string;
}

interface End {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** undefined if a signal ended it. */
  readonly exitCode: number | undefined;
}

interface Run {
  readonly input: CommandOptions['input'];
  readonly timeoutMs: number;
  readonly named: Named;
  readonly mark: string;
}

function runToEnd(connection: SshConnection, channel: ClientChannel, run: Run): Promise<End> {
  const { named, timeoutMs, input, mark } = run;
  const from = performance.now();
  return new Promise<End>((resolve, reject) => {
    let exit: { readonly code: number | undefined } | undefined;
    let hasBegun = false;
    const settle = (): void => {
      clearTimeout(timer);
      forget();
    };
    const fail = (error: CxmError): void => {
      settle();
      reject(error);
    };
    const loseTo = (loss: CxmError): void => fail(hasBegun ? perhapsRun(loss) : loss);
    const drop = (error: CxmError): void => {
      channel.close();
      fail(error);
    };
    const giveUp = (): void => drop(timedOut(named, timeoutMs, hasBegun));
    let timer = setTimeout(giveUp, timeoutMs);
    const forget = connection.onLost(loseTo);
    const tooMuch = `${named.text} on ${named.node} said more than ${maxOutputBytes} bytes and was ended`;
    const overflow = (): void => {
      channel.signal('KILL');
      drop(new CxmError('COMMAND', tooMuch, { changed: hasBegun ? 'maybe' : 'nothing' }));
    };
    const stdout = collect(channel, overflow);
    const stderr = collect(channel.stderr, overflow);
    const begin = (): void => {
      if (hasBegun || !stdout().includes(mark)) return;
      channel.off('data', begin);
      hasBegun = true;
      clearTimeout(timer);
      timer = setTimeout(giveUp, timeoutMs + killAfterMs + abandonAfterMs);
      channel.write(goLine);
      channel.end(input);
    };
    channel.on('data', begin);
    channel.on('error', () => undefined); // it may end before it has read its input
    channel.on('exit', (code: number | null) => (exit = { code: code ?? undefined }));
    channel.on('close', () => {
      if (exit === undefined) {
        const unknown = `${named.text} on ${named.node} ended without saying how`;
        return loseTo(connection.lost ?? new CxmError('COMMAND', unknown));
      }
      // The deadline over there began after ours: whoever it has ended is late here, too.
      const isLate = performance.now() - from >= timeoutMs && [undefined, 124, 137].includes(exit.code);
      if (isLate) return fail(timedOut(named, timeoutMs, hasBegun));
      settle();
      resolve({ stdout: stdout(), stderr: stderr(), exitCode: exit.code });
    });
  });
}

function collect(stream: NodeJS.ReadableStream, overflow: () => void): () => Buffer {
  const chunks: Buffer[] = [];
  let length = 0;
  stream.on('data', (chunk: Buffer) => {
    const before = length;
    length += chunk.length;
    if (length <= maxOutputBytes) chunks.push(chunk);
    else if (before <= maxOutputBytes) overflow();
  });
  return () => Buffer.concat(chunks);
}

interface Asked {
  readonly program: string;
  readonly args: readonly string[];
  readonly options: CommandOptions;
  readonly named: Named;
  readonly mark: string;
}

function judge(end: End, { program, args, options, named, mark }: Asked): CommandResult {
  const [stdout, stderr] = [programOutput(end.stdout, mark), programOutput(end.stderr, mark)];
  if (!stdout.hasBegun || !stderr.hasBegun) throw notStarted(end, program, named.node);
  const result = { stdout: stdout.text, stderr: stderr.text, exitCode: end.exitCode ?? -1 };
  const ok = options.okExitCodes ?? [0];
  if (ok === 'any' ? result.exitCode >= 0 : ok.includes(result.exitCode)) return result;
  throw commandFailed(program, args, result, named.node);
}

/** The error of a program before which the launcher failed. */
export function notStarted({ exitCode, stderr, stdout }: End, program: string, node: string): CxmError {
  const said = stderr.toString().trim() || stdout.toString().trim();
  if (exitCode === 127 && said === '') {
    return new CxmError('COMMAND', `program ${program} is missing on ${node}`, {
      hint: `install the package that provides ${program} on ${node}`,
    });
  }
  const end = exitCode === undefined ? 'a signal' : `exit code ${exitCode}`;
  return new CxmError('COMMAND', `program ${program} could not be started on ${node} (${end}): ${said.slice(-1000)}`, {
    hint: /sudo/.test(said)
      ? `allow the user whom cxm logs in on ${node} to run programs with sudo and no password`
      : `try \`ssh ${node} ${program}\` and see what the login shell says`,
  });
}

function timedOut({ node, text }: Named, timeoutMs: number, hasBegun: boolean): CxmError {
  return hasBegun
    ? new CxmError('TIMEOUT', `${text} on ${node} did not end within ${timeoutMs} ms`, { changed: 'maybe' })
    : new CxmError('TIMEOUT', `${text} was not started by the login shell on ${node} within ${timeoutMs} ms`, {
        hint: `try \`ssh ${node} true\`: something in the start-up files of the shell, or sudo, waits there`,
      });
}

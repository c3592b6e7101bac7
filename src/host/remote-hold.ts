/**
 * A program that is kept running on another node over the connection: `hold` of `Machine`. It ends with the connection,
 * whatever becomes of us: sshd closes its standard input then. A lost connection counts as ended at once.
 */
import { randomBytes } from 'node:crypto';
import type { ClientChannel } from 'ssh2';
import { CxmError } from '../errors.ts';
import { describeCommand } from './commands.ts';
import { busyExitCode, type HeldProgram, type Machine } from './hold.ts';
import { goLine, programOutput, remoteCommandLine } from './remote-command.ts';
import type { RemoteOptions } from './remote-commands.ts';
import type { SshConnection } from './ssh-connection.ts';

/** Longer than any lock is held; `timeout` over there wants a number. */
const longestMs = 7 * 24 * 60 * 60_000;

export function remoteHold({ node, connect, path, useSudo }: RemoteOptions): Machine['hold'] {
  return async (program, args, timeoutMs) => {
    const mark = `cxm-${randomBytes(12).toString('hex')}:`;
    const connection = await connect();
    const env: Record<string, string> = path === undefined ? {} : { PATH: path };
    const sudo = useSudo(connection.user);
    const line = remoteCommandLine({ program, args, timeoutMs: longestMs, env, useSudo: sudo, mark });
    const text = `${describeCommand(program, args)} on ${node}`;
    return new Promise((resolve, reject) => {
      const begun = connection.run(line, timeoutMs, (channel) =>
        keep(connection, channel, { mark, text, timeoutMs, resolve, reject }),
      );
      begun.catch(reject);
    });
  };
}

interface Keeping {
  readonly mark: string;
  readonly text: string;
  readonly timeoutMs: number;
  resolve(held: HeldProgram | undefined): void;
  reject(error: CxmError): void;
}

/** Settles with the end of the program, so that its channel counts as used for so long. */
function keep(connection: SshConnection, channel: ClientChannel, keeping: Keeping): Promise<void> {
  const { mark, text, timeoutMs, resolve, reject } = keeping;
  let running = true;
  let end: () => void = () => undefined;
  const ended = new Promise<void>((settle) => (end = settle));
  const finish = (): void => {
    running = false;
    clearTimeout(timer);
    end();
  };
  const timer = setTimeout(() => {
    channel.close();
    reject(new CxmError('TIMEOUT', `${text} did not begin within ${timeoutMs} ms`));
  }, timeoutMs);
  const forget = connection.onLost((loss) => {
    finish();
    reject(loss);
  });
  const held: HeldProgram = {
    get running() {
      return running;
    },
    release() {
      channel.end();
      return ended;
    },
  };
  const firstWord = (): void => {
    clearTimeout(timer);
    resolve(held);
  };
  const said = listen(channel, mark, firstWord);
  channel.on('close', () => {
    forget();
    finish();
    const { hasBegun, exitCode, stderr } = said();
    if (exitCode === busyExitCode && hasBegun) return resolve(undefined);
    const how = exitCode === undefined ? 'a signal' : `exit code ${exitCode}`;
    reject(new CxmError('COMMAND', `${text} ended with ${how}: ${stderr.trim().slice(0, 1000)}`));
  });
  return ended;
}

interface Said {
  readonly hasBegun: boolean;
  readonly exitCode: number | undefined;
  readonly stderr: string;
}

/** More than such a program says. */
const maxWordsBytes = 64 * 1024;

/** Gives the program its word to begin, and hears its first line. */
function listen(channel: ClientChannel, mark: string, firstWord: () => void): () => Said {
  let [stdout, stderr] = [Buffer.alloc(0), Buffer.alloc(0)];
  let hasBegun = false;
  let exitCode: number | undefined;
  channel.on('data', (chunk: Buffer) => {
    if (stdout.length < maxWordsBytes) stdout = Buffer.concat([stdout, chunk]);
    const output = programOutput(stdout, mark);
    if (output.hasBegun && !hasBegun) {
      hasBegun = true;
      channel.write(goLine);
    }
    if (output.hasBegun && output.text.includes('\n')) firstWord();
  });
  channel.stderr.on('data', (chunk: Buffer) => {
    if (stderr.length < maxWordsBytes) stderr = Buffer.concat([stderr, chunk]);
  });
  channel.on('error', () => undefined);
  channel.on('exit', (code: number | null) => (exitCode = code ?? undefined));
  return () => ({ hasBegun, exitCode, stderr: programOutput(stderr, mark).text });
}

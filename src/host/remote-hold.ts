/**
 * A program that is kept running on another node over the connection: `hold` of `Machine`. It ends with the connection,
 * whatever becomes of us: sshd closes its standard input then. A lost connection counts as ended at once, and nobody waits
 * for a program that does not end with its input.
 */
import { randomBytes } from 'node:crypto';
import type { ClientChannel } from 'ssh2';
import { CxmError } from '../errors.ts';
import { describeCommand } from './commands.ts';
import { busyExitCode, type HeldProgram, type Machine } from './hold.ts';
import { goLine, programOutput, remoteCommandLine } from './remote-command.ts';
import { notStarted, type RemoteOptions } from './remote-commands.ts';
import type { SshConnection } from './ssh-connection.ts';

/** Longer than any lock is held; `timeout` over there wants a number. */
const longestMs = 7 * 24 * 60 * 60_000;
const releaseAfterMs = 10_000;

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
        keep(connection, channel, { node, program, mark, text, timeoutMs, resolve, reject }),
      );
      begun.catch(reject);
    });
  };
}

interface Keeping {
  readonly node: string;
  readonly program: string;
  readonly mark: string;
  readonly text: string;
  readonly timeoutMs: number;
  resolve(held: HeldProgram | undefined): void;
  reject(error: CxmError): void;
}

/** Settles with the end of the program, so that its channel counts as used for so long. */
function keep(
  connection: SshConnection,
  channel: ClientChannel,
  { node, program, mark, text, timeoutMs, resolve, reject }: Keeping,
): Promise<void> {
  let running = true;
  let exitCode: number | undefined;
  let [stdout, stderr] = [Buffer.alloc(0), Buffer.alloc(0)];
  let hasBegun = false;
  let end: () => void = () => undefined;
  const ended = new Promise<void>((settle) => (end = settle));
  const finish = (): void => {
    running = false;
    clearTimeout(timer);
    forget();
    end();
  };
  const timer = setTimeout(() => {
    channel.close();
    finish();
    reject(new CxmError('TIMEOUT', `${text} did not begin within ${timeoutMs} ms`));
  }, timeoutMs);
  const forget = connection.onLost((loss) => {
    finish();
    reject(loss);
  });
  const held = heldProgram(channel, { isRunning: () => running, ended, finish });
  channel.on('data', (chunk: Buffer) => {
    if (stdout.length < 64 * 1024) stdout = Buffer.concat([stdout, chunk]);
    const output = programOutput(stdout, mark);
    if (output.hasBegun && !hasBegun) {
      hasBegun = true;
      channel.write(goLine);
    }
    if (!output.text.includes('\n') || !output.hasBegun) return;
    clearTimeout(timer);
    resolve(held);
  });
  channel.stderr.on('data', (chunk: Buffer) => {
    if (stderr.length < 64 * 1024) stderr = Buffer.concat([stderr, chunk]);
  });
  channel.on('error', () => undefined);
  channel.on('exit', (code: number | null) => (exitCode = code ?? undefined));
  channel.on('close', () => {
    finish();
    if (!hasBegun) return reject(notStarted({ stdout, stderr, exitCode }, program, node));
    if (exitCode === busyExitCode) return resolve(undefined);
    const said = programOutput(stderr, mark).text.trim().slice(0, 1000);
    reject(
      new CxmError(
        'COMMAND',
        `${text} ended with ${exitCode === undefined ? 'a signal' : `exit code ${exitCode}`}: ${said}`,
      ),
    );
  });
  return ended;
}

interface Kept {
  readonly isRunning: () => boolean;
  readonly ended: Promise<void>;
  readonly finish: () => void;
}

function heldProgram(channel: ClientChannel, { isRunning, ended, finish }: Kept): HeldProgram {
  return {
    get running() {
      return isRunning();
    },
    async release() {
      channel.end();
      const late = setTimeout(() => {
        channel.close();
        finish();
      }, releaseAfterMs);
      await ended;
      clearTimeout(late);
    },
  };
}

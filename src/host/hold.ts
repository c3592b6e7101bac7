/**
 * Programs that are kept running, as one that holds a lock: they say `held` on a line of their own once they hold what they
 * are for, and end when their standard input does. So what they hold is free as soon as whoever started them has gone.
 */
import { spawn } from 'node:child_process';
import { CxmError } from '../errors.ts';
import { localCommands, type Commands } from './commands.ts';

export interface HeldProgram {
  /** False once the program has ended, for whatever reason. */
  readonly running: boolean;
  /** Settles when the program has ended. */
  release(): Promise<void>;
}

/** What can run programs to their end, and keep some running. */
export interface Machine extends Commands {
  /**
   * @returns undefined when the program ended with exit code 75 (EX_TEMPFAIL) instead: somebody else holds it
   * @throws CxmError COMMAND, HOST_UNREACHABLE, TIMEOUT when it has not said `held` within `timeoutMs`
   */
  hold(program: string, args: readonly string[], timeoutMs: number): Promise<HeldProgram | undefined>;
}

export const busyExitCode = 75;

export const localMachine: Machine = { run: localCommands.run, hold: holdLocally };

function holdLocally(program: string, args: readonly string[], timeoutMs: number): Promise<HeldProgram | undefined> {
  // A session of its own: Ctrl-C at a terminal is for us, who then have to undo things under the lock.
  const child = spawn(program, [...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C' },
    detached: true,
  });
  child.stdin.on('error', () => undefined);
  let running = true;
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  void ended.then(() => (running = false));
  const held: HeldProgram = {
    get running() {
      return running;
    },
    release() {
      child.stdin.end();
      return ended;
    },
  };
  return new Promise((resolve, reject) => {
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => void (said.length < 2000 && (said += chunk.toString())));
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new CxmError('TIMEOUT', `${program} did not begin within ${timeoutMs} ms`));
    }, timeoutMs);
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      act();
    };
    child.once('error', (cause) =>
      settle(() => reject(new CxmError('COMMAND', `${program} could not be started: ${cause.message}`, { cause }))),
    );
    child.stdout.once('data', () => settle(() => resolve(held)));
    child.once('close', (code) =>
      settle(() => {
        if (code === busyExitCode) resolve(undefined);
        else reject(new CxmError('COMMAND', `${program} ended with exit code ${code ?? -1}: ${said.trim()}`));
      }),
    );
  });
}

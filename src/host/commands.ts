/**
 * Running programs: the effect through which everything else touches a machine. Programs get their arguments as a
 * list, never through a shell; a run is bounded in time and in output.
 *
 * On Node's own spawn: these runs are a part of every action's start, and a library for them took as long to load as
 * everything else together.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import { CxmError } from '../errors.ts';

export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

export interface CommandOptions {
  /** Standard input; empty when left out. */
  readonly input?: string | Uint8Array;
  /** The program is ended after this time, by force if it must be; 60 000 ms when left out. */
  readonly timeoutMs?: number;
  /** Exit codes that are an answer, not a failure; only 0 when left out. `'any'` accepts all, but no signal. */
  readonly okExitCodes?: readonly number[] | 'any';
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** The real bodies are `localCommands` and `remoteCommands`; tests and the sandbox have others. */
export interface Commands {
  /**
   * Runs a program to its end.
   * @throws CxmError COMMAND (exit code not accepted, program missing) or TIMEOUT, with what the program said
   */
  run(program: string, args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
}

/** Of each of standard output and standard error; a program that says more is killed. */
const maxOutputBytes = 64 * 1024 * 1024;
const defaultTimeoutMs = 60_000;
/** LVM finishes a change of metadata when it is asked to end; a program that hangs does not. */
const killAfterMs = 5000;
/** A program that waits for a dead device survives even SIGKILL; nobody waits for it longer than this. */
const abandonAfterMs = 1000;

/** Programs of this machine. LC_ALL=C keeps their messages in the language that we parse. */
export const localCommands: Commands = {
  async run(program, args, options = {}) {
    const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    const result = await runToEnd(program, args, options, timeoutMs);
    if (result === 'timeout') {
      throw new CxmError('TIMEOUT', `${describeCommand(program, args)} did not end within ${timeoutMs} ms`, {
        changed: 'maybe',
      });
    }
    const ok = options.okExitCodes ?? [0];
    if (ok === 'any' ? result.exitCode >= 0 : ok.includes(result.exitCode)) return result;
    throw commandFailed(program, args, result);
  },
};

/** The error of a program that ended with an exit code nobody asked for. @param node where, if not on this machine */
export function commandFailed(
  program: string,
  args: readonly string[],
  result: CommandResult,
  node?: string,
): CxmError {
  const said = result.stderr.trim() || result.stdout.trim() || 'without a message';
  const end = result.exitCode >= 0 ? `exit code ${result.exitCode}` : 'a signal';
  const where = node === undefined ? '' : ` on ${node}`;
  return new CxmError('COMMAND', `${describeCommand(program, args)}${where} ended with ${end}: ${said}`, {
    changed: 'maybe',
  });
}

/** The exit code is -1 for a program that a signal ended. @throws CxmError COMMAND if it could not be started */
function runToEnd(
  program: string,
  args: readonly string[],
  { input, env }: CommandOptions,
  timeoutMs: number,
): Promise<CommandResult | 'timeout'> {
  return new Promise((resolve, reject) => {
    const child = start(program, args, input !== undefined && input.length > 0, env);
    const [stdout, stderr] = [collect(child, child.stdout), collect(child, child.stderr)];
    child.stdin?.on('error', () => undefined); // it may end before it has read everything
    child.stdin?.end(input);
    let late = false;
    const end = (result: CommandResult | 'timeout'): void => {
      clearTimeout(timer);
      resolve(result);
    };
    const abandon = (): void => {
      child.stdout?.destroy();
      child.stderr?.destroy();
      child.unref();
      end('timeout');
    };
    const kill = (): void => {
      child.kill('SIGKILL');
      timer = setTimeout(abandon, abandonAfterMs);
    };
    let timer = setTimeout(() => {
      late = true;
      child.kill('SIGTERM');
      timer = setTimeout(kill, killAfterMs);
    }, timeoutMs);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(notStarted(program, error));
    });
    // What a program has started may hold its output open for ever: when it is late, its own end is enough.
    child.on('exit', () => void (late && abandon()));
    child.on('close', (code) => end({ stdout: stdout(), stderr: stderr(), exitCode: code ?? -1 }));
  });
}

function start(program: string, args: readonly string[], hasInput: boolean, env: CommandOptions['env']): ChildProcess {
  try {
    return spawn(program, [...args], {
      env: { ...process.env, LC_ALL: 'C', ...env },
      stdio: [hasInput ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    throw notStarted(program, error);
  }
}

/** Gathers what a program says. */
function collect(child: ChildProcess, stream: Readable | null): () => string {
  const chunks: Buffer[] = [];
  let length = 0;
  stream?.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length <= maxOutputBytes) chunks.push(chunk);
    else child.kill('SIGKILL');
  });
  return () => Buffer.concat(chunks).toString();
}

function notStarted(program: string, cause: unknown): CxmError {
  if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') {
    return new CxmError('COMMAND', `program ${program} is missing on this machine`, {
      hint: `install the package that provides ${program}`,
      cause,
    });
  }
  const why = cause instanceof Error ? cause.message : String(cause);
  return new CxmError('COMMAND', `program ${program} could not be started: ${why}`, { cause });
}

/** A run for messages: its words, as far as a message takes them. */
export function describeCommand(program: string, args: readonly string[]): string {
  const line = [program, ...args].join(' ');
  return line.length > 200 ? `${line.slice(0, 197)}...` : line;
}

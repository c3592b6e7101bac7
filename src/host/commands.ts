/**
 * Running programs: the effect through which everything else touches a machine. Programs get their arguments as a
 * list, never through a shell; a run is bounded in time and in output.
 */
import { execa } from 'execa';
import { CxmError } from '../errors.ts';

export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

export interface CommandOptions {
  /** Standard input; empty when left out. */
  readonly input?: string | Uint8Array;
  /** The process group is killed after this time; 60 000 ms when left out. */
  readonly timeoutMs?: number;
  /** Exit codes that are an answer, not a failure; only 0 when left out. `'any'` accepts all. */
  readonly okExitCodes?: readonly number[] | 'any';
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** The real body is `localCommands`; tests and the sandbox have others. */
export interface Commands {
  /**
   * Runs a program to its end.
   * @throws CxmError COMMAND (exit code not accepted, program missing) or TIMEOUT, with what the program said
   */
  run(program: string, args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
}

const maxOutputBytes = 64 * 1024 * 1024;

/** Programs of this machine. LC_ALL=C keeps their messages in the language that we parse. */
export const localCommands: Commands = {
  async run(program, args, options = {}) {
    const result = await execa(program, [...args], {
      input: options.input ?? '',
      timeout: options.timeoutMs ?? 60_000,
      env: { LC_ALL: 'C', ...options.env },
      maxBuffer: maxOutputBytes,
      reject: false,
      stripFinalNewline: false,
    });
    const said = { stdout: result.stdout, stderr: result.stderr, exitCode: result.exitCode ?? -1 };
    if (result.timedOut) {
      throw new CxmError('TIMEOUT', `${describe(program, args)} did not end within ${options.timeoutMs ?? 60_000} ms`);
    }
    if (result.code === 'ENOENT') {
      throw new CxmError('COMMAND', `program ${program} is missing on this machine`, {
        hint: `install the package that provides ${program}`,
      });
    }
    const ok = options.okExitCodes ?? [0];
    if (ok === 'any' ? said.exitCode >= 0 : ok.includes(said.exitCode)) return said;
    throw commandFailed(program, args, said);
  },
};

/** The error of a program that ended with an exit code nobody asked for. */
export function commandFailed(program: string, args: readonly string[], result: CommandResult): CxmError {
  const said = result.stderr.trim() || result.stdout.trim() || 'without a message';
  const end = result.exitCode >= 0 ? `exit code ${result.exitCode}` : 'a signal';
  return new CxmError('COMMAND', `${describe(program, args)} ended with ${end}: ${said}`, { changed: 'maybe' });
}

function describe(program: string, args: readonly string[]): string {
  const line = [program, ...args].join(' ');
  return line.length > 200 ? `${line.slice(0, 197)}...` : line;
}

/** What the command line takes of its own process, the same for the program and for that of the sandbox. */
import type { CliEnvironment } from './environment.ts';
import { exitCodes } from './exit-codes.ts';
import { runCxm } from './run.ts';
import { ProcessTerminal } from './top-terminal.ts';

type Parts = Pick<CliEnvironment, 'terminal' | 'ask' | 'onInterrupt' | 'liveTerminal'>;

export function processParts(): Parts {
  // Whoever reads may go away first, as `head` does.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  return {
    terminal: { stdout: process.stdout, stderr: process.stderr, env: process.env },
    ask: askPerson,
    liveTerminal: () => {
      const { stdin, stdout, env } = process;
      const canShow = stdin.isTTY && stdout.isTTY && env['TERM'] !== 'dumb';
      return canShow ? new ProcessTerminal(stdin, stdout) : undefined;
    },
    onInterrupt: (callback) => {
      const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
      for (const signal of signals) process.on(signal, callback);
      return () => {
        for (const signal of signals) process.off(signal, callback);
      };
    },
  };
}

/** Runs this process's call, and ends the process with its exit code. */
export function startCxm(environment: CliEnvironment): void {
  const argv = process.argv.slice(2);
  const run =
    argv[0] === 'guard'
      ? import('./guard.ts').then(({ runGuard }) => runGuard(argv.slice(1), environment, process.stdin))
      : runCxm(argv, environment);
  run.then(
    (code) => process.exit(code),
    (error: unknown) => {
      process.stderr.write(`cxm: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      process.exit(exitCodes.error);
    },
  );
}

/** Also of a pipe, as `yes | cxm` has it; undefined at its end. */
export async function askPerson(question: string): Promise<string | undefined> {
  const { createInterface } = await import('node:readline');
  const reader = createInterface({ input: process.stdin, output: process.stderr, terminal: process.stdin.isTTY });
  return new Promise((resolve) => {
    let answered = false;
    reader.on('close', () => {
      if (!answered) process.stderr.write('\n');
      resolve(undefined);
    });
    reader.question(question, (answer) => {
      answered = true;
      resolve(answer);
      reader.close();
    });
  });
}

/**
 * Bytes through a program: feeds its input, yields its output, and turns its end into a result or one clear error.
 * Guarantees that the program has ended when the iteration has, whichever way: to its end, by an error or given up.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CxmError } from '../errors.ts';

export interface ProcessEnd {
  /** Undefined when a signal ended it. */
  readonly exitCode?: number;
  /** The beginning of what it said, at most 16 KiB, without control characters. */
  readonly stderr: string;
}

/** What a program reads by itself, from a stream with a descriptor that it inherits. */
export interface ProgramInput {
  /** Called once, right before the program is started: nobody else may get hold of what comes first. */
  openForProgram(): OpenProgramInput;
}

export interface OpenProgramInput {
  /** Nobody else reads it. */
  readonly stream: Readable;
  /** All was there, and its end. Rejects when it broke off. */
  readonly complete: Promise<void>;
  /** The program has ended: nobody reads the rest. */
  discard(): void;
}

export function isProgramInput(input: unknown): input is ProgramInput {
  return typeof input === 'object' && input !== null && 'openForProgram' in input;
}

/** The bytes of either kind, read by this process. */
export async function* readHere(input: AsyncIterable<Uint8Array> | ProgramInput): AsyncGenerator<Uint8Array> {
  if (!isProgramInput(input)) return yield* input;
  const { stream, complete, discard } = input.openForProgram();
  try {
    for await (const chunk of stream) yield chunk as Uint8Array;
    await complete;
  } finally {
    discard();
  }
}

export interface ThroughProcessOptions {
  /** Standard input; empty when left out. */
  readonly input?: AsyncIterable<Uint8Array> | Iterable<Uint8Array> | ProgramInput;
  /** The descriptor that is its standard output; nothing is yielded then. */
  readonly output?: number;
  /** Whose rights it gets, if this process is root's. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  readonly signal?: AbortSignal;
  /** The program is killed as soon as it says this: it would only go on to fail. */
  readonly killWhenSaid?: RegExp;
  /** The error for an end other than exit code 0, or for one that it killed itself for `killWhenSaid`. */
  readonly explain: (end: ProcessEnd) => CxmError;
}

/** Programs get this environment and nothing else: BASH_ENV, TAR_OPTIONS, ZSTD_CLEVEL and the like have no say. */
const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
const maxSaidBytes = 16 * 1024;
/** So much input may lie before the program: waiting for each piece costs more than handing it over. */
const maxQueuedBytes = 1024 * 1024;

/**
 * Runs a program with its input and output as streams.
 * @throws (while iterating) what `explain` says, the input's own error, INTERRUPTED, or COMMAND (program missing)
 */
export async function* throughProcess(
  program: string,
  args: readonly string[],
  options: ThroughProcessOptions,
): AsyncGenerator<Uint8Array> {
  if (options.signal?.aborted) throw interrupted(program);
  const rights = process.geteuid?.() === 0 ? options.owner : undefined;
  const { input } = options;
  const direct = isProgramInput(input) ? input.openForProgram() : undefined;
  const stdio = [direct?.stream ?? ('pipe' as const), options.output ?? ('pipe' as const), 'pipe' as const];
  const child = spawn(program, [...args], { env: environment, stdio, ...rights });
  const kill = (): void => void child.kill('SIGKILL');
  const ended = watchEnd(child, options.killWhenSaid);
  ended.catch(() => undefined);
  const fed = direct !== undefined ? follow(child, direct) : feed(child, ended, isProgramInput(input) ? [] : input);
  options.signal?.addEventListener('abort', kill, { once: true });
  try {
    for await (const chunk of child.stdout ?? []) yield chunk as Uint8Array;
    const end = await ended;
    // If the end of the input was the end of the program, both are known in the same turn.
    if (direct !== undefined) await nextTurn();
    if (options.signal?.aborted) throw interrupted(program);
    // The input's error killed the program; a program that failed by itself stopped taking input.
    if (fed.error !== undefined) throw fed.error;
    if (end.exitCode !== 0) throw options.explain(end);
    await fed.done;
    if (fed.error !== undefined) throw fed.error;
  } finally {
    options.signal?.removeEventListener('abort', kill);
    kill();
    await ended.catch(() => undefined);
  }
}

/** Runs a program that yields nothing of interest on its standard output. */
export async function drain(bytes: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of bytes) void chunk;
}

interface Feeding {
  /** Settles when all of the input was taken (or discarded after the program had closed its end); never rejects. */
  done: Promise<void>;
  /** The input's own error. */
  error: unknown;
}

/** A program that reads by itself: what it leaves is thrown away, and it does not outlive its input's failure. */
function follow(child: ChildProcess, input: OpenProgramInput): Feeding {
  const feeding: Feeding = { done: Promise.resolve(), error: undefined };
  for (const event of ['exit', 'error']) child.on(event, () => input.discard());
  feeding.done = input.complete.catch((error: unknown) => {
    feeding.error = error;
    child.kill('SIGKILL');
  });
  return feeding;
}

function feed(
  child: ChildProcess,
  ended: Promise<ProcessEnd>,
  input: AsyncIterable<Uint8Array> | Iterable<Uint8Array> | undefined,
): Feeding {
  const feeding: Feeding = { done: Promise.resolve(), error: undefined };
  const stdin = child.stdin;
  if (stdin === null) return feeding;
  let open = true;
  // EPIPE: the program ended; its exit code says why.
  stdin.on('error', () => (open = false));
  stdin.on('close', () => (open = false));
  const run = async (): Promise<void> => {
    try {
      for await (const chunk of input ?? []) {
        if (open && !stdin.write(chunk) && stdin.writableLength > maxQueuedBytes) {
          await Promise.race([once(stdin, 'drain'), once(stdin, 'close')]).catch(() => undefined);
        }
        // What comes behind the end of an archive is taken and thrown away, unless all is lost anyway.
        if (!open && (await ended).exitCode !== 0) return;
      }
      if (open) stdin.end();
    } catch (error) {
      feeding.error = error;
      child.kill('SIGKILL');
    }
  };
  feeding.done = run();
  return feeding;
}

function watchEnd(child: ChildProcess, killWhenSaid: RegExp | undefined): Promise<ProcessEnd> {
  let said = '';
  child.stderr?.setEncoding('latin1');
  child.stderr?.on('data', (text: string) => {
    if (said.length < maxSaidBytes) said = (said + text).slice(0, maxSaidBytes);
    if (killWhenSaid?.test(text)) {
      said = `${text.slice(0, maxSaidBytes)}\n${said}`.slice(0, maxSaidBytes);
      child.kill('SIGKILL');
    }
  });
  return new Promise((resolve, reject) => {
    child.on('error', (error: NodeJS.ErrnoException) => {
      reject(
        new CxmError('COMMAND', `program ${child.spawnfile} could not be started: ${error.message}`, {
          hint: `install the package that provides ${child.spawnfile}`,
          cause: error,
        }),
      );
    });
    child.on('close', (code) => resolve({ ...(code === null ? {} : { exitCode: code }), stderr: printable(said) }));
  });
}

/** What a program said, for a log: hostile file names in it can't steer a terminal or fake log lines. */
export function printable(text: string): string {
  return text.replace(/[^\x20-\x7e\n]/g, '?').trim();
}

/** The first lines of what a program said, as part of a sentence. */
export function firstLines(said: string, lines = 3): string {
  const all = said.split('\n').filter((line) => line !== '');
  return all.slice(0, lines).join('; ').slice(0, 600) || 'it said nothing';
}

function interrupted(program: string): CxmError {
  return new CxmError('INTERRUPTED', `${program} was interrupted`, { changed: 'maybe' });
}

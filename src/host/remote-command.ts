/**
 * The one string that ssh runs on a node, and what is read from the answer.
 *
 * - The program runs under `timeout`: closing the connection ends nothing over there, so the other side must hold the
 *   deadline too, even when we are gone.
 * - Just before the program begins, a mark goes to both of its outputs. What comes before is the chatter of shell
 *   start-up files and sudo, and is dropped. Without the mark the program has not run, whatever the exit code says: a
 *   refusal of sudo is never mistaken for an answer of the program.
 * - Then it waits for one line of its input. We send it only if somebody still waits for the program: a login shell that
 *   hangs in its start-up files never starts a VM minutes after we have given up.
 */
import { CxmError } from '../errors.ts';
import { quoteWords } from './quote.ts';

/** Where system programs are on every distribution; cron and sshd give ordinary users less. */
export const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Linux takes no longer single argument (MAX_ARG_STRLEN), and the login shell gets the string as one. */
const maxCommandBytes = 128 * 1024 - 1;

/** Sent by `timeout` when the program outlives its SIGTERM by so long. */
export const killAfterMs = 5000;

/** What the launcher waits for; what follows is the program's own input, since a shell reads lines byte by byte. */
export const goLine = 'go\n';

/** `$0` is the mark, the arguments are the program and its own. */
const launcher = [
  'command -v "$1" >/dev/null 2>&1 || exit 127',
  'printf %s "$0" >&2',
  'printf %s "$0"',
  'read -r go && [ "$go" = go ] || exit 125',
  'exec "$@"',
].join('; ');

export interface RemoteProgram {
  readonly program: string;
  readonly args: readonly string[];
  readonly timeoutMs: number;
  readonly env: Readonly<Record<string, string>>;
  readonly useSudo: boolean;
  /** Random for each connection, so that no program says it by chance. */
  readonly mark: string;
}

/** @throws CxmError INVALID_INPUT if it can't be sent as it is */
export function remoteCommandLine({ program, args, timeoutMs, env, useSudo, mark }: RemoteProgram): string {
  if (!/^[A-Za-z0-9_/]/.test(program)) throw new CxmError('INVALID_INPUT', `${quoteWords([program])} is no program`);
  const wrong = Object.keys(env).find((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  if (wrong !== undefined) throw new CxmError('INVALID_INPUT', `${wrong} is no name of an environment variable`);
  const variables = Object.entries({ LC_ALL: 'C', ...env, PATH: pathOf(env['PATH']) });
  const words = [
    ...(useSudo ? ['sudo', '-n', '--'] : []),
    ...['env', ...variables.map(([name, value]) => `${name}=${value}`)],
    ...['timeout', '-k', seconds(killAfterMs), seconds(timeoutMs)],
    ...['sh', '-c', launcher, mark, program, ...args],
  ];
  const line = `exec ${quoteWords(words)}`;
  if (Buffer.byteLength(line) <= maxCommandBytes) return line;
  throw new CxmError('INVALID_INPUT', `the arguments of ${program} are longer than ${maxCommandBytes} bytes together`);
}

/** A PATH whose last directories are the system's. */
export function pathOf(first: string | undefined): string {
  return first === undefined || first === '' ? systemPath : `${first}:${systemPath}`;
}

/** `timeout` takes 0 for "for ever". */
function seconds(timeoutMs: number): string {
  return (Math.max(1, timeoutMs) / 1000).toFixed(3);
}

export interface RemoteOutput {
  readonly hasBegun: boolean;
  readonly text: string;
}

/** What the program itself has said; all there is if it has not begun. */
export function programOutput(bytes: Buffer, mark: string): RemoteOutput {
  const at = bytes.indexOf(mark);
  return at < 0
    ? { hasBegun: false, text: bytes.toString() }
    : { hasBegun: true, text: bytes.subarray(at + Buffer.byteLength(mark)).toString() };
}

/**
 * Powering other nodes off, and asking whether they have power.
 *
 * Guarantees: FENCE_CMD is not begun after the moment until which it was decided; only its exit status 0 within its time
 * counts; the power state is the first word that FENCE_STATUS_CMD says with exit status 0, and everything else is unknown. A
 * program that is late is ended together with all that it has started.
 */
import { spawn } from 'node:child_process';
import { isHostName } from '../../host-name.ts';
import type { BootClock } from './boot-clock.ts';

export interface FenceCommands {
  readonly fence: string;
  readonly status: string | undefined;
  readonly timeoutMs: number;
  /** Directories in which programs are looked for, with : between them. */
  readonly path: string;
}

export interface FenceOutcome {
  readonly ok: boolean;
  readonly reason: string;
}

export type Power = 'on' | 'off' | 'unknown';

const maxOutputChars = 2000;
const lastWordsMs = 200;

/** @param notAfterMs of the clock: later the program is not begun */
export async function fence(
  commands: FenceCommands,
  node: string,
  clock: BootClock,
  notAfterMs: number,
): Promise<FenceOutcome> {
  if (!isHostName(node)) return { ok: false, reason: `${JSON.stringify(node)} is no name of a node` };
  // Between this look and the start of the program nothing else is done.
  if (clock() > notAfterMs) return { ok: false, reason: 'it was too late to begin' };
  const { code, output } = await run(commands.fence, node, commands);
  if (code === 0) return { ok: true, reason: '' };
  return { ok: false, reason: `${commands.fence} ${endOf(code, commands.timeoutMs)}: ${output || 'it said nothing'}` };
}

export async function powerOf(commands: FenceCommands, node: string): Promise<Power> {
  if (commands.status === undefined || !isHostName(node)) return 'unknown';
  const { code, output } = await run(commands.status, node, commands);
  return powerSaid({ exitCode: code, stdout: output });
}

/** What FENCE_STATUS_CMD has said. */
export function powerSaid({ exitCode, stdout }: { readonly exitCode: Ended['code']; readonly stdout: string }): Power {
  const [word] = stdout.trim().toLowerCase().split(/\s+/);
  return exitCode === 0 && (word === 'on' || word === 'off') ? word : 'unknown';
}

interface Ended {
  /** Undefined for a program that was late, a word for one that could not be begun or was killed. */
  readonly code: number | string | undefined;
  readonly output: string;
}

function run(program: string, node: string, { timeoutMs, path }: FenceCommands): Promise<Ended> {
  return new Promise((resolve) => {
    let output = '';
    const child = spawn(program, [node], {
      // A group of its own, so that all of it can be ended.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: path, LC_ALL: 'C' },
    });
    // What could not be begun has no streams: there may be no descriptor left for them.
    if (child.pid === undefined) {
      child.on('error', (error) => resolve({ code: error.message, output: '' }));
      return;
    }
    const end = (code: Ended['code']): void => {
      clearTimeout(timer);
      child.stdout.destroy();
      child.stderr.destroy();
      resolve({ code, output: output.trim() });
    };
    const timer = setTimeout(() => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended by itself at this moment: too late all the same.
      }
      end(undefined);
    }, timeoutMs);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(0, maxOutputChars)));
    }
    child.on('error', (error) => end(error.message));
    child.on('close', (code, signal) => end(code ?? signal ?? 'ended'));
    // What it leaves in the background may hold its output open for ever.
    child.on('exit', (code, signal) => setTimeout(() => end(code ?? signal ?? 'ended'), lastWordsMs));
  });
}

function endOf(code: Ended['code'], timeoutMs: number): string {
  if (code === undefined) return `did not end within ${timeoutMs / 1000} s`;
  return typeof code === 'number' ? `ended with exit code ${code}` : `failed (${code})`;
}

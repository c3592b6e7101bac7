/**
 * Whether VMs answer, all at once: by fping, which is made for it, or by one ping each.
 *
 * Guarantees: `silent` only for a name to which something was sent and from which nothing came; what can't be told, because
 * a name is unknown, a program is missing, time was up before it was sent, or this machine has no way for it, is `unknown`.
 */
import { spawn } from 'node:child_process';
import { isHostName } from '../../host-name.ts';
import type { PingResult } from '../protocol/messages.ts';

export interface PingOptions {
  readonly deadlineMs: number;
  /** Directories in which programs are looked for, with : between them. */
  readonly path: string;
}

/** In the order of the names. */
export async function pingAll(names: readonly string[], options: PingOptions): Promise<readonly PingResult[]> {
  const valid = names.filter(isHostName);
  const results = (await byFping(valid, options)) ?? (await byPing(valid, options));
  return names.map((name) => results.get(name) ?? 'unknown');
}

interface Ended {
  readonly code: number | undefined;
  readonly output: string;
  readonly errors: string;
}

/** Two packets each; undefined when there is no fping. */
async function byFping(names: readonly string[], options: PingOptions): Promise<Map<string, PingResult> | undefined> {
  const waitMs = Math.max(100, Math.floor((options.deadlineMs - 200) / 3));
  const args = ['-r', '1', '-B', '1', '-i', '1', '-t', String(waitMs), '--', ...names];
  const ended = names.length === 0 ? { code: 0, output: '', errors: '' } : await run('fping', args, options);
  if (ended === undefined) return undefined;
  // It counts what this machine itself has refused to send, too, as unreachable: no route, or a filter.
  const unsent = new Set(Array.from(ended.errors.matchAll(/^(\S+): error while sending/gm), ([, name]) => name));
  const results = new Map<string, PingResult>();
  for (const line of ended.output.split('\n')) {
    const [, name, word] = /^(\S+) is (alive|unreachable)/.exec(line) ?? [];
    if (name === undefined) continue;
    results.set(name, word === 'alive' ? 'answer' : unsent.has(name) ? 'unknown' : 'silent');
  }
  return results;
}

async function byPing(names: readonly string[], options: PingOptions): Promise<Map<string, PingResult>> {
  const results = await Promise.all(
    names.map(async (name): Promise<[string, PingResult]> => {
      const args = ['-n', '-c', '2', '-i', '0.3', '-W', '1', '--', name];
      const ended = await run('ping', args, options);
      if (ended?.code === 0) return [name, 'answer'];
      // 2 is an unknown name; a ping that was cut off, or that was not let, may not have sent anything.
      const isSent = ended?.code === 1 && !/send(msg|to)/.test(ended.errors);
      return [name, isSent ? 'silent' : 'unknown'];
    }),
  );
  return new Map(results);
}

/** Undefined when the program can't be begun; the code is undefined when it was cut off. */
function run(program: string, args: readonly string[], options: PingOptions): Promise<Ended | undefined> {
  return new Promise((resolve) => {
    let output = '';
    let errors = '';
    const child = spawn(program, [...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: options.path, LC_ALL: 'C' },
    });
    // What could not be begun has no streams: there may be no descriptor left for them.
    if (child.pid === undefined) {
      child.on('error', () => resolve(undefined));
      return;
    }
    const end = (ended: Ended | undefined): void => {
      clearTimeout(timer);
      child.stdout.destroy();
      child.stderr.destroy();
      resolve(ended);
    };
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      end({ code: undefined, output, errors });
    }, options.deadlineMs - 50);
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.on('error', () => end(undefined));
    child.on('close', (code) => end({ code: code ?? undefined, output, errors }));
  });
}

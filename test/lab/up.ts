/**
 * Runs a command inside the lab: a frontend and Xen hosts with real LVM, ssh and sudo on this machine (layout.ts
 * names them, lab.ts is their interface for tests). As root on Debian:
 *
 *     npx tsx test/lab/up.ts                              a shell on the frontend, as root
 *     npx tsx test/lab/up.ts -- ssh -F /run/cxm-lab/ssh_config node1 lvs
 *     npx tsx test/lab/up.ts -- npx vitest run --project lab smoke
 *
 * Everything happens in namespaces of its own: no address, mount, process or file of this machine is touched (the
 * checkout is the one directory that both sides write), and nothing is left when the command ends or when this process
 * dies, however it dies. The product's files are taken from dist/ when the lab starts: build first.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { firstCoreVariable } from './layout.ts';

/** For a lab that shares the machine with others. */
export interface LabOptions {
  /** The core of its first node, so that labs do not crowd on the same one. */
  readonly firstCore: number;
  /** Takes what the command and the lab say on both streams; without it that goes where this process' own goes. */
  readonly onOutput: (chunk: Buffer) => void;
}

/**
 * Runs a command inside a new lab; resolves to its exit code. With `options` it has no standard input, otherwise it has
 * this process' streams.
 */
export function runInLab(command: readonly string[], options?: LabOptions): Promise<number> {
  const namespaces = ['--mount', '--propagation', 'private', '--net', '--uts', '--pid', '--mount-proc'];
  const inside = [process.execPath, '--import', import.meta.resolve('tsx')];
  const supervisor = [...inside, fileURLToPath(new URL('inside.ts', import.meta.url)), process.cwd(), ...command];
  // The shell is the namespace's first process: it collects orphans, and its end is the end of all others.
  const first = ['bash', '-c', '"$@"; exit $?', 'lab', ...supervisor];
  const unshare = ['unshare', ...namespaces, '--fork', '--kill-child=SIGKILL', '--', ...first];
  const argv = ['--pdeathsig', 'KILL', '--', ...unshare];
  const core = options === undefined ? {} : { [firstCoreVariable]: String(options.firstCore) };
  const child = spawn('setpriv', argv, {
    stdio: options === undefined ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...core },
  });
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => options?.onOutput(chunk));
  const end = (): void => void child.kill('SIGKILL');
  const wait = (): void => undefined;
  process.on('SIGTERM', end).on('SIGHUP', end).on('SIGINT', wait);
  return new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  }).finally(() => {
    process.off('SIGTERM', end).off('SIGHUP', end).off('SIGINT', wait);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const args = process.argv.slice(2);
  process.exitCode = await runInLab(args[0] === '--' ? args.slice(1) : args);
}

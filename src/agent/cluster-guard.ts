/**
 * What the other nodes of a cluster have to do with an operation here: a VM that starts here must run nowhere else and its
 * volumes must be nobody else's, and a volume that is written or removed here must not be in use there. The library that
 * knows the other nodes is in `cxm`: this host's own `cxm guard` holds the VM while the operation works, and lets go when
 * this process ends, however it ends.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { lockToken } from '../cluster/node-body.ts';
import { CxmError, errorCodes, type ErrorCode } from '../errors.ts';

export interface StartingVm {
  readonly name: string;
  /** `VG/LV` each. */
  readonly volumes: readonly string[];
}

export interface ClusterGuard {
  /**
   * @param work gets a check for just before what can't be taken back: it throws when the VM is not held any more
   * @throws CxmError REFUSED when the VM is on another node, IN_USE, HOST_UNREACHABLE; then `work` was not begun
   */
  starting<T>(vm: StartingVm, work: (requireHeld: () => void) => Promise<T>): Promise<T>;
  /** Nobody moves the VM meanwhile. @throws CxmError REFUSED when it does not run here, IN_USE; then `work` was not begun */
  staying<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** @throws CxmError REFUSED with what stands in the way; then `work` was not begun */
  migrating<T>(name: string, destination: string, work: () => Promise<T>): Promise<T>;
  /**
   * Runs `work` while the cluster neither moves nor ends the VM, which may be anywhere.
   * @throws CxmError IN_USE while another cxm works on it, HOST_UNREACHABLE; then `work` was not begun
   */
  holding<T>(name: string, work: () => Promise<T>): Promise<T>;
  /**
   * A word that changes whenever anybody in the cluster has held the VM, as whoever moves it must; it means something
   * only if it was taken while the VM was held. Undefined when there is none.
   */
  lastHold(name: string): string | undefined;
  /**
   * Makes volumes (`VG/LV`) inactive on all other nodes, for `work` to activate or remove them here.
   * @throws CxmError IN_USE, HOST_UNREACHABLE; also after `work`, when another node may have activated them at the same time
   */
  releasing<T>(volumes: readonly string[], work: () => Promise<T>): Promise<T>;
  /** Another node on which one of these VMs is, in whatever state. @throws CxmError HOST_UNREACHABLE */
  elsewhere(names: readonly string[]): Promise<string | undefined>;
}

/** A host of its own. */
export const noCluster: ClusterGuard = {
  starting: (_vm, work) => work(() => undefined),
  staying: (_name, work) => work(),
  migrating: (_name, _destination, work) => work(),
  holding: (_name, work) => work(),
  lastHold: () => 'nobody',
  releasing: (_volumes, work) => work(),
  elsewhere: () => Promise.resolve(undefined),
};

/**
 * A guard by the program `cxm` of this host.
 * @param runDirectory where its locks are
 */
export function programGuard(program: string, runDirectory: string): ClusterGuard {
  /** Volumes of VMs that are held: nobody else has them. */
  const held = new Set<string>();
  return {
    async starting({ name, volumes }, work) {
      const args = ['start', ...volumes.flatMap((volume) => ['--volume', volume]), '--', name];
      return holding(program, args, async (requireHeld) => {
        for (const volume of volumes) held.add(volume);
        try {
          return await work(requireHeld);
        } finally {
          for (const volume of volumes) held.delete(volume);
        }
      });
    },
    staying: (name, work) => holding(program, ['stay', '--', name], work),
    migrating: (name, destination, work) => holding(program, ['migrate', '--', name, destination], work),
    holding: (name, work) => holding(program, ['hold', '--', name], work),
    lastHold: (name) => wordIn(lockToken(runDirectory, name)),
    async releasing(volumes, work) {
      const others = volumes.filter((volume) => !held.has(volume));
      if (others.length === 0) return work();
      return holding(program, ['release', '--', ...others], work, requireKept);
    },
    async elsewhere(names) {
      let node: string | undefined;
      if (names.length > 0) {
        await holding(program, ['find', '--', ...names], (_check, said) => {
          node = said === '' ? undefined : said;
          return Promise.resolve();
        });
      }
      return node;
    },
  };
}

function wordIn(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}

/** Between the first word and this the program works on many nodes, each with time limits of its own. */
const beginMs = 10 * 60_000;

/**
 * Runs `cxm guard ARGS`, which says `held` and possibly a word, or an error as JSON, in one line; then works; then says
 * `done` and waits for its end.
 * @param judge gets its last line, empty if there was none
 */
async function holding<T>(
  program: string,
  args: readonly string[],
  work: (requireHeld: () => void, said: string) => Promise<T>,
  judge: (lastLine: string) => void = () => undefined,
): Promise<T> {
  const child = spawn(program, ['guard', ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.on('error', () => undefined);
  let running = true;
  const ended = new Promise<void>((resolve) => {
    child.once('close', resolve);
    child.once('error', () => resolve());
  });
  void ended.then(() => (running = false));
  const timer = setTimeout(() => child.kill('SIGKILL'), beginMs);
  try {
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const line = await firstLine(program, child);
    clearTimeout(timer);
    const requireHeld = (): void => {
      if (!running) throw new CxmError('HOST_UNREACHABLE', 'the lock of the VM in the cluster is lost');
    };
    const result = await work(requireHeld, heldWord(line));
    child.stdin.end('done\n');
    await ended;
    judge(said.slice(line.length + 1).trim());
    return result;
  } finally {
    clearTimeout(timer);
    child.stdin.end();
    await ended;
  }
}

function firstLine(program: string, child: ReturnType<typeof spawn>): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const end = text.indexOf('\n');
      if (end >= 0) resolve(text.slice(0, end));
    });
    child.once('error', (cause) => {
      const message = `this host belongs to a cluster, but ${program} could not be started: ${cause.message}`;
      reject(new CxmError('HELPER_MISSING', message, { cause, hint: `install dist/sbin/cxm as ${program}` }));
    });
    child.once('close', () => reject(new CxmError('PROTOCOL', `${program} guard ended without an answer`)));
  });
}

/** @throws CxmError as the library raised it */
function heldWord(line: string): string {
  const [, word] = /^held(?: (\S+))?$/.exec(line) ?? [undefined, undefined];
  if (line.startsWith('held')) return word ?? '';
  throw errorIn(line);
}

/** @throws CxmError as the library raised it when it looked once more, or because it did not */
function requireKept(lastLine: string): void {
  if (lastLine === 'kept') return;
  if (lastLine !== '') throw errorIn(lastLine);
  throw new CxmError('HOST_UNREACHABLE', 'the other nodes were not asked once more whether they use the volume');
}

function errorIn(line: string): CxmError {
  try {
    const { error } = JSON.parse(line) as { error?: Record<string, unknown> };
    const { code, message, hint } = error ?? {};
    if (typeof code === 'string' && Object.hasOwn(errorCodes, code) && typeof message === 'string') {
      return new CxmError(code as ErrorCode, message, typeof hint === 'string' ? { hint } : {});
    }
  } catch {
    // falls through to the error below
  }
  return new CxmError(
    'PROTOCOL',
    `cxm guard said something that is not understood: ${JSON.stringify(line.slice(0, 200))}`,
  );
}

/**
 * Migrations that were begun and not concluded, as the nodes remember them: what the next one who looks could not see by
 * itself. A file beside the VM's lock, which is gone after a boot, as the VM is. What is not understood is as good as nothing.
 */
import type { Commands } from '../host/commands.ts';
import { lockName, vmOfLock } from './lock-name.ts';

/** A migration that was begun. */
export interface BegunMove {
  readonly source: string;
  readonly destination: string;
  /** The VM had an autostart link, which is removed for the time of the migration. */
  readonly linked: boolean;
}

export interface NodeMoves {
  read(vm: string): Promise<BegunMove | undefined>;
  write(vm: string, move: BegunMove): Promise<void>;
  /** Absence is success. */
  remove(vm: string): Promise<void>;
  /** VMs of which there is one that was begun so long ago or longer. */
  begun(ageSeconds: number): Promise<readonly string[]>;
}

const suffix = '.moving';

/** @param directory where the VMs' locks are */
export function commandMoves(commands: Commands, directory: string): NodeMoves {
  const file = (vm: string): string => `${directory}/${lockName(vm)}${suffix}`;
  return {
    async read(vm) {
      const { stdout } = await commands.run('sh', ['-c', '[ ! -e "$1" ] || exec cat -- "$1"', 'sh', file(vm)]);
      return parseMove(stdout);
    },
    async write(vm, { source, destination, linked }) {
      const text = JSON.stringify({ source, destination, linked });
      await commands.run('sh', ['-c', `printf '%s\\n' "$2" >"$1.new" && mv -f -- "$1.new" "$1"`, 'sh', file(vm), text]);
    },
    async remove(vm) {
      await commands.run('rm', ['-f', '--', file(vm)]);
    },
    async begun(ageSeconds) {
      const tests = ['-maxdepth', '1', '-type', 'f', '!', '-newermt', `${ageSeconds} seconds ago`, '-printf', '%f\\n'];
      // Before the first lock there is no directory.
      const { stdout } = await commands.run('find', [directory, ...tests], { okExitCodes: [0, 1] });
      return stdout.split('\n').flatMap((name) => vmOfLock(name, suffix) ?? []);
    },
  };
}

function parseMove(text: string): BegunMove | undefined {
  try {
    const { source, destination, linked } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    if (typeof source !== 'string' || typeof destination !== 'string') return undefined;
    return { source, destination, linked: linked === true };
  } catch {
    return undefined;
  }
}

/**
 * Migrations that were begun and not concluded, as the nodes remember them: what the next one who looks could not see by
 * itself. A file beside the VM's lock, which is gone after a boot, as the VM is. What is not understood is as good as nothing.
 */
import type { Commands } from '../host/commands.ts';

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
}

/** @param pathOf the VM's lock, without its suffix */
export function commandMoves(commands: Commands, pathOf: (vm: string) => string): NodeMoves {
  const file = (vm: string): string => `${pathOf(vm)}.moving`;
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

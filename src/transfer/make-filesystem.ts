/**
 * Making file systems and swap space: argument lists that never ask a question, never trim or zero what is zero
 * already, and give a file system the UUID and label that it had before.
 */
import { CxmError } from '../errors.ts';
import type { Commands } from '../host/commands.ts';
import type { FileSystemType } from './archive-note.ts';
import type { MakeFileSystem } from './filesystem.ts';
import type { Line } from './compress.ts';
import { firstLines } from './process.ts';

/** mkfs has nothing to write but metadata; a slow SAN gets its time nevertheless. */
const makeTimeoutMs = 15 * 60_000;

/** Knows mke2fs `assume_storage_prezeroed`: 1.47.0 and later. */
export function knowsPrezeroed(mke2fsVersion: string): boolean {
  const match = /mke2fs (\d+)\.(\d+)/.exec(mke2fsVersion);
  const major = Number(match?.[1] ?? 0);
  return major > 1 || (major === 1 && Number(match?.[2] ?? 0) >= 47);
}

/** Program and arguments that make a file system; `populateFrom` (ext only) fills it from a directory. */
export function makeLine(
  device: string,
  options: MakeFileSystem,
  extra: { readonly prezeroed?: boolean; readonly populateFrom?: string } = {},
): Line {
  const label = options.label === undefined ? [] : ['-L', options.label];
  if (options.type === 'xfs') {
    const uuid = options.uuid === undefined ? [] : ['-m', `uuid=${options.uuid}`];
    return ['mkfs.xfs', '-q', '-f', '-K', ...label, ...uuid, device];
  }
  const lazy = options.zeroed ? 1 : 0;
  const features = ['nodiscard', `lazy_itable_init=${lazy}`, `lazy_journal_init=${lazy}`];
  if (options.zeroed && extra.prezeroed) features.push('assume_storage_prezeroed=1');
  const uuid = options.uuid === undefined ? [] : ['-U', options.uuid];
  const content = extra.populateFrom === undefined ? [] : ['-d', extra.populateFrom];
  return ['mke2fs', '-q', '-F', '-t', options.type, '-E', features.join(','), ...label, ...uuid, ...content, device];
}

/** @throws CxmError TOO_SMALL (the device can't hold even an empty file system), COMMAND, TIMEOUT */
export async function makeFileSystem(
  commands: Commands,
  device: string,
  options: MakeFileSystem,
  populateFrom?: string,
): Promise<void> {
  const prezeroed = options.type !== 'xfs' && options.zeroed && (await hasPrezeroed(commands));
  const extra = { prezeroed, ...(populateFrom === undefined ? {} : { populateFrom }) };
  const [program, ...args] = makeLine(device, options, extra);
  try {
    await commands.run(program, args, { timeoutMs: makeTimeoutMs });
  } catch (error) {
    throw tooSmallOr(error, options.type);
  }
}

export async function makeSwapSpace(
  commands: Commands,
  device: string,
  options: { readonly uuid?: string; readonly label?: string } = {},
): Promise<void> {
  const uuid = options.uuid === undefined ? [] : ['-U', options.uuid];
  const label = options.label === undefined ? [] : ['-L', options.label];
  try {
    await commands.run('mkswap', ['-f', ...uuid, ...label, device], { timeoutMs: makeTimeoutMs });
  } catch (error) {
    throw tooSmallOr(error, 'swap space');
  }
}

async function hasPrezeroed(commands: Commands): Promise<boolean> {
  const { stdout, stderr } = await commands.run('mke2fs', ['-V'], { okExitCodes: 'any' });
  return knowsPrezeroed(stderr + stdout);
}

const saysTooSmall =
  /must be larger than|too small|not enough space|[Ff]ilesystem too small|needs to be at least|Could not allocate block|No space left|No free space/;

function tooSmallOr(error: unknown, what: FileSystemType | 'swap space'): unknown {
  if (!(error instanceof CxmError) || !saysTooSmall.test(error.message)) return error;
  return new CxmError('TOO_SMALL', `the logical volume is too small for ${what}: ${firstLines(error.message, 1)}`, {
    cause: error,
    changed: 'maybe',
  });
}

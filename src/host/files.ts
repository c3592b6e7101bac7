/**
 * Files of a node, read and written by programs there, so that one way leads to every node. A file is replaced as a
 * whole or not at all, also when the node loses power meanwhile; a reader never sees half of it.
 */
import { randomBytes } from 'node:crypto';
import { CxmError } from '../errors.ts';
import { commandFailed, type Commands } from './commands.ts';

export interface DirectoryEntry {
  readonly name: string;
  readonly type: 'file' | 'directory' | 'link' | 'other';
  /** Of a link: what stands in it. */
  readonly target: string | undefined;
}

/** The text of a file; undefined if there is none. @throws CxmError COMMAND */
export async function readTextFile(commands: Commands, path: string): Promise<string | undefined> {
  requireAbsolute(path);
  const result = await commands.run('cat', ['--', path], { okExitCodes: [0, 1] });
  if (result.exitCode === 0) return result.stdout;
  if (isMissing(result.stderr, path)) return undefined;
  throw commandFailed('cat', ['--', path], result);
}

/** The entries of a directory by name, without those that begin with a dot; undefined if there is none. */
export async function readDirectory(commands: Commands, path: string): Promise<DirectoryEntry[] | undefined> {
  requireAbsolute(path);
  const shown = ['-mindepth', '1', '-maxdepth', '1', '!', '-name', '.*', '-printf', '%y\\0%f\\0%l\\0'];
  // A slash at the end leads through a link to the directory.
  const args = [`${path.replace(/\/+$/, '')}/`, ...shown];
  const result = await commands.run('find', args, { okExitCodes: [0, 1] });
  if (result.exitCode !== 0) {
    if (isMissing(result.stderr, args[0] ?? path)) return undefined;
    throw commandFailed('find', args, result);
  }
  const fields = result.stdout.split('\0');
  const entries: DirectoryEntry[] = [];
  for (let at = 0; at + 2 < fields.length; at += 3) {
    const [type = '', name = '', target = ''] = fields.slice(at, at + 3);
    entries.push({ name, type: typeOf(type), target: type === 'l' ? target : undefined });
  }
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Every word in it is an argument, nothing is pasted. The directory is synced too: a name is lost with the power as
 * easily as the contents.
 */
const replace = `umask 077
{ dd of="$1" bs=1M iflag=fullblock conv=excl,fsync status=none && chmod -- "$2" "$1" && mv -fT -- "$1" "$3"; } || {
  rm -f -- "$1"
  exit 1
}
sync -- "$4"`;

/**
 * Writes a file in place of what is there; a link is replaced, not followed.
 * @param mode as chmod takes it
 * @throws CxmError COMMAND; the old file is still there then
 */
export async function writeTextFile(commands: Commands, path: string, text: string, mode = '0644'): Promise<void> {
  requireAbsolute(path);
  if (!/^0?[0-7]{3}$/.test(mode)) throw new CxmError('INVALID_INPUT', `${mode} is no mode of a file`);
  const directory = path.slice(0, path.lastIndexOf('/')) || '/';
  // Begins with a dot and ends in digits: nobody takes it for a configuration.
  const temporary = `${directory === '/' ? '' : directory}/.cxm-${randomBytes(4).readUInt32BE()}`;
  await commands.run('sh', ['-c', replace, 'sh', temporary, mode, path, directory], { input: text });
}

function typeOf(letter: string): DirectoryEntry['type'] {
  return letter === 'f' ? 'file' : letter === 'd' ? 'directory' : letter === 'l' ? 'link' : 'other';
}

/** Messages are in English, see `Commands`. */
function isMissing(stderr: string, path: string): boolean {
  return stderr.includes(path) && stderr.trim().endsWith(': No such file or directory');
}

function requireAbsolute(path: string): void {
  if (!path.startsWith('/') || path.includes('\0') || path.endsWith('/') || path.split('/').includes('..')) {
    throw new CxmError('INVALID_INPUT', `${JSON.stringify(path.slice(0, 100))} is no absolute path of a file`);
  }
}

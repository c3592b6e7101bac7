/**
 * The directory over which file systems are mounted. The caller of the helper names it, and root mounts, binds and enters
 * things there: so nobody else may be able to put another directory in its place meanwhile.
 */
import { lstat, realpath } from 'node:fs/promises';
import { CxmError } from '../errors.ts';

const [groupOrOthersWrite, sticky] = [0o022, 0o1000];

/**
 * The directory without symbolic links, such that only root (or this user, who is not root) can change what the path leads to.
 * @throws CxmError CONFIG
 */
export async function trustedMountPoint(path: string): Promise<string> {
  const found = await realpath(path).catch((cause: unknown) => {
    throw refused(path, 'it does not exist', cause);
  });
  if (found === '/') throw refused(path, 'it is the root directory');
  const steps = found.split('/').slice(1);
  for (let length = 0; length <= steps.length; length++) {
    const directory = `/${steps.slice(0, length).join('/')}`;
    const problem = await problemOf(directory).catch((cause: unknown) => {
      throw refused(path, `${directory} can't be looked at`, cause);
    });
    if (problem !== undefined) throw refused(path, `${directory} ${problem}`);
  }
  return found;
}

/** In a sticky directory, as /tmp, others can't rename or remove what is root's: the next step is looked at as well. */
async function problemOf(directory: string): Promise<string | undefined> {
  const found = await lstat(directory);
  if (!found.isDirectory()) return 'is no directory';
  if (found.uid !== 0 && found.uid !== process.getuid?.()) return `belongs to the user ${found.uid}`;
  const writable = (found.mode & groupOrOthersWrite) !== 0;
  return writable && (found.mode & sticky) === 0 ? 'can be written to by others' : undefined;
}

function refused(path: string, problem: string, cause?: unknown): CxmError {
  return new CxmError('CONFIG', `no file system can be mounted over ${path}: ${problem}`, {
    hint: 'TMP_ROOT of cxmrc must be a directory that nobody but root can replace, as /var/tmp',
    ...(cause !== undefined && { cause }),
  });
}

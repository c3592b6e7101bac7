/**
 * Entries of a VM's directory as a tar stream and back: deployment files and checkpoints, with the rights of the user
 * whose directory it is. What a tenant's archive may hold never comes this way (archive-sandbox.ts).
 */
import { CxmError } from '../errors.ts';
import { drain, firstLines, throughProcess, type ProcessEnd, type ThroughProcessOptions } from './process.ts';

export type DirectoryOptions = Pick<ThroughProcessOptions, 'owner' | 'signal'>;

/** @param names of entries of the directory @throws CxmError IO, INTERRUPTED */
export async function* packEntries(
  directory: string,
  names: readonly string[],
  options: DirectoryOptions = {},
): AsyncGenerator<Uint8Array> {
  const args = ['--create', '--file=-', '--sparse', `--directory=${directory}`, '--null', '--verbatim-files-from'];
  const list = Buffer.from(names.map((name) => `./${name}\0`).join(''));
  yield* throughProcess('tar', [...args, '--files-from=-'], { ...options, input: [list], explain });
}

/** The entries survive a loss of power afterwards. @throws CxmError IO, INTERRUPTED */
export async function unpackEntries(
  directory: string,
  archive: AsyncIterable<Uint8Array>,
  options: DirectoryOptions = {},
): Promise<void> {
  const args = ['--extract', '--file=-', '--no-same-owner', '--delay-directory-restore', `--directory=${directory}`];
  await drain(throughProcess('tar', args, { ...options, input: archive, explain }));
  await drain(throughProcess('sync', ['--file-system', directory], { explain: explainSync }));
}

function explainSync({ stderr }: ProcessEnd): CxmError {
  return new CxmError('IO', `sync failed: ${firstLines(stderr)}`, { changed: 'maybe' });
}

function explain({ exitCode, stderr }: ProcessEnd): CxmError {
  const end = exitCode === undefined ? 'was killed' : `ended with exit code ${exitCode}`;
  return new CxmError('IO', `tar ${end}: ${firstLines(stderr)}`, { changed: 'maybe' });
}

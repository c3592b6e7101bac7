/**
 * directory-source, directory-destination: the directory of a VM (deployment files, checkpoint) between
 * hosts and frontend. Everything here is done with the rights of the user oned runs as. Whether both sides see the
 * same directory is found out with a marker, not believed from a configuration.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { CxmError } from '../../errors.ts';
import { packEntries, unpackEntries } from '../../transfer/directory.ts';
import type { Operation, OperationContext } from '../operation.ts';
import { asOwner, linkTarget, removeDirectory } from '../owner.ts';
import { absolutePath, string, wholeNumber, type Parameters } from '../parameters.ts';
import { bytesOf } from './fill.ts';

const markerPattern = /^\.cxm-here-[0-9a-f]{16}$/;

function parseDirectory(parameters: Parameters): string {
  const directory = absolutePath(parameters, 'directory');
  const vmId = wholeNumber(parameters, 'vmId');
  if (directory.endsWith(`/${vmId}`)) return directory;
  throw new CxmError('INVALID_INPUT', `parameter directory is ${directory}, but must end in /${vmId}`);
}

export const directorySource: Operation<string, { readonly removed: boolean }> = {
  name: 'directory-source',
  parse: parseDirectory,
  async run(context, directory) {
    const present = asOwner(
      context.owner,
      () => lstatSync(directory, { throwIfNoEntry: false })?.isDirectory() ?? false,
    );
    const marker = `.cxm-here-${randomBytes(8).toString('hex')}`;
    const markerPath = `${directory}/${marker}`;
    if (present) asOwner(context.owner, () => writeFileSync(markerPath, '', { flag: 'wx' }));
    let route: unknown;
    try {
      route = await context.ask('route', { present, marker });
    } finally {
      asOwner(context.owner, () => rmSync(markerPath, { force: true }));
    }
    if (route !== 'stream' || !present) return { removed: false };
    await context.ready();
    await sendDirectory(context, directory);
    await context.sendEnd();
    if ((await context.ask('stored')) !== true) throw new CxmError('INTERRUPTED', 'the directory was not stored');
    removeDirectory(context.owner, directory);
    return { removed: true };
  },
};

export const directoryDestination: Operation<{ readonly directory: string; readonly marker: string }, object> = {
  name: 'directory-destination',
  parse: (parameters) => ({
    directory: parseDirectory(parameters),
    marker: string(parameters, 'marker', markerPattern, 'a marker'),
  }),
  async run(context, { directory, marker }) {
    const shared = asOwner(context.owner, () => existsSync(`${directory}/${marker}`));
    if ((await context.ask('route', { shared })) !== 'receive') return {};
    asOwner(context.owner, () => mkdirSync(directory, { recursive: true }));
    await context.ready();
    const options = { signal: context.signal, owner: context.owner };
    await unpackEntries(directory, bytesOf(context.incoming()), options);
    return {};
  },
};

/** All entries but links to volumes, which the disks' own moves take care of. */
async function sendDirectory(context: OperationContext, directory: string): Promise<void> {
  const names = asOwner(context.owner, () => readdirSync(directory)).filter(
    (name) => !name.startsWith('.cxm-') && !linkTarget(`${directory}/${name}`)?.startsWith('/dev/'),
  );
  const options = { signal: context.signal, owner: context.owner };
  for await (const bytes of packEntries(directory, names, options)) await context.sendData(Buffer.from(bytes));
}

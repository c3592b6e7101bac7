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
import { DomainFiles } from './domain-files.ts';
import { bytesOf } from './fill.ts';

const markerPattern = /^\.cxm-here-[0-9a-f]{16}$/;

function parseDirectory(parameters: Parameters): string {
  const directory = absolutePath(parameters, 'directory');
  const vmId = wholeNumber(parameters, 'vmId');
  if (directory.endsWith(`/${vmId}`)) return directory;
  throw new CxmError('INVALID_INPUT', `parameter directory is ${directory}, but must end in /${vmId}`);
}

/** The VM leaves this host. */
export const directorySource: Operation<
  { readonly directory: string; readonly vmId: number },
  { readonly removed: boolean }
> = {
  name: 'directory-source',
  parse: (parameters) => ({ directory: parseDirectory(parameters), vmId: wholeNumber(parameters, 'vmId') }),
  async run(context, { directory, vmId }) {
    const removed = await leave(context, directory);
    dropAutostart(context, vmId);
    return { removed };
  },
};

/** True if the directory is gone from here. */
async function leave(context: OperationContext, directory: string): Promise<boolean> {
  const present = asOwner(context.owner, () => lstatSync(directory, { throwIfNoEntry: false })?.isDirectory() ?? false);
  const marker = `.cxm-here-${randomBytes(8).toString('hex')}`;
  const markerPath = `${directory}/${marker}`;
  if (present) asOwner(context.owner, () => writeFileSync(markerPath, '', { flag: 'wx' }));
  let route: unknown;
  try {
    route = await context.ask('route', { present, marker });
  } finally {
    asOwner(context.owner, () => rmSync(markerPath, { force: true }));
  }
  if (route !== 'stream' || !present) return false;
  await context.ready();
  await sendDirectory(context, directory);
  await context.sendEnd();
  if ((await context.ask('stored')) !== true) throw new CxmError('INTERRUPTED', 'the directory was not stored');
  removeDirectory(context.owner, directory);
  return true;
}

/**
 * Where no action has ended the VM, as on a host that had lost it, the link is still there: the host's next boot would
 * start the VM a second time.
 */
function dropAutostart({ settings }: OperationContext, vmId: number): void {
  const files = new DomainFiles(settings.CFG_DIR, settings.AUTO_DIR);
  for (const name of files.namesOf(vmId)) files.removeAutostart(name);
}

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

/**
 * directory-source, directory-destination: the directory of a VM (deployment files, checkpoint) between
 * hosts and frontend. What is done in it is done with the rights of the user oned runs as. Whether both sides see the
 * same directory is found out with a marker, not believed from a configuration. The VM leaves with its directory: what
 * this host has of it in root's directories goes, too.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { asCxmError, CxmError } from '../../errors.ts';
import { packEntries, unpackEntries } from '../../transfer/directory.ts';
import type { Operation, OperationContext } from '../operation.ts';
import { asOwner, isFile, linkTarget, removeDirectory } from '../owner.ts';
import { absolutePath, string, wholeNumber, type Parameters } from '../parameters.ts';
import { randomBytes } from '../random.ts';
import { probePattern } from './domain-files.ts';
import { domainHost, type DomainHost } from './domain-host.ts';
import { withDomainLock } from './domain-lock.ts';
import { findDomain } from './domain-lookup.ts';
import { bytesOf } from './fill.ts';

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
    const host = domainHost(context);
    const isKnown = canBeSaidAgain(context, directory);
    const hasFiles = host.files.namesOf(vmId).length > 0;
    const probe = hasFiles ? `.cxm-here-${(await randomBytes(8)).toString('hex')}` : undefined;
    if (probe !== undefined) host.files.placeProbe(probe);
    let removed: boolean;
    let isShared: boolean;
    try {
      removed = await leave(context, directory, probe);
      // Where no action has ended the VM, the host's next boot would start it a second time.
      for (const name of host.files.namesOf(vmId)) host.files.removeAutostart(name);
      isShared = probe === undefined || (await context.ask('route', { configuration: true })) !== false;
    } finally {
      if (probe !== undefined) host.files.removeProbe(probe);
    }
    if (isKnown && !isShared) await removeConfigurations(host, vmId);
    return { removed };
  },
};

/**
 * Whether a restore elsewhere gets the VM's document: OpenNebula 6.0 and later leave it in the directory and send it,
 * others can be asked. Otherwise the configuration is all that a restore on this host has.
 */
function canBeSaidAgain({ settings, owner }: OperationContext, directory: string): boolean {
  return settings.ONE_HOST !== '' || isFile(owner, `${directory}/vm.xml`);
}

/** True if the directory is gone from here. */
async function leave(context: OperationContext, directory: string, probe: string | undefined): Promise<boolean> {
  const present = asOwner(context.owner, () => lstatSync(directory, { throwIfNoEntry: false })?.isDirectory() ?? false);
  const marker = `.cxm-here-${(await randomBytes(8)).toString('hex')}`;
  const markerPath = `${directory}/${marker}`;
  if (present) asOwner(context.owner, () => writeFileSync(markerPath, '', { flag: 'wx' }));
  let route: unknown;
  try {
    route = await context.ask('route', { present, marker, ...(probe === undefined ? {} : { probe }) });
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
 * The configuration would keep the VM's name from others here, and be out of date when the VM comes back. One of a VM
 * that is in the list, in whatever state, stays: by it the domain is known.
 */
async function removeConfigurations(host: DomainHost, vmId: number): Promise<void> {
  try {
    await withDomainLock(host, vmId, async () => {
      if ((await findDomain(host, vmId, undefined)).rows.length > 0) return;
      for (const name of host.files.namesOf(vmId)) host.files.remove(name, vmId);
    });
  } catch (error) {
    host.log('WARN', `the configuration of VM ${vmId} stays on this host: ${asCxmError(error).message}`);
  }
}

interface DestinationParameters {
  readonly directory: string;
  readonly marker: string;
  /** A file in the source's CFG_DIR, where that has a configuration of the VM. */
  readonly probe: string | undefined;
}

export const directoryDestination: Operation<DestinationParameters, object> = {
  name: 'directory-destination',
  parse: (parameters) => ({
    directory: parseDirectory(parameters),
    marker: string(parameters, 'marker', probePattern, 'a marker'),
    probe: parameters['probe'] === undefined ? undefined : string(parameters, 'probe', probePattern, 'a probe file'),
  }),
  async run(context, { directory, marker, probe }) {
    const shared = asOwner(context.owner, () => existsSync(`${directory}/${marker}`));
    const sharedConfiguration = probe === undefined || domainHost(context).files.seesProbe(probe);
    if ((await context.ask('route', { shared, sharedConfiguration })) !== 'receive') return {};
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

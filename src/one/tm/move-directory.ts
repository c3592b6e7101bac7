/**
 * The directory of a VM changes its place: its deployment files and, of a suspended VM, the checkpoint. If both sides
 * see the same directory (a shared system datastore) nothing is done. Links to volumes stay behind: they were made
 * anew where the disks went. When a cluster has started the VM anew, what lies on its dead host is of no use any more.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import type { Data } from '../../agent/operation.ts';
import { packEntries, unpackEntries } from '../../transfer/directory.ts';
import type { ActionContext } from '../action.ts';
import { CxmError } from '../../errors.ts';
import type { DirectoryLocation } from '../arguments/locations.ts';
import { createFrontend } from '../client.ts';
import { runsOn } from '../domain-sight.ts';
import { givenUp, openReceiver, type Receiver } from './receiver.ts';
import { isFrontend, localKind } from './shared.ts';

/** Another directory than the source's, as something data can be written to. */
interface Target {
  /** Whether it is the very directory that holds this marker. `probe` is a file in the source's CFG_DIR. */
  isShared(marker: string, probe?: string): Promise<boolean>;
  /** Whether it has seen the probe, too; undefined when nobody has asked it. */
  sharesConfiguration(): boolean | undefined;
  receive(data: AsyncIterable<Data>): Promise<void>;
  /** Nothing comes. */
  close(): Promise<void>;
}

export async function moveDirectory(
  context: ActionContext,
  from: DirectoryLocation,
  to: DirectoryLocation,
  vmId: number,
): Promise<undefined> {
  const target = isFrontend(context, to.host) ? here(to.path) : remote(context, to, vmId);
  if (isFrontend(context, from.host)) {
    await fromFrontend(from.path, target);
    return;
  }
  const asked = context.helper(
    { host: from.host },
    {
      operation: 'directory-source',
      parameters: { directory: from.path, vmId },
      answer: async (topic, detail) => {
        if (topic === 'stored') return true;
        if (detail.configuration === true) return target.sharesConfiguration();
        const probe = typeof detail.probe === 'string' ? detail.probe : undefined;
        if (detail.present === true && !(await target.isShared(String(detail.marker), probe))) return 'stream';
        await target.close();
        return 'nothing';
      },
      receive: (data) => target.receive(data),
    },
  );
  await asked.catch((error: unknown) => unlessRunningThere(context, to, vmId, error));
}

/** @throws unknown the error, unless it tells that the source is out of reach and the VM runs at the destination */
async function unlessRunningThere(
  context: ActionContext,
  { host }: DirectoryLocation,
  vmId: number,
  error: unknown,
): Promise<void> {
  const isOutOfReach = error instanceof CxmError && error.code === 'HOST_UNREACHABLE';
  if (!isOutOfReach || isFrontend(context, host)) throw error;
  const { deployId } = await createFrontend(context.commands, { kind: 'local' }).virtualMachine(vmId);
  if (!(await runsOn(context, host, vmId, deployId))) throw error;
  context.report.warn(`VM ${vmId} runs on ${host}, so its directory is not waited for: ${error.message}`);
}

function here(path: string): Target {
  return {
    isShared: (marker) => Promise.resolve(existsSync(`${path}/${marker}`)),
    sharesConfiguration: () => false,
    receive: (data) => unpackHere(path, data),
    close: () => Promise.resolve(),
  };
}

function remote(context: ActionContext, to: DirectoryLocation, vmId: number): Target {
  let receiver: Receiver | undefined;
  let sharesConfiguration: boolean | undefined;
  return {
    async isShared(marker, probe) {
      const parameters = { directory: to.path, vmId, marker, ...(probe === undefined ? {} : { probe }) };
      receiver = openReceiver(context, to.host, 'directory-destination', parameters);
      const seen = await receiver.seen;
      if (typeof seen.sharedConfiguration === 'boolean') sharesConfiguration = seen.sharedConfiguration;
      return seen.shared === true;
    },
    sharesConfiguration: () => sharesConfiguration,
    async receive(data) {
      receiver?.answer('receive');
      const sink = await receiver?.sink;
      try {
        for await (const item of data) await sink?.data(item.data);
        receiver?.finish();
      } catch (error) {
        throw receiver === undefined ? error : await givenUp(receiver, error);
      }
      await receiver?.done;
    },
    async close() {
      receiver?.answer('nothing');
      await receiver?.done;
    },
  };
}

async function fromFrontend(path: string, target: Target): Promise<void> {
  if (localKind(path) !== 'directory') return;
  const marker = `.cxm-here-${randomBytes(8).toString('hex')}`;
  const markerPath = `${path}/${marker}`;
  await writeFile(markerPath, '');
  const shared = await target.isShared(marker).finally(() => rm(markerPath, { force: true }));
  if (shared) return target.close();
  await target.receive(packHere(path));
  await rm(path, { recursive: true, force: true });
}

async function* packHere(directory: string): AsyncGenerator<Data> {
  const names = readdirSync(directory).filter((name) => !/^(disk\.\d+|\.cxm-.*)$/.test(name));
  for await (const bytes of packEntries(directory, names)) yield { type: 'data', data: Buffer.from(bytes) };
}

async function unpackHere(directory: string, data: AsyncIterable<Data>): Promise<void> {
  mkdirSync(directory, { recursive: true });
  await unpackEntries(directory, bytes(data));
}

async function* bytes(data: AsyncIterable<Data>): AsyncGenerator<Buffer> {
  for await (const item of data) yield item.data;
}

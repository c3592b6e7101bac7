/**
 * directory-source, directory-destination: the directory of a VM (deployment files, checkpoint) between
 * hosts and frontend. Everything here is done with the rights of the user oned runs as. Whether both sides see the
 * same directory is found out with a marker, not believed from a configuration.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CxmError } from '../../errors.ts';
import type { Operation, OperationContext, Owner } from '../operation.ts';
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
    const args = ['--extract', '--file=-', '--no-same-owner', '--delay-directory-restore', `--directory=${directory}`];
    await runTar(context.owner, args, (stdin) => pipeline(bytesOf(context.incoming()), stdin));
    return {};
  },
};

/** All entries but links to volumes, which the disks' own moves take care of. */
async function sendDirectory(context: OperationContext, directory: string): Promise<void> {
  const names = asOwner(context.owner, () => readdirSync(directory)).filter(
    (name) => !name.startsWith('.cxm-') && !linkTarget(`${directory}/${name}`)?.startsWith('/dev/'),
  );
  const args = ['--create', '--file=-', '--sparse', `--directory=${directory}`, '--null', '--verbatim-files-from'];
  const list = names.map((name) => `./${name}\0`).join('');
  await runTar(
    context.owner,
    [...args, '--files-from=-'],
    async (stdin) => {
      stdin.end(list);
      await Promise.resolve();
    },
    async (stdout) => {
      for await (const chunk of stdout) await context.sendData(chunk as Buffer);
    },
  );
}

async function runTar(
  owner: Owner,
  args: readonly string[],
  feed: (stdin: NodeJS.WritableStream) => Promise<void>,
  drain?: (stdout: Readable) => Promise<void>,
): Promise<void> {
  const child = spawn('tar', [...args], {
    stdio: ['pipe', drain === undefined ? 'ignore' : 'pipe', 'pipe'],
    ...(process.geteuid?.() === 0 && { uid: owner.uid, gid: owner.gid }),
  });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said += said.length < 2000 ? chunk.toString() : ''));
  const exited = new Promise<number>((resolve) => {
    child.on('error', () => resolve(127));
    child.on('close', (code) => resolve(code ?? 255));
  });
  const stdin = child.stdin;
  stdin?.on('error', () => undefined);
  const fed = stdin ? feed(stdin) : Promise.resolve();
  const drained = drain !== undefined && child.stdout ? drain(child.stdout) : Promise.resolve();
  const outcomes = await Promise.allSettled([fed, drained]);
  if (outcomes.some(({ status }) => status === 'rejected')) child.kill('SIGKILL');
  const code = await exited;
  if (code !== 0 && said !== '') throw new CxmError('IO', `tar: ${said.trim().split('\n')[0]}`, { changed: 'maybe' });
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  if (code !== 0) throw new CxmError('IO', `tar ended with exit code ${code}`, { changed: 'maybe' });
}

/**
 * What is on a device, seen without mounting it: nothing, a file system that can travel as an archive, or something
 * of which only an exact image will do. In doubt it is "something": an archive must never lose what an image keeps.
 */
import { open } from 'node:fs/promises';
import { CxmError } from '../errors.ts';
import type { Commands } from '../host/commands.ts';
import { isFileSystemLabel, isFileSystemType, isFileSystemUuid } from './archive-note.ts';
import type { FileSystemType } from './archive-note.ts';
import type { DeviceContent } from './filesystem.ts';

/** blkid's answers: 2 = nothing found, 8 = more than one thing found. */
const blkidExit = { found: 0, nothing: 2, ambivalent: 8 } as const;

/** mke2fs leaves the first 1024 bytes to a boot loader; there is nothing of the file system in them. */
const bootBlockBytes = 1024;

/** Features of ext whose effect an archive doesn't carry, as dumpe2fs calls them. */
const exactFeatures = ['encrypt', 'verity', 'casefold', 'quota', 'project', 'journal_dev', 'shared_blocks'];

/** Features by which ext says that it was not unmounted cleanly. */
const dirtyFeatures = ['needs_recovery', 'orphan_present'];

/** @throws CxmError NOT_FOUND, IO, COMMAND, TIMEOUT */
export async function identify(commands: Commands, device: string): Promise<DeviceContent> {
  // -p probes the device itself, not a cache that a tenant's earlier content may have left.
  const probe = await commands.run('blkid', ['-p', '-o', 'udev', device], {
    okExitCodes: [blkidExit.found, blkidExit.nothing, blkidExit.ambivalent],
  });
  if (probe.exitCode === blkidExit.ambivalent) return { kind: 'other', description: 'more than one kind of content' };
  const found = udevPairs(probe.stdout);
  if (probe.exitCode === blkidExit.nothing || found.size === 0) return { kind: 'nothing' };
  const type = found.get('ID_FS_TYPE') ?? '';
  const partitions = found.get('ID_PART_TABLE_TYPE');
  if (partitions !== undefined) return { kind: 'other', description: `a partition table (${partitions})` };
  if (found.get('ID_FS_USAGE') !== 'filesystem' || !isFileSystemType(type)) {
    return { kind: 'other', description: type === '' ? 'unknown content' : type };
  }
  const uuid = found.get('ID_FS_UUID')?.toLowerCase();
  const label = unescapeUdev(found.get('ID_FS_LABEL_ENC'));
  const state = type === 'xfs' ? await xfsState(commands, device) : await extendedState(commands, device);
  // A label or UUID that we could not write again would come back changed.
  const names =
    (uuid === undefined || isFileSystemUuid(uuid)) && (label === undefined || isFileSystemLabel(label, type));
  const exactOnly = state.exactOnly ?? (names ? undefined : 'an unusual label or UUID');
  return {
    kind: 'filesystem',
    type,
    ...(uuid !== undefined && names ? { uuid } : {}),
    ...(label !== undefined && names ? { label } : {}),
    clean: state.clean,
    ...(exactOnly === undefined ? {} : { exactOnly }),
  };
}

interface State {
  readonly clean: boolean;
  readonly exactOnly?: string;
}

async function extendedState(commands: Commands, device: string): Promise<State> {
  const { stdout, exitCode } = await commands.run('dumpe2fs', ['-h', device], { okExitCodes: 'any' });
  if (exitCode !== 0) return { clean: false, exactOnly: 'a superblock that dumpe2fs refuses' };
  return extendedStateOf(stdout, await hasBootCode(device));
}

/** Reads what `dumpe2fs -h` printed. */
export function extendedStateOf(report: string, bootCode: boolean): State {
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(report)?.[1]?.trim();
  const features = (field('Filesystem features') ?? '').split(/\s+/);
  const orphans = field('First orphan inode');
  const clean =
    field('Filesystem state') === 'clean' &&
    (orphans === undefined || orphans === '0') &&
    !features.some((feature) => dirtyFeatures.includes(feature));
  const special = features.find((feature) => exactFeatures.includes(feature));
  if (special !== undefined) return { clean, exactOnly: `the feature ${special}` };
  if (field('Journal device') !== undefined || field('Journal UUID') !== undefined) {
    return { clean, exactOnly: 'a journal on another device' };
  }
  return bootCode ? { clean, exactOnly: 'a boot loader in front of the file system' } : { clean };
}

async function hasBootCode(device: string): Promise<boolean> {
  let handle;
  try {
    handle = await open(device, 'r');
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(bootBlockBytes), 0, bootBlockBytes, 0);
    return buffer.subarray(0, bytesRead).some((byte) => byte !== 0);
  } catch (error) {
    throw new CxmError('IO', `cannot read ${device}: ${error instanceof Error ? error.message : ''}`, { cause: error });
  } finally {
    await handle?.close();
  }
}

async function xfsState(commands: Commands, device: string): Promise<State> {
  const superblock = await commands.run(
    'xfs_db',
    ['-r', '-c', 'sb 0', '-c', 'print logstart rblocks uquotino', device],
    { okExitCodes: 'any' },
  );
  const value = (name: string): string | undefined =>
    new RegExp(`^${name} = (.*)$`, 'm').exec(superblock.stdout)?.[1]?.trim();
  if (superblock.exitCode !== 0 || value('logstart') === undefined) {
    return { clean: false, exactOnly: 'a superblock that xfs_db refuses' };
  }
  if (value('logstart') === '0') return { clean: false, exactOnly: 'a log on another device' };
  if (value('rblocks') !== '0') return { clean: false, exactOnly: 'a realtime section' };
  if (!['0', 'null', undefined].includes(value('uquotino'))) return { clean: false, exactOnly: 'disk quotas' };
  const log = await commands.run('xfs_logprint', ['-t', device], { okExitCodes: 'any' });
  return { clean: log.exitCode === 0 && /^\s*log tail: \d+ head: \d+ state: <CLEAN>$/m.test(log.stdout) };
}

function udevPairs(text: string): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=');
    if (equals > 0) pairs.set(line.slice(0, equals), line.slice(equals + 1));
  }
  return pairs;
}

/** `a\x20b` of udev's `_ENC` values; bytes beyond ASCII stand as they are when they are UTF-8. */
function unescapeUdev(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const bytes: number[] = [];
  const raw = Buffer.from(text);
  for (let at = 0; at < raw.length; at++) {
    const match = /^\\x([0-9a-fA-F]{2})/.exec(raw.toString('latin1', at, at + 4));
    bytes.push(match?.[1] === undefined ? (raw[at] ?? 0) : Number.parseInt(match[1], 16));
    if (match !== null) at += 3;
  }
  return Buffer.from(bytes).toString('utf8');
}

/** The type of a file system that we make and unpack into; for words in messages. */
export function describeContent(content: DeviceContent): string {
  switch (content.kind) {
    case 'nothing':
      return 'nothing';
    case 'other':
      return content.description;
    case 'filesystem':
      return `${content.type satisfies FileSystemType}${content.clean ? '' : ', not unmounted cleanly'}`;
  }
}

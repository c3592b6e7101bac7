/**
 * The images that the tour registers: an archive of files like a small Linux, an archive for data, and a raw image with
 * a partition table and holes. Made of random bytes and text, so that compression has something to do and something not.
 */
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  linkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import type { Layout } from './layout.ts';
import { imageDatastore, type ImageRecord } from './one/records.ts';
import type { Abilities } from './prepare.ts';

const mib = 1024 * 1024;

/** The directory of the system image whose files are looked at again and again. */
export const witnessDirectory = '/usr';

export interface MadeImages {
  readonly system: ImageRecord;
  readonly data: ImageRecord;
  readonly appliance: ImageRecord;
  /** Of every file below `witnessDirectory` in the system image, by its path there. */
  readonly witnesses: ReadonlyMap<string, string>;
}

export function makeImages(layout: Layout, abilities: Abilities): MadeImages {
  const directory = join(layout.datastores, String(imageDatastore));
  const system = join(directory, 'system');
  const data = join(directory, 'data');
  const appliance = join(directory, 'appliance');
  let witnesses: ReadonlyMap<string, string> = new Map();
  withTree(layout, system, abilities, (root) => {
    writeSystem(root, abilities);
    witnesses = hashesBelow(join(root, witnessDirectory));
  });
  withTree(layout, data, abilities, (root) => writeFileSync(join(root, 'orders.csv'), prose(64 * 1024)));
  writeRawImage(appliance);
  return {
    system: { ...record(0, 'system', system), size: '8G', fileSystemType: 'ext4' },
    data: { ...record(1, 'data', data), size: '1G', persistent: true },
    appliance: record(2, 'appliance', appliance),
    witnesses,
  };
}

/** Of the regular files below a directory, by their paths there. */
export function hashesBelow(directory: string): ReadonlyMap<string, string> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [relative(directory, path), createHash('sha256').update(readFileSync(path)).digest('hex')];
    }),
  );
}

function record(id: number, name: string, source: string): ImageRecord {
  return { id, name, source, sizeMb: Math.ceil(statSync(source).size / mib), persistent: false };
}

/** Packs what `fill` puts into a directory, as `tar --numeric-owner -c` of an administrator would. */
function withTree(layout: Layout, archive: string, { zstd, root }: Abilities, fill: (root: string) => void): void {
  const tree = join(layout.temporary, 'tree');
  mkdirSync(tree);
  try {
    fill(tree);
    const owner = root ? [] : ['--owner=0', '--group=0'];
    const compress = zstd ? ['--use-compress-program=zstd -q'] : ['--gzip'];
    const args = ['--create', `--file=${archive}`, `--directory=${tree}`, '--numeric-owner', '--sparse'];
    execFileSync('tar', [...args, ...owner, ...compress, '.']);
  } finally {
    rmSync(tree, { recursive: true });
  }
}

function writeSystem(root: string, abilities: Abilities): void {
  for (const name of [
    'bin',
    'boot',
    'dev',
    'etc/network',
    'proc',
    'root',
    'sys',
    'tmp',
    'usr/bin',
    'usr/lib',
    'var/log',
  ]) {
    mkdirSync(join(root, name), { recursive: true });
  }
  chmodSync(join(root, 'tmp'), 0o1777);
  writeFileSync(join(root, 'usr/lib/os-release'), 'PRETTY_NAME="Sandbox Linux"\n');
  writeFileSync(join(root, 'etc/hostname'), 'sandbox\n');
  writeFileSync(join(root, 'etc/fstab'), '/dev/xvda / ext4 defaults 0 1\n/dev/xvdd none swap sw 0 0\n');
  symlinkSync('../usr/lib/os-release', join(root, 'etc/os-release'));
  // A kernel and programs do not compress well, logs and libraries' text do.
  writeFileSync(join(root, 'boot/vmlinuz'), randomBytes(2 * mib));
  for (const name of ['sh', 'ls', 'mount', 'busybox']) {
    writeFileSync(
      join(root, 'usr/bin', name),
      Buffer.concat([randomBytes(256 * 1024), Buffer.from(prose(256 * 1024))]),
    );
    chmodSync(join(root, 'usr/bin', name), name === 'mount' ? 0o4755 : 0o755);
  }
  linkSync(join(root, 'usr/bin/busybox'), join(root, 'usr/bin/vi'));
  symlinkSync('../usr/bin/sh', join(root, 'bin/sh'));
  for (let number = 0; number < 60; number++) {
    writeFileSync(join(root, `usr/lib/library-${number}.so`), prose(128 * 1024));
  }
  // One large sparse file, as of a mail index or a last login table.
  writeFileSync(join(root, 'var/log/lastlog'), 'x');
  truncateSync(join(root, 'var/log/lastlog'), 64 * mib);
  if (abilities.root) makeDevices(join(root, 'dev'));
}

/** Only root may; in some containers even root may not, and then the image has none. */
function makeDevices(directory: string): void {
  const devices = [
    ['console', '5', '1'],
    ['null', '1', '3'],
    ['zero', '1', '5'],
  ] as const;
  for (const [name, major, minor] of devices) {
    try {
      execFileSync('mknod', [join(directory, name), 'c', major, minor], { stdio: 'ignore' });
    } catch {
      return;
    }
  }
}

/** Text of a machine: compressible, but not all the same. */
function prose(bytes: number): string {
  const words =
    randomBytes(512)
      .toString('hex')
      .match(/.{1,12}/g) ?? [];
  const lines: string[] = [];
  for (let length = 0, number = 0; length < bytes; number++) {
    const line = `${number} ${words[number % words.length] ?? ''} ${words[(number * 7) % words.length] ?? ''}\n`;
    lines.push(line);
    length += line.length;
  }
  return lines.join('').slice(0, bytes);
}

/** 128 MiB with a partition table, 4 MiB of data in three places and holes between. */
function writeRawImage(path: string): void {
  const file = openSync(path, 'w');
  try {
    ftruncateSync(file, 128 * mib);
    const table = Buffer.alloc(512);
    table.set([0x80, 0, 2, 0, 0x83, 0xfe, 0xff, 0xff, 0, 8, 0, 0, 0, 0xf8, 3, 0], 446);
    table.set([0x55, 0xaa], 510);
    writeSync(file, table, 0, 512, 0);
    for (const [start, length] of [
      [1, 2],
      [50, 1],
      [127, 1],
    ] as const) {
      writeSync(file, randomBytes(length * mib), 0, length * mib, start * mib);
    }
  } finally {
    closeSync(file);
  }
}

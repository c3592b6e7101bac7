/**
 * Calls of the transfer manager as oned makes them, the documents that oned would answer with, and images to move.
 * Paths and ids follow the recordings: system datastore 0 is shared between node1 and node2, 100 is not.
 */
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { lab, type RunResult, type RunOptions } from '../lab.ts';
import { oneadmin } from '../layout.ts';

const remotes = `${oneadmin.home}/remotes`;
export const frontend = 'frontend';

/** One call, through `sh -c` as one_tm does. */
export function tm(action: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return lab.frontend(['sh', '-c', tmLine(action, args)], options);
}

export function tmLine(action: string, args: readonly string[]): string {
  const quoted = args.map((argument) => `'${argument.replaceAll("'", `'\\''`)}'`);
  return [`${remotes}/tm/cxm/${action}`, ...quoted].join(' ');
}

/** As `tm`, and it must succeed. */
export async function tmOk(action: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const result = await tm(action, args, options);
  if (result.exitCode === 0) return result;
  throw new Error(`${action} ${args.join(' ')}: exit code ${result.exitCode}\n${result.stderr}${result.stdout}`);
}

export function vmDirectory(vmId: number, datastore: number = lab.datastores.sharedSystem): string {
  return `${oneadmin.home}/datastores/${datastore}/${vmId}`;
}

export function diskPath(vmId: number, diskId: number, datastore: number = lab.datastores.sharedSystem): string {
  return `${vmDirectory(vmId, datastore)}/disk.${diskId}`;
}

export function imagePath(name: string): string {
  return `${oneadmin.home}/datastores/${lab.datastores.image}/${name}`;
}

export interface DiskDocument {
  readonly diskId: number;
  readonly imageId?: number;
  readonly attributes?: Readonly<Record<string, string | number>>;
}

/** A VM document as 7.x writes it. */
export function vmDocument(
  vmId: number,
  disks: readonly DiskDocument[],
  options: { readonly history?: readonly string[]; readonly contextDisk?: number } = {},
): string {
  const element = ([name, value]: readonly [string, string | number]): string => `<${name}>${value}</${name}>`;
  const diskElements = disks.map(({ diskId, imageId, attributes = {} }) => {
    const image = imageId === undefined ? {} : { IMAGE_ID: imageId };
    const all = { DISK_ID: diskId, TM_MAD: 'cxm', ...image, ...attributes };
    return `<DISK>${Object.entries(all).map(element).join('')}</DISK>`;
  });
  const context =
    options.contextDisk === undefined ? '' : `<CONTEXT><DISK_ID>${options.contextDisk}</DISK_ID></CONTEXT>`;
  const history = (options.history ?? ['node1']).map(
    (host, sequence) => `<HISTORY><OID>${vmId}</OID><SEQ>${sequence}</SEQ><HOSTNAME>${host}</HOSTNAME></HISTORY>`,
  );
  return [
    `<VM><ID>${vmId}</ID><UNAME>alice</UNAME><NAME>vm${vmId}</NAME><STATE>3</STATE><LCM_STATE>2</LCM_STATE>`,
    `<TEMPLATE>${diskElements.join('')}${context}<VMID>${vmId}</VMID></TEMPLATE>`,
    `<HISTORY_RECORDS>${history.join('')}</HISTORY_RECORDS></VM>`,
  ].join('');
}

export function imageDocument(imageId: number, attributes: Readonly<Record<string, string>> = {}, sizeMb = 64): string {
  const template = Object.entries(attributes).map(([name, value]) => `<${name}>${value}</${name}>`);
  return `<IMAGE><ID>${imageId}</ID><NAME>image${imageId}</NAME><SIZE>${sizeMb}</SIZE><TEMPLATE>${template.join('')}</TEMPLATE></IMAGE>`;
}

/** A VM with one image disk 0, known to oned. */
export function prepareVmWithImage(vmId: number, imageAttributes: Readonly<Record<string, string>> = {}): void {
  lab.prepareVm(vmId, vmDocument(vmId, [{ diskId: 0, imageId: vmId }]));
  lab.prepareImage(vmId, imageDocument(vmId, imageAttributes));
}

/** Files of a small Linux with everything that is odd about files; made as root on the frontend. */
const treeText = `
set -e
mkdir -p etc usr/bin dev var/empty root
echo hello > etc/hostname
printf 'x%.0s' $(seq 5000) > usr/bin/tool; chmod 4755 usr/bin/tool
ln usr/bin/tool usr/bin/hard; ln -s ../etc/hostname usr/soft; ln -s /etc/passwd etc/absolute
mknod dev/null c 1 3; mknod dev/sda b 8 0; mkfifo dev/fifo
truncate -s 20M var/sparse; printf end | dd of=var/sparse bs=1 seek=20971000 conv=notrunc status=none
touch "var/new
line" "var/quote'\\"\$(id)" var/-dash; chmod 0 var/empty; chown 1234:5678 root
setfattr -n user.comment -v kept etc/hostname; setfacl -m u:77:r etc/hostname
setcap cap_net_raw+ep usr/bin/hard 2>/dev/null || true
`;

/** Makes an archive of the tree on the frontend. @param compression tar's own letter or program option */
export function makeArchive(name: string, compression: readonly string[] = ['--zstd']): string {
  const work = `/var/tmp/tree-${process.pid}`;
  mkdirSync(work, { recursive: true });
  execFileSync('bash', ['-c', treeText], { cwd: work });
  const path = imagePath(name);
  const options = ['--numeric-owner', '--xattrs', '--xattrs-include=*', '--acls', '--sparse'];
  execFileSync('tar', [...options, ...compression, '-cf', path, '-C', work, '.']);
  rmSync(work, { recursive: true });
  chownSync(path, oneadmin.uid, oneadmin.gid);
  return path;
}

/** A line a file of a mounted volume: type, mode, owner, size, link target, name; xattrs and ACLs after them. */
export async function listing(node: 'node1' | 'node2' | 'node3', volume: string): Promise<string> {
  const find = `find . -mindepth 1 -path ./lost+found -prune -o -printf '%y %m %U:%G %n %s %l %p\\0' | sort -z | tr '\\0' ';'`;
  const text = `mkdir -p /t && mount -o ro,noload /dev/VG0/${volume} /t 2>/dev/null || mount -o ro,norecovery,nouuid /dev/VG0/${volume} /t
    cd /t; ${find}; find . -type f -exec sha256sum {} + | sort -k 2; find . -print0 | sort -z | xargs -0 getfattr -h -d -m - 2>/dev/null; getfacl -n etc/hostname; cd /; umount /t`;
  return lab.output(node, text);
}

/** A raw image with holes: `pattern` says for each MiB whether it holds data. */
export function makeRawImage(name: string, pattern: readonly boolean[], tailBytes = 0): Buffer {
  const mib = 1024 * 1024;
  const data = Buffer.alloc(pattern.length * mib + tailBytes);
  pattern.forEach((filled, index) => {
    if (filled) randomBytes(mib).copy(data, index * mib);
  });
  writeFileSync(imagePath(name), data);
  chownSync(imagePath(name), oneadmin.uid, oneadmin.gid);
  return data;
}

/** SHA-256 of the first bytes of a volume. */
export async function digest(node: 'node1' | 'node2' | 'node3', volume: string, bytes: number): Promise<string> {
  const text = `head -c ${bytes} /dev/VG0/${volume} | sha256sum | cut -d' ' -f1`;
  return lab.output(node, text);
}

/** Fills the free space of the volume group with a pattern, as if other tenants had used it. */
export async function dirtyVolumeGroup(node: 'node1' | 'node3', sizeMb: number): Promise<void> {
  await lab.node(
    node,
    `lvcreate -qq -y -Wn -Zn -L ${sizeMb}M -n dirt VG0 && (yes SECRET | dd of=/dev/VG0/dirt bs=1M iflag=fullblock oflag=direct 2>/dev/null; lvremove -qq -f VG0/dirt)`,
  );
}

/**
 * The rivals: what an experienced administrator types instead, as root on the frontend. The same ssh, the same
 * fidelity of archives (owners, extended attributes, ACLs, holes), the same durability: each ends when the data is on
 * disk. Where two ways of typing it differ in time, it is the faster one: zstd beside tar instead of `tar --zstd`
 * (whose reblocking child costs twice the time on these nodes), mkfs without a discard of the whole disk.
 */
import { spawn } from 'node:child_process';
import type { BenchHost } from './hosts.ts';

const ssh = 'ssh -o BatchMode=yes -o ControlMaster=no -o Compression=no';
const tarFlags = "--numeric-owner --xattrs --xattrs-include='*' --acls";

/** @throws Error with what the commands said */
export async function shell(text: string): Promise<void> {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', text], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (code !== 0) throw new Error(`exit code ${code}: ${text}\n${said}`);
}

/** An archive into a new file system on a new volume. @param zeroFirst nothing of what was there before remains */
export function unpackArchive(
  host: BenchHost,
  { archive, volume, sizeBytes }: { readonly archive: string; readonly volume: string; readonly sizeBytes: number },
  { zeroFirst = false } = {},
): Promise<void> {
  const path = host.path(volume);
  const remote = [
    host.create(volume, sizeBytes),
    ...(zeroFirst && host.zero !== undefined ? [host.zero(volume)] : []),
    `mkfs.ext4 -q -F -E nodiscard ${path}`,
    'mkdir -p /m',
    `mount -o ${['rw', ...host.mountOptions].join(',')} ${path} /m`,
    `zstd -dcq | tar -x ${tarFlags} -f - -C /m`,
    'umount /m',
    host.sync,
  ];
  return shell(`cat ${archive} | ${ssh} ${host.name} ${quote(`set -o pipefail; ${remote.join(' && ')}`)}`);
}

/** A raw disk, or the first bytes of it, to a volume that is there. */
export function copyRaw(host: BenchHost, image: string, volume: string, bytes: number): Promise<void> {
  const send = `dd if=${image} bs=64k count=${bytes / 65_536} status=none`;
  const receive = `dd of=${host.path(volume)} bs=64k conv=fsync,notrunc status=none`;
  return shell(`${send} | ${ssh} ${host.name} ${receive}`);
}

/** The files of a volume as an archive. */
export function packVolume(host: BenchHost, volume: string, compressor: string, file: string): Promise<void> {
  const options = ['ro', 'noload', ...host.mountOptions].join(',');
  const remote = [
    `set -o pipefail; mkdir -p /m && mount -o ${options} ${host.path(volume)} /m`,
    `tar -c --sparse ${tarFlags} -f - -C /m . | ${compressor} && umount /m`,
  ];
  return shell(`${ssh} ${host.name} ${quote(remote.join(' && '))} > ${file}; sync ${file}`);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/**
 * The rivals: what an experienced administrator types instead, as root on the frontend. The same ssh, the same
 * fidelity of archives (owners, extended attributes, ACLs, holes), the same durability: each ends when the data is on
 * disk. Where two ways of typing it differ in time, it is the faster one: zstd beside tar instead of `tar --zstd`
 * (whose reblocking child costs twice the time on these nodes), mkfs without a discard of the whole disk.
 */
import { spawn } from 'node:child_process';
import { mib } from './options.ts';

const ssh = 'ssh -o BatchMode=yes -o ControlMaster=no -o Compression=no node1';
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
  archive: string,
  volume: string,
  sizeBytes: number,
  { zeroFirst = false } = {},
): Promise<void> {
  const remote = [
    `lvcreate -qq -y -Wn -Zn -L ${sizeBytes / mib}M -n ${volume} VG0`,
    ...(zeroFirst ? [`blkdiscard -z /dev/VG0/${volume}`] : []),
    `mkfs.ext4 -q -F -E nodiscard /dev/VG0/${volume}`,
    'mkdir -p /m',
    `mount /dev/VG0/${volume} /m`,
    `zstd -dcq | tar -x ${tarFlags} -f - -C /m`,
    'umount /m',
    'sync',
  ];
  return shell(`cat ${archive} | ${ssh} ${quote(`set -o pipefail; ${remote.join(' && ')}`)}`);
}

/** A raw disk, or the first bytes of it, to a volume that is there. */
export function copyRaw(image: string, volume: string, bytes: number): Promise<void> {
  const count = `count=${bytes / 65_536}`;
  return shell(
    `dd if=${image} bs=64k ${count} status=none | ${ssh} dd of=/dev/VG0/${volume} bs=64k conv=fsync status=none`,
  );
}

/** The files of a volume as an archive. */
export function packVolume(volume: string, compressor: string, file: string): Promise<void> {
  const remote = [
    `set -o pipefail; mkdir -p /m && mount -o ro,noload /dev/VG0/${volume} /m`,
    `tar -c --sparse ${tarFlags} -f - -C /m . | ${compressor} && umount /m`,
  ];
  return shell(`${ssh} ${quote(remote.join(' && '))} > ${file}; sync ${file}`);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

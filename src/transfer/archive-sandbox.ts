/**
 * The command line under which archives of tenants are unpacked and packed as root. It guarantees that nothing but the
 * mounted file system can change, whatever names and links an archive holds, and that no mount outlives the process.
 *
 * How: new mount, process, network and IPC namespaces; a root made of an empty tmpfs with the programs of this machine
 * bound in read-only and nothing else of it (no /etc, no /dev, no /proc), the file system at /disk, nosuid, nodev and
 * noexec; tar in there with few capabilities, compressors with none. The kernel ends the processes and with them the
 * mounts when we end. The script is fixed text; everything that varies comes as positional parameters.
 */
import type { FileSystemType } from './archive-note.ts';
import { tarTooLarge } from './archive-tar.ts';
import { withoutPrivileges } from './compress.ts';
import type { Line } from './compress.ts';

/** `list` looks at the names and sizes in a file system that is packed afterwards. */
export type SandboxPurpose = 'unpack' | 'pack' | 'packReplayed' | 'list' | 'listReplayed';

export interface SandboxOptions {
  readonly purpose: SandboxPurpose;
  readonly device: string;
  readonly type: FileSystemType;
  /** Any existing directory, see `trustedMountPoint`; the tmpfs covers it in the namespace. Nothing is written to it. */
  readonly mountPoint: string;
  /** tar, or what lists; the file system is /disk for it. It reads standard input or writes standard output. */
  readonly program: readonly string[];
  /** Decompresses before tar (unpack) or compresses behind it (pack); none when left out. */
  readonly filter?: Line | undefined;
}

/** Exit codes of the script itself; others are those of tar. */
export const sandboxExit = { setup: 101, mount: 102, filter: 103, flush: 104, tooLarge: 105 } as const;

/** Address space of one program while unpacking: a pax header can ask tar for as much memory as it likes. */
const unpackMemoryKib = 1024 * 1024;

/** The same of tar while packing, which keeps the names of a directory and of files with several names in memory. */
const packMemoryKib = 2 * 1024 * 1024;

/**
 * Positional parameters: purpose, mount point, device, type of the mount, its options, number of words of the filter,
 * the filter's words, the program's words. Status of a pipeline: SIGPIPE (141) of the filter means that the other end
 * failed; tar ends itself (tarCreate) when the archive becomes too large.
 */
const script = `
purpose=$1 root=$2 device=$3 type=$4 options=$5 words=$6; shift 6
filter=("\${@:1:words}"); shift "$words"
stop() { echo "$2" >&2; exit "$1"; }
mount -n -t tmpfs -o nosuid,nodev,mode=0755,size=1m cxm-sandbox "$root" || stop ${sandboxExit.setup} 'no tmpfs'
cd "$root" || stop ${sandboxExit.setup} 'no tmpfs'
for folder in usr bin sbin lib lib32 lib64; do
  if [ -h "/$folder" ]; then cp -P -- "/$folder" "$folder"
  elif [ -d "/$folder" ]; then
    mkdir "$folder" && mount -n --bind "/$folder" "$folder" && mount -n -o remount,bind,ro,nosuid,nodev "$folder"
  fi || stop ${sandboxExit.setup} "cannot bind /$folder"
done
mkdir disk || stop ${sandboxExit.setup} 'no directory for the file system'
mount -n -i -t "$type" -o "$options" -- "$device" "$root/disk" || stop ${sandboxExit.mount} 'cannot mount'
mount -n -o remount,ro "$root" || stop ${sandboxExit.setup} 'cannot seal the tmpfs'
confined() { chroot "$root" "$@"; }
if [ "$purpose" = unpack ]; then
  ulimit -v ${unpackMemoryKib}
  if [ "$words" = 0 ]; then confined "$@"; both=(0 $?)
  else confined "\${filter[@]}" | confined "$@"; both=("\${PIPESTATUS[@]}"); fi
  status=\${both[1]} filtered=\${both[0]}
  [ "$filtered" != 141 ] || filtered=0
else
  if [ "$purpose" = pack ]; then
    if [ "$type" = ext4 ] && [ -d disk/lost+found ] && [ ! -h disk/lost+found ] &&
      lost=$(find disk/lost+found -mindepth 1 -maxdepth 1 -print -quit) && [ -z "$lost" ]; then
      set -- "$@" --exclude=./lost+found
    fi
    set -- "$@" .
  fi
  limited() { ulimit -v ${packMemoryKib}; confined "$@"; }
  if [ "$words" = 0 ]; then limited "$@"; both=($? 0)
  else limited "$@" | confined "\${filter[@]}"; both=("\${PIPESTATUS[@]}"); fi
  status=\${both[0]} filtered=\${both[1]}
  [ "$status" != ${tarTooLarge.exitCode} ] || stop ${sandboxExit.tooLarge} 'the archive is too large'
fi
[ "$filtered" = 0 ] || exit ${sandboxExit.filter}
[ "$status" = 0 ] || exit "$status"
if [ "$purpose" = unpack ]; then
  sync -f "$root/disk" || stop ${sandboxExit.flush} 'cannot write the file system out'
fi
cd / && umount -n "$root/disk" || stop ${sandboxExit.flush} 'cannot unmount'
`;

/** Namespaces first, so that the kernel takes everything down when the first process dies with its parent. */
const namespaces: Line = [
  'setpriv',
  '--pdeathsig=KILL',
  'unshare',
  '--mount',
  '--net',
  '--ipc',
  '--pid',
  '--fork',
  '--kill-child',
  '--mount-proc',
  '--propagation=private',
];

/**
 * What tar may do, besides being root for files: `sys_admin` is for extended attributes in `security.` and `trusted.`,
 * which the kernel ties to it. Gone: chroot, modules, raw devices, network, other processes, clock, reboot.
 */
const tarCapabilities: Readonly<Record<'unpack' | 'pack', string>> = {
  unpack: '-all,+chown,+dac_override,+dac_read_search,+fowner,+fsetid,+mknod,+setfcap,+sys_admin,+mac_admin',
  pack: '-all,+dac_override,+dac_read_search,+sys_admin,+mac_admin',
};

/** Program and arguments that unpack from standard input, or pack to standard output. */
export function sandboxLine(options: SandboxOptions): Line {
  const filter = options.filter === undefined ? [] : [...withoutPrivileges, ...options.filter];
  const capabilities = options.purpose === 'unpack' ? tarCapabilities.unpack : tarCapabilities.pack;
  return [
    ...namespaces,
    '/bin/bash',
    '--noprofile',
    '--norc',
    '-c',
    script,
    'cxm-sandbox',
    options.purpose.replace('Replayed', ''),
    options.mountPoint,
    options.device,
    mountType(options.type),
    mountOptions(options.type, options.purpose),
    String(filter.length),
    ...filter,
    'setpriv',
    `--bounding-set=${capabilities}`,
    '--inh-caps=-all',
    '--no-new-privs',
    ...options.program,
  ];
}

/** The ext4 driver serves all of ext; it knows `noload` also where ext2's refuses it. */
function mountType(type: FileSystemType): string {
  return type === 'xfs' ? 'xfs' : 'ext4';
}

/**
 * Mount options. A tenant may have written `errors=panic` or `dev` defaults into the superblock: they are overridden.
 * Without a journal replay nothing at all is written to the device.
 */
export function mountOptions(type: FileSystemType, purpose: SandboxPurpose): string {
  const always = 'nosuid,nodev,noexec,noatime';
  const extended = type === 'xfs' ? '' : ',errors=remount-ro';
  switch (purpose) {
    case 'unpack':
      return `rw,${always}${extended}${type === 'xfs' ? ',nouuid' : ''}`;
    case 'pack':
    case 'list':
      return `ro,${always}${extended}${type === 'xfs' ? ',nouuid,norecovery' : ',noload'}`;
    case 'packReplayed':
    case 'listReplayed':
      return `ro,${always}${extended}${type === 'xfs' ? ',nouuid' : ''}`;
  }
}

/**
 * How a VM boots, and which files and programs of the host a template may name for it. The host reads a kernel and runs
 * a boot loader as root for a guest that a cloud user controls: kernels come from KERNEL_DIRS or from the VM's own
 * directory (where oned puts kernel images), boot loaders from BOOTLOADERS. `OS/KERNEL = /etc/shadow` is refused. So is,
 * where the domain is started, a file of the host that not everybody may read: an initramfs can hold the host's keys.
 */
import { CxmError } from '../../errors.ts';
import { guestText, refusal } from './checks.ts';
import type { DomainBoot, DomainSettings, GuestType } from './description.ts';

/** What a template says about booting, as it wrote it. */
export interface BootWords {
  readonly kernel?: string | undefined;
  readonly ramdisk?: string | undefined;
  readonly root?: string | undefined;
  readonly extra?: string | undefined;
  readonly bootloader?: string | undefined;
}

export interface BootPlace {
  readonly vmId: number;
  /** The VM's directory in the system datastore, absolute and clean. */
  readonly vmDirectory: string;
}

/**
 * GRUB built as a Xen kernel: boot loaders that run within the guest, so any template may name them. Paths are those of
 * Debian's grub-xen-host; another place is reached with OS/KERNEL and KERNEL_DIRS.
 */
const guestBootloaders: Readonly<Record<string, Readonly<Record<'pv' | 'pvh', string>>>> = {
  pvgrub: { pv: '/usr/lib/grub-xen/grub-x86_64-xen.bin', pvh: '/usr/lib/grub-xen/grub-i386-xen_pvh.bin' },
  pvgrub32: { pv: '/usr/lib/grub-xen/grub-i386-xen.bin', pvh: '/usr/lib/grub-xen/grub-i386-xen_pvh.bin' },
};

const guestBootloaderFiles = Object.values(guestBootloaders).flatMap((files) => Object.values(files));

const pathPattern = /^\/[A-Za-z0-9_.+@/-]{1,1023}$/;

/**
 * @throws CxmError INVALID_INPUT for a file or program that is not allowed, and when a guest that needs a kernel has
 * none
 */
export function bootOf(words: BootWords, guest: GuestType, place: BootPlace, settings: DomainSettings): DomainBoot {
  const boot: { -readonly [K in keyof DomainBoot]: DomainBoot[K] } = {};
  if (words.kernel !== undefined) {
    boot.kernel = hostFile(words.kernel, 'OS/KERNEL', 'kernel', place, settings);
    if (words.ramdisk !== undefined) {
      boot.ramdisk = hostFile(words.ramdisk, 'OS/INITRD', 'initrd', place, settings);
    }
    if (words.root !== undefined) boot.root = rootDevice(words.root, place.vmId);
  } else if (words.bootloader !== undefined) {
    Object.assign(boot, bootloader(words.bootloader, guest, place.vmId, settings));
  } else if (guest !== 'hvm') {
    throw new CxmError(
      'INVALID_INPUT',
      `VM ${place.vmId}: a ${guest.toUpperCase()} guest needs OS/KERNEL or OS/BOOTLOADER`,
      {
        hint: 'add OS=[ BOOTLOADER="pygrub" ] or a kernel to the template',
      },
    );
  }
  if (words.extra !== undefined) boot.extra = guestText({ vmId: place.vmId, what: 'OS/KERNEL_CMD' }, words.extra);
  return boot;
}

/**
 * The files of the VM's own directory that a domain boots from. Whoever starts it checks that they are plain files: a
 * link there would lead out of the directory.
 */
export function ownBootFiles(boot: DomainBoot, vmDirectory: string): string[] {
  return [boot.kernel, boot.ramdisk].filter(
    (path) => path !== undefined && path.startsWith(`${vmDirectory}/`),
  ) as string[];
}

/** The other files that a domain boots from: those of the host, whose secrets the guest would learn. */
export function hostBootFiles(boot: DomainBoot, vmDirectory: string): string[] {
  const own = ownBootFiles(boot, vmDirectory);
  return [boot.kernel, boot.ramdisk].filter((path) => path !== undefined && !own.includes(path)) as string[];
}

function hostFile(
  path: string,
  what: string,
  ownName: 'kernel' | 'initrd',
  { vmId, vmDirectory }: BootPlace,
  settings: DomainSettings,
): string {
  const parts = path.split('/').slice(1);
  const clean = pathPattern.test(path) && !parts.some((part) => part === '' || part === '.' || part === '..');
  if (clean && path === `${vmDirectory}/${ownName}`) return path;
  // A guest that is restored names its boot loader by the file.
  if (ownName === 'kernel' && guestBootloaderFiles.includes(path)) return path;
  const allowed = settings.kernelDirectories;
  if (clean && allowed.some((directory) => path.startsWith(directory === '/' ? '/' : `${directory}/`))) return path;
  throw refusal(
    { vmId, what },
    path,
    `a file in ${allowed.length === 0 ? 'the directory of the VM' : allowed.join(' or ')}`,
    'put the kernel there, take it from a file datastore, or let the administrator add its directory to KERNEL_DIRS in cxmrc',
  );
}

/** `xvda1`, `/dev/xvda1`, `UUID=...`: only the guest's kernel reads it. */
function rootDevice(text: string, vmId: number): string {
  const root = /^[A-Za-z0-9]+$/.test(text) ? `/dev/${text}` : text;
  if (/^[A-Za-z0-9_/.:,=+-]{1,255}( ro| rw)?$/.test(root)) return root;
  throw refusal({ vmId, what: 'OS/ROOT' }, text, 'a device like xvda1 or UUID=...');
}

function bootloader(text: string, guest: GuestType, vmId: number, settings: DomainSettings): DomainBoot {
  const listed = settings.bootloaders.find(
    (allowed) => allowed === text || (!allowed.includes('/') && allowed === text.slice(text.lastIndexOf('/') + 1)),
  );
  if (listed !== undefined) return { bootloader: listed };
  const inGuest = Object.hasOwn(guestBootloaders, text) ? guestBootloaders[text] : undefined;
  if (inGuest !== undefined && guest !== 'hvm') return { kernel: inGuest[guest] };
  throw refusal(
    { vmId, what: 'OS/BOOTLOADER' },
    text,
    `one of ${[...settings.bootloaders, ...Object.keys(guestBootloaders)].join(', ')}`,
    'the administrator can add it to BOOTLOADERS in cxmrc',
  );
}

const bootLetters: Readonly<Record<string, string>> = {
  hd: 'c',
  disk: 'c',
  cdrom: 'd',
  fd: 'a',
  network: 'n',
  nic: 'n',
};

/**
 * OS/BOOT of an HVM guest as letters: the words of OpenNebula 3.x and 4.x (`hd,cdrom`) or the devices of 5.0 and later
 * (`disk0,nic0`). Without one: disk, CD-ROM, network, as oned's own generator writes it.
 * @param isCdrom whether the disk with this id is a CD-ROM
 */
export function bootOrder(text: string | undefined, vmId: number, isCdrom: (diskId: number) => boolean): string {
  if (text === undefined) return 'cdn';
  let order = '';
  for (const word of text.split(',')) {
    const match = /^(hd|fd|cdrom|network|disk|nic)(\d{0,4})$/.exec(word.trim().toLowerCase());
    const kind = match?.[1] ?? '';
    const letter = kind === 'disk' && isCdrom(Number(match?.[2])) ? 'd' : bootLetters[kind];
    if (letter === undefined)
      throw refusal({ vmId, what: 'OS/BOOT' }, text, 'words like hd,cdrom,network or disk0,nic0');
    if (!order.includes(letter)) order += letter;
  }
  return order;
}

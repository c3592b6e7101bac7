/**
 * The schema of cxmrc, the configuration of the OpenNebula drivers: one table from which validation, the commented
 * cxmrc.example and the reference in docs/ come. Keys of the old drivers keep their names and their meaning.
 */
import { isHostName } from '../host-name.ts';
import type { ConfigurationOf, KeySchema } from './schema.ts';
import { flag, integer, oneOf, path, paths, size, text, words, type ValueType } from './types.ts';

type Group = 'Volumes' | 'Transfers' | 'Virtual machines' | 'Connections';

function key<T>(group: Group, type: ValueType<T>, fallback: string | undefined, meaning: string): KeySchema<T> {
  return { group, type, fallback, meaning };
}

const kib = 1024;
const lvmName = /^[A-Za-z0-9_+.][A-Za-z0-9_+.-]{0,126}$/;

/** Formats in which disks are saved, named as the old drivers did. */
export const modes = ['RAW', 'GZIP', 'TGZ', 'ZSTD', 'TZST'] as const;
export type Mode = (typeof modes)[number];

/** File systems that may be made or read. */
export const fileSystems = ['ext2', 'ext3', 'ext4', 'xfs'] as const;

const keys = {
  VG_NAME: key(
    'Volumes',
    text('a volume group name as LVM allows it', lvmName),
    undefined,
    'The volume group on the Xen hosts that holds the disks of the VMs. A host whose group has another name says so in its own /etc/cxm/cxmrc.',
  ),
  LV_PREFIX: key(
    'Volumes',
    text('a logical volume name as LVM allows it, at most 40 characters', /^[A-Za-z0-9_+.][A-Za-z0-9_+.-]{0,39}$/),
    'lv-one',
    'A disk is the logical volume LV_PREFIX-<VM id>-<disk id>. Two frontends that share a volume group need different prefixes.',
  ),
  DEFAULT_LV_SIZE: key(
    'Volumes',
    size(1024 ** 2, 1024 ** 5),
    '8G',
    'Size of a disk when neither the image has a SIZE attribute nor OpenNebula knows one.',
  ),
  MAX_LV_SIZE: key(
    'Volumes',
    size(1024 ** 2, 1024 ** 5),
    '1P',
    'No disk becomes larger, nor the CD of a context. The action decides: what the /etc/cxm/cxmrc of a host says of it has no effect. The SIZE of an image, what an archive says of itself and the virtual size of a qcow2 are up to the users, and the quotas of OpenNebula do not count them.',
  ),
  DEFAULT_FSTYPE: key(
    'Volumes',
    oneOf(fileSystems),
    'ext4',
    'File system for archives whose image has no FSTYPE attribute.',
  ),
  DELETE_DATA: key(
    'Volumes',
    oneOf(['keep', 'discard', 'zero']),
    'keep',
    'What delete does with the data before the volume is removed: keep (new disks are zeroed anyway, so no other VM sees it), discard (tell the storage that the blocks are free) or zero.',
  ),
  SNAPSHOT_PERCENT: key(
    'Volumes',
    integer(1, 100, '% of the disk'),
    '20',
    'Room for changes in the temporary snapshot from which the disk of a running VM is saved.',
  ),
  BUSY_TIMEOUT: key(
    'Volumes',
    integer(0, 3600, 'seconds'),
    '60',
    'How long to wait for a volume that is still open, as when a VM is deleted while it is being cancelled.',
  ),
  MODE: key(
    'Transfers',
    oneOf(modes),
    'TZST',
    'How disks are saved: file systems as an archive, anything else as an image; RAW uncompressed, GZIP and TGZ with gzip, ZSTD and TZST with zstd. What is sent to a host is recognised by its content.',
  ),
  COMPRESS_LEVEL: key('Transfers', integer(1, 19), '1', 'Compression level of gzip (at most 9) or zstd.'),
  WIRE_COMPRESSION: key(
    'Transfers',
    flag(),
    'yes',
    'Compress plain archives on their way to a host with zstd, the better the slower the connection is. Raw images are sent without their zeros, and what is compressed already as it is.',
  ),
  BLOCK_SIZE: key(
    'Transfers',
    size(64 * kib, 2 * 1024 * kib),
    '1M',
    'Size of the blocks in which raw images are read; blocks of zeros are not sent.',
  ),
  TMP_ROOT: key(
    'Transfers',
    path(),
    '/var/tmp',
    'Directory on the hosts over which file systems are mounted, in a mount namespace of their own that nobody else sees. Nobody but root may be able to replace it or a directory above it.',
  ),
  CFG_DIR: key('Virtual machines', path(), '/etc/xen/vm', 'Where the configuration files of the VMs are written.'),
  AUTO_DIR: key('Virtual machines', path(), '/etc/xen/auto', 'Where the autostart links stand.'),
  VM_FQDN_TEMPLATE: key(
    'Virtual machines',
    text('a name of letters, digits, - and . with %U, %V, %I and %%', /^([A-Za-z0-9.-]|%[UVI%])+$/),
    'one-%I',
    'Name of the VM within Xen: %U is the user, %V the name of the VM, %I its id. In a cluster it should resolve. Where users choose a part of it, end it in a domain that has nothing but VMs, as %V.vms.example.com.',
  ),
  SHUTDOWN_TIMEOUT: key(
    'Virtual machines',
    integer(1, 3600, 'seconds'),
    '120',
    'A VM that ignores a shutdown for so long is destroyed.',
  ),
  MIGRATE_TIMEOUT: key(
    'Virtual machines',
    integer(10, 86_400, 'seconds'),
    '1800',
    'A live migration that takes longer is ended; the VM stays where it runs.',
  ),
  CPU_CREDIT: key(
    'Virtual machines',
    integer(1, 65_535),
    '256',
    'Scheduler weight of a VM with CPU = 1; others in proportion.',
  ),
  BOOTLOADERS: key(
    'Virtual machines',
    words('a program', (word) => /^[A-Za-z0-9_./-]+$/.test(word) && !word.split('/').includes('..')),
    'pygrub',
    'Boot loaders that a template may name; they run as root on the host.',
  ),
  KERNEL_DIRS: key(
    'Virtual machines',
    paths(),
    '/boot',
    'Directories on the hosts from which a template may take kernels and ramdisks, besides the directory of the VM itself. Only files there that every user of the host may read.',
  ),
  RAW_KEYS: key(
    'Virtual machines',
    words('a key of xl.cfg', (word) => /^[a-z][a-z0-9_]*$/.test(word)),
    '""',
    'Keys of xl.cfg that RAW data may set besides the harmless ones. Keys that name files or programs of the host give every user who may write RAW the rights of root.',
  ),
  ONE_HOST: key(
    'Connections',
    text('a host name', /^([A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?)?$/),
    '""',
    'The OpenNebula frontend as hosts reach it over ssh; needed by one-migrate, and by deploy for OpenNebula 3.x.',
  ),
  ONE_USER: key(
    'Connections',
    text('a user name', /^[a-z_][a-z0-9_-]{0,31}$/),
    'oneadmin',
    'The user under which OpenNebula runs on ONE_HOST.',
  ),
  ONE_RETRY_TIMEOUT: key(
    'Connections',
    integer(0, 86_400, 'seconds'),
    '600',
    'How long one-migrate goes on trying while the frontend is away.',
  ),
  CLOUD_NAME: key(
    'Connections',
    text('a name of letters, digits and . _ -', /^([A-Za-z0-9][A-Za-z0-9._-]{0,99})?$/),
    '""',
    'Name of this OpenNebula installation; volumes are tagged with it, and those of another installation are never touched. The host name of the frontend when empty; set it where several frontends share one OpenNebula or the host name may change.',
  ),
  FRONTEND_NAMES: key(
    'Connections',
    words('a host name', isHostName),
    '""',
    'Names under which OpenNebula calls the frontend, besides its host name.',
  ),
  CONNECT_TIMEOUT: key(
    'Connections',
    integer(1, 300, 'seconds'),
    '10',
    'A host that does not answer for so long counts as dead.',
  ),
  LOCK_TIMEOUT: key(
    'Connections',
    integer(1, 3600, 'seconds'),
    '300',
    'How long to wait for the lock of a volume group.',
  ),
  DEBUG: key('Connections', flag(), 'no', 'Log every step.'),
} as const;

export const cxmrcTable = { name: 'cxmrc', literals: 'shell', keys } as const;

export type CxmrcKey = keyof typeof keys;

/** A complete, validated configuration. */
export type Cxmrc = ConfigurationOf<typeof keys>;

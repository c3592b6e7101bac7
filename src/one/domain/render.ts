/**
 * The xl configuration of a described domain. Every value passes xl's own quoting, and the finished text is parsed
 * again and must give back what was meant, so nothing can leave its string. Disks are always `phy:` with the path of the
 * logical volume itself: only such disks count as volumes of the VM when it is activated, moved or checked.
 */
import { CxmError } from '../../errors.ts';
import { quote } from '../../xen/config-syntax.ts';
import { parseDomainConfig, type ConfigValue, type DomainConfig } from '../../xen/config-file.ts';
import type { DiskSpec } from '../../xen/disk.ts';
import { formatNicSpec } from '../../xen/nic.ts';
import { diskVolumeName } from '../../lvm/names.ts';
import type { DomainDescription, DomainDisk, DomainGraphics, DomainSettings } from './description.ts';
import { nicSpec } from './devices.ts';
import { markerText } from './marker.ts';

export type VolumeNames = Pick<DomainSettings, 'deviceDirectory' | 'volumePrefix'>;

/** Device path of a disk's volume, which Xen gets. */
export function diskDevice(vmId: number, diskId: number, { deviceDirectory, volumePrefix }: VolumeNames): string {
  return `${deviceDirectory}/${diskVolumeName(volumePrefix, vmId, diskId)}`;
}

/** The id of the disk behind a device of this VM; undefined for any other device. */
export function diskIdOfDevice(
  device: string,
  vmId: number,
  { deviceDirectory, volumePrefix }: VolumeNames,
): number | undefined {
  const prefix = `${deviceDirectory}/${diskVolumeName(volumePrefix, vmId, 0).slice(0, -1)}`;
  const digits = device.startsWith(prefix) ? device.slice(prefix.length) : '';
  return /^(0|[1-9]\d{0,8})$/.test(digits) ? Number(digits) : undefined;
}

/** The id of the VM whose disk is behind a device; undefined for what is no volume of a VM. */
export function vmIdOfDevice(device: string, { deviceDirectory, volumePrefix }: VolumeNames): number | undefined {
  const prefix = `${deviceDirectory}/${volumePrefix}-`;
  const numbers = device.startsWith(prefix) ? device.slice(prefix.length) : '';
  const id = /^(0|[1-9]\d{0,8})-(?:0|[1-9]\d{0,8})$/.exec(numbers)?.[1];
  return id === undefined ? undefined : Number(id);
}

/** One item of `disk = [...]`. */
export function diskLine(disk: DomainDisk, vmId: number, names: VolumeNames): string {
  const device = diskDevice(vmId, disk.diskId, names);
  return `phy:${device},${disk.target}${disk.cdrom ? ':cdrom' : ''},${disk.readonly ? 'r' : 'w'}`;
}

/** The same for a toolstack that plugs the disk in. */
export function diskSpec(disk: DomainDisk, vmId: number, names: VolumeNames): DiskSpec {
  return {
    target: diskDevice(vmId, disk.diskId, names),
    format: 'raw',
    vdev: disk.target,
    access: disk.readonly ? 'ro' : 'rw',
    deviceType: disk.cdrom ? 'cdrom' : 'disk',
    backendType: 'phy',
  };
}

/** The configuration, with its marker in the first line. */
export function renderDomain(domain: DomainDescription, settings: VolumeNames): DomainConfig {
  const entries = new Map<string, ConfigValue>([...generalEntries(domain), ...deviceEntries(domain, settings)]);
  for (const [key, value] of domain.extras) entries.set(key, value);
  const lines = [...entries].map(([key, value]) => `${key} = ${formatted(key, value)}`);
  const config = parseDomainConfig(`${markerText(domain.vmId)}\n${lines.join('\n')}\n`, domain.name);
  for (const [key, value] of entries) {
    if (JSON.stringify(config.get(key)) !== JSON.stringify(value)) {
      throw new CxmError(
        'INTERNAL',
        `the configuration of VM ${domain.vmId} does not give back what was set for ${key}`,
      );
    }
  }
  if (config.keys().length !== entries.size) throw new CxmError('INTERNAL', `VM ${domain.vmId}: a key too many`);
  return config;
}

function generalEntries(domain: DomainDescription): [string, ConfigValue][] {
  const { boot } = domain;
  const entries: [string, ConfigValue | undefined][] = [
    ['name', domain.name],
    ['uuid', domain.uuid],
    // PV is what xl takes without a type, in every version.
    ['type', domain.guest === 'pv' ? undefined : domain.guest],
    ['memory', domain.memoryMib],
    ['maxmem', domain.maxMemoryMib],
    ['vcpus', domain.vcpus],
    ['maxvcpus', domain.maxVcpus],
    ['cpus', domain.cpus],
    ['cpu_weight', domain.cpuWeight],
    ['kernel', boot.kernel],
    ['ramdisk', boot.ramdisk],
    ['bootloader', boot.bootloader],
    ['root', boot.root],
    ['extra', boot.extra],
    ['boot', boot.order],
    ['serial', domain.guest === 'hvm' ? 'pty' : undefined],
    ['on_poweroff', 'destroy'],
    ['on_reboot', 'restart'],
    ['on_crash', 'destroy'],
  ];
  return entries.filter((entry): entry is [string, ConfigValue] => entry[1] !== undefined);
}

function deviceEntries(domain: DomainDescription, settings: VolumeNames): [string, ConfigValue][] {
  const entries: [string, ConfigValue][] = [];
  if (domain.disks.length > 0) {
    entries.push(['disk', domain.disks.map((disk) => diskLine(disk, domain.vmId, settings))]);
  }
  if (domain.nics.length > 0) entries.push(['vif', domain.nics.map((nic) => formatNicSpec(nicSpec(nic)))]);
  if (domain.guest === 'hvm') entries.push(...emulatedGraphics(domain.graphics));
  else if (domain.graphics !== undefined) entries.push(['vfb', [frameBuffer(domain.graphics)]]);
  return entries;
}

/** PV and PVH guests have a frame buffer in xl's comma-separated inner language. */
function frameBuffer({ listen, port, password, keymap }: DomainGraphics): string {
  const pieces = ['type=vnc'];
  if (listen !== undefined) pieces.push(`vnclisten=${listen}`);
  pieces.push(...(port === undefined ? ['vncunused=1'] : ['vncunused=0', `vncdisplay=${port - 5900}`]));
  if (password !== undefined) pieces.push(`vncpasswd=${password}`);
  if (keymap !== undefined) pieces.push(`keymap=${keymap}`);
  return pieces.join(',');
}

/** HVM guests have keys; without GRAPHICS no port is opened. */
function emulatedGraphics(graphics: DomainGraphics | undefined): [string, ConfigValue][] {
  if (graphics === undefined) return [['vnc', 0]];
  const { listen, port, password, keymap } = graphics;
  const entries: [string, ConfigValue | undefined][] =
    graphics.type === 'vnc'
      ? [
          ['vnc', 1],
          ['vnclisten', listen],
          ['vncunused', port === undefined ? 1 : 0],
          ['vncdisplay', port === undefined ? undefined : port - 5900],
          ['vncpasswd', password],
        ]
      : [
          ['vnc', 0],
          ['spice', 1],
          ['spicehost', listen],
          ['spiceport', port],
          ['spicedisable_ticketing', password === undefined ? 1 : 0],
          ['spicepasswd', password],
        ];
  entries.push(['keymap', keymap]);
  return entries.filter((entry): entry is [string, ConfigValue] => entry[1] !== undefined);
}

/** A list of disks or interfaces gets a line an item, for people who read the file. */
function formatted(key: string, value: ConfigValue): string {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value < 0 ? `'${value}'` : String(value);
  if (typeof value === 'string') {
    const text = quote(value);
    if (text !== undefined) return text;
  }
  if (typeof value === 'object') {
    const items = value.map((item) => formatted(key, item));
    return items.length < 2 ? `[${items.join('')}]` : `[\n${items.map((item) => `    ${item},\n`).join('')}]`;
  }
  throw new CxmError(
    'INVALID_INPUT',
    `the value of ${key} can't stand in a configuration: ${JSON.stringify(value).slice(0, 80)}`,
  );
}

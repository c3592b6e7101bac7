/**
 * Which keys of xl.cfg a cloud user may set with RAW data, and what values they may have. The file is read by root's
 * xl, where many keys name programs that are run, files that are opened, or hardware that is handed over. So this is a
 * list of what is harmless; anything else is refused by name, unless the administrator lists it in RAW_KEYS.
 */
import type { ConfigValue } from '../../xen/config-file.ts';

export interface RawKey {
  /** What is allowed, as half a sentence. */
  readonly allowed: string;
  accepts(value: ConfigValue): boolean;
}

function matchingText(allowed: string, pattern: RegExp): RawKey {
  return {
    allowed,
    accepts: (value) => typeof value !== 'object' && String(value).length <= 512 && pattern.test(String(value)),
  };
}

function words(...list: readonly string[]): RawKey {
  return {
    allowed: `one of ${list.join(', ')}`,
    accepts: (value) => typeof value !== 'object' && list.includes(String(value)),
  };
}

function range(min: number, max: number): RawKey {
  return {
    allowed: `a whole number from ${min} to ${max}`,
    accepts(value) {
      const number = typeof value !== 'object' && /^-?\d{1,9}$/.test(String(value)) ? Number(value) : Number.NaN;
      return number >= min && number <= max;
    },
  };
}

const yesNo = words('0', '1');
const cpus: RawKey = {
  allowed: 'CPUs like 0-3,5, or a list of such',
  accepts(value) {
    const items = typeof value === 'object' ? value : [value];
    return (
      items.length <= 512 &&
      items.every((item) => typeof item !== 'object' && /^(all|[\d^,\s-]{1,256})$/.test(String(item)))
    );
  },
};
/** Neither `coredump-*`, which fills the host's disk, nor `rename-restart`, which leaves a domain nobody knows of. */
const onEvent = words('destroy', 'restart', 'preserve');
const oneLine = matchingText('one line of text', /^[^\p{Cc}\p{Cs}\u2028\u2029]*$/u);
/** One way to read each text only: a user's could take for ever otherwise. */
const registers = /^(?:host|hypervisor|[a-z0-9_.:-]+=[a-z0-9_:-]+)(?:,\s*[a-z0-9_.:-]+=[a-z0-9_:-]+)*$/i;

/** Keys that RAW may set, each with its values. Meanings are those of xl.cfg(5). */
export const harmlessRawKeys: Readonly<Record<string, RawKey>> = {
  // A guest that starts again would make every shutdown of OpenNebula a reboot.
  on_poweroff: words('destroy', 'preserve'),
  on_reboot: onEvent,
  on_watchdog: onEvent,
  on_crash: onEvent,
  on_soft_reset: words('destroy', 'restart', 'preserve', 'soft-reset'),
  cpus,
  cpus_soft: cpus,
  cpuid: {
    allowed: 'features like host,tm=0, or a list of registers',
    accepts(value) {
      const items = typeof value === 'object' ? value : [value];
      return (
        items.length <= 64 &&
        items.every((item) => typeof item === 'string' && item.length <= 1024 && registers.test(item))
      );
    },
  },
  pae: yesNo,
  acpi: yesNo,
  acpi_s3: yesNo,
  acpi_s4: yesNo,
  apic: yesNo,
  nx: yesNo,
  hap: yesNo,
  hpet: yesNo,
  xen_platform_pci: yesNo,
  localtime: yesNo,
  rtc_timeoffset: range(-86_400, 86_400),
  viridian: {
    allowed: '0, 1 or a list of groups like defaults, stimer',
    accepts: (value) =>
      typeof value === 'object'
        ? value.length <= 32 && value.every((item) => typeof item === 'string' && /^!?[a-z_]{1,32}$/.test(item))
        : ['0', '1'].includes(String(value)),
  },
  tsc_mode: words('default', 'always_emulate', 'native', 'native_paravirt', '0', '1', '2', '3'),
  timer_mode: words(
    'delay_for_missed_ticks',
    'no_delay_for_missed_ticks',
    'no_missed_ticks_pending',
    'one_missed_tick_pending',
    '0',
    '1',
    '2',
    '3',
  ),
  bios: words('rombios', 'seabios', 'ovmf'),
  ms_vm_genid: words('generate', 'none'),
  vga: words('stdvga', 'cirrus', 'none'),
  stdvga: yesNo,
  videoram: range(1, 64),
  nographic: yesNo,
  keymap: matchingText('a keyboard layout like de or en-us', /^[a-z]{2}(-[a-z]{2})?$/),
  usb: yesNo,
  usbdevice: words('tablet', 'mouse', 'keyboard'),
  serial: words('pty', 'none'),
  boot: matchingText('letters of a, c, d and n', /^[acdn]{1,4}$/),
  extra: oneLine,
  cmdline: oneLine,
  root: matchingText('a device like /dev/xvda1', /^[A-Za-z0-9_/.:=+-]{1,255}( ro| rw)?$/),
};

/** Why a key is refused, for those that people try; all others are simply not in the list. */
export const refusedRawKeys: Readonly<Record<string, string>> = {
  name: 'the name belongs to OpenNebula',
  uuid: 'OpenNebula sets it with OS/UUID',
  memory: 'capacity belongs to OpenNebula',
  maxmem: 'capacity belongs to OpenNebula',
  vcpus: 'capacity belongs to OpenNebula',
  maxvcpus: 'capacity belongs to OpenNebula',
  cpu_weight: 'capacity belongs to OpenNebula',
  cap: 'capacity belongs to OpenNebula',
  shadow_memory: 'capacity belongs to OpenNebula',
  disk: 'disks belong to OpenNebula',
  vif: 'networks belong to OpenNebula',
  vfb: 'GRAPHICS sets it',
  kernel: 'OS/KERNEL sets it',
  ramdisk: 'OS/INITRD sets it',
  bootloader: 'it names a program that root runs',
  bootloader_args: 'they go to a program that root runs',
  device_model: 'it names a program that root runs',
  device_model_override: 'it names a program that root runs',
  device_model_args: 'they go to a program that root runs',
  device_model_args_pv: 'they go to a program that root runs',
  device_model_args_hvm: 'they go to a program that root runs',
  device_model_user: 'it names a user of the host',
  firmware_override: 'it names a file of the host',
  acpi_firmware: 'it names a file of the host',
  smbios_firmware: 'it names a file of the host',
  parallel: 'it names a file or device of the host',
  channel: 'it names sockets of the host',
  p9: 'it names directories of the host',
  pci: 'it hands over hardware of the host',
  usbdev: 'it hands over hardware of the host',
  dtdev: 'it hands over hardware of the host',
  ioports: 'it hands over hardware of the host',
  iomem: 'it hands over hardware of the host',
  irqs: 'it hands over hardware of the host',
  vscsi: 'it hands over hardware of the host',
  gfx_passthru: 'it hands over hardware of the host',
  pool: 'it belongs to the administrator of the host',
  seclabel: 'it belongs to the administrator of the host',
};

/** Keys whose values this program builds for itself later on; not even RAW_KEYS lets them be replaced. */
export const ownKeys: ReadonlySet<string> = new Set(['name', 'disk', 'type', 'builder']);

/**
 * A VM as Xen is to run it: what both forms of oned's deployment file come down to. Everything in here has passed the
 * door (checks.ts): texts are safe in the configuration language, numbers are within bounds, paths are the VM's own or
 * the administrator's.
 */
import type { ConfigValue } from '../../xen/config-file.ts';

/** Paravirtualised, paravirtualised in a hardware container, or fully virtualised. */
export type GuestType = 'pv' | 'pvh' | 'hvm';

export interface DomainDisk {
  readonly diskId: number;
  /** Device in the guest, as xvda. */
  readonly target: string;
  readonly readonly: boolean;
  readonly cdrom: boolean;
}

export interface DomainNic {
  readonly mac: string;
  readonly bridge: string;
  readonly ips: readonly string[];
  /** Emulated card of HVM guests. */
  readonly model?: string;
  /** Xen's own script for the kind of bridge; the host's default when left out. */
  readonly script?: string;
  /** Name of the interface on the host, as OpenNebula gives it: one-7-0. */
  readonly interfaceName?: string;
}

export interface DomainGraphics {
  readonly type: 'vnc' | 'spice';
  readonly listen?: string;
  /** TCP port; any free one when left out. */
  readonly port?: number;
  readonly password?: string;
  readonly keymap?: string;
}

export interface DomainBoot {
  readonly kernel?: string;
  readonly ramdisk?: string;
  readonly root?: string;
  readonly extra?: string;
  readonly bootloader?: string;
  /** HVM: letters of the devices in order, as `cdn`. */
  readonly order?: string;
}

export interface DomainDescription {
  readonly vmId: number;
  readonly name: string;
  readonly uuid?: string;
  readonly guest: GuestType;
  readonly memoryMib: number;
  readonly maxMemoryMib?: number;
  readonly vcpus: number;
  readonly maxVcpus?: number;
  /** CPUs of the host that the VM is pinned to. */
  readonly cpus?: string;
  readonly cpuWeight?: number;
  readonly boot: DomainBoot;
  readonly disks: readonly DomainDisk[];
  readonly nics: readonly DomainNic[];
  readonly graphics?: DomainGraphics;
  /** Further keys of xl.cfg, from FEATURES and RAW; they win over what the rest gives. */
  readonly extras: ReadonlyMap<string, ConfigValue>;
}

/** What cxmrc says about VMs, in the words of this module. */
export interface DomainSettings {
  /** Where the devices of the volumes are, as /dev/VG0. */
  readonly deviceDirectory: string;
  readonly volumePrefix: string;
  readonly nameTemplate: string;
  /** Scheduler weight of a VM with CPU = 1. */
  readonly cpuCredit: number;
  readonly bootloaders: readonly string[];
  readonly kernelDirectories: readonly string[];
  readonly rawKeys: readonly string[];
}

/**
 * What the sandbox's stand-in for oned knows: VMs and images, as far as the drivers ever hear of them.
 */

/** STATE and, where it is ACTIVE, LCM_STATE by the names of OpenNebula. */
export const vmStates = {
  HOLD: [2, 0],
  PROLOG: [3, 1],
  BOOT: [3, 2],
  RUNNING: [3, 3],
  MIGRATE: [3, 4],
  STOPPED: [4, 0],
  SUSPENDED: [5, 0],
  DONE: [6, 0],
  POWEROFF: [8, 0],
  UNDEPLOYED: [9, 0],
  BOOT_FAILURE: [3, 36],
  PROLOG_FAILURE: [3, 39],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

export type VmState = keyof typeof vmStates;

export interface ImageRecord {
  readonly id: number;
  readonly name: string;
  /** The file on the frontend. */
  readonly source: string;
  /** What OpenNebula believes: of an archive it is the archive's own length. */
  readonly sizeMb: number;
  readonly persistent: boolean;
  /** The user's attributes SIZE and FSTYPE. */
  readonly size?: string;
  readonly fileSystemType?: string;
}

export interface DiskRecord {
  readonly diskId: number;
  readonly target: string;
  readonly sizeMb: number;
  /** Of an image; a volatile disk has a file system or is swap. */
  readonly imageId?: number;
  readonly volatile?: 'fs' | 'swap';
  /** Comes while the VM runs. */
  readonly attached?: boolean;
}

export interface NicRecord {
  readonly nicId: number;
  readonly mac: string;
  readonly ip: string;
  readonly bridge: string;
}

export interface VmRecord {
  readonly id: number;
  readonly name: string;
  readonly user: string;
  readonly state: VmState;
  readonly deployId: string;
  readonly cpu: number;
  readonly vcpu: number;
  readonly memoryMb: number;
  readonly disks: readonly DiskRecord[];
  readonly nics: readonly NicRecord[];
  /** Number of the contextualisation CD; a VM whose template has no CONTEXT gets none. */
  readonly contextDisk?: number;
  /** How it boots; with pygrub when left out. */
  readonly os?: Readonly<Record<string, string>>;
  /** Without a screen. */
  readonly headless?: boolean;
  /** Hosts, the oldest first. */
  readonly history: readonly string[];
}

export interface Records {
  readonly vms: readonly VmRecord[];
  readonly images: readonly ImageRecord[];
}

export const imageDatastore = 1;
export const systemDatastore = 0;

/** @throws Error as onevm words it */
export function vmOf(records: Records, id: number): VmRecord {
  const vm = records.vms.find((candidate) => candidate.id === id);
  if (vm === undefined) throw new Error(`[one.vm.info] Error getting virtual machine [${id}].`);
  return vm;
}

/** @throws Error as oneimage words it */
export function imageOf(images: readonly ImageRecord[], id: number): ImageRecord {
  const image = images.find((candidate) => candidate.id === id);
  if (image === undefined) throw new Error(`[one.image.info] Error getting image [${id}].`);
  return image;
}

/** Where a VM is, or was last. */
export function hostOf(vm: VmRecord): string {
  const host = vm.history.at(-1);
  if (host === undefined) throw new Error(`VM ${vm.id} has never been on a host`);
  return host;
}

/**
 * The VM document of OpenNebula 3.6 to 7.x: the whole `<VM>` of `onevm show -x`, of driver messages and of 4.x+
 * deployment files, and the bare `<TEMPLATE>` that 3.x writes for `type="xml"`. Attribute differences between the
 * versions end here. Ids and sizes are checked numbers; text stays what the user typed, and
 * whoever makes a name, a path or a configuration line of it validates it for that purpose.
 */
import { CxmError } from '../../errors.ts';
import { childOf, childrenNamed, decimalOf, integerOf, switchOf, textOf } from './fields.ts';
import { parseXml, type XmlElement } from './xml.ts';

export interface Disk {
  readonly diskId: number;
  /** What the image's datastore calls the image; missing for volatile disks. */
  readonly source: string | undefined;
  readonly imageId: number | undefined;
  readonly image: string | undefined;
  readonly datastoreId: number | undefined;
  readonly tmMad: string | undefined;
  /** MiB. Missing for image disks in 3.8. */
  readonly sizeMb: number | undefined;
  readonly originalSizeMb: number | undefined;
  readonly target: string | undefined;
  /** FILE, BLOCK, CDROM, fs, swap, ... in the case OpenNebula wrote it. */
  readonly type: string | undefined;
  /** A file system up to 4.x, an image format (raw, qcow2) from 5.0 on; `fileSystem` tells them apart. */
  readonly format: string | undefined;
  /** File system a volatile disk is to be made with. */
  readonly fileSystem: string | undefined;
  readonly driver: string | undefined;
  readonly devPrefix: string | undefined;
  readonly cache: string | undefined;
  readonly readonly: boolean;
  readonly clone: boolean;
  readonly save: boolean;
  readonly persistent: boolean;
  /** This is the disk that the running action attaches. */
  readonly attach: boolean;
  /** All other attributes. */
  readonly element: XmlElement;
}

export interface Nic {
  readonly nicId: number | undefined;
  readonly mac: string | undefined;
  readonly ip: string | undefined;
  readonly bridge: string | undefined;
  readonly model: string | undefined;
  /** Name of the interface on the host, from 5.x on. */
  readonly target: string | undefined;
  readonly vnMad: string | undefined;
  readonly network: string | undefined;
  readonly script: string | undefined;
  readonly attach: boolean;
  readonly element: XmlElement;
}

export interface Context {
  readonly diskId: number | undefined;
  readonly target: string | undefined;
  readonly element: XmlElement;
}

export interface OperatingSystem {
  readonly kernel: string | undefined;
  readonly initrd: string | undefined;
  readonly root: string | undefined;
  readonly kernelCommandLine: string | undefined;
  readonly bootloader: string | undefined;
  readonly boot: string | undefined;
  readonly architecture: string | undefined;
  readonly machine: string | undefined;
  readonly firmware: string | undefined;
  readonly uuid: string | undefined;
  /** Kernel or initrd come as images of a file datastore and lie in the VM's directory (4.x+). */
  readonly kernelFromDatastore: boolean;
  readonly initrdFromDatastore: boolean;
}

export interface Graphics {
  readonly type: string | undefined;
  readonly listen: string | undefined;
  readonly port: number | undefined;
  readonly password: string | undefined;
  readonly keymap: string | undefined;
}

export interface Raw {
  readonly type: string | undefined;
  readonly data: string;
}

export interface Features {
  readonly pae: boolean | undefined;
  readonly acpi: boolean | undefined;
  readonly apic: boolean | undefined;
  readonly localtime: boolean | undefined;
  readonly deviceModel: string | undefined;
}

export interface HistoryRecord {
  readonly sequence: number | undefined;
  readonly host: string;
  readonly hostId: number | undefined;
  readonly systemDatastoreId: number | undefined;
}

export interface VirtualMachine {
  /** Missing only in a bare template without VMID. */
  readonly id: number | undefined;
  readonly name: string | undefined;
  /** UNAME; missing in a bare template. */
  readonly user: string | undefined;
  readonly group: string | undefined;
  readonly deployId: string | undefined;
  /** VM STATE: 3 ACTIVE, 4 STOPPED, 5 SUSPENDED, 6 DONE, 8 POWEROFF, ... */
  readonly state: number | undefined;
  /** 3 RUNNING, 4 MIGRATE, 16 UNKNOWN, ...; means something in state 3 only. */
  readonly lcmState: number | undefined;
  readonly cpu: number | undefined;
  readonly vcpu: number | undefined;
  readonly memoryMb: number | undefined;
  readonly disks: readonly Disk[];
  readonly nics: readonly Nic[];
  readonly context: Context | undefined;
  readonly operatingSystem: OperatingSystem;
  readonly graphics: Graphics | undefined;
  readonly raw: readonly Raw[];
  readonly features: Features;
  /** Oldest first: the last one is where the VM is, or during a migration where it goes. */
  readonly history: readonly HistoryRecord[];
  readonly template: XmlElement;
  readonly userTemplate: XmlElement | undefined;
}

/**
 * Reads `<VM>`, a bare `<TEMPLATE>`, or a document with one `<VM>` below its root (`<VMM_DRIVER_ACTION_DATA>`).
 * @throws CxmError INVALID_INPUT
 */
export function parseVirtualMachine(text: string, what = 'the VM document'): VirtualMachine {
  return virtualMachineOf(parseXml(text, what), what);
}

/** The same for a document that is parsed already. @throws CxmError INVALID_INPUT */
export function virtualMachineOf(root: XmlElement, what = 'the VM document'): VirtualMachine {
  const vm = root.name === 'VM' ? root : childOf(root, 'VM');
  const template = root.name === 'TEMPLATE' ? root : childOf(vm, 'TEMPLATE');
  if (template === undefined) {
    throw new CxmError('INVALID_INPUT', `${what} has neither VM/TEMPLATE nor TEMPLATE but <${root.name}>`);
  }
  const id = integerOf(vm, 'ID') ?? integerOf(template, 'VMID');
  if (id !== undefined && id < 0) throw new CxmError('INVALID_INPUT', `${what} has the VM id ${id}`);
  const context = childOf(template, 'CONTEXT');
  const graphics = childOf(template, 'GRAPHICS');
  return {
    id,
    name: textOf(vm, 'NAME') ?? textOf(template, 'NAME'),
    user: textOf(vm, 'UNAME'),
    group: textOf(vm, 'GNAME'),
    deployId: textOf(vm, 'DEPLOY_ID'),
    state: integerOf(vm, 'STATE'),
    lcmState: integerOf(vm, 'LCM_STATE'),
    cpu: decimalOf(template, 'CPU'),
    vcpu: integerOf(template, 'VCPU'),
    memoryMb: integerOf(template, 'MEMORY'),
    disks: disksOf(template, what),
    nics: childrenNamed(template, 'NIC').map(nicOf),
    context: context === undefined ? undefined : contextOf(context),
    operatingSystem: operatingSystemOf(childOf(template, 'OS')),
    graphics: graphics === undefined ? undefined : graphicsOf(graphics),
    raw: childrenNamed(template, 'RAW').map((raw) => ({ type: textOf(raw, 'TYPE'), data: textOf(raw, 'DATA') ?? '' })),
    features: featuresOf(childOf(template, 'FEATURES')),
    history: historyOf(childOf(vm, 'HISTORY_RECORDS')),
    template,
    userTemplate: childOf(vm, 'USER_TEMPLATE'),
  };
}

/** The disk with this id. */
export function diskWithId(vm: VirtualMachine, diskId: number): Disk | undefined {
  return vm.disks.find((disk) => disk.diskId === diskId);
}

function disksOf(template: XmlElement, what: string): Disk[] {
  const disks = childrenNamed(template, 'DISK').map((element, index) => diskOf(element, index));
  const seen = new Set<number>();
  for (const { diskId } of disks) {
    if (diskId < 0 || seen.has(diskId)) throw new CxmError('INVALID_INPUT', `${what} has two disks with id ${diskId}`);
    seen.add(diskId);
  }
  return disks;
}

function diskOf(element: XmlElement, index: number): Disk {
  const format = textOf(element, 'FORMAT');
  return {
    diskId: integerOf(element, 'DISK_ID') ?? index,
    source: textOf(element, 'SOURCE'),
    imageId: integerOf(element, 'IMAGE_ID'),
    image: textOf(element, 'IMAGE'),
    datastoreId: integerOf(element, 'DATASTORE_ID'),
    tmMad: textOf(element, 'TM_MAD'),
    sizeMb: integerOf(element, 'SIZE'),
    originalSizeMb: integerOf(element, 'ORIGINAL_SIZE'),
    target: textOf(element, 'TARGET'),
    type: textOf(element, 'TYPE'),
    format,
    fileSystem: textOf(element, 'FS') ?? (isImageFormat(format) ? undefined : format),
    driver: textOf(element, 'DRIVER'),
    devPrefix: textOf(element, 'DEV_PREFIX'),
    cache: textOf(element, 'CACHE'),
    readonly: switchOf(element, 'READONLY'),
    clone: switchOf(element, 'CLONE'),
    save: switchOf(element, 'SAVE'),
    persistent: switchOf(element, 'PERSISTENT'),
    attach: switchOf(element, 'ATTACH'),
    element,
  };
}

/** `save_as` is what oned calls the file system of an image that it saves a disk to, up to 5.x for good. */
const noFileSystems: readonly string[] = ['raw', 'qcow2', 'vmdk', 'swap', 'iso', 'rbd', 'phy', 'save_as'];

/** Words of DISK/FORMAT, IMAGE/FSTYPE and of mkimage's format argument that name no file system. */
export function isImageFormat(format: string | undefined): boolean {
  return format === undefined || noFileSystems.includes(format.toLowerCase());
}

function nicOf(element: XmlElement): Nic {
  return {
    nicId: integerOf(element, 'NIC_ID'),
    mac: textOf(element, 'MAC'),
    ip: textOf(element, 'IP'),
    bridge: textOf(element, 'BRIDGE'),
    model: textOf(element, 'MODEL'),
    target: textOf(element, 'TARGET'),
    vnMad: textOf(element, 'VN_MAD'),
    network: textOf(element, 'NETWORK'),
    script: textOf(element, 'SCRIPT'),
    attach: switchOf(element, 'ATTACH'),
    element,
  };
}

function contextOf(element: XmlElement): Context {
  return { diskId: integerOf(element, 'DISK_ID'), target: textOf(element, 'TARGET'), element };
}

function operatingSystemOf(element: XmlElement | undefined): OperatingSystem {
  return {
    kernel: textOf(element, 'KERNEL'),
    initrd: textOf(element, 'INITRD'),
    root: textOf(element, 'ROOT'),
    kernelCommandLine: textOf(element, 'KERNEL_CMD'),
    bootloader: textOf(element, 'BOOTLOADER'),
    boot: textOf(element, 'BOOT'),
    architecture: textOf(element, 'ARCH'),
    machine: textOf(element, 'MACHINE'),
    firmware: textOf(element, 'FIRMWARE'),
    uuid: textOf(element, 'UUID'),
    kernelFromDatastore: textOf(element, 'KERNEL_DS') !== undefined,
    initrdFromDatastore: textOf(element, 'INITRD_DS') !== undefined,
  };
}

function graphicsOf(element: XmlElement): Graphics {
  return {
    type: textOf(element, 'TYPE'),
    listen: textOf(element, 'LISTEN'),
    port: integerOf(element, 'PORT'),
    password: textOf(element, 'PASSWD'),
    keymap: textOf(element, 'KEYMAP'),
  };
}

function featuresOf(element: XmlElement | undefined): Features {
  const feature = (name: string): boolean | undefined =>
    textOf(element, name) === undefined ? undefined : switchOf(element, name);
  return {
    pae: feature('PAE'),
    acpi: feature('ACPI'),
    apic: feature('APIC'),
    localtime: feature('LOCALTIME'),
    deviceModel: textOf(element, 'DEVICE_MODEL'),
  };
}

function historyOf(records: XmlElement | undefined): HistoryRecord[] {
  return childrenNamed(records, 'HISTORY')
    .map((record) => ({
      sequence: integerOf(record, 'SEQ'),
      host: textOf(record, 'HOSTNAME') ?? '',
      hostId: integerOf(record, 'HID'),
      systemDatastoreId: integerOf(record, 'DS_ID'),
    }))
    .filter((record) => record.host !== '')
    .sort((left, right) => (left.sequence ?? 0) - (right.sequence ?? 0));
}

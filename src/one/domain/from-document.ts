/**
 * A VM's document (VM_MAD type "xml") as a description of the domain: the whole `<VM>` of 4.0 and later, or the bare
 * `<TEMPLATE>` of 3.x together with the document that was asked from the frontend.
 */
import { CxmError } from '../../errors.ts';
import type { ConfigValue } from '../../xen/config-file.ts';
import type { SavedGuest } from '../../xen/save-file.ts';
import { childOf } from '../documents/fields.ts';
import type { OperatingSystem, VirtualMachine } from '../documents/virtual-machine.ts';
import { bootOf, bootOrder, type BootWords } from './boot.ts';
import { capacityOf } from './capacity.ts';
import { uuidText } from './checks.ts';
import type { DomainDescription, DomainSettings, GuestType } from './description.ts';
import { disksOf, featureKeys, graphicsOf, nicsOf } from './devices.ts';
import { domainName } from './name.ts';
import { acceptedKeys, guestTypeIn, rawConfig } from './raw.ts';

/** The call that a deployment file belongs to. */
export interface Deployment {
  readonly vmId: number;
  /** The VM's directory in the system datastore. */
  readonly vmDirectory: string;
  /** The VM's full document, if it is at hand and the deployment file is not that. */
  readonly document?: VirtualMachine | undefined;
}

/**
 * @param saved the guest that is to go on with its memory, for a restore. It may have been started from oned's own Xen
 * configuration, which has kernels and boot loaders of the VM_MAD's defaults and no word for OS/MACHINE.
 * @throws CxmError INVALID_INPUT naming the VM and the attribute; UNSUPPORTED for what Xen is not given here
 */
export function describeDocument(
  vm: VirtualMachine,
  { vmId, vmDirectory, document }: Deployment,
  settings: DomainSettings,
  saved?: SavedGuest,
): DomainDescription {
  requireSameVm(vm, vmId);
  if (childOf(vm.template, 'PCI') !== undefined) {
    throw new CxmError('UNSUPPORTED', `VM ${vmId} asks for a PCI device, and cxm hands none over`);
  }
  const raw = rawConfig(vm.raw, vmId);
  const guest = saved?.type ?? guestOf(vm, vmId, raw);
  const disks = disksOf(vm, vmId, guest);
  const words = bootWords(vm.operatingSystem, vmDirectory);
  const named = words.kernel !== undefined || words.bootloader !== undefined;
  const boot = bootOf(named ? words : { ...words, ...savedWords(saved) }, guest, { vmId, vmDirectory }, settings);
  const order = bootOrder(vm.operatingSystem.boot, vmId, (diskId) =>
    disks.some((disk) => disk.diskId === diskId && disk.cdrom),
  );
  const graphics = graphicsOf(vm.graphics, vmId, guest);
  const { uuid } = vm.operatingSystem;
  return {
    vmId,
    name: domainName(settings.nameTemplate, {
      vmId,
      userName: vm.user ?? document?.user,
      vmName: vm.name ?? document?.name,
    }),
    ...(uuid === undefined ? {} : { uuid: uuidText({ vmId, what: 'OS/UUID' }, uuid) }),
    guest,
    ...capacityOf(vm, vmId, settings.cpuCredit),
    boot: guest === 'hvm' && boot.kernel === undefined ? { ...boot, order } : boot,
    disks,
    nics: nicsOf(vm, vmId, guest),
    ...(graphics === undefined ? {} : { graphics }),
    extras: new Map<string, ConfigValue>([
      ...featureKeys(vm, vmId, guest),
      ...acceptedKeys(raw, vmId, settings.rawKeys),
    ]),
  };
}

/** How the VM is virtualised. @throws CxmError INVALID_INPUT for RAW data that can't be read */
export function guestOf(vm: VirtualMachine, vmId: number, raw = rawConfig(vm.raw, vmId)): GuestType {
  return guestTypeIn(raw, vmId) ?? guestTypeOf(vm.operatingSystem);
}

/** @throws CxmError FOREIGN when a document is another VM's */
export function requireSameVm(vm: VirtualMachine, vmId: number): void {
  if (vm.id === undefined || vm.id === vmId) return;
  throw new CxmError('FOREIGN', `the document of VM ${vm.id} came with a call for VM ${vmId}`);
}

/** OS/MACHINE says it outright; else a kernel or boot loader makes a PV guest, as oned's own generator has it. */
function guestTypeOf({ machine, kernel, kernelFromDatastore, bootloader }: OperatingSystem): GuestType {
  switch (machine?.trim().toLowerCase()) {
    case 'pv':
    case 'xenpv':
      return 'pv';
    case 'pvh':
    case 'xenpvh':
      return 'pvh';
    case 'hvm':
    case 'xenfv':
      return 'hvm';
    default:
      // Machines of KVM such as q35 mean nothing here.
      return kernel !== undefined || kernelFromDatastore || bootloader !== undefined ? 'pv' : 'hvm';
  }
}

function savedWords(saved: SavedGuest | undefined): BootWords {
  if (saved?.kernel === undefined && saved?.bootloader === undefined) return {};
  const { kernel, ramdisk, commandLine, bootloader } = saved;
  return { kernel, ramdisk, root: undefined, extra: commandLine, bootloader };
}

function bootWords(os: OperatingSystem, vmDirectory: string): BootWords {
  return {
    kernel: os.kernelFromDatastore ? `${vmDirectory}/kernel` : os.kernel,
    ramdisk: os.initrdFromDatastore ? `${vmDirectory}/initrd` : os.initrd,
    root: os.root,
    extra: os.kernelCommandLine,
    bootloader: os.bootloader,
  };
}

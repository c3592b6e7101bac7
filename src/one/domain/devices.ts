/**
 * Disks, network interfaces and graphics of a VM, from its document or from oned's Xen configuration, as devices that
 * Xen can be given. Where a disk's data lies is not taken from anybody: a disk is its number, and its volume follows
 * from that.
 */
import { CxmError } from '../../errors.ts';
import type { NicSpec } from '../../xen/nic.ts';
import { childOf, textOf } from '../documents/fields.ts';
import type { Disk, Graphics, Nic, VirtualMachine } from '../documents/virtual-machine.ts';
import {
  interfaceName,
  ipAddress,
  listenAddress,
  macAddress,
  matching,
  oneOfWords,
  ownInterfaceName,
  refusal,
  targetDevice,
  wholeNumber,
  type Subject,
} from './checks.ts';
import type { DomainDisk, DomainGraphics, DomainNic, GuestType } from './description.ts';

/** The only script of Xen that is ever named: the host's own choice, as a rule vif-bridge, is what any other NIC gets. */
const switchScript = 'vif-openvswitch';
/** The suffix of the emulated interface of HVM guests, `-emu`, has to fit too. */
const maxHvmInterfaceName = 11;

/** All disks of a VM, the context included. @throws CxmError INVALID_INPUT */
export function disksOf(vm: VirtualMachine, vmId: number, guest: GuestType): DomainDisk[] {
  const disks = vm.disks.map((disk) => diskOf(disk, vmId, guest));
  const { diskId, target } = vm.context ?? {};
  if (diskId !== undefined && !disks.some((disk) => disk.diskId === diskId)) {
    disks.push({
      diskId,
      target: targetDevice({ vmId, what: 'CONTEXT TARGET' }, target ?? ''),
      readonly: true,
      cdrom: guest === 'hvm',
    });
  }
  return withoutRepetition(disks, vmId);
}

/** One disk of the document. @throws CxmError INVALID_INPUT */
export function diskOf(disk: Disk, vmId: number, guest: GuestType): DomainDisk {
  // Paravirtual guests know no CD-ROM drive: to them it is a disk that can't be written.
  const cdrom = disk.type?.toUpperCase() === 'CDROM';
  return {
    diskId: disk.diskId,
    target: targetDevice({ vmId, what: `TARGET of disk ${disk.diskId}` }, disk.target ?? ''),
    readonly: disk.readonly || cdrom,
    cdrom: cdrom && guest === 'hvm',
  };
}

/** @throws CxmError INVALID_INPUT when two disks want to be the same device, or a disk two of them */
export function withoutRepetition(disks: readonly DomainDisk[], vmId: number): DomainDisk[] {
  const byTarget = new Map<string, number>();
  const seen = new Set<number>();
  for (const { target, diskId } of disks) {
    if (seen.has(diskId)) throw new CxmError('INVALID_INPUT', `VM ${vmId}: disk ${diskId} is there twice`);
    seen.add(diskId);
    const other = byTarget.get(target);
    if (other !== undefined) {
      throw new CxmError('INVALID_INPUT', `VM ${vmId}: disks ${other} and ${diskId} both have the target ${target}`, {
        hint: 'give one of them another TARGET or DEV_PREFIX; CONTEXT=[ TARGET="xvdz" ] moves the context',
      });
    }
    byTarget.set(target, diskId);
  }
  return [...disks];
}

/** All network interfaces of a VM. @throws CxmError INVALID_INPUT */
export function nicsOf(vm: VirtualMachine, vmId: number, guest: GuestType): DomainNic[] {
  return vm.nics.map((nic, index) => nicOf(nic, vmId, nic.nicId ?? index, guest));
}

/** One interface of the document. @throws CxmError INVALID_INPUT */
export function nicOf(nic: Nic, vmId: number, nicId: number, guest: GuestType): DomainNic {
  const script = scriptOf(nic.vnMad, textOf(nic.element, 'BRIDGE_TYPE'));
  requireScript({ vmId, what: `SCRIPT of NIC ${nicId}` }, nic.script, script ?? 'vif-bridge');
  const named = nic.target !== undefined && nic.vnMad !== undefined && nic.vnMad !== 'dummy';
  return checkedNic(
    {
      mac: nic.mac,
      bridge: nic.bridge,
      ips: [nic.ip, textOf(nic.element, 'IP6')].filter((ip) => ip !== undefined) as string[],
      model: nic.model,
      script,
      // OpenNebula's network drivers find the interface by this name to put VLANs and security groups on it.
      interfaceName: named ? nic.target : undefined,
    },
    vmId,
    `NIC ${nicId}`,
    guest,
  );
}

/** Which script the network of an interface needs: its driver and the kind of its bridge say it, never the VM. */
export function scriptOf(networkDriver: string | undefined, bridgeType?: string): string | undefined {
  const openVSwitch = /^ovswitch/i.test(networkDriver ?? '') || /^openvswitch/i.test(bridgeType ?? '');
  return openVSwitch ? switchScript : undefined;
}

/** With another script, such as vif-route or vif-nat, a guest would leave the bridge of its network. */
function requireScript(subject: Subject, wanted: string | undefined, script: string): void {
  if (wanted === undefined || wanted.replace(/^\/etc\/xen\/scripts\//, '') === script) return;
  throw refusal(
    subject,
    wanted,
    `${script}, which follows from the network`,
    'leave SCRIPT out of the NIC; the administrator of a host sets its default with vif.default.script in xl.conf',
  );
}

export interface NicWords {
  readonly mac: string | undefined;
  readonly bridge: string | undefined;
  readonly ips: readonly string[];
  readonly model: string | undefined;
  readonly script: string | undefined;
  readonly interfaceName: string | undefined;
}

/**
 * A network interface whose words have passed the door. A bridge must be named: without one, Xen's script would take
 * any bridge of the host.
 * @param what names it in errors, as `NIC 0`
 * @throws CxmError INVALID_INPUT
 */
export function checkedNic(words: NicWords, vmId: number, what: string, guest: GuestType): DomainNic {
  const nic: { -readonly [K in keyof DomainNic]: DomainNic[K] } = {
    mac: macAddress({ vmId, what: `MAC of ${what}` }, words.mac ?? ''),
    bridge: interfaceName({ vmId, what: `BRIDGE of ${what}` }, words.bridge ?? ''),
    ips: words.ips.map((ip) => ipAddress({ vmId, what: `IP of ${what}` }, ip)),
  };
  if (words.model !== undefined && guest === 'hvm') {
    nic.model = matching({ vmId, what: `MODEL of ${what}` }, words.model, /^[A-Za-z0-9_-]{1,32}$/, 'a card like e1000');
  }
  if (words.script !== undefined) {
    nic.script = oneOfWords({ vmId, what: `SCRIPT of ${what}` }, words.script, [switchScript]);
  }
  if (words.interfaceName !== undefined) {
    const name = ownInterfaceName({ vmId, what: `TARGET of ${what}` }, words.interfaceName);
    if (guest !== 'hvm' || name.length <= maxHvmInterfaceName) nic.interfaceName = name;
  }
  return nic;
}

/** The same in the words of xl. */
export function nicSpec(nic: DomainNic): NicSpec {
  return {
    mac: nic.mac,
    bridge: nic.bridge,
    ...(nic.ips.length === 0 ? {} : { ip: nic.ips.join(' ') }),
    ...(nic.model === undefined ? {} : { model: nic.model }),
    ...(nic.script === undefined ? {} : { script: nic.script }),
    ...(nic.interfaceName === undefined ? {} : { vifname: nic.interfaceName }),
  };
}

export interface GraphicsWords {
  readonly type: string | undefined;
  readonly listen: string | undefined;
  readonly port: number | undefined;
  readonly password: string | undefined;
  readonly keymap: string | undefined;
}

/** @throws CxmError INVALID_INPUT */
export function graphicsOf(
  words: Graphics | GraphicsWords | undefined,
  vmId: number,
  guest: GuestType,
): DomainGraphics | undefined {
  if (words?.type === undefined) return undefined;
  const type = oneOfWords({ vmId, what: 'GRAPHICS TYPE' }, words.type, ['vnc', 'spice']);
  if (type === 'spice' && guest !== 'hvm')
    throw refusal({ vmId, what: 'GRAPHICS TYPE' }, words.type, 'VNC for a guest that is not HVM');
  const graphics: { -readonly [K in keyof DomainGraphics]: DomainGraphics[K] } = { type };
  if (words.listen !== undefined) {
    graphics.listen = listenAddress({ vmId, what: 'GRAPHICS LISTEN' }, words.listen);
  }
  if (words.port !== undefined)
    graphics.port = wholeNumber({ vmId, what: 'GRAPHICS PORT' }, String(words.port), 5900, 65_535);
  if (words.password !== undefined) {
    graphics.password = matching(
      { vmId, what: 'GRAPHICS PASSWD' },
      words.password,
      /^[A-Za-z0-9!#$%&()*+./:;<=>?@^_{|}~-]{1,64}$/,
      'at most 64 letters, digits and signs without blanks, commas, quotes and backslashes',
    );
  }
  if (words.keymap !== undefined) {
    graphics.keymap = matching(
      { vmId, what: 'GRAPHICS KEYMAP' },
      words.keymap,
      /^[a-z]{2}(-[a-z]{2})?$/,
      'a layout like de or en-us',
    );
  }
  return graphics;
}

/** The features of HVM guests, as keys of xl.cfg. */
export function featureKeys(vm: VirtualMachine, vmId: number, guest: GuestType): Map<string, number | string> {
  const keys = new Map<string, number | string>();
  const { pae, acpi, apic, localtime, deviceModel } = vm.features;
  const hyperV = childOf(vm.template, 'FEATURES');
  const viridian = textOf(hyperV, 'HYPERV') === undefined ? undefined : /^yes$/i.test(textOf(hyperV, 'HYPERV') ?? '');
  const switches = { pae, acpi, apic, viridian };
  if (localtime !== undefined) keys.set('localtime', localtime ? 1 : 0);
  if (guest !== 'hvm') return keys;
  for (const [key, value] of Object.entries(switches)) if (value !== undefined) keys.set(key, value ? 1 : 0);
  if (deviceModel !== undefined) keys.set('device_model_version', deviceModelVersion(deviceModel, vmId));
  if (textOf(childOf(vm.template, 'INPUT'), 'TYPE')?.toLowerCase() === 'tablet') {
    keys.set('usb', 1);
    keys.set('usbdevice', 'tablet');
  }
  return keys;
}

/**
 * FEATURES/DEVICE_MODEL names a program in old templates; of it only the kind is taken. The traditional QEMU of 2008 has
 * holes that its upstream mended long ago, and works as root: no template may choose it.
 */
export function deviceModelVersion(text: string, vmId: number): string {
  const name = text.slice(text.lastIndexOf('/') + 1).toLowerCase();
  if (name === 'qemu-xen' || name.startsWith('qemu-system-')) return 'qemu-xen';
  throw refusal(
    { vmId, what: 'FEATURES DEVICE_MODEL' },
    text,
    'qemu-xen',
    'leave DEVICE_MODEL out: qemu-xen is what the host takes by itself',
  );
}

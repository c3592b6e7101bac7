/**
 * The documents of the sandbox's VMs, images and hosts in the words of OpenNebula 7.x: what `onevm show -x` prints, what
 * a deployment file of type "xml" holds, and the message that VMM scripts get.
 */
import { nodeKinds, type NodeKind } from '../layout.ts';
import {
  imageDatastore,
  imageOf,
  systemDatastore,
  vmStates,
  type DiskRecord,
  type ImageRecord,
  type NicRecord,
  type VmRecord,
} from './records.ts';

type Value = string | number | readonly Element[] | undefined;
type Element = readonly [name: string, value: Value];

/** Elements as text; those without a value are left out. User's text goes in CDATA, as oned writes it. */
function xml(elements: readonly Element[]): string {
  return elements
    .map(([name, value]) => {
      if (value === undefined) return '';
      if (typeof value === 'object') return `<${name}>${xml(value)}</${name}>`;
      const text =
        typeof value === 'number' ? String(value) : `<![CDATA[${value.replaceAll(']]>', ']]]]><![CDATA[>')}]]>`;
      return `<${name}>${text}</${name}>`;
    })
    .join('');
}

const ours = 'cxm';

/** @param attach the disk that the running action attaches */
export function vmDocument(vm: VmRecord, images: readonly ImageRecord[], attach?: number): string {
  return `${xml([['VM', vmElements(vm, images, attach)]])}\n`;
}

function vmElements(vm: VmRecord, images: readonly ImageRecord[], attach?: number): Element[] {
  const [state, lcmState] = vmStates[vm.state];
  return [
    ['ID', vm.id],
    ['UID', 2],
    ['UNAME', vm.user],
    ['GNAME', 'users'],
    ['NAME', vm.name],
    ['STATE', state],
    ['LCM_STATE', lcmState],
    ['DEPLOY_ID', vm.deployId],
    ['TEMPLATE', templateOf(vm, images, attach)],
    ['USER_TEMPLATE', []],
    ['HISTORY_RECORDS', vm.history.map((host, sequence): Element => ['HISTORY', historyOf(host, sequence, vm.id)])],
  ];
}

function templateOf(vm: VmRecord, images: readonly ImageRecord[], attach?: number): Element[] {
  return [
    ['CONTEXT', vm.contextDisk === undefined ? undefined : contextOf(vm.name, vm.contextDisk)],
    ['CPU', String(vm.cpu)],
    ...vm.disks.map((disk): Element => ['DISK', diskOf(disk, images, attach)]),
    ['GRAPHICS', vm.headless === true ? undefined : graphicsOf(vm)],
    ['MEMORY', String(vm.memoryMb)],
    ...vm.nics.map((nic): Element => ['NIC', nicOf(nic)]),
    ['OS', Object.entries(vm.os ?? { BOOTLOADER: 'pygrub', MACHINE: 'pv' })],
    ['TM_MAD_SYSTEM', ours],
    ['VCPU', String(vm.vcpu)],
    ['VMID', String(vm.id)],
  ];
}

function graphicsOf(vm: VmRecord): Element[] {
  return [
    ['LISTEN', '127.0.0.1'],
    ['PORT', String(5900 + vm.id)],
    ['TYPE', 'vnc'],
  ];
}

function contextOf(hostName: string, diskId: number): Element[] {
  return [
    ['DISK_ID', String(diskId)],
    ['HOSTNAME', hostName],
    ['NETWORK', 'YES'],
    ['TARGET', 'xvdz'],
  ];
}

function diskOf(disk: DiskRecord, images: readonly ImageRecord[], attach?: number): Element[] {
  const common: Element[] = [
    ['DISK_ID', String(disk.diskId)],
    ['ATTACH', disk.diskId === attach ? 'YES' : undefined],
    ['DEV_PREFIX', 'xvd'],
    ['DRIVER', 'raw'],
    ['FORMAT', 'raw'],
    ['SIZE', String(disk.sizeMb)],
    ['TARGET', disk.target],
    ['TM_MAD', ours],
    ['READONLY', 'NO'],
  ];
  if (disk.imageId === undefined) {
    const fileSystem: Element[] = disk.volatile === 'fs' ? [['FS', 'ext4']] : [];
    return [...common, ...fileSystem, ['DATASTORE_ID', String(systemDatastore)], ['TYPE', disk.volatile ?? 'fs']];
  }
  const image = imageOf(images, disk.imageId);
  return [
    ...common,
    ['CLONE', image.persistent ? 'NO' : 'YES'],
    ['DATASTORE_ID', String(imageDatastore)],
    ['IMAGE', image.name],
    ['IMAGE_ID', String(image.id)],
    ['ORIGINAL_SIZE', String(image.sizeMb)],
    ['PERSISTENT', image.persistent ? 'YES' : undefined],
    ['SAVE', image.persistent ? 'YES' : 'NO'],
    ['SOURCE', image.source],
    ['TYPE', 'FILE'],
  ];
}

function nicOf({ nicId, mac, ip, bridge }: NicRecord): Element[] {
  return [
    ['BRIDGE', bridge],
    ['IP', ip],
    ['MAC', mac],
    ['NIC_ID', String(nicId)],
    ['VN_MAD', 'dummy'],
  ];
}

function historyOf(host: string, sequence: number, vmId: number): Element[] {
  return [
    ['OID', vmId],
    ['SEQ', sequence],
    ['HOSTNAME', host],
    ['HID', nodeKinds.find(({ name }) => name === host)?.hostId ?? 0],
    ['VM_MAD', ours],
    ['TM_MAD', ours],
    ['DS_ID', systemDatastore],
  ];
}

export function imageDocument(image: ImageRecord, datastores: string, vms: readonly VmRecord[]): string {
  const users = vms.filter((vm) => vm.disks.some(({ imageId }) => imageId === image.id));
  const elements: Element[] = [
    ['ID', image.id],
    ['UNAME', 'oneadmin'],
    ['NAME', image.name],
    ['TYPE', 0],
    ['PERSISTENT', image.persistent ? 1 : 0],
    ['SOURCE', image.source],
    ['FORMAT', 'raw'],
    ['FS', ''],
    ['SIZE', image.sizeMb],
    ['STATE', users.length > 0 ? 2 : 1],
    ['DATASTORE_ID', imageDatastore],
    ['DATASTORE', 'images'],
    ['VMS', users.map((vm): Element => ['ID', vm.id])],
    [
      'TEMPLATE',
      [
        ['DEV_PREFIX', 'xvd'],
        ['SIZE', image.size],
        ['FSTYPE', image.fileSystemType],
      ],
    ],
    ['PATH', `${datastores}/${imageDatastore}`],
  ];
  return `${xml([['IMAGE', elements]])}\n`;
}

export function hostDocument(host: NodeKind): string {
  return `${xml([['HOST', hostElements(host)]])}\n`;
}

export function hostPoolDocument(hosts: readonly NodeKind[]): string {
  return `${xml([['HOST_POOL', hosts.map((host): Element => ['HOST', hostElements(host)])]])}\n`;
}

/** STATE 2 is a host that works. */
function hostElements({ hostId, name }: NodeKind): Element[] {
  return [
    ['ID', hostId],
    ['NAME', name],
    ['STATE', 2],
    ['IM_MAD', ours],
    ['VM_MAD', ours],
    ['CLUSTER_ID', 0],
    ['CLUSTER', 'default'],
  ];
}

export function datastoreDocument(datastores: string): string {
  const elements: Element[] = [
    ['ID', systemDatastore],
    ['NAME', 'system'],
    ['TM_MAD', ours],
    ['BASE_PATH', `${datastores}/${systemDatastore}`],
    ['TYPE', 1],
    [
      'TEMPLATE',
      [
        ['SHARED', 'YES'],
        ['TM_MAD', ours],
      ],
    ],
  ];
  return xml([['DATASTORE', elements]]);
}

export interface MessageDetails {
  readonly host: string;
  readonly migrationHost?: string;
  readonly checkpoint?: string;
  readonly diskPath?: string;
  readonly attach?: number;
}

/** `<VMM_DRIVER_ACTION_DATA>`, which every VMM script gets from 5.0 on. */
export function actionMessage(vm: VmRecord, images: readonly ImageRecord[], details: MessageDetails): string {
  return xml([
    [
      'VMM_DRIVER_ACTION_DATA',
      [
        ['HOST', details.host],
        ['MIGR_HOST', details.migrationHost],
        ['DEPLOY_ID', vm.deployId],
        ['CHECKPOINT_FILE', details.checkpoint],
        ['DISK_TARGET_PATH', details.diskPath],
        ['VM', vmElements(vm, images, details.attach)],
      ],
    ],
  ]);
}

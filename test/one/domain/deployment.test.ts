import { describe, expect, it } from 'vitest';
import { readPayload } from '../../../src/one/documents/payload.ts';
import { parseVirtualMachine } from '../../../src/one/documents/virtual-machine.ts';
import { parseActionData } from '../../../src/one/documents/action-data.ts';
import { domainFile, needsDocument } from '../../../src/one/domain/deployment.ts';
import { recording, recordings as recordedCalls } from '../../support/recordings.ts';
import { markedVmId } from '../../../src/one/domain/marker.ts';
import {
  configure,
  documentOf,
  expectSafe,
  fixture,
  sample,
  settings,
  vmDirectory,
  type Attributes,
} from './samples.ts';

const recordings = [
  { name: 'one-3.8-xen', id: 1, template: 'one-%I' },
  { name: 'one-3.8-xml', id: 6, template: '%V-%I' },
  { name: 'one-7.x-xen', id: 14, template: 'one-%I' },
  { name: 'one-7.x-xml', id: 1, template: '%V.%U.example.org' },
];

describe('deployment files as oned writes them', () => {
  it.each(recordings)('$name becomes the expected xl configuration', async ({ name, id, template }) => {
    const payload = readPayload(fixture(`${name}-deployment.txt`), 'the deployment file');
    const deployment = { vmId: id, vmDirectory: `/var/lib/one/datastores/0/${id}` };
    const { config } = domainFile(payload, deployment, { ...settings, nameTemplate: template });
    await expect(config.toString()).toMatchFileSnapshot(`../../fixtures/domain/${name}-expected.cfg`);
    expect(markedVmId(config.toString())).toBe(id);
  });

  it('takes names that a Xen configuration lacks from the document that was asked from the frontend', () => {
    const payload = readPayload(fixture('one-3.8-xen-deployment.txt'), 'the deployment file');
    const text = documentOf({ NAME: 'Shop Front' }).replace('<ID>7', '<ID>1');
    const document = parseVirtualMachine(text);
    expect(needsDocument(payload, '%V.%U')).toBe(true);
    expect(needsDocument(payload, 'one-%I')).toBe(false);
    const named = { ...settings, nameTemplate: '%V.%U' };
    const { description } = domainFile(payload, { vmId: 1, vmDirectory: '/ds/1', document }, named);
    expect(description.name).toBe('Shop-Front.ann');
    expect(() => domainFile(payload, { vmId: 1, vmDirectory: '/ds/1' }, named)).toThrow(/asks for its name/);
  });

  it.each([654, 949, 965, 985, 1005])(
    'the document that 7.x had beside recording %i fits its Xen configuration',
    (number) => {
      const call = recording('7.x', number);
      const id = Number(call.argv.at(-2));
      const after = recordedCalls('7.x').find(({ argv, action, document }) => {
        return action === 'cancel' && argv.at(-2) === String(id) && document !== undefined;
      });
      const document = parseActionData(after?.document ?? '').vm;
      const deployment = { vmId: id, vmDirectory: `/ds/${id}`, document };
      const payload = readPayload(call.standardInput, 'the deployment file');
      const { description } = domainFile(payload, deployment, { ...settings, nameTemplate: 'one-%I' });
      expect(description.nics).toHaveLength(1);
    },
  );

  it('asks for the document of a Xen configuration in which an interface has a model', () => {
    const text = "name = 'one-7'\nvif = [\n    'model=e1000,mac=02:00:00:00:00:01,bridge=br0',\n]\n";
    expect(needsDocument({ kind: 'xen', text }, 'one-%I')).toBe(true);
  });

  it('asks for the document only when the bare template of 3.8 lacks what the name needs', () => {
    const payload = readPayload(fixture('one-3.8-xml-deployment.txt'), 'the deployment file');
    expect(needsDocument(payload, '%V-%I')).toBe(false);
    expect(needsDocument(payload, '%V.%U')).toBe(true);
    const full = readPayload(fixture('one-7.x-xml-deployment.txt'), 'the deployment file');
    expect(needsDocument(full, '%V.%U')).toBe(false);
  });

  it('refuses the document of another VM', () => {
    expect(() => configure(fixture('one-7.x-xml-deployment.txt'))).toThrow(
      /document of VM 1 came with a call for VM 7/,
    );
  });

  it('refuses an empty deployment file', () => {
    expect(() => configure(' \n')).toThrow(/no deployment file came for VM 7/);
  });
});

describe('guest types', () => {
  const raw = (data: string): Attributes => ({ RAW: { TYPE: 'xen', DATA: data } });
  const hvm: Attributes = { OS: { BOOT: 'hd,cdrom' } };
  const cases: { what: string; attributes: Attributes; lines: readonly string[] }[] = [
    { what: 'a kernel makes a PV guest', attributes: {}, lines: ["kernel = '/boot/vmlinuz'"] },
    {
      what: 'OS/MACHINE pvh makes a PVH guest',
      attributes: { OS: { ...sample.OS, MACHINE: 'pvh' } },
      lines: ["type = 'pvh'"],
    },
    { what: 'a RAW type wins', attributes: raw("type = 'pvh'"), lines: ["type = 'pvh'"] },
    {
      what: 'a RAW builder counts too',
      attributes: { OS: {}, ...raw("builder = 'hvm'") },
      lines: ["type = 'hvm'", "boot = 'cdn'"],
    },
    {
      what: 'machines of KVM mean nothing',
      attributes: { OS: { ...sample.OS, MACHINE: 'q35' } },
      lines: ["root = '/dev/xvda1'"],
    },
    {
      what: 'nothing to boot makes an HVM guest',
      attributes: hvm,
      lines: ["type = 'hvm'", "boot = 'cd'", "serial = 'pty'", 'vnc = 0'],
    },
    { what: 'boot devices of 5.x are letters', attributes: { OS: { BOOT: 'nic0,disk0' } }, lines: ["boot = 'nc'"] },
    {
      what: 'pygrub is a program of the host',
      attributes: { OS: { BOOTLOADER: '/usr/lib/xen-4.8/bin/pygrub' } },
      lines: ["bootloader = 'pygrub'"],
    },
    {
      what: 'pvgrub is a kernel',
      attributes: { OS: { BOOTLOADER: 'pvgrub' } },
      lines: ["kernel = '/usr/lib/grub-xen/grub-x86_64-xen.bin'"],
    },
    {
      what: 'a kernel image comes from the directory of the VM',
      attributes: { OS: { KERNEL_DS: '$FILE[IMAGE_ID=3]', KERNEL: `${vmDirectory}/kernel` } },
      lines: [`kernel = '${vmDirectory}/kernel'`],
    },
    {
      what: 'graphics of an HVM guest are keys',
      attributes: { ...hvm, GRAPHICS: { TYPE: 'VNC', LISTEN: '0.0.0.0', PORT: '5907', PASSWD: 'a=b', KEYMAP: 'de' } },
      lines: ['vnc = 1', "vnclisten = '0.0.0.0'", 'vncdisplay = 7', "vncpasswd = 'a=b'", "keymap = 'de'"],
    },
    {
      what: 'spice has its keys',
      attributes: { ...hvm, GRAPHICS: { TYPE: 'spice', PORT: '5907' } },
      lines: ['vnc = 0', 'spice = 1', 'spiceport = 5907', 'spicedisable_ticketing = 1'],
    },
    {
      what: 'features and the tablet belong to HVM guests',
      attributes: {
        ...hvm,
        FEATURES: { PAE: 'YES', ACPI: 'no', HYPERV: 'YES' },
        INPUT: { TYPE: 'tablet', BUS: 'usb' },
      },
      lines: ['pae = 1', 'acpi = 0', 'viridian = 1', "usbdevice = 'tablet'"],
    },
    {
      what: 'a CD-ROM is one for HVM guests',
      attributes: {
        ...hvm,
        DISK: [
          { DISK_ID: '0', TARGET: 'hda' },
          { DISK_ID: '1', TARGET: 'hdc', TYPE: 'CDROM' },
        ],
      },
      lines: ["    'phy:/dev/VG0/lv-one-7-1,hdc:cdrom,r',"],
    },
    {
      what: 'for PV guests it is a disk that can not be written',
      attributes: {
        DISK: [
          { DISK_ID: '0', TARGET: 'xvda' },
          { DISK_ID: '1', TARGET: 'xvdc', TYPE: 'CDROM' },
        ],
      },
      lines: ["    'phy:/dev/VG0/lv-one-7-1,xvdc,r',"],
    },
    {
      what: 'virtio disks become Xen disks',
      attributes: { DISK: [{ DISK_ID: '0', TARGET: 'vda' }], CONTEXT: undefined },
      lines: ["disk = ['phy:/dev/VG0/lv-one-7-0,xvda,w']"],
    },
    {
      what: 'a pinned VM gets the CPUs that oned chose',
      attributes: { TOPOLOGY: { PIN_POLICY: 'CORE' }, NUMA_NODE: [{ CPUS: '0,2' }, { CPUS: '4' }] },
      lines: ["cpus = '0,2,4'"],
    },
    {
      what: 'room to grow becomes the maximum',
      attributes: { MEMORY_MAX: '512', VCPU_MAX: '4' },
      lines: ['maxmem = 512', 'maxvcpus = 4'],
    },
    {
      what: 'Open vSwitch gets its script and the name that OpenNebula looks for',
      attributes: { NIC: [{ MAC: '02:00:00:00:00:01', BRIDGE: 'ovs0', VN_MAD: 'ovswitch', TARGET: 'one-7-0' }] },
      lines: ["vif = ['mac=02:00:00:00:00:01, bridge=ovs0, script=vif-openvswitch, vifname=one-7-0']"],
    },
    {
      what: 'harmless RAW data is taken',
      attributes: raw("on_crash = 'preserve'\r\ncpus = '0-3'; localtime=1\n# a comment"),
      lines: ["on_crash = 'preserve'", "cpus = '0-3'", 'localtime = 1'],
    },
  ];

  it.each(cases)('$what', ({ attributes, lines }) => {
    const { config } = configure(documentOf(attributes));
    expectSafe(config);
    expect(config.toString().split('\n')).toEqual(expect.arrayContaining([...lines]));
  });

  it('ignores RAW data that is meant for another hypervisor', () => {
    const { config } = configure(documentOf({ RAW: [{ TYPE: 'kvm', DATA: '<devices/>' }] }));
    expectSafe(config);
  });

  it('lets the administrator allow further RAW keys, but never the disks', () => {
    const template = documentOf({ RAW: { TYPE: 'xen', DATA: "pci = ['01:00.0']" } });
    expect(() => configure(template)).toThrow(/may not set pci .*hardware of the host/);
    expect(configure(template, { rawKeys: ['pci'] }).config.get('pci')).toEqual(['01:00.0']);
    const disks = documentOf({ RAW: { TYPE: 'xen', DATA: "disk = ['phy:/dev/sda,xvda,w']" } });
    expect(() => configure(disks, { rawKeys: ['disk'] })).toThrow(/may not set disk/);
  });
});

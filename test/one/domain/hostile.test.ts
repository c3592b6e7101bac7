import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import type { DomainFile } from '../../../src/one/domain/deployment.ts';
import { configure, documentOf, outcomeOf, sample, vmDirectory, type Attributes } from './samples.ts';

type Case = readonly [what: string, attributes: Attributes, outcome: 'refused' | 'safe'];

const os = (changes: Attributes): Attributes => ({ OS: { ...sample.OS, ...changes } });
const nic = (changes: Attributes): Attributes => ({ NIC: [{ ...sample.NIC[0], ...changes }] });
const disk = (changes: Attributes): Attributes => ({ DISK: [{ DISK_ID: '0', TARGET: 'xvda', ...changes }] });
const raw = (data: string): Attributes => ({ RAW: { TYPE: 'xen', DATA: data } });
const graphics = (changes: Attributes): Attributes => ({ GRAPHICS: { TYPE: 'vnc', ...changes } });
const hvm = { KERNEL: undefined, INITRD: undefined, ROOT: undefined };

const names: readonly Case[] = [
  ['a quote and a line', { NAME: "web'\nbootloader='/tmp/x" }, 'refused'],
  ['shell words', { NAME: 'web; rm -rf / $(reboot) `id`' }, 'safe'],
  ['a path', { NAME: '../../etc/cron.d/x' }, 'safe'],
  ['nothing but dots', { NAME: '..' }, 'refused'],
  ['an option', { NAME: '--help' }, 'safe'],
  ['nothing', { NAME: '' }, 'refused'],
  ['accents', { NAME: 'Bücher & Café Łódź' }, 'safe'],
  ['letters that have no ASCII', { NAME: '日本語' }, 'refused'],
  ['text that runs backwards', { NAME: 'web\u202egnp' }, 'refused'],
  ['a long label', { NAME: 'x'.repeat(64) }, 'refused'],
  ['a long name', { NAME: Array.from({ length: 60 }, () => 'abcd').join('.') }, 'refused'],
  ['a percent sign', { NAME: '%U%V%I%%' }, 'safe'],
  ['a NUL written out', { NAME: 'web\\x00' }, 'safe'],
];

const attributes: readonly Case[] = [
  ['a kernel of the host', os({ KERNEL: '/etc/shadow' }), 'refused'],
  ['a kernel through ..', os({ KERNEL: '/boot/../etc/shadow' }), 'refused'],
  ['a kernel through //', os({ KERNEL: '/boot//vmlinuz' }), 'refused'],
  ['a directory that only begins like /boot', os({ KERNEL: '/bootleg/vmlinuz' }), 'refused'],
  ['a kernel beside the own one', os({ KERNEL: `${vmDirectory}/kernel.old` }), 'refused'],
  ['the kernel of another VM', os({ KERNEL: '/var/lib/one/datastores/0/8/kernel' }), 'refused'],
  ['a relative kernel', os({ KERNEL: 'boot/vmlinuz' }), 'refused'],
  ['a ramdisk of the host', os({ INITRD: '/etc/shadow' }), 'refused'],
  ['a ramdisk with a quote', os({ INITRD: "/boot/x'" }), 'refused'],
  ['a kernel line with a quote', os({ KERNEL_CMD: "ro ' disk = ['phy:/dev/sda,xvda,w']" }), 'safe'],
  ['a kernel line with both quotes and backslashes', os({ KERNEL_CMD: `a'b"c\\'d\\\\"e` }), 'safe'],
  ['a kernel line of two lines', os({ KERNEL_CMD: 'ro\nbootloader = "/tmp/x"' }), 'refused'],
  ['a kernel line with a carriage return', os({ KERNEL_CMD: 'ro\rquiet' }), 'refused'],
  ['a kernel line with a comment', os({ KERNEL_CMD: 'ro # init=/bin/sh' }), 'safe'],
  ['a very long kernel line', os({ KERNEL_CMD: 'x'.repeat(5000) }), 'refused'],
  ['a root with a quote', os({ ROOT: "xvda1' " }), 'refused'],
  ['a program as boot loader', os({ ...hvm, BOOTLOADER: '/bin/sh' }), 'refused'],
  ['a boot loader in a directory of the user', os({ ...hvm, BOOTLOADER: '/home/ann/pygrub' }), 'safe'],
  ['a boot loader with arguments', os({ ...hvm, BOOTLOADER: 'pygrub -c x' }), 'refused'],
  ['a boot loader that every object has', os({ ...hvm, BOOTLOADER: 'constructor' }), 'refused'],
  ['a boot order of words', os({ ...hvm, BOOT: 'hd,/etc' }), 'refused'],
  ['a boot device that every object has', os({ ...hvm, BOOT: 'toString' }), 'refused'],
  ['a uuid that is none', os({ UUID: "x'" }), 'refused'],
  ['a device model of the user', { OS: {}, FEATURES: { DEVICE_MODEL: '/tmp/evil' } }, 'refused'],
  ['a device model of old', { OS: {}, FEATURES: { DEVICE_MODEL: 'qemu-xen-traditional' } }, 'refused'],
  ['the program of old', { OS: {}, FEATURES: { DEVICE_MODEL: '/usr/lib/xen/bin/qemu-dm' } }, 'refused'],
  ['the device model of today', { OS: {}, FEATURES: { DEVICE_MODEL: 'qemu-xen' } }, 'safe'],
  ['a memory beyond reason', { MEMORY: '99999999999' }, 'refused'],
  ['a negative memory', { MEMORY: '-1' }, 'refused'],
  ['no memory', { MEMORY: undefined }, 'refused'],
  ['a memory in words', { MEMORY: '256; x' }, 'refused'],
  ['too many CPUs', { VCPU: '100000' }, 'refused'],
  ['no share of a CPU', { CPU: '0' }, 'safe'],
  ['a pin list with a quote', { TOPOLOGY: { PIN_POLICY: 'CORE' }, NUMA_NODE: [{ CPUS: "1'" }] }, 'refused'],
  ['a PCI device', { PCI: [{ ADDRESS: '0000:01:00.0' }] }, 'refused'],
  ['a target with a comma', disk({ TARGET: 'xvda,w,script=/tmp/x' }), 'refused'],
  ['a target with a quote', disk({ TARGET: "xvda'" }), 'refused'],
  ['a target of two lines', disk({ TARGET: 'xvda\nxvdb' }), 'refused'],
  ['no target', disk({ TARGET: '' }), 'refused'],
  ['a path as target', disk({ TARGET: '/dev/sda' }), 'refused'],
  ['an IDE disk that does not exist', disk({ TARGET: 'hdz' }), 'refused'],
  ['a device that is no disk', disk({ TARGET: 'tty1' }), 'refused'],
  ['a disk id that is none', disk({ DISK_ID: '0/../1' }), 'refused'],
  ['a negative disk id', disk({ DISK_ID: '-1' }), 'refused'],
  ['a source of the user', disk({ SOURCE: "/dev/sda'" }), 'safe'],
  ['a driver of the user', disk({ DRIVER: 'file:/etc/shadow,' }), 'safe'],
  ['a context on a disk of the VM', { CONTEXT: { DISK_ID: '2', TARGET: 'xvda' } }, 'refused'],
  ['a MAC with a parameter', nic({ MAC: '02:00:0a:63:00:01,script=/tmp/x' }), 'refused'],
  ['a MAC that is too short', nic({ MAC: '02:00' }), 'refused'],
  ['a multicast MAC', nic({ MAC: '03:00:0a:63:00:01' }), 'refused'],
  ['no MAC', nic({ MAC: undefined }), 'refused'],
  ['a bridge with a parameter', nic({ BRIDGE: 'br0,script=/tmp/x' }), 'refused'],
  ['a bridge that is an option', nic({ BRIDGE: '-x' }), 'refused'],
  ['a bridge with a path', nic({ BRIDGE: '../br0' }), 'refused'],
  ['no bridge', nic({ BRIDGE: undefined }), 'refused'],
  ['an IP with a quote', nic({ IP: "10.0.0.1'" }), 'refused'],
  ['an IP with a parameter', nic({ IP: '10.0.0.1,bridge=br1' }), 'refused'],
  ['an IP beyond 255', nic({ IP: '10.0.0.256' }), 'refused'],
  ['a script of the user', nic({ SCRIPT: '/tmp/evil' }), 'refused'],
  ['a script through a path', nic({ SCRIPT: '/etc/xen/scripts/../../../tmp/vif-bridge' }), 'refused'],
  ['a model for a PV guest', nic({ MODEL: 'e1000,script=/tmp/x' }), 'safe'],
  ['a model with a parameter', { OS: {}, ...nic({ MODEL: 'e1000,script=/tmp/x' }) }, 'refused'],
  ['a script of Xen that leaves the bridge', nic({ SCRIPT: 'vif-route' }), 'refused'],
  ['a script that gives the guest a network of its own', nic({ SCRIPT: 'vif-nat', VN_MAD: 'bridge' }), 'refused'],
  ['the script of a switch that the network has not', nic({ SCRIPT: 'vif-openvswitch', VN_MAD: 'bridge' }), 'refused'],
  ['the script of a bridge for a switch', nic({ SCRIPT: 'vif-bridge', VN_MAD: 'ovswitch' }), 'refused'],
  ['the script that the network has anyway', nic({ SCRIPT: 'vif-bridge', VN_MAD: 'bridge' }), 'safe'],
  ['an interface name with a blank', nic({ TARGET: 'one 7', VN_MAD: 'bridge' }), 'refused'],
  ['an interface of the host', nic({ TARGET: 'eth0', VN_MAD: 'bridge' }), 'refused'],
  ['an interface of the host for an HVM guest', { OS: {}, ...nic({ TARGET: 'eth0', VN_MAD: 'fw' }) }, 'refused'],
  [
    'a long interface name of the host for an HVM guest',
    { OS: {}, ...nic({ TARGET: 'enp0s31f6abcd', VN_MAD: 'fw' }) },
    'refused',
  ],
  ['an interface of another VM', nic({ TARGET: 'one-9-0', VN_MAD: 'bridge' }), 'refused'],
  ['an interface of a VM whose id begins alike', nic({ TARGET: 'one-70-0', VN_MAD: 'bridge' }), 'refused'],
  ['an interface name that only ends well', nic({ TARGET: 'xone-7-0', VN_MAD: 'bridge' }), 'refused'],
  ['an interface name without a number', nic({ TARGET: 'one-7-', VN_MAD: 'bridge' }), 'refused'],
  ['an interface name with a number that nobody writes so', nic({ TARGET: 'one-7-00', VN_MAD: 'bridge' }), 'refused'],
  ['the interface name that OpenNebula gives', nic({ TARGET: 'one-7-0', VN_MAD: 'bridge' }), 'safe'],
  ['an interface name that nobody uses', nic({ TARGET: 'eth0', VN_MAD: 'dummy' }), 'safe'],
  ['a listen address with a parameter', graphics({ LISTEN: '0.0.0.0,sdl=1' }), 'refused'],
  ['a file of the host to listen on', graphics({ LISTEN: 'unix:lib64', PORT: '5900' }), 'refused'],
  ['the word for a file to listen on', graphics({ LISTEN: 'unix', PORT: '5900' }), 'refused'],
  ['the same in capitals', graphics({ LISTEN: 'UNIX' }), 'refused'],
  ['a descriptor to listen on', graphics({ LISTEN: 'fd:3' }), 'refused'],
  ['a listen address with a display', graphics({ LISTEN: '0.0.0.0:7' }), 'refused'],
  ['an IPv6 address to listen on', graphics({ LISTEN: '::1' }), 'refused'],
  ['a listen address that is an option', graphics({ LISTEN: '-x' }), 'refused'],
  ['a short form of an address to listen on', graphics({ LISTEN: '127.1' }), 'refused'],
  ['a file to listen on for SPICE', { OS: {}, ...graphics({ TYPE: 'spice', LISTEN: 'unix:x' }) }, 'refused'],
  ['a file to listen on for an HVM guest', { OS: {}, ...graphics({ LISTEN: 'unix:lib64', PORT: '5900' }) }, 'refused'],
  ['an address to listen on', graphics({ LISTEN: '127.0.0.1' }), 'safe'],
  ['a host name to listen on', graphics({ LISTEN: 'console.node-1.example.com' }), 'safe'],
  ['a password with a comma', graphics({ PASSWD: 'a,vnclisten=0.0.0.0' }), 'refused'],
  ['a password with a quote', graphics({ PASSWD: "a'b" }), 'refused'],
  ['a password of two lines', graphics({ PASSWD: 'a\nb' }), 'refused'],
  ['a keymap with a path', graphics({ KEYMAP: '../../etc/shadow' }), 'refused'],
  ['a keymap that is an option', graphics({ KEYMAP: '-k' }), 'refused'],
  ['a keymap with a parameter', graphics({ KEYMAP: 'de,share=force' }), 'refused'],
  ['a port with a parameter', graphics({ PORT: '5900,websocket' }), 'refused'],
  ['a port beyond all', graphics({ PORT: '65536' }), 'refused'],
  ['a kind of graphics with a parameter', graphics({ TYPE: 'vnc,sdl=1' }), 'refused'],
  ['a port below 5900', graphics({ PORT: '22' }), 'refused'],
  ['graphics of another kind', graphics({ TYPE: 'sdl' }), 'refused'],
  ['spice for a PV guest', graphics({ TYPE: 'spice' }), 'refused'],
];

const rawData: readonly Case[] = [
  ...[
    "bootloader = '/bin/sh'",
    "bootloader_args = ['-x']",
    "device_model_override = '/tmp/evil'",
    "device_model_args = ['-chardev', 'socket']",
    "device_model_user = 'root'",
    "disk = ['phy:/dev/sda,xvda,w']",
    "vif = ['script=/tmp/evil']",
    "vfb = ['type=vnc']",
    "kernel = '/etc/shadow'",
    "ramdisk = '/etc/shadow'",
    "firmware_override = '/etc/shadow'",
    "acpi_firmware = '/etc/shadow'",
    "serial = 'file:/etc/passwd'",
    "serial = ['pty', 'file:/x']",
    "parallel = 'file:/etc/passwd'",
    "channel = ['connection=socket,path=/run/x']",
    "pci = ['01:00.0']",
    "usbdevice = 'disk:/dev/sda'",
    "usbdev = ['hostbus=1,hostaddr=1']",
    "ioports = ['0-ffff']",
    "p9 = ['path=/,security_model=none,tag=x']",
    "seclabel = 'system_u:system_r:dom0_t'",
    "name = 'Domain-0'",
    "uuid = 'x'",
    'memory = 65536',
    'maxmem = 65536',
    'vcpus = 64',
    'cpu_weight = 65535',
    "on_crash = 'coredump-destroy'",
    "on_poweroff = 'rename-restart'",
    "on_poweroff = 'restart'",
    "type = 'evil'",
    "builder = '/tmp/x'",
    "keymap = '../../x'",
    "extra = 'a'; extra = 'b'",
    "extra = 'a'\nextra += 'b'",
    'import os',
    "boot = 'c' + 'd'",
    "extra = 'unfinished",
    "extra = ['a', [['b']]",
    '=',
    "constructor = 'x'",
    'cpus = "0-3\\nbootloader"',
    "__proto__ = 'x'",
    `cpuid = "${'a=aaaa'.repeat(40)}=!"`,
    `cpuid = "${'a=b,'.repeat(200)}!"`,
  ].map((data): Case => [data, raw(data), 'refused']),
  ...[
    "extra = 'it\\'s \"quoted\" \\\\ here'",
    "# name = 'x'\n\n;;",
    'cpuid = "host,tm=0"',
    'cpuid = ["0x1:ecx=xxxxxxxx00xx1xxx, eax=x", "0x80000001:edx=1"]',
    'viridian = ["base", "!time"]',
  ].map((data): Case => [data, raw(data), 'safe']),
];

describe('what a cloud user may write is refused with one clear error or becomes a safe configuration', () => {
  it.each(names)('name: %s', (_what, changes, outcome) => {
    expect(outcomeOf(() => configure(documentOf(changes)))).toBe(outcome);
  });

  it.each(attributes)('attribute: %s', (_what, changes, outcome) => {
    expect(outcomeOf(() => configure(documentOf(changes)))).toBe(outcome);
  });

  it('the error shows control characters that JSON leaves alone as what they are', () => {
    const kernel = (): DomainFile => configure(documentOf(os({ KERNEL: '/boot/a\u007f\u009b31m' })));
    expect(kernel).toThrow(/is "\/boot\/a\\u\{7f\}\\u\{9b\}31m", but must be/);
    expect(outcomeOf(kernel)).toBe('refused');
    expect(outcomeOf(() => configure(documentOf({ NAME: 'web\u007f\u009b31m' })))).toBe('refused');
  });

  it.each(rawData)('RAW: %s', (_what, changes, outcome) => {
    expect(outcomeOf(() => configure(documentOf(changes)))).toBe(outcome);
  });
});

const xen = (lines: string): string => `name = 'one-7'\n#O CPU_CREDITS = 128\nmemory = '256'\nvcpus = '1'\n${lines}\n`;
const kernel = "kernel = '/boot/vmlinuz'\n";
const place = '/var/lib/one/datastores/0/7';
const own = 'mac=02:00:00:00:00:01,bridge=br0';

describe('lines that reached a Xen configuration of oned through an attribute or RAW data', () => {
  const cases: readonly (readonly [string, string, 'refused' | 'safe'])[] = [
    ['a second kernel', xen(`${kernel}kernel = '/etc/shadow'`), 'refused'],
    ['a second memory', xen(`${kernel}memory = 65536`), 'refused'],
    ['more added to the disks', xen(`${kernel}disk = []\ndisk += ['phy:/dev/sda,xvda,w']`), 'refused'],
    ['a disk of the host', xen(`${kernel}disk = ['phy:/dev/sda,xvda,w']`), 'refused'],
    ['a disk of another VM', xen(`${kernel}disk = ['raw:/var/lib/one/datastores/0/8/disk.0,xvda,w']`), 'refused'],
    ['a disk with a script', xen(`${kernel}disk = ['raw:${place}/disk.0,xvda,w,script=/tmp/x']`), 'refused'],
    ['a disk in key=value form', xen(`${kernel}disk = ['vdev=xvda,script=/tmp/x,target=${place}/disk.0']`), 'refused'],
    ['a disk through ..', xen(`${kernel}disk = ['raw:${place}/../../../x/7/disk.0,xvda,w']`), 'refused'],
    ['a disk of a foreign place', xen(`${kernel}disk = ['file:/tmp/7/disk.0,xvda,w']`), 'safe'],
    ['a list as a disk', xen(`${kernel}disk = [['a']]`), 'refused'],
    ['a vif script', xen(`${kernel}vif = ['mac=02:00:00:00:00:01,bridge=br0,script=/tmp/x']`), 'refused'],
    ['a vif backend', xen(`${kernel}vif = ['mac=02:00:00:00:00:01,bridge=br0,backend=evil']`), 'refused'],
    ['a vif without a bridge', xen(`${kernel}vif = ['mac=02:00:00:00:00:01']`), 'refused'],
    ['a vif with a script of Xen', xen(`${kernel}vif = ['${own},script=vif-route']`), 'refused'],
    ['a vif with an interface of the host', xen(`${kernel}vif = ['${own},vifname=eth0']`), 'refused'],
    ['a vif with a name, even the right one', xen(`${kernel}vif = ['${own},vifname=one-7-0']`), 'refused'],
    ['a vif with a type', xen(`${kernel}vif = ['${own},type=ioemu']`), 'refused'],
    ['a vif with two MACs', xen(`${kernel}vif = ['mac=02:00:00:00:00:99,${own}']`), 'refused'],
    ['a vif with two bridges', xen(`${kernel}vif = ['${own},bridge=mgmtbr']`), 'refused'],
    ['a vif with its words in another order', xen(`${kernel}vif = ['bridge=br0,mac=02:00:00:00:00:01']`), 'refused'],
    ['a vif with a model, and nobody knows the document', xen(`${kernel}vif = ['model=e1000,${own}']`), 'refused'],
    ['a vif as oned writes it', xen(`${kernel}vif = [\n    ' ${own}',\n]`), 'safe'],
    ['a disk twice', xen(`${kernel}disk = ['raw:${place}/disk.0,xvda,w', 'raw:${place}/disk.0,xvdb,w']`), 'refused'],
    ['a password with a parameter', xen(`${kernel}vfb = ['type=vnc,vncpasswd=x,vncdisplay=7,sdl=1']`), 'refused'],
    [
      'a keymap with a second display',
      xen(`${kernel}vfb = ['type=vnc,vncdisplay=7,keymap=de,vncdisplay=8']`),
      'refused',
    ],
    ['a frame buffer that swallows a line', xen(`${kernel}vfb = ['type=vnc,${own}']`), 'refused'],
    ['a frame buffer that swallows a word', xen(`${kernel}vfb = ['type=vnc,r']`), 'refused'],
    ['a password beside the frame buffer', xen(`${kernel}vfb = ['type=vnc,vncpasswd=x']\nvncpasswd = 'y'`), 'refused'],
    [
      'a frame buffer as oned writes it',
      xen(`${kernel}vfb = ['type=vnc,vnclisten=0.0.0.0,vncunused=0,vncdisplay=7']`),
      'safe',
    ],
    ['a frame buffer on a file', xen(`${kernel}vfb = ['type=vnc,vnclisten=unix:lib64,vncdisplay=0']`), 'refused'],
    ['a console on a file', xen("builder = 'hvm'\nvnc = '1'\nvnclisten = 'unix:lib64'\nvncdisplay = '0'"), 'refused'],
    ['two frame buffers', xen(`${kernel}vfb = ['type=vnc', 'type=vnc']`), 'refused'],
    ['a boot loader', xen("bootloader = '/bin/sh'"), 'refused'],
    ['credits without end', xen(kernel).replace('128', '999999999'), 'safe'],
    ['a device model', xen("builder = 'hvm'\ndevice_model = '/tmp/evil'"), 'refused'],
    ['a device model of old', xen("builder = 'hvm'\ndevice_model = '/usr/lib/xen/bin/qemu-dm'"), 'refused'],
    ['a boot order', xen("builder = 'hvm'\nboot = '/etc'"), 'refused'],
    ['code', xen(`${kernel}import os`), 'refused'],
    ['an unknown key', xen(`${kernel}init_seclabel = 'x'`), 'refused'],
    ['a carriage return', xen(kernel).replaceAll('\n', '\r\n'), 'refused'],
    ['no kernel but a type', xen("type = 'pv'"), 'refused'],
  ];

  it.each(cases)('%s', (_what, text, outcome) => {
    expect(outcomeOf(() => configure(text, { nameTemplate: 'one-%I' }))).toBe(outcome);
  });
});

describe('interfaces of a Xen configuration of oned, into which it writes MODEL as it is', () => {
  const nics = [
    { MAC: '02:00:0A:63:00:01', IP: '10.99.0.1', BRIDGE: 'br0', MODEL: 'e1000' },
    { MAC: '02:00:0a:63:00:02', BRIDGE: 'br1' },
  ];
  /** The file as oned writes it for an HVM guest with these interfaces. */
  const written = (...models: readonly string[]): string => {
    const lines = nics.map(({ MAC, IP, BRIDGE }, index) => {
      const model = models[index] === undefined ? ' ' : `model=${models[index]},`;
      return `    '${model}mac=${MAC}${IP === undefined ? '' : `,ip=${IP}`},bridge=${BRIDGE}',\n`;
    });
    return xen(`builder = "hvm"\ndisk = [\n]\nvif = [\n${lines.join('')}]`);
  };
  const outcome = (text: string, document?: string): string =>
    outcomeOf(() => configure(text, { nameTemplate: 'one-%I' }, document));
  const document = documentOf({ OS: {}, NIC: nics });

  it('are taken when the document of the VM has the same', () => {
    const { config } = configure(written('e1000'), { nameTemplate: 'one-%I' }, document);
    expect(config.get('vif')).toEqual([
      'mac=02:00:0a:63:00:01, bridge=br0, ip=10.99.0.1, model=e1000',
      'mac=02:00:0a:63:00:02, bridge=br1',
    ]);
  });

  it('are taken without the document when none has a model', () => {
    expect(outcome(written())).toBe('safe');
    expect(outcome(written('e1000'))).toBe('refused');
  });

  it.each([
    ['a second interface in the line', "e1000,mac=02:00:00:00:00:99,bridge=mgmtbr', 'model=e1000"],
    ['a second interface in a line of its own', "e1000,mac=02:00:00:00:00:99,bridge=mgmtbr',\n    'model=e1000"],
    ['another one in place of its own', "e1000,mac=02:00:00:00:00:99,bridge=mgmtbr', #"],
    ['another bridge for its own', "e1000,mac=02:00:0a:63:00:01,ip=10.99.0.1,bridge=mgmtbr', #"],
    ['another address for its own', "e1000,mac=02:00:0a:63:00:01,ip=10.99.0.9,bridge=br0', #"],
    ['its own hidden in another list', "e1000,mac=02:00:00:00:00:99,bridge=mgmtbr']\ncpuid=['host"],
    ['an interface of the host', 'e1000,vifname=eth0'],
    ['a script', 'e1000,script=vif-route'],
    ['nothing but fewer of them', "e1000', #"],
  ])('are refused when a model brings %s', (_what, model) => {
    expect(outcome(written(model), document)).toBe('refused');
    expect(outcome(written(model))).toBe('refused');
    expect(outcome(written('e1000', model), document)).toBe('refused');
  });

  it('say what is wrong and what to do', () => {
    expect(() => configure(written('e1000'), { nameTemplate: 'one-%I' })).toThrow(/MODEL .* no document/);
    expect(() => configure(written("e1000', #"), { nameTemplate: 'one-%I' }, document)).toThrow(/NIC 0 is/);
    const another = documentOf({ OS: {}, NIC: nics.slice(0, 1) });
    expect(() => configure(written('e1000'), { nameTemplate: 'one-%I' }, another)).toThrow(/not those of its document/);
  });
});

const word = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string(),
  fc.constantFrom("'", '"', '\\', '\n', "' ]\ndisk=['", '$(id)', '../..', ',', '#', ';', '\u2028'),
);
const text = fc
  .array(word, { maxLength: 5 })
  .map((words) => words.join('').replace(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd]/gu, '?'));

describe('properties', () => {
  it('no text in any attribute ever makes an unsafe configuration', () => {
    const change = fc.oneof(
      text.map((NAME) => ({ NAME })),
      text.map((KERNEL_CMD) => os({ KERNEL_CMD })),
      text.map((KERNEL) => os({ KERNEL: `/boot/${KERNEL}` })),
      text.map((ROOT) => os({ ROOT })),
      text.map((BOOTLOADER) => os({ ...hvm, BOOTLOADER })),
      text.map((TARGET) => disk({ TARGET: `xvd${TARGET}` })),
      text.map((MAC) => nic({ MAC })),
      text.map((BRIDGE) => nic({ BRIDGE: `br${BRIDGE}` })),
      text.map((IP) => nic({ IP })),
      text.map((PASSWD) => graphics({ PASSWD })),
      fc.tuple(fc.constantFrom('', 'unix:', '0.0.0.0'), text).map(([begin, end]) => graphics({ LISTEN: begin + end })),
      text.map((DATA) => raw(`extra = ${DATA}`)),
      text.map((DATA) => raw(DATA)),
    );
    fc.assert(
      fc.property(change, (changes) => void outcomeOf(() => configure(documentOf(changes)))),
      { numRuns: 1500 },
    );
  });

  it('a kernel command line arrives at the guest as it was written', () => {
    const line = text.filter(
      (value) => /^[^\p{Cc}\p{Cs}\u2028\u2029]*$/u.test(value) && value !== '' && value.length < 2000,
    );
    fc.assert(
      fc.property(line, (KERNEL_CMD) => {
        expect(configure(documentOf(os({ KERNEL_CMD }))).config.get('extra')).toBe(KERNEL_CMD);
      }),
    );
  });

  it('no text in MODEL ever brings a Xen configuration another interface', () => {
    const pieces = fc.oneof(text, fc.constantFrom(',mac=02:00:00:00:00:99', ',bridge=br9', "', #", "',\n    'model=x"));
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 5 }), (words) => {
        const line = `model=e1000${words.join('')},mac=02:00:0a:63:00:01,ip=10.99.0.1,bridge=br0`;
        const made = xen(`${kernel}vif = [\n    '${line}',\n]`);
        const configured = (): DomainFile => configure(made, { nameTemplate: 'one-%I' }, documentOf());
        if (outcomeOf(configured) === 'refused') return;
        expect(configured().config.get('vif')).toEqual(['mac=02:00:0a:63:00:01, bridge=br0, ip=10.99.0.1']);
      }),
      { numRuns: 1000 },
    );
  });

  it('any text in place of a line of a Xen configuration is refused or safe', () => {
    fc.assert(
      fc.property(text, fc.boolean(), (line, quoted) => {
        const inserted = quoted ? `extra = '${line}'` : line;
        return void outcomeOf(() => configure(xen(`${kernel}${inserted}`), { nameTemplate: 'one-%I' }));
      }),
      { numRuns: 1000 },
    );
  });
});

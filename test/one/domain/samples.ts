/**
 * VM documents for the tests of this directory: a template whose parts can be replaced by whatever a cloud user may
 * write, and what must hold of any configuration that comes out.
 */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { CxmError } from '../../../src/errors.ts';
import { parseDiskSpec, blockDeviceOf } from '../../../src/xen/disk.ts';
import type { DomainConfig } from '../../../src/xen/config-file.ts';
import { parseDomainConfig } from '../../../src/xen/config-file.ts';
import { readPayload } from '../../../src/one/documents/payload.ts';
import { parseVirtualMachine } from '../../../src/one/documents/virtual-machine.ts';
import { domainFile, type DomainFile } from '../../../src/one/domain/deployment.ts';
import type { DomainSettings } from '../../../src/one/domain/description.ts';
import { nameFault } from '../../../src/xen/domain-name.ts';
import { harmlessRawKeys } from '../../../src/one/domain/raw-keys.ts';

export const settings: DomainSettings = {
  deviceDirectory: '/dev/VG0',
  volumePrefix: 'lv-one',
  nameTemplate: '%V-%I',
  cpuCredit: 256,
  bootloaders: ['pygrub'],
  kernelDirectories: ['/boot'],
  rawKeys: [],
};

export const vmId = 7;
export const vmDirectory = '/var/lib/one/datastores/0/7';

export function fixture(name: string): string {
  return readFileSync(new URL(`../../fixtures/domain/${name}`, import.meta.url), 'utf8');
}

/** Attributes of the sample VM; nested ones are elements. A list makes several elements of that name. */
export type Attributes = { readonly [name: string]: string | Attributes | readonly Attributes[] | undefined };

export const sample = {
  NAME: 'web',
  CPU: '0.5',
  VCPU: '2',
  MEMORY: '256',
  DISK: [
    { DISK_ID: '0', TARGET: 'xvda', TYPE: 'BLOCK', READONLY: 'NO' },
    { DISK_ID: '1', TARGET: 'xvdb', TYPE: 'swap', READONLY: 'NO' },
  ],
  CONTEXT: { DISK_ID: '2', TARGET: 'xvdz' },
  NIC: [{ NIC_ID: '0', MAC: '02:00:0a:63:00:01', BRIDGE: 'br0', IP: '10.99.0.1' }],
  OS: { KERNEL: '/boot/vmlinuz', INITRD: '/boot/initrd', ROOT: 'xvda1', KERNEL_CMD: 'ro console=hvc0' },
} as const satisfies Attributes;

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replace(/[\r\n\t]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function xml(attributes: Attributes): string {
  return Object.entries(attributes)
    .flatMap(([name, value]) => {
      if (value === undefined) return [];
      const values = Array.isArray(value) ? (value as readonly Attributes[]) : [value as string | Attributes];
      return values.map((one) => `<${name}>${typeof one === 'string' ? escaped(one) : xml(one)}</${name}>`);
    })
    .join('');
}

/** The document of VM 7 of user `ann`, its template being the sample with `changes`. */
export function documentOf(changes: Attributes = {}, user = 'ann'): string {
  const template = { ...sample, ...changes };
  const name = typeof template.NAME === 'string' ? template.NAME : '';
  return `<VM><ID>${vmId}</ID><UNAME>${escaped(user)}</UNAME><NAME>${escaped(name)}</NAME><TEMPLATE>${xml(template)}</TEMPLATE></VM>`;
}

/** The configuration of a deployment file of VM 7, with its document if that is at hand. */
export function configure(text: string, changes: Partial<DomainSettings> = {}, document?: string): DomainFile {
  const vm = document === undefined ? undefined : parseVirtualMachine(document);
  const deployment = { vmId, vmDirectory, document: vm };
  return domainFile(readPayload(text, 'the deployment file'), deployment, { ...settings, ...changes });
}

/** Keys that a configuration may have: those we write and those RAW may set. */
const knownKeys = new Set([
  ...Object.keys(harmlessRawKeys),
  ...'name uuid type memory maxmem vcpus maxvcpus cpus cpu_weight kernel ramdisk bootloader root extra boot'.split(' '),
  ...'disk vif vfb vnc vnclisten vncunused vncdisplay vncpasswd keymap device_model_version'.split(' '),
  ...'spice spicehost spiceport spicedisable_ticketing spicepasswd'.split(' '),
]);

/** What holds of every configuration, whatever a user wrote. */
export function expectSafe(config: DomainConfig): void {
  const text = config.toString();
  expect(text.split('\n')[0]).toBe('# OpenNebula VM 7 (cxm)');
  const parsed = parseDomainConfig(text, 'again');
  expect(parsed.keys().filter((key) => !knownKeys.has(key))).toEqual([]);
  expect(nameFault(parsed.getString('name') ?? '')).toBeUndefined();
  expect(parsed.get('memory')).toBe(256);
  expect(parsed.getString('bootloader') ?? 'pygrub').toBe('pygrub');
  for (const key of ['kernel', 'ramdisk']) {
    expect(parsed.getString(key) ?? '/boot/x').toMatch(
      /^(\/boot\/(?!(.*\/)?\.\.(\/|$))|\/var\/lib\/one\/datastores\/0\/7\/(kernel|initrd)$|\/usr\/lib\/grub-xen\/[a-z0-9_-]+\.bin$)/,
    );
  }
  for (const disk of parsed.getList('disk') ?? []) {
    expect(blockDeviceOf(parseDiskSpec(String(disk)))).toMatch(/^\/dev\/VG0\/lv-one-7-\d+$/);
  }
  const frameBuffer = String(parsed.getList('vfb')?.[0] ?? '');
  const frameListen = /vnclisten=([^,]*)/.exec(frameBuffer)?.[1];
  for (const listen of [frameListen, parsed.getString('vnclisten'), parsed.getString('spicehost')]) {
    expect(listen ?? '0.0.0.0').toMatch(/^(?!(unix|fd|vsock)$)[a-z0-9.-]+$/i);
  }
  for (const vif of parsed.getList('vif') ?? []) {
    expect(vif).toMatch(/^mac=[0-9a-f:]{17}, bridge=[\w.-]+(, [a-z]+=[\w.: -]+)*$/);
    expect(/script=([^,]*)/.exec(String(vif))?.[1] ?? 'vif-openvswitch').toBe('vif-openvswitch');
    expect(/vifname=([^,]*)/.exec(String(vif))?.[1] ?? 'one-7-0').toMatch(/^one-7-\d+$/);
  }
}

/** Runs and checks that the outcome is one clear error or a safe configuration; says which. */
export function outcomeOf(run: () => DomainFile): 'refused' | 'safe' {
  let file: DomainFile;
  try {
    file = run();
  } catch (error) {
    expect(error).toBeInstanceOf(CxmError);
    const { code, message, hint } = error as CxmError;
    expect(['INVALID_INPUT', 'UNSUPPORTED', 'FOREIGN']).toContain(code);
    expect(message).not.toMatch(/[\x00-\x1f\x7f]/);
    expect(message.length).toBeLessThan(500);
    expect(hint.length).toBeGreaterThan(5);
    return 'refused';
  }
  expectSafe(file.config);
  return 'safe';
}

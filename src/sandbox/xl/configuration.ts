/**
 * From the text of a configuration to the settings of a domain, refusing what real xl refuses in the words it uses
 * (exit code 1, before anything is made). Only keys that the simulation shows somewhere are looked at.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { CxmError } from '../../errors.ts';
import { parseDomainConfig } from '../../xen/config-file.ts';
import type { ConfigValue, DomainConfig } from '../../xen/config-file.ts';
import { ConfigSyntaxError } from '../../xen/config-syntax.ts';
import { parseDiskSpec } from '../../xen/disk.ts';
import { parseNicSpec } from '../../xen/nic.ts';
import { XlFailure } from './context.ts';
import type { DomainSettings, SimulatedDisk, SimulatedNic } from './domain.ts';

/**
 * @param say takes xl's warnings
 * @param defaultBridge for interfaces that name none
 * @throws XlFailure with exit code 1
 */
export function readSettings(
  text: string,
  path: string,
  defaultBridge: string,
  say: (line: string) => void,
): DomainSettings {
  const config = parse(text, path);
  const number = (key: string): number | undefined => {
    try {
      return config.getNumber(key);
    } catch {
      say(`${path}:${lineOf(text, key)}: warning: parameter \`${key}' is not a valid number`);
      return undefined;
    }
  };
  const type = typeOf(config);
  const name = config.getString('name');
  if (name === undefined || name === '') throw new XlFailure(1, 'Domain name must be specified.');
  const memoryMib = number('memory') ?? 32;
  const maximumMemoryMib = Math.max(memoryMib, number('maxmem') ?? memoryMib);
  const vcpus = number('vcpus') ?? 1;
  const kernel = config.getString('kernel');
  if (type === 'pv' && kernel === undefined && config.getString('bootloader') === undefined) {
    throw new XlFailure(1, 'Neither kernel nor bootloader specified');
  }
  return {
    name,
    uuid: config.getString('uuid') ?? randomUUID(),
    type,
    memoryKib: memoryMib * 1024,
    maximumMemoryKib: maximumMemoryMib * 1024,
    vcpus,
    maximumVcpus: Math.max(vcpus, number('maxvcpus') ?? vcpus),
    kernel,
    ramdisk: config.getString('ramdisk'),
    cmdline: config.getString('cmdline') ?? config.getString('extra'),
    disks: texts(config, 'disk').map((item) => readDisk(item, path)),
    nics: texts(config, 'vif').map((item, index) => readNic(item, index, defaultBridge)),
    onPoweroff: config.getString('on_poweroff') ?? 'destroy',
    onReboot: config.getString('on_reboot') ?? 'restart',
    onCrash: config.getString('on_crash') ?? 'destroy',
  };
}

function parse(text: string, path: string): DomainConfig {
  try {
    return parseDomainConfig(text, path);
  } catch (error) {
    if (!(error instanceof ConfigSyntaxError)) throw error;
    throw new XlFailure(
      1,
      `${path}:${error.line}: config parsing error near \`${error.found}': lexical error`,
      'Failed to parse config: Invalid argument',
    );
  }
}

function typeOf(config: DomainConfig): 'pv' | 'hvm' | 'pvh' {
  const type = config.getString('type') ?? (config.getString('builder') === 'hvm' ? 'hvm' : 'pv');
  if (type === 'pv' || type === 'hvm' || type === 'pvh') return type;
  throw new XlFailure(1, `Invalid domain type ${type}.`);
}

function texts(config: DomainConfig, key: string): readonly string[] {
  const value: ConfigValue | undefined = config.get(key);
  return Array.isArray(value) ? value.map(String) : [];
}

/** @throws XlFailure */
export function readDisk(text: string, source: string): SimulatedDisk {
  try {
    const { vdev, target, access, format } = parseDiskSpec(text);
    return { vdev, target, readOnly: access === 'ro', format };
  } catch (error) {
    const problem = error instanceof CxmError ? error.message : String(error);
    throw new XlFailure(1, `${source}: config parsing error in disk specification: ${problem}`);
  }
}

/** @throws XlFailure */
export function readNic(text: string, index: number, defaultBridge: string): SimulatedNic {
  try {
    const { mac, bridge } = parseNicSpec(text);
    return { index, mac: mac ?? randomMac(), bridge: bridge ?? defaultBridge };
  } catch {
    throw new XlFailure(1, `Invalid parameter \`${/type=(?!vif|ioemu)/.test(text) ? 'type' : 'mac'}'.`);
  }
}

/** In the range that belongs to Xen. */
function randomMac(): string {
  return ['00', '16', '3e', ...[...randomBytes(3)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}

function lineOf(text: string, key: string): number {
  return text.split('\n').findIndex((line) => line.trimStart().startsWith(key)) + 1;
}

/** What the cluster needs to know of a VM, read from its configuration file. Pure. */
import { CxmError } from '../errors.ts';
import { volumeOfPath, type VolumeName } from '../lvm/device-path.ts';
import { parseDomainConfig, type DomainConfig } from '../xen/config-file.ts';
import { blockDeviceOf, parseDiskSpec } from '../xen/disk.ts';
import { fingerprint, type VmConfig } from './node-files.ts';

export interface VmDefinition {
  readonly vm: string;
  readonly configPath: string;
  /** Of the whole text, to tell whether nodes have the same. */
  readonly fingerprint: string;
  /** What it takes of a node's free memory when it starts. */
  readonly memoryMib: number;
  readonly vcpus: number;
  readonly volumes: readonly VolumeName[];
  /** Disks that are no logical volumes: the cluster doesn't guard these. */
  readonly otherDisks: readonly string[];
  readonly bridges: readonly string[];
}

/** As xl has it for a domain whose configuration names none. */
const defaultMemoryMib = 128;

/** @throws CxmError CONFIG naming the file and what is wrong with it */
export function definitionOf({ vm, path, text }: VmConfig): VmDefinition {
  try {
    const config = parseDomainConfig(text, path);
    const name = config.getString('name');
    if (name !== vm) {
      throw new CxmError('CONFIG', `${path} is the configuration of ${JSON.stringify(name ?? '')}, not of ${vm}`, {
        hint: 'the file is named after the VM: rename one of the two',
      });
    }
    const devices = disksOf(config);
    return {
      vm,
      configPath: path,
      fingerprint: fingerprint(text),
      memoryMib: config.getNumber('memory') ?? defaultMemoryMib,
      vcpus: config.getNumber('vcpus') ?? 1,
      volumes: devices.flatMap((device) => volumeOfPath(device) ?? []),
      otherDisks: devices.filter((device) => volumeOfPath(device) === undefined),
      bridges: bridgesOf(config),
    };
  } catch (error) {
    if (error instanceof CxmError && error.code === 'CONFIG') throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new CxmError('CONFIG', `${path} can't be read as a configuration: ${why}`, {
      hint: `look at it with \`xl create -n ${path}\``,
      cause: error,
    });
  }
}

/** Devices and files; empty drives are none. */
function disksOf(config: DomainConfig): string[] {
  return (config.getList('disk') ?? []).flatMap((item) => {
    if (typeof item !== 'string') throw new CxmError('INVALID_INPUT', 'disk holds something else than texts');
    const spec = parseDiskSpec(item);
    return spec.target === '' ? [] : [blockDeviceOf(spec) ?? spec.target];
  });
}

function bridgesOf(config: DomainConfig): string[] {
  const bridges = (config.getList('vif') ?? []).flatMap((item) => {
    if (typeof item !== 'string') throw new CxmError('INVALID_INPUT', 'vif holds something else than texts');
    return /(?:^|,)\s*bridge\s*=\s*([^,\s]+)/.exec(item)?.[1] ?? [];
  });
  return [...new Set(bridges)];
}

/** What the cluster needs to know of a VM, read from its configuration file. Pure. */
import { maxMemoryMib } from '../balance/state.ts';
import { CxmError } from '../errors.ts';
import { formatVolumeName, volumeOfPath, type VolumeName } from '../lvm/device-path.ts';
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
  /** Those it writes to: on one node only, the exclusive activation rule is about them. */
  readonly volumes: readonly VolumeName[];
  /** Those it only reads, as other VMs may on any node at the same time. */
  readonly readOnlyVolumes: readonly VolumeName[];
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
    const memoryMib = config.getNumber('memory') ?? defaultMemoryMib;
    if (memoryMib > maxMemoryMib) throw new CxmError('CONFIG', `${path}: no node has the ${memoryMib} MiB of memory`);
    const disks = disksOf(config);
    return {
      vm,
      configPath: path,
      fingerprint: fingerprint(text),
      memoryMib,
      vcpus: config.getNumber('vcpus') ?? 1,
      ...sortedDisks(disks),
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

/** A disk of a VM, by its device or file on the host. */
export interface Disk {
  readonly target: string;
  readonly readOnly: boolean;
}

/** Each volume once: one that is written to through one disk and read through another is written to. */
export function sortedDisks(disks: readonly Disk[]): Pick<VmDefinition, 'volumes' | 'readOnlyVolumes' | 'otherDisks'> {
  const written = new Map<string, VolumeName>();
  const read = new Map<string, VolumeName>();
  for (const { target, readOnly } of disks) {
    const volume = volumeOfPath(target);
    if (volume !== undefined) (readOnly ? read : written).set(formatVolumeName(volume), volume);
  }
  return {
    volumes: [...written.values()],
    readOnlyVolumes: [...read].filter(([name]) => !written.has(name)).map(([, volume]) => volume),
    otherDisks: disks.map(({ target }) => target).filter((target) => volumeOfPath(target) === undefined),
  };
}

/** Empty drives are none. */
function disksOf(config: DomainConfig): Disk[] {
  return (config.getList('disk') ?? []).flatMap((item) => {
    if (typeof item !== 'string') throw new CxmError('INVALID_INPUT', 'disk holds something else than texts');
    const spec = parseDiskSpec(item);
    const readOnly = spec.access === 'ro';
    return spec.target === '' ? [] : [{ target: blockDeviceOf(spec) ?? spec.target, readOnly }];
  });
}

function bridgesOf(config: DomainConfig): string[] {
  const bridges = (config.getList('vif') ?? []).flatMap((item) => {
    if (typeof item !== 'string') throw new CxmError('INVALID_INPUT', 'vif holds something else than texts');
    return /(?:^|,)\s*bridge\s*=\s*([^,\s]+)/.exec(item)?.[1] ?? [];
  });
  return [...new Set(bridges)];
}

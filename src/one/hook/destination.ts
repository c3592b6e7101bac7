/**
 * Asking the destination of a move whether the VM runs there now. Another move may have overtaken this one, and an
 * OpenNebula that is told a place where the VM is not starts it there a second time. cxm-host of the destination
 * answers, as it does for the drivers' own migrations: as root over ssh, or through sudo when the hook runs there.
 */
import { callHelper, questionTimeoutMs, type Route } from '../../agent/client.ts';
import { noLock } from '../../agent/lock.ts';
import type { DomainSight } from '../../agent/operations/domain-receive.ts';
import { CxmError } from '../../errors.ts';
import { parseDomainConfig } from '../../xen/config-file.ts';
import { parseDiskSpec } from '../../xen/disk.ts';
import { nameFault } from '../../xen/domain-name.ts';
import { sameHost } from './hosts.ts';

/** By which volumes a domain without a configuration of ours is known for the VM's. */
export interface VolumeNaming {
  /** VG_NAME. */
  readonly volumeGroup: string;
  /** LV_PREFIX. */
  readonly volumePrefix: string;
}

export interface SoughtVm {
  readonly vmId: number;
  /** Of its domain. */
  readonly name: string;
  /** Undefined when nothing on this host says it; /etc/cxm/cxmrc of the other host may. */
  readonly volumes: VolumeNaming | undefined;
}

/**
 * What a host sees of the VM now.
 * @throws CxmError HOST_UNREACHABLE, HELPER_MISSING, PROTOCOL, TIMEOUT or what cxm-host there says
 */
export type Look = (host: string, vm: SoughtVm) => Promise<DomainSight>;

export interface LookSettings {
  readonly connectTimeoutSeconds: number;
  /** CFG_DIR. */
  readonly configurationDirectory: string;
  /** Name of this machine. */
  readonly localHost: string;
  /** An answer is not waited for any longer; questionTimeoutMs when left out. */
  readonly timeoutMs?: number;
}

/** A name that no volume group has by accident; VG_NAME can't be left out. */
const noVolumeGroup = 'cxm-does-not-know';

export function createLook(settings: LookSettings): Look {
  const { connectTimeoutSeconds, configurationDirectory, localHost, timeoutMs = questionTimeoutMs } = settings;
  return async (host, { vmId, name, volumes }) => {
    const route: Route = sameHost(host, localHost) ? { kind: 'sudo' } : { kind: 'ssh', host, connectTimeoutSeconds };
    const answer = await callHelper(route, {
      operation: 'domain-look',
      // The name only says which of the VM's configurations is meant; drivers write none under other names than these.
      parameters: { vmId, name: nameFault(name) === undefined ? name : `one-${vmId}` },
      settings: {
        VG_NAME: volumes?.volumeGroup ?? noVolumeGroup,
        CFG_DIR: configurationDirectory,
        ...(volumes === undefined ? {} : { LV_PREFIX: volumes.volumePrefix }),
      },
      lock: noLock,
      log: () => undefined,
      timeoutMs,
    });
    if (isSight(answer)) return answer;
    throw new CxmError('PROTOCOL', `cxm-host on ${host} does not say whether VM ${vmId} runs there`);
  };
}

/** An answer in another form must not be taken for a no. */
function isSight(answer: unknown): answer is DomainSight {
  const { running, present } = (answer ?? {}) as Partial<Record<keyof DomainSight, unknown>>;
  return typeof running === 'boolean' && typeof present === 'boolean';
}

/**
 * The naming of the volumes that a configuration of the VM gives it as disks: hosts need no VG_NAME of their own.
 * @param texts of the configuration files of the domain on this host
 */
export function volumesOf(vmId: number, texts: readonly string[]): VolumeNaming | undefined {
  const path = new RegExp(`^/dev/([^/]+)/([^/]+)-${vmId}-[0-9]+$`);
  for (const target of texts.flatMap(diskTargets)) {
    const [, volumeGroup, volumePrefix] = path.exec(target) ?? [];
    if (volumeGroup !== undefined && volumePrefix !== undefined) return { volumeGroup, volumePrefix };
  }
  return undefined;
}

/** A configuration that xl can't read says nothing. */
function diskTargets(text: string): string[] {
  try {
    const disks = parseDomainConfig(text, 'the configuration').getList('disk') ?? [];
    return disks.flatMap((disk) => (typeof disk === 'string' ? parseDiskSpec(disk).target : []));
  } catch {
    return [];
  }
}

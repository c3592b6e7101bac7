/**
 * The volumes of a VM's disks around its run: active where it runs, and nowhere else when it does not. A volume counts
 * as the VM's by its name and, when it has tags, by these.
 */
import { asCxmError, CxmError } from '../../errors.ts';
import { diskVolumeName, partialTag } from '../../lvm/names.ts';
import type { LogicalVolume } from '../../lvm/report.ts';
import type { DomainHost } from './domain-host.ts';

/** The VM's disk volumes in the volume group, by disk id. */
export async function volumesOf(host: DomainHost, vmId: number): Promise<Map<number, LogicalVolume>> {
  const prefix = diskVolumeName(host.settings.LV_PREFIX, vmId, 0).slice(0, -1);
  const found = new Map<number, LogicalVolume>();
  for (const volume of await host.volumes.list()) {
    const digits = volume.name.startsWith(prefix) ? volume.name.slice(prefix.length) : '';
    if (/^(0|[1-9]\d{0,8})$/.test(digits) && isOf(volume, vmId)) found.set(Number(digits), volume);
  }
  return found;
}

/** @throws CxmError NOT_FOUND, also for a volume whose content is not complete; FOREIGN */
export async function requireVolume(host: DomainHost, vmId: number, diskId: number): Promise<LogicalVolume> {
  const name = diskVolumeName(host.settings.LV_PREFIX, vmId, diskId);
  const volume = await host.volumes.find(name);
  if (volume === undefined || volume.tags.includes(partialTag)) {
    const what = `disk ${diskId} of VM ${vmId} (${name})`;
    throw new CxmError('NOT_FOUND', `there is no volume for ${what} in ${host.settings.VG_NAME} on this host`);
  }
  if (!isOf(volume, vmId)) {
    throw new CxmError(
      'FOREIGN',
      `logical volume ${name} is tagged ${volume.tags.join(', ')}, so it is not VM ${vmId}'s`,
    );
  }
  return volume;
}

/** `VG/LV` of each disk, as the cluster names them. */
export function namesInGroup(
  { settings }: Pick<DomainHost, 'settings'>,
  vmId: number,
  diskIds: readonly number[],
): string[] {
  return diskIds.map((diskId) => `${settings.VG_NAME}/${diskVolumeName(settings.LV_PREFIX, vmId, diskId)}`);
}

/**
 * Activates the disks of a VM on this host, all or none.
 * @returns names of those that were not active before
 * @throws CxmError NOT_FOUND, FOREIGN, LVM; then what was activated is inactive again
 */
export async function activateVolumes(
  host: DomainHost,
  vmId: number,
  diskIds: readonly number[],
  mode: 'exclusive' | 'shared',
): Promise<string[]> {
  const volumes: LogicalVolume[] = [];
  for (const diskId of diskIds) volumes.push(await requireVolume(host, vmId, diskId));
  const activated: string[] = [];
  try {
    for (const { name, active } of volumes) {
      await host.volumes.activate(name, mode);
      if (!active) activated.push(name);
    }
  } catch (error) {
    await deactivateVolumes(host, activated);
    throw error;
  }
  return activated;
}

/** Deactivates all disks of a VM that has ended here. What can't be is told, not thrown: the VM has ended all the same. */
export async function deactivateAll(host: DomainHost, vmId: number): Promise<void> {
  const volumes = [...(await volumesOf(host, vmId)).values()].filter(({ active }) => active);
  await deactivateVolumes(
    host,
    volumes.map(({ name }) => name),
  );
}

/** A volume that could not be deactivated. */
export interface HeldVolume {
  readonly name: string;
  readonly why: string;
  /** It is open: whoever has it may let go of it. */
  readonly inUse: boolean;
}

/** Deactivates all disks of a VM, as far as that is possible at once. */
export async function tryDeactivateAll(host: DomainHost, vmId: number): Promise<HeldVolume[]> {
  const held: HeldVolume[] = [];
  for (const { name, active } of (await volumesOf(host, vmId)).values()) {
    if (!active) continue;
    await host.volumes.deactivate(name).catch((error: unknown) => {
      const { code, message } = asCxmError(error);
      held.push({ name, why: message, inUse: code === 'IN_USE' });
    });
  }
  return held;
}

export async function deactivateVolumes(host: DomainHost, names: readonly string[]): Promise<void> {
  for (const name of names) {
    try {
      await whenFree(host, () => host.volumes.deactivate(name));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      host.log('WARN', `${name} stays active on this host: ${why}`);
    }
  }
}

/** Xen's backends let go of a device a moment after their domain has gone. */
async function whenFree(host: DomainHost, work: () => Promise<void>): Promise<void> {
  const giveUp = host.clock.now() + host.settings.BUSY_TIMEOUT * 1000;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const busy = error instanceof CxmError && error.code === 'IN_USE';
      if (!busy || host.clock.now() >= giveUp) throw error;
    }
    await host.clock.sleep(300);
  }
}

function isOf({ tags }: LogicalVolume, vmId: number): boolean {
  return !tags.includes('cxm') || tags.includes(`cxm_vm=${vmId}`);
}

/**
 * A volume group of a cluster: what is activated exclusively or removed here is taken from the other nodes first. Without
 * a cluster lock in LVM itself nothing else would keep a volume from being written or removed here while a VM uses it there.
 * Active here it may be for no good reason: a migration that was killed leaves it so, while its VM runs elsewhere.
 */
import type { LogicalVolume } from '../lvm/report.ts';
import type { ActivationMode, Volumes } from '../lvm/volumes.ts';
import { noCluster, type ClusterGuard } from './cluster-guard.ts';

export function guardedVolumes(volumes: Volumes, group: string, guard: ClusterGuard): Volumes {
  if (guard === noCluster) return volumes;
  /** Names of what this process has made: nobody else has heard of it. */
  const made = new Set<string>();
  /** Names of what it has taken from the others, and has not let go of. */
  const taken = new Set<string>();
  const make = async (name: string, work: Promise<void>): Promise<void> => {
    await work;
    made.add(name);
  };
  const isMade = ({ name, active }: LogicalVolume): boolean => active && made.has(name);
  /** What is open here is used here, by a guest or by this process. */
  const isOurs = ({ name, active, open }: LogicalVolume): boolean => active && (open || taken.has(name));
  const take = async (name: string): Promise<LogicalVolume> => {
    let begun = false;
    try {
      return await guard.releasing([`${group}/${name}`], () => {
        begun = true;
        return volumes.activate(name, 'exclusive');
      });
    } catch (error) {
      // Another node may use it by now: two that have it active would both be free to write.
      if (begun) await volumes.deactivate(name).catch(() => undefined);
      throw error;
    }
  };
  return {
    info: () => volumes.info(),
    list: () => volumes.list(),
    find: (name) => volumes.find(name),
    require: (name) => volumes.require(name),
    create: (volume) => make(volume.name, volumes.create(volume)),
    absorb: (name, other) => volumes.absorb(name, other),
    snapshot: (origin, name, sizeBytes, tags) => make(name, volumes.snapshot(origin, name, sizeBytes, tags)),
    changeTags: (name, change) => volumes.changeTags(name, change),
    async deactivate(name) {
      taken.delete(name);
      await volumes.deactivate(name);
    },
    zero: (volume, offsetBytes, lengthBytes) => volumes.zero(volume, offsetBytes, lengthBytes),
    discard: (volume) => volumes.discard(volume),
    async remove(name) {
      const volume = await volumes.find(name);
      if (volume === undefined || isMade(volume)) await volumes.remove(name);
      else await guard.releasing([`${group}/${name}`], () => volumes.remove(name));
      made.delete(name);
    },
    async activate(name: string, mode: ActivationMode) {
      const volume = mode === 'exclusive' ? await volumes.find(name) : undefined;
      if (volume === undefined || isMade(volume) || isOurs(volume)) return volumes.activate(name, mode);
      const active = await take(name);
      taken.add(name);
      return active;
    },
  };
}

/**
 * A volume group of a cluster: what is activated exclusively or removed here is taken from the other nodes first. Without
 * a cluster lock in LVM itself nothing else would keep a volume from being written or removed here while a VM uses it there.
 */
import type { ActivationMode, Volumes } from '../lvm/volumes.ts';
import { noCluster, type ClusterGuard } from './cluster-guard.ts';

export function guardedVolumes(volumes: Volumes, group: string, guard: ClusterGuard): Volumes {
  if (guard === noCluster) return volumes;
  const takeIdle = async (name: string): Promise<void> => {
    const volume = await volumes.find(name);
    // What is active here has been taken already; a new one was made here.
    if (volume !== undefined && !volume.active) await guard.releasing([`${group}/${name}`]);
  };
  return {
    info: () => volumes.info(),
    list: () => volumes.list(),
    find: (name) => volumes.find(name),
    require: (name) => volumes.require(name),
    create: (volume) => volumes.create(volume),
    extend: (name, sizeBytes) => volumes.extend(name, sizeBytes),
    absorb: (name, other) => volumes.absorb(name, other),
    snapshot: (origin, name, sizeBytes, tags) => volumes.snapshot(origin, name, sizeBytes, tags),
    changeTags: (name, change) => volumes.changeTags(name, change),
    deactivate: (name) => volumes.deactivate(name),
    zero: (volume, offsetBytes, lengthBytes) => volumes.zero(volume, offsetBytes, lengthBytes),
    discard: (volume) => volumes.discard(volume),
    async remove(name) {
      await takeIdle(name);
      await volumes.remove(name);
    },
    async activate(name: string, mode: ActivationMode) {
      if (mode === 'exclusive') await takeIdle(name);
      return volumes.activate(name, mode);
    },
  };
}

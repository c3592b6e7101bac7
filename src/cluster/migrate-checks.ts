/**
 * Why a live migration can't succeed, found before anything is touched. xl notices most of these late, some only when
 * everything has been transferred, and then the guest goes on without its monitor. Pure.
 */
import { formatVolumeName, type VolumeName } from '../lvm/device-path.ts';
import type { DomainDetails, DomainRow } from '../xen/domain-list.ts';
import { boundBySnapshots, volumeIn, type NodeSight } from './survey.ts';

export interface MigrationFacts {
  readonly vm: string;
  readonly row: DomainRow;
  readonly source: NodeSight;
  readonly destination: NodeSight;
  /** What the domain really holds, hotplugged devices included. */
  readonly details: DomainDetails;
  /** Of those devices, the logical volumes it writes to. */
  readonly volumes: readonly VolumeName[];
  /** Those it only reads; what is no volume is in `otherDisks`. */
  readonly readOnlyVolumes: readonly VolumeName[];
  readonly otherDisks: readonly string[];
  /** Of the configuration at the destination; undefined if it has none. */
  readonly configPath: string | undefined;
  /** Fingerprints differ. */
  readonly configDiffers: boolean;
}

export interface Obstacle {
  readonly kind: 'memory' | 'volume' | 'disk' | 'bridge' | 'interface' | 'cpu' | 'config' | 'name' | 'state';
  readonly text: string;
  /** Does not stop a migration, but the administrator should know. */
  readonly warning: boolean;
}

/** A guest that went on with another volume, or beside somebody who has its own open, would ruin both. */
export const neverIgnored: readonly Obstacle['kind'][] = ['volume'];

type Check = (facts: MigrationFacts) => readonly Obstacle[];

/** Memory that xl takes for a domain beyond its own. */
const overheadMib = 4;

export function obstaclesTo(facts: MigrationFacts): readonly Obstacle[] {
  return checks.flatMap((check) => check(facts));
}

const checks: readonly Check[] = [
  ({ vm, row }) => (row.state.paused ? [stop('state', `${vm} is paused: unpause it before it is migrated`)] : []),
  ({ vm, row, destination }) => {
    const need = row.memoryMib + overheadMib;
    const free = destination.info.freeMemoryMib;
    return need <= free
      ? []
      : [stop('memory', `${vm} needs ${need} MiB, but ${destination.node} has only ${free} MiB free`)];
  },
  ({ volumes, source, destination }) =>
    volumes.flatMap((volume) => [
      ...volumeObstacles(volume, source, destination),
      ...(volumeIn(destination, volume)?.open === true
        ? [stop('volume', `${formatVolumeName(volume)} is in use on ${destination.node}`)]
        : []),
    ]),
  ({ readOnlyVolumes, source, destination }) =>
    readOnlyVolumes.flatMap((volume) => volumeObstacles(volume, source, destination)),
  ({ volumes, readOnlyVolumes, source, destination }) =>
    [...volumes, ...readOnlyVolumes].flatMap((volume) => snapshotObstacles(volume, [source, destination])),
  ({ otherDisks, vm }) =>
    otherDisks.map((disk) => warn('disk', `${disk} of ${vm} is no logical volume: the destination must see it, too`)),
  ({ details, destination }) =>
    bridgesOf(details)
      .filter((bridge) => !destination.bridges.includes(bridge))
      .map((bridge) => stop('bridge', `${destination.node} has no bridge ${bridge}`)),
  ({ details, vm }) =>
    details.nics
      .filter(({ bridge, mac }) => bridge === undefined && mac !== undefined)
      .map(({ mac }) => warn('interface', `interface ${mac ?? ''} of ${vm} is on no bridge`)),
  ({ source, destination }) => {
    const missing = source.cpuFlags.filter((flag) => !destination.cpuFlags.includes(flag));
    if (missing.length === 0) return [];
    const shown =
      missing.length > 8 ? `${missing.slice(0, 8).join(', ')} and ${missing.length - 8} more` : missing.join(', ');
    return [stop('cpu', `the CPUs of ${destination.node} lack ${shown}, which the guest may be using`)];
  },
  ({ vm, destination, configPath, configDiffers }) => {
    if (configPath === undefined) return [stop('config', `${destination.node} has no configuration of ${vm}`)];
    return configDiffers
      ? [warn('config', `${destination.node} has another configuration of ${vm} than the source`)]
      : [];
  },
];

function volumeObstacles(volume: VolumeName, source: NodeSight, destination: NodeSight): Obstacle[] {
  const name = formatVolumeName(volume);
  const [here, there] = [volumeIn(source, volume), volumeIn(destination, volume)];
  if (there === undefined) return [stop('volume', `${destination.node} has no logical volume ${name}`)];
  if (here !== undefined && here.uuid !== there.uuid) {
    return [stop('volume', `${name} on ${destination.node} is another volume of the same name`)];
  }
  return [];
}

/**
 * With the volume the destination would activate the snapshots, too. What the guest writes is copied into them by the node
 * it is on: they would be garbage, and once one is removed, the other node writes into room that is somebody else's.
 */
function snapshotObstacles(volume: VolumeName, sights: readonly NodeSight[]): Obstacle[] {
  const bound = boundBySnapshots(sights, volume);
  if (bound.length === 0) return [];
  const what = `LVM keeps ${formatVolumeName(volume)} and ${bound.join(', ')} together as volume and snapshot`;
  return [
    stop(
      'volume',
      `${what}, on one node at a time: wait for the backup that reads it, or remove the snapshot by lvremove`,
    ),
  ];
}

function bridgesOf({ nics }: DomainDetails): string[] {
  return [...new Set(nics.flatMap(({ bridge }) => bridge ?? []))];
}

function stop(kind: Obstacle['kind'], text: string): Obstacle {
  return { kind, text, warning: false };
}

function warn(kind: Obstacle['kind'], text: string): Obstacle {
  return { kind, text, warning: true };
}

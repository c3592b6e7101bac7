/** All volume groups of a host and all logical volumes in them, with one command each, however many there are. */
import type { Commands } from '../host/commands.ts';
import {
  groupedVolumeFields,
  parseGroupedVolumes,
  parseVolumeGroups,
  volumeGroupFields,
  type GroupedVolume,
  type VolumeGroupInfo,
} from './report.ts';

export interface Inventory {
  readonly groups: readonly VolumeGroupInfo[];
  readonly volumes: readonly GroupedVolume[];
}

const report = ['--reportformat', 'json', '--units', 'b', '--nosuffix', '-o'];
const timeoutMs = 60_000;

/** @throws CxmError COMMAND, TIMEOUT, LVM */
export async function takeInventory(commands: Commands): Promise<Inventory> {
  const [groups, volumes] = await Promise.all([
    commands.run('vgs', [...report, volumeGroupFields], { timeoutMs }),
    commands.run('lvs', [...report, groupedVolumeFields], { timeoutMs }),
  ]);
  return { groups: parseVolumeGroups(groups.stdout), volumes: parseGroupedVolumes(volumes.stdout) };
}

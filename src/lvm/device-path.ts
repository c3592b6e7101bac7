/** Which logical volume a device path names, in either of the forms LVM makes: /dev/VG/LV and /dev/mapper/VG-LV. Pure. */

export interface VolumeName {
  readonly group: string;
  readonly volume: string;
}

const lvmName = /^[A-Za-z0-9_+.][A-Za-z0-9_+.-]*$/;
/** Directories of /dev that are no volume groups. */
const otherDirectories = new Set(['disk', 'mapper', 'block', 'char', 'cciss', 'md', 'loop', 'zvol', 'drbd', 'ida']);

/** Undefined for a path that can't be a logical volume's. */
export function volumeOfPath(path: string): VolumeName | undefined {
  const mapped = /^\/dev\/mapper\/([^/]+)$/.exec(path)?.[1];
  if (mapped !== undefined) return volumeOfMapping(mapped);
  const [, group, volume] = /^\/dev\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
  if (group === undefined || volume === undefined || otherDirectories.has(group)) return undefined;
  return lvmName.test(group) && lvmName.test(volume) ? { group, volume } : undefined;
}

/** Device mapper writes a hyphen within a name as two; the single one stands between group and volume. */
function volumeOfMapping(name: string): VolumeName | undefined {
  const [, group, volume] = /^((?:[^-]|--)+)-((?:[^-]|--)+)$/.exec(name) ?? [];
  if (group === undefined || volume === undefined) return undefined;
  const [groupName, volumeName] = [group.replaceAll('--', '-'), volume.replaceAll('--', '-')];
  return lvmName.test(groupName) && lvmName.test(volumeName) ? { group: groupName, volume: volumeName } : undefined;
}

export function formatVolumeName({ group, volume }: VolumeName): string {
  return `${group}/${volume}`;
}

export function sameVolume(one: VolumeName, other: VolumeName): boolean {
  return one.group === other.group && one.volume === other.volume;
}

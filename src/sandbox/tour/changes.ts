/**
 * What became different on the hosts from one look to the next, as rows to print. Pure.
 */
import { formatSize } from '../../config/size.ts';
import type { SeenDomain, SeenVolume, World } from './world.ts';

export interface Change {
  readonly sign: '+' | '-' | '~';
  readonly what: 'volume' | 'domain' | 'files';
  readonly words: readonly string[];
}

export function changesBetween(before: World, after: World): readonly Change[] {
  return [
    ...together(volumeChanges(before.volumes, after.volumes)),
    ...domainChanges(before.domains, after.domains),
    ...fileChanges(before.files, after.files),
  ];
}

/** Volumes of one VM to which the same happened share a row: `lv-one-7-{0,1,2}`. */
function together(changes: readonly Change[]): readonly Change[] {
  const groups = new Map<string, { readonly change: Change; readonly vm: string; readonly disks: string[] }>();
  for (const change of changes) {
    const [name = '', ...words] = change.words;
    const end = name.lastIndexOf('-') + 1;
    const vm = name.slice(0, end);
    const key = [change.sign, vm, ...words].join('\n');
    const group = groups.get(key) ?? { change, vm, disks: [] };
    group.disks.push(name.slice(end));
    groups.set(key, group);
  }
  return [...groups.values()].map(({ change, vm, disks }) => {
    const name = disks.length === 1 ? `${vm}${disks[0] ?? ''}` : `${vm}{${disks.sort().join(',')}}`;
    return { ...change, words: [name, ...change.words.slice(1)] };
  });
}

function volumeChanges(before: readonly SeenVolume[], after: readonly SeenVolume[]): Change[] {
  const changes: Change[] = [];
  for (const volume of after) {
    const old = before.find((candidate) => same(candidate, volume));
    if (old === undefined) changes.push({ sign: '+', what: 'volume', words: describeVolume(volume) });
    else if (place(old) !== place(volume)) {
      changes.push({ sign: '~', what: 'volume', words: [volume.name, `${place(old)}, now ${place(volume)}`] });
    }
  }
  for (const volume of before) {
    if (after.some((candidate) => same(candidate, volume))) continue;
    const where = volume.storage === 'san' ? 'from the SAN' : `from ${volume.storage}`;
    changes.push({ sign: '-', what: 'volume', words: [volume.name, where] });
  }
  return changes;
}

function same(one: SeenVolume, other: SeenVolume): boolean {
  return one.name === other.name && one.storage === other.storage;
}

function place({ activeOn }: SeenVolume): string {
  return activeOn.length === 0 ? 'inactive' : `active on ${activeOn.join(' and ')}`;
}

function describeVolume(volume: SeenVolume): string[] {
  return [
    volume.name,
    volume.storage === 'san' ? 'SAN' : volume.storage,
    `${formatSize(volume.sizeBytes)} ${volume.content}`,
    place(volume),
    `${formatSize(volume.storedBytes)} stored`,
  ];
}

function domainChanges(before: readonly SeenDomain[], after: readonly SeenDomain[]): Change[] {
  const changes: Change[] = [];
  for (const domain of after) {
    const old = before.find(({ name }) => name === domain.name);
    const words = [
      domain.name,
      `domain ${domain.id} on ${domain.node}, ${domain.memoryMib} MiB, ${domain.vcpus} VCPUs`,
    ];
    if (old === undefined) changes.push({ sign: '+', what: 'domain', words });
    else if (old.node !== domain.node) {
      changes.push({ sign: '~', what: 'domain', words: [domain.name, `ran on ${old.node}, now on ${domain.node}`] });
    } else if (old.disks.length !== domain.disks.length || old.macs.length !== domain.macs.length) {
      const devices = `${domain.disks.length} disks and ${domain.macs.length} NICs`;
      changes.push({ sign: '~', what: 'domain', words: [domain.name, `has ${devices} now`] });
    } else if (old.bootId !== domain.bootId || old.id !== domain.id) {
      const guest = old.bootId === domain.bootId ? 'the same guest goes on' : 'booted anew';
      changes.push({
        sign: '~',
        what: 'domain',
        words: [domain.name, `domain ${domain.id} on ${domain.node}, ${guest}`],
      });
    }
  }
  for (const domain of before) {
    if (after.some(({ name }) => name === domain.name)) continue;
    changes.push({ sign: '-', what: 'domain', words: [domain.name, `from ${domain.node}`] });
  }
  return changes;
}

/** Directories of VMs: one row for what came and one for what went. */
function fileChanges(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): Change[] {
  const came = [...after.keys()].filter((name) => !before.has(name));
  const gone = [...before.keys()].filter((name) => !after.has(name));
  const rows: readonly (readonly [Change['sign'], readonly string[]])[] = [
    ['+', came],
    ['-', gone],
  ];
  return rows.flatMap(([sign, names]) => (names.length === 0 ? [] : [{ sign, what: 'files', words: collapse(names) }]));
}

/** `7/disk.0 7/disk.1 7/vm.xml` as `$DS/0/7` and `disk.0, disk.1, vm.xml`; of several directories only how many. */
function collapse(names: readonly string[]): readonly string[] {
  const directories = [...new Set(names.map((name) => name.slice(0, name.indexOf('/'))))].sort();
  const [only = ''] = directories;
  if (directories.length > 1) return [`$DS/0/{${directories.join(',')}}`, `${names.length} files and links`];
  return [
    `$DS/0/${only}`,
    names
      .map((name) => name.slice(only.length + 1))
      .sort()
      .join(', '),
  ];
}

/**
 * One look at all nodes: what every decision is made of. The parts of a node are asked at the same time and are together
 * true or nothing: a node of which one part is missing counts as silent.
 */
import type { CxmError } from '../errors.ts';
import type { GroupedVolume, VolumeGroupInfo } from '../lvm/report.ts';
import { formatVolumeName, type VolumeName } from '../lvm/device-path.ts';
import { rowsOf, runsHere, type DomainRow, type HostInfo } from '../xen/domain-list.ts';
import { askNodes, type Answers, type Cluster, type SilentNode } from './cluster.ts';
import type { ClusterNode } from './node.ts';

export interface NodeSight {
  readonly node: string;
  readonly info: HostInfo;
  readonly rows: readonly DomainRow[];
  readonly groups: readonly VolumeGroupInfo[];
  readonly volumes: readonly GroupedVolume[];
  /** Autostart links: the VM and where its link leads to. */
  readonly links: ReadonlyMap<string, string>;
  readonly bridges: readonly string[];
  readonly cpuFlags: readonly string[];
}

export interface Survey {
  readonly sights: readonly NodeSight[];
  readonly silent: readonly SilentNode[];
}

export async function surveyNodes(cluster: Cluster): Promise<Survey> {
  const { answers, silent } = await askNodes(cluster.nodes, lookAt);
  return { sights: answers.map(({ value }) => value), silent };
}

export async function lookAt(node: ClusterNode): Promise<NodeSight> {
  const [info, rows, { groups, volumes }, links, bridges, cpuFlags] = await Promise.all([
    node.toolstack.info(),
    node.toolstack.list(),
    node.inventory(),
    node.files.links(),
    node.system.bridges(),
    node.system.cpuFlags(),
  ]);
  return { node: node.name, info, rows, groups, volumes, links, bridges, cpuFlags };
}

/** The survey's nodes as `requireAll` takes them. */
export function answersOf({ sights, silent }: Survey): Answers<NodeSight> {
  return { answers: sights.map((value) => ({ node: value.node, value })), silent };
}

/** What a look at a node's volumes has found. */
export type VolumesOfNode = Pick<NodeSight, 'volumes'>;

export function volumeIn(sight: VolumesOfNode, { group, volume }: VolumeName): GroupedVolume | undefined {
  return sight.volumes.find((candidate) => candidate.group === group && candidate.name === volume);
}

/** What tells the same volume on another node from one of the same name in another group. */
export function volumeIdentity(sight: VolumesOfNode, name: VolumeName): string | undefined {
  const volume = volumeIn(sight, name);
  return volume === undefined ? undefined : `${formatVolumeName(name)} ${volume.uuid}`;
}

/**
 * Copy-on-write snapshots of a volume, and what it is a snapshot of: LVM activates all of these together. Each node has a
 * table of its own of what was copied, so they are good on one node at a time only.
 */
export function boundBySnapshots(sights: readonly VolumesOfNode[], { group, volume }: VolumeName): readonly string[] {
  const names = sights
    .flatMap(({ volumes }) => volumes)
    .filter((one) => one.group === group && one.origin !== '')
    .flatMap(({ name, origin }) => (origin === volume ? name : name === volume ? origin : []));
  return [...new Set(names)];
}

/** Where a VM is: nodes with a domain of its name that runs, and nodes with any other row of it. */
export interface Whereabouts {
  readonly running: readonly { readonly node: string; readonly row: DomainRow }[];
  /** Being built, arriving, leaving, shut down or torn down. */
  readonly traces: readonly { readonly node: string; readonly row: DomainRow }[];
}

export interface RowsOfNode {
  readonly node: string;
  readonly rows: readonly DomainRow[];
}

export function whereabouts(sights: readonly RowsOfNode[], vm: string): Whereabouts {
  const all = sights.flatMap(({ node, rows }) => rowsOf(rows, vm).map((row) => ({ node, row })));
  return { running: all.filter(({ row }) => runsHere(row)), traces: all.filter(({ row }) => !runsHere(row)) };
}

/** An error as plain data, for an answer in JSON. */
export function plainError({ code, message, hint }: CxmError): { code: string; message: string; hint: string } {
  return { code, message, hint };
}

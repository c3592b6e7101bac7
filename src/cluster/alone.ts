/**
 * Whether a VM is really nowhere, and nobody else has its volumes. One look at the list is not enough: a guest that reboots
 * is missing from it for seconds, a volume may be the disk of another VM, and what was seen may have changed since by
 * somebody who takes no lock. Guarantees: what these functions let pass was nowhere when they looked.
 */
import { CxmError } from '../errors.ts';
import { formatVolumeName, volumeOfPath, type VolumeName } from '../lvm/device-path.ts';
import { rowsOf, type DomainRow } from '../xen/domain-list.ts';
import { askNodes, nodeNamed, requireAll, type Cluster } from './cluster.ts';
import type { VmDefinition } from './definition.ts';
import { runsOnSeveral, wordsOf } from './locate.ts';
import type { ClusterNode } from './node.ts';
import { volumeIdentity, volumeIn, whereabouts, type NodeSight, type RowsOfNode } from './survey.ts';

/** Between the end of a rebooting domain and its successor's row; twice what was seen of real xl on slow hosts. */
export const restartGapMs = 5000;
/** A guest is there for longer than this before it reboots again. */
const presenceMs = 3000;
/** To build a domain takes a host at least so many times as long as to list its domains, and it is listed meanwhile. */
const looksWhileBuilt = 3;
const watchLimitMs = 60_000;
const lookEachMs = 1000;

/** @throws CxmError REFUSED when the VM is on a node in any state */
export function requireNowhere(sights: readonly RowsOfNode[], vm: string): void {
  const { running, traces } = whereabouts(sights, vm);
  if (running.length > 1) throw runsOnSeveral(vm, running);
  const [found] = running;
  if (found !== undefined) throw new CxmError('REFUSED', `${vm} runs on ${found.node} already`);
  const [trace] = traces;
  if (trace === undefined) return;
  throw new CxmError('REFUSED', `${vm} is ${wordsOf(trace.row)} on ${trace.node}`, {
    hint: 'wait a moment and try again; what a lost migration or monitor has left is removed by `cxm destroy`',
  });
}

/**
 * Whether the VM may be rebooting on one of these nodes, though it is in no list: its volumes are active, or a domain without
 * a name is being torn down. A VM without volumes leaves no such trace, so it may be anywhere. Pure.
 */
export function mayBeRestarting(sights: readonly NodeSight[], { volumes }: Pick<VmDefinition, 'volumes'>): boolean {
  if (volumes.length === 0) return sights.length > 0;
  const isNameless = (row: DomainRow): boolean => row.id !== 0 && row.name === undefined;
  return sights.some(
    (sight) => sight.rows.some(isNameless) || volumes.some((volume) => volumeIn(sight, volume)?.active === true),
  );
}

/**
 * Keeps looking at nodes for as long as a reboot takes a guest off the list, and so often that none comes and goes unseen:
 * where most looks are slow, so is the making of domains.
 * @returns those of the VMs that were seen, and where
 * @throws CxmError HOST_UNREACHABLE; TIMEOUT when the nodes answer too slowly for that
 */
export async function seenMeanwhile(
  cluster: Cluster,
  nodes: readonly ClusterNode[],
  vms: readonly string[],
): Promise<ReadonlyMap<string, RowOnNode>> {
  const { clock } = cluster;
  const seen = new Map<string, RowOnNode>();
  const giveUp = clock.now() + watchLimitMs;
  let since: number | undefined;
  const tookMs: number[] = [];
  let asked = clock.now();
  for (;;) {
    const before = asked;
    asked = clock.now();
    const answers = requireAll(await askNodes(nodes, (node) => node.toolstack.list()));
    for (const { node, value: rows } of answers) {
      for (const vm of vms) {
        const [row] = rowsOf(rows, vm);
        if (row !== undefined) seen.set(vm, { node, row });
      }
    }
    const answered = clock.now();
    tookMs.push(answered - asked);
    const unseenMs = answered - before;
    if (since === undefined || unseenMs > Math.max(presenceMs, looksWhileBuilt * median(tookMs))) since = answered;
    if (asked - since >= restartGapMs || seen.size === new Set(vms).size) return seen;
    if (answered >= giveUp) throw new CxmError('TIMEOUT', 'the nodes answer too slowly to say what runs there');
    await clock.sleep(Math.max(0, lookEachMs - (answered - asked)));
  }
}

/** The lower one of two. */
function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[Math.floor((values.length - 1) / 2)] ?? 0;
}

export interface RowOnNode {
  readonly node: string;
  readonly row: DomainRow;
}

/**
 * Looks again if the VM may be in the middle of a reboot on another node than `node`, where no second domain of its name
 * could come up. @throws CxmError REFUSED, HOST_UNREACHABLE, TIMEOUT
 */
export async function outwaitRestart(
  cluster: Cluster,
  sights: readonly NodeSight[],
  definition: Pick<VmDefinition, 'vm' | 'volumes'>,
  node: string,
): Promise<void> {
  const { vm } = definition;
  const elsewhere = sights.filter((sight) => sight.node !== node);
  if (!mayBeRestarting(elsewhere, definition)) return;
  cluster.reporter.step(`wait and see whether ${vm} is only rebooting`);
  const seen = (await seenMeanwhile(cluster, cluster.nodes, [vm])).get(vm);
  if (seen !== undefined)
    throw new CxmError('REFUSED', `${vm} is ${wordsOf(seen.row)} on ${seen.node}: it has rebooted`);
}

/**
 * No domain may have a volume that this VM writes to, nor write to one that it reads. LVM knows who holds a device on one
 * node only, and not who it is. @throws CxmError REFUSED naming the domain; HOST_UNREACHABLE
 */
export async function requireUnused(
  cluster: Cluster,
  sights: readonly NodeSight[],
  definition: VmDefinition,
  own: NodeSight,
): Promise<void> {
  const { vm, volumes, readOnlyVolumes } = definition;
  if (volumes.length + readOnlyVolumes.length === 0) return;
  const identities = (names: readonly VolumeName[]): Set<string | undefined> =>
    new Set(names.map((volume) => volumeIdentity(own, volume)));
  const [written, read] = [identities(volumes), identities(readOnlyVolumes)];
  const nodes = sights.map(({ node }) => nodeNamed(cluster, node));
  const answers = requireAll(await askNodes(nodes, (node) => node.toolstack.details()));
  for (const { node, value: domains } of answers) {
    const sight = sights.find((candidate) => candidate.node === node);
    for (const { id, name, disks } of domains) {
      for (const { target, readOnly } of disks) {
        const volume = volumeOfPath(target);
        const identity = sight === undefined || volume === undefined ? undefined : volumeIdentity(sight, volume);
        if (volume === undefined || identity === undefined) continue;
        if (!written.has(identity) && (readOnly || !read.has(identity))) continue;
        throw new CxmError(
          'REFUSED',
          `${formatVolumeName(volume)} of ${vm} is a disk of ${name ?? 'a domain without name'} (domain ${id}) on ${node}`,
          { hint: 'two domains on one volume ruin it: end the other one, or give each its own' },
        );
      }
    }
  }
}

/**
 * The last look before a domain is made, when its volumes are active here and nowhere else: the VM is nowhere yet, and what
 * was switched off elsewhere was not switched on again, and who was off is. A device that is still open here is waited for.
 * @throws CxmError REFUSED, IN_USE, NOT_FOUND, HOST_UNREACHABLE
 */
export async function requireAlone(cluster: Cluster, definition: VmDefinition, node: string): Promise<void> {
  const { clock, settings } = cluster;
  const giveUp = clock.now() + settings.busyTimeoutMs;
  await cluster.requireUsable?.(node);
  for (;;) {
    const answers = requireAll(
      await askNodes(cluster.nodes, async (body) => {
        const [rows, { volumes }] = await Promise.all([body.toolstack.list(), body.inventory()]);
        return { node: body.name, rows, volumes };
      }),
    );
    const looks = answers.map(({ value }) => value);
    requireNowhere(looks, definition.vm);
    const own = looks.find((look) => look.node === node);
    if (own === undefined) throw new CxmError('NOT_FOUND', `${node} is no node of the cluster`);
    for (const volume of definition.volumes) {
      if (volumeIn(own, volume) === undefined) {
        throw new CxmError('NOT_FOUND', `${formatVolumeName(volume)} was removed meanwhile`);
      }
      const identity = volumeIdentity(own, volume);
      const other = looks.find(
        (look) => look !== own && volumeIn(look, volume)?.active === true && volumeIdentity(look, volume) === identity,
      );
      if (other === undefined) continue;
      throw new CxmError('REFUSED', `${formatVolumeName(volume)} was activated on ${other.node} meanwhile`, {
        hint: 'another VM has it in its configuration, or somebody works on it: see `cxm check`',
      });
    }
    const open = definition.volumes.find((volume) => volumeIn(own, volume)?.open === true);
    if (open === undefined) return;
    if (clock.now() >= giveUp) {
      throw new CxmError('IN_USE', `${formatVolumeName(open)} is in use on ${node}, and not by ${definition.vm}`);
    }
    await clock.sleep(300);
  }
}

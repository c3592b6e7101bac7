/**
 * Volumes of VMs without starting or ending these: for an administrator, and for a node that has just booted. What only one
 * node's state depends on needs only that node's lock, since nobody can bring the VM there without it.
 */
import { asCxmError, CxmError } from '../errors.ts';
import type { VolumeName } from '../lvm/device-path.ts';
import { rowsOf } from '../xen/domain-list.ts';
import { mayBeRestarting, outwaitRestart, seenMeanwhile } from './alone.ts';
import { carryOut, type PlainStep } from './carry-out.ts';
import { nodeNamed, requireAll, type Cluster } from './cluster.ts';
import { definitionOf, type VmDefinition } from './definition.ts';
import { requireDefinition, wordsOf } from './locate.ts';
import type { ClusterNode } from './node.ts';
import { activateExclusively, requireVolumes } from './start.ts';
import { answersOf, lookAt, surveyNodes, volumeIn, whereabouts, type NodeSight } from './survey.ts';
import { withVmLock } from './vm-lock.ts';

/**
 * On this node and no other; what the VM only reads may be active on others, too, and is returned.
 * @throws CxmError REFUSED when the VM is on another node; IN_USE
 */
export function activateVm(cluster: Cluster, vm: string, node: string): Promise<readonly VolumeName[]> {
  return withVmLock(cluster, vm, async (lock) => {
    const survey = await surveyNodes(cluster);
    requireAll(answersOf(survey));
    const { running, traces } = whereabouts(survey.sights, vm);
    const places = [...running, ...traces];
    const away = places.find((place) => place.node !== node);
    if (away !== undefined) {
      const hint = `move it with \`cxm migrate ${vm} ${node}\`, or end it with \`cxm shutdown ${vm}\``;
      throw new CxmError('REFUSED', `${vm} is ${wordsOf(away.row)} on ${away.node}`, { hint });
    }
    const definition = await requireDefinition(nodeNamed(cluster, node), vm);
    const own = requireVolumes(survey.sights, definition, node);
    if (places.length === 0) await outwaitRestart(cluster, survey.sights, definition, node);
    await carryOut(cluster, activateExclusively(survey.sights, definition, own), lock);
    return definition.readOnlyVolumes;
  });
}

/** @throws CxmError REFUSED while the VM is on that node; IN_USE */
export function deactivateVm(cluster: Cluster, vm: string, node: string): Promise<void> {
  const body = nodeNamed(cluster, node);
  return withVmLock({ ...cluster, nodes: [body] }, vm, async (lock) => {
    const [sight, definition] = await Promise.all([lookAt(body), requireDefinition(body, vm)]);
    requireAbsent(sight.node, sight.rows, vm);
    if (definition.volumes.length > 0 && mayBeRestarting([sight], definition)) {
      const seen = (await seenMeanwhile(cluster, [body], [vm])).get(vm);
      if (seen !== undefined) requireAbsent(node, [seen.row], vm);
    }
    await carryOut(cluster, idleVolumes(sight, definition), lock);
  });
}

function requireAbsent(node: string, rows: NodeSight['rows'], vm: string): void {
  const [row] = rowsOf(rows, vm);
  if (row === undefined) return;
  const hint = `\`cxm shutdown ${vm}\` ends it and deactivates its volumes`;
  throw new CxmError('REFUSED', `${vm} is ${wordsOf(row)} on ${node}`, { hint });
}

/** What deactivateIdle found and did. */
export interface IdleResult {
  readonly deactivated: readonly string[];
  readonly failures: readonly { readonly vm: string; readonly error: CxmError }[];
}

/** Deactivates the volumes of all VMs that are not on the node: for its boot, before anything is started. */
export async function deactivateIdle(cluster: Cluster, node: string): Promise<IdleResult> {
  const body = nodeNamed(cluster, node);
  const [sight, configs] = await Promise.all([lookAt(body), body.files.readConfigs()]);
  const deactivated: string[] = [];
  const failures: { vm: string; error: CxmError }[] = [];
  const idle: { readonly vm: string; readonly steps: readonly PlainStep[] }[] = [];
  for (const config of configs) {
    if (rowsOf(sight.rows, config.vm).length > 0) continue;
    try {
      const steps = idleVolumes(sight, definitionOf(config));
      if (steps.length > 0) idle.push({ vm: config.vm, steps });
    } catch (error) {
      failures.push({ vm: config.vm, error: asCxmError(error) });
    }
  }
  if (idle.length === 0) return { deactivated, failures };
  // One that reboots was in no list; together they are waited for once.
  const names = idle.map(({ vm }) => vm);
  const seen = await seenMeanwhile(cluster, [body], names);
  const seenAt = cluster.clock.now();
  for (const { vm, steps } of idle.filter((one) => !seen.has(one.vm))) {
    try {
      if (await deactivateIfIdle(cluster, body, { vm, steps, seenAt })) deactivated.push(vm);
    } catch (error) {
      failures.push({ vm, error: asCxmError(error) });
    }
  }
  return { deactivated, failures };
}

interface IdleVm {
  readonly vm: string;
  readonly steps: readonly PlainStep[];
  /** When it was certain that it is not on the node. */
  readonly seenAt: number;
}

/** So long the look at the node is believed: who starts the VM and sees it reboot takes longer. */
const believedMs = 2000;

/** @returns false if the VM is there by now: another node's cxm may have started it */
function deactivateIfIdle(cluster: Cluster, body: ClusterNode, { vm, steps, seenAt }: IdleVm): Promise<boolean> {
  return withVmLock({ ...cluster, nodes: [body] }, vm, async (lock) => {
    if (rowsOf(await body.toolstack.list(), vm).length > 0) return false;
    const isOld = cluster.clock.now() - seenAt > believedMs;
    if (isOld && (await seenMeanwhile(cluster, [body], [vm])).has(vm)) return false;
    await carryOut(cluster, steps, lock);
    return true;
  });
}

/** Those it only reads stay active while somebody has them open: another VM may be reading, too. */
function idleVolumes(sight: NodeSight, { volumes, readOnlyVolumes }: VmDefinition): PlainStep[] {
  const isActive = (volume: VmDefinition['volumes'][number]): boolean => volumeIn(sight, volume)?.active === true;
  const unread = readOnlyVolumes.filter((volume) => volumeIn(sight, volume)?.open === false);
  const step = (volume: VmDefinition['volumes'][number]) =>
    ({ kind: 'deactivate', node: sight.node, volume, wasActive: true }) as const;
  return [
    ...volumes.filter(isActive).map(step),
    ...unread.filter(isActive).map((volume) => ({ ...step(volume), unlessRead: true as const })),
  ];
}

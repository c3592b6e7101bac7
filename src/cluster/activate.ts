/** Volumes of VMs without starting or ending these: for an administrator, and for a node that has just booted. */
import { asCxmError, CxmError } from '../errors.ts';
import { rowsOf } from '../xen/domain-list.ts';
import { carryOut, tidyUp, type PlainStep } from './carry-out.ts';
import { nodeNamed, requireAll, type Cluster } from './cluster.ts';
import { definitionOf, type VmDefinition } from './definition.ts';
import { requireDefinition, wordsOf } from './locate.ts';
import { activateExclusively, requireVolumes } from './start.ts';
import { answersOf, lookAt, surveyNodes, volumeIn, whereabouts, type NodeSight } from './survey.ts';
import { withVmLock } from './vm-lock.ts';

/** On this node and no other. @throws CxmError REFUSED when the VM is on another node; IN_USE */
export function activateVm(cluster: Cluster, vm: string, node: string): Promise<void> {
  return withVmLock(cluster, vm, async (lock) => {
    const survey = await surveyNodes(cluster);
    requireAll(answersOf(survey));
    const { running, traces } = whereabouts(survey.sights, vm);
    const away = [...running, ...traces].find((place) => place.node !== node);
    if (away !== undefined) throw new CxmError('REFUSED', `${vm} is ${wordsOf(away.row)} on ${away.node}`);
    const definition = await requireDefinition(nodeNamed(cluster, node), vm);
    const own = requireVolumes(survey.sights, definition, node);
    await carryOut(cluster, activateExclusively(survey.sights, definition, own), lock);
  });
}

/** @throws CxmError REFUSED while the VM is on that node; IN_USE */
export function deactivateVm(cluster: Cluster, vm: string, node: string): Promise<void> {
  return withVmLock(cluster, vm, async (lock) => {
    const body = nodeNamed(cluster, node);
    const [sight, definition] = await Promise.all([lookAt(body), requireDefinition(body, vm)]);
    const [row] = rowsOf(sight.rows, vm);
    if (row !== undefined) throw new CxmError('REFUSED', `${vm} is ${wordsOf(row)} on ${node}`);
    await carryOut(cluster, idleVolumes(sight, definition), lock);
  });
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
  for (const config of configs) {
    if (rowsOf(sight.rows, config.vm).length > 0) continue;
    try {
      const steps = idleVolumes(sight, definitionOf(config));
      if (steps.length === 0) continue;
      await withVmLock({ ...cluster, nodes: [body] }, config.vm, async () => {
        // Another node's cxm may have started it here since.
        if (rowsOf(await body.toolstack.list(), config.vm).length > 0) return;
        await tidyUp(cluster, steps);
        deactivated.push(config.vm);
      });
    } catch (error) {
      failures.push({ vm: config.vm, error: asCxmError(error) });
    }
  }
  return { deactivated, failures };
}

function idleVolumes(sight: NodeSight, { volumes }: Pick<VmDefinition, 'volumes'>): PlainStep[] {
  return volumes
    .filter((volume) => volumeIn(sight, volume)?.active === true)
    .map((volume) => ({ kind: 'deactivate', node: sight.node, volume, wasActive: true }));
}

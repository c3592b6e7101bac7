/**
 * Carries out steps. What fails takes back what was done before it, in reverse, and says so; what could not be taken back
 * is told, too. Starting and migrating are not in here: whether they have failed only a look at the nodes can tell.
 */
import { asCxmError, CxmError } from '../errors.ts';
import { formatVolumeName, type VolumeName } from '../lvm/device-path.ts';
import { restartGapMs } from './alone.ts';
import { changedAfter } from './certainty.ts';
import { nodeNamed, type Cluster } from './cluster.ts';
import { definitionOf } from './definition.ts';
import type { ClusterNode } from './node.ts';
import type { VmConfig } from './node-files.ts';
import { describeStep, type Step } from './steps.ts';
import type { VmLock } from './vm-lock.ts';

export type PlainStep = Exclude<Step, { kind: 'create' | 'migrate' }>;

/**
 * All or none.
 * @throws CxmError of the step that failed, `changed` being 'rolled-back', or 'maybe' when something stays
 */
export async function carryOut(cluster: Cluster, steps: readonly PlainStep[], lock: VmLock): Promise<void> {
  const begun: PlainStep[] = [];
  for (const step of steps) {
    try {
      lock.check();
      cluster.reporter.step(describeStep(step));
      // Also what fails may have had its effect: it is taken back with the others.
      begun.push(step);
      await perform(cluster, step, lock);
    } catch (error) {
      const clean = await takeBack(cluster, begun, lock);
      const { code, message, hint } = asCxmError(error);
      throw new CxmError(code, message, { hint, cause: error, changed: changedAfter(error, clean) });
    }
  }
}

/** Undoes steps in reverse. @returns false when something could not be taken back, which has been told */
export async function takeBack(cluster: Cluster, steps: readonly PlainStep[], lock: VmLock): Promise<boolean> {
  let clean = true;
  for (const step of steps.toReversed()) {
    const undo = inverse(step);
    if (undo === undefined) continue;
    try {
      await perform(cluster, undo, lock);
    } catch (error) {
      clean = false;
      cluster.reporter.note('WARN', `${describeStep(undo)} failed: ${asCxmError(error).message}`);
    }
  }
  return clean;
}

/** Steps that follow what can't be undone: each is tried, and what fails is told. @returns false when something has failed */
export async function tidyUp(cluster: Cluster, steps: readonly PlainStep[], lock: VmLock): Promise<boolean> {
  let clean = true;
  for (const step of steps) {
    cluster.reporter.step(describeStep(step));
    await perform(cluster, step, lock).catch((error: unknown) => {
      clean = false;
      cluster.reporter.note('WARN', `${describeStep(step)} failed: ${asCxmError(error).message}`);
    });
  }
  return clean;
}

function inverse(step: PlainStep): PlainStep | undefined {
  switch (step.kind) {
    case 'activate':
      if (step.wasExclusive === true) return { ...step, mode: 'exclusive' };
      return step.wasActive ? undefined : { ...step, kind: 'deactivate', wasActive: true };
    case 'deactivate':
      // An inactive volume harms nobody, one that is active on two nodes may.
      return undefined;
    case 'link':
      return { ...step, kind: 'unlink' };
    case 'unlink':
      return { ...step, kind: 'link' };
    case 'hook':
      return undefined;
  }
}

/** Under the lock: a step that was begun by a cxm without it is refused by its node. */
async function perform(cluster: Cluster, step: PlainStep, { vm }: VmLock): Promise<void> {
  if (step.kind === 'hook') return runHook(cluster, step);
  const node = nodeNamed(cluster, step.node).under(vm);
  switch (step.kind) {
    case 'activate':
      await node.volumes(step.volume.group).activate(step.volume.volume, step.mode);
      return;
    case 'deactivate':
      if (step.unlessRead === true && (await isReadByAnother(cluster, node, step.volume, vm))) return;
      return deactivate(cluster, node, step);
    case 'link':
      return node.files.setLink(step.vm, step.configPath);
    case 'unlink':
      return node.files.removeLink(step.vm, step.configPath);
  }
}

/** How long the VM's own backend may still hold what it has only read; whoever holds it longer is another one. */
const readPatienceMs = 3000;

/**
 * Whether another VM of the node may be reading this volume. One that reboots holds it for seconds by no device, and would
 * not come up without it; so where another one has it in its configuration, it is watched for that time.
 */
async function isReadByAnother(
  { clock }: Cluster,
  node: ClusterNode,
  volume: VolumeName,
  vm: string,
): Promise<boolean> {
  const configs = await node.files.readConfigs();
  if (!configs.some((config) => config.vm !== vm && readsVolume(config, volume))) return false;
  const began = clock.now();
  let closedSince: number | undefined;
  for (;;) {
    const isOpen = (await node.volumes(volume.group).find(volume.volume))?.open === true;
    const now = clock.now();
    closedSince = isOpen ? undefined : (closedSince ?? now);
    if (closedSince !== undefined && now - closedSince >= restartGapMs) return false;
    if (isOpen && now - began >= readPatienceMs) return true;
    await clock.sleep(500);
  }
}

function readsVolume(config: VmConfig, { group, volume }: VolumeName): boolean {
  try {
    return definitionOf(config).readOnlyVolumes.some((own) => own.group === group && own.volume === volume);
  } catch {
    return true; // nobody knows
  }
}

/** Xen's backends let go of a device a moment after their domain has gone. */
async function deactivate(
  { clock, settings }: Cluster,
  node: ClusterNode,
  { volume, unlessRead }: Extract<PlainStep, { kind: 'deactivate' }>,
): Promise<void> {
  const patienceMs = unlessRead === true ? Math.min(readPatienceMs, settings.busyTimeoutMs) : settings.busyTimeoutMs;
  const giveUp = clock.now() + patienceMs;
  for (;;) {
    try {
      return await node.volumes(volume.group).deactivate(volume.volume);
    } catch (error) {
      const failure = asCxmError(error);
      if (failure.code !== 'IN_USE') throw failure;
      if (clock.now() >= giveUp) {
        if (unlessRead === true) return;
        throw new CxmError('IN_USE', `${formatVolumeName(volume)} is in use on ${node.name}`, { cause: failure });
      }
    }
    await clock.sleep(300);
  }
}

/** Detached: how long it takes and how it ends is no matter of the migration. */
async function runHook(
  cluster: Cluster,
  { vm, source, destination }: { readonly vm: string; readonly source: string; readonly destination: string },
): Promise<void> {
  const hook = cluster.settings.postMigrationHook;
  if (hook === undefined) return;
  await nodeNamed(cluster, source).system.startDetached(hook, [vm, source, destination]);
}

/**
 * Carries out steps. What fails takes back what was done before it, in reverse, and says so; what could not be taken back
 * is told, too. Starting and migrating are not in here: whether they have failed only a look at the nodes can tell.
 */
import { asCxmError, CxmError } from '../errors.ts';
import { formatVolumeName, type VolumeName } from '../lvm/device-path.ts';
import { nodeNamed, type Cluster } from './cluster.ts';
import { describeStep, type Step } from './steps.ts';
import type { VmLock } from './vm-lock.ts';

export type PlainStep = Exclude<Step, { kind: 'create' | 'migrate' }>;

/**
 * All or none.
 * @throws CxmError of the step that failed, `changed` being 'rolled-back', or 'maybe' when something stays
 */
export async function carryOut(cluster: Cluster, steps: readonly PlainStep[], lock: VmLock): Promise<void> {
  const done: PlainStep[] = [];
  for (const step of steps) {
    try {
      lock.check();
      cluster.reporter.step(describeStep(step));
      await perform(cluster, step);
      done.push(step);
    } catch (error) {
      const clean = await takeBack(cluster, done);
      const { code, message, hint } = asCxmError(error);
      throw new CxmError(code, message, { hint, cause: error, changed: clean ? 'rolled-back' : 'maybe' });
    }
  }
}

/** Undoes steps in reverse. @returns false when something could not be taken back, which has been told */
export async function takeBack(cluster: Cluster, steps: readonly PlainStep[]): Promise<boolean> {
  let clean = true;
  for (const step of steps.toReversed()) {
    const undo = inverse(step);
    if (undo === undefined) continue;
    try {
      await perform(cluster, undo);
    } catch (error) {
      clean = false;
      cluster.reporter.note('WARN', `${describeStep(undo)} failed: ${asCxmError(error).message}`);
    }
  }
  return clean;
}

/** Steps that follow what can't be undone: each is tried, and what fails is told. */
export async function tidyUp(cluster: Cluster, steps: readonly PlainStep[]): Promise<void> {
  for (const step of steps) {
    cluster.reporter.step(describeStep(step));
    await perform(cluster, step).catch((error: unknown) => {
      cluster.reporter.note('WARN', `${describeStep(step)} failed: ${asCxmError(error).message}`);
    });
  }
}

function inverse(step: PlainStep): PlainStep | undefined {
  switch (step.kind) {
    case 'activate':
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

async function perform(cluster: Cluster, step: PlainStep): Promise<void> {
  switch (step.kind) {
    case 'activate':
      await nodeNamed(cluster, step.node).volumes(step.volume.group).activate(step.volume.volume, step.mode);
      return;
    case 'deactivate':
      return deactivate(cluster, step.node, step.volume);
    case 'link':
      return nodeNamed(cluster, step.node).files.setLink(step.vm, step.configPath);
    case 'unlink':
      return nodeNamed(cluster, step.node).files.removeLink(step.vm, step.configPath);
    case 'hook':
      return runHook(cluster, step);
  }
}

/** Xen's backends let go of a device a moment after their domain has gone. */
async function deactivate(cluster: Cluster, node: string, volume: VolumeName): Promise<void> {
  const { clock, settings } = cluster;
  const giveUp = clock.now() + settings.busyTimeoutMs;
  for (;;) {
    try {
      return await nodeNamed(cluster, node).volumes(volume.group).deactivate(volume.volume);
    } catch (error) {
      const failure = asCxmError(error);
      if (failure.code !== 'IN_USE') throw failure;
      if (clock.now() >= giveUp) {
        throw new CxmError('IN_USE', `${formatVolumeName(volume)} is in use on ${node}`, { cause: failure });
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

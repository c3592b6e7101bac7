/**
 * Ending a VM: asked to shut down and, after SHUTDOWN_TIMEOUT, destroyed; or destroyed at once. Success is only said of a
 * VM that is on no node any more, and its volumes are inactive then. A VM that was moved meanwhile is left alone, and so is
 * one that somebody else has started since the guest was asked.
 */
import { asCxmError, CxmError } from '../errors.ts';
import { formatVolumeName, type VolumeName } from '../lvm/device-path.ts';
import { monitorGraceMs, needsMonitor, rowsOf, runsHere, type DomainRow } from '../xen/domain-list.ts';
import { isToolstackError } from '../xen/toolstack-error.ts';
import type { ShutdownOutcome } from '../xen/toolstack.ts';
import { seenMeanwhile } from './alone.ts';
import { tidyUp, type PlainStep } from './carry-out.ts';
import { askNodes, nodeNamed, type Cluster } from './cluster.ts';
import { definitionOf, sortedDisks, type VmDefinition } from './definition.ts';
import { findVm, listNodes, requireRunning, wordsOf, type RunningVm } from './locate.ts';
import type { ClusterNode } from './node.ts';
import { checkedName } from './node-files.ts';
import { volumeIdentity, volumeIn, whereabouts, type VolumesOfNode } from './survey.ts';
import { withVmLock, type VmLock } from './vm-lock.ts';

export interface StopResult {
  readonly node: string;
  /** How it ended: the guest itself, or by force. */
  readonly ended: 'shutdown' | 'destroyed';
}

/** Between two requests to a guest that does not listen, as one that is still booting. */
const askAgainMs = 3000;
const removalMs = 30_000;
/** How often a domain may come up again until we give up. */
const maxReturns = 5;

/** @throws CxmError NOT_FOUND, REFUSED, XEN; the VM may run on then */
export async function shutdownVm(cluster: Cluster, vm: string): Promise<StopResult> {
  const { node, row } = await requireRunning(cluster, vm);
  const since = await holderBeside(node, vm, row);
  const held = await volumesHeld(node, row);
  cluster.reporter.step(`${node.name}: shut ${vm} down`);
  // No lock while waiting: who wants to destroy it in the meantime must not wait, too.
  const outcome = await askUntilDeadline(cluster, node, row).catch(tellChange);
  const byForce = outcome !== 'gone' && outcome !== 'leftBehind';
  if (byForce) {
    const seconds = Math.round(cluster.settings.shutdownTimeoutMs / 1000);
    cluster.reporter.note('WARN', `${vm} did not shut down within ${seconds} s and is destroyed`);
  }
  const end: End = { node, row: outcome === 'gone' ? undefined : row, held, since };
  await withVmLock(cluster, vm, (lock) => finish(cluster, lock, end), { needed: [node.name] }).catch(tellChange);
  return { node: node.name, ended: byForce ? 'destroyed' : 'shutdown' };
}

/**
 * Also removes what a migration or a lost monitor has left of a VM that runs nowhere.
 * @throws CxmError NOT_FOUND, REFUSED, XEN
 */
export async function destroyVm(cluster: Cluster, vm: string): Promise<StopResult> {
  const seen = await requireAnything(cluster, vm);
  return withVmLock(
    cluster,
    vm,
    async (lock) => {
      // Whoever held the lock before may have moved it, or ended it.
      const { node, row } = await requireAnything(cluster, vm);
      cluster.reporter.step(`${node.name}: destroy ${vm}`);
      const held = await volumesHeld(node, row);
      await finish(cluster, lock, { node, row, held, since: undefined }).catch(tellChange);
      return { node: node.name, ended: 'destroyed' };
    },
    { needed: [seen.node.name] },
  );
}

/** The running domain, or else the one trace of it. */
async function requireAnything(cluster: Cluster, vm: string): Promise<{ node: ClusterNode; row: DomainRow }> {
  try {
    return await requireRunning(cluster, vm);
  } catch (error) {
    if (!(error instanceof CxmError) || error.code !== 'NOT_FOUND') throw error;
    const { running, traces } = await findVm(cluster, vm);
    const [trace, another] = traces;
    if (running.length > 0 || trace === undefined) throw error;
    if (another !== undefined) {
      const places = traces.map(({ node, row }) => `${node} (${wordsOf(row)})`).join(' and ');
      throw new CxmError('REFUSED', `there are traces of ${vm} on ${places}`, {
        hint: 'a migration may be under way; if it is not, destroy the suspended domain with `xl destroy` on its node',
        cause: error,
      });
    }
    return { node: nodeNamed(cluster, trace.node), row: trace.row };
  }
}

async function askUntilDeadline(cluster: Cluster, node: ClusterNode, row: DomainRow): Promise<ShutdownOutcome> {
  const { clock, settings, signal } = cluster;
  const deadline = clock.now() + settings.shutdownTimeoutMs;
  for (;;) {
    const timeoutMs = Math.max(1000, deadline - clock.now());
    const outcome = await node.toolstack.shutdown(row.id, { wait: true, timeoutMs });
    if (signal.aborted) throw new CxmError('INTERRUPTED', 'the shutdown was not waited for', { changed: 'maybe' });
    const left = deadline - clock.now();
    if (outcome !== 'unresponsive' || left <= 0) return outcome;
    await clock.sleep(Math.min(askAgainMs, left));
  }
}

/** Of what fails after the guest was asked or destroyed. @throws CxmError always */
function tellChange(error: unknown): never {
  const { code, message, hint } = asCxmError(error);
  throw new CxmError(code, message, { hint, cause: error, changed: 'maybe' });
}

interface End {
  readonly node: ClusterNode;
  /** To be destroyed; undefined if it has gone. */
  readonly row: DomainRow | undefined;
  readonly held: Disks;
  /** Who had the VM's lock last when it was looked at; undefined where that was under our own. */
  readonly since: string | undefined;
}

type Disks = Pick<VmDefinition, 'volumes' | 'readOnlyVolumes'>;

const noDisks: Disks = { volumes: [], readOnlyVolumes: [] };

/** What the domain has, disks that were attached while it ran included; nothing if it can't be said. */
async function volumesHeld(node: ClusterNode, { id }: DomainRow): Promise<Disks> {
  const all = await node.toolstack.details(id).catch(() => []);
  const own = all.find((details) => details.id === id);
  return own === undefined ? noDisks : sortedDisks(own.disks.filter(({ target }) => target !== ''));
}

/** What no holder of a lock is called. */
const nobody = 'nobody';

/** Who had the lock of the VM last while this domain was there. */
async function holderBeside(node: ClusterNode, vm: string, { id }: DomainRow): Promise<string> {
  const { latest } = await node.holders(vm);
  // Whoever has it now may have ended it before we asked.
  return (await node.toolstack.find(id)) === undefined ? nobody : latest;
}

/** Removes the domain if it is still there, ends what comes up again, and deactivates the volumes everywhere. */
async function finish(cluster: Cluster, lock: VmLock, { node, row, held, since }: End): Promise<void> {
  const { vm } = lock;
  if (row !== undefined) await destroyRow(cluster, lock, node, row);
  await lookElsewhere(cluster, vm, node);
  if (since !== undefined && (await node.holders(vm)).former !== since) await requireNotStartedAnew(cluster, vm, node);
  for (let returns = 0; ; returns += 1) {
    let rows = await remaining(node, vm);
    if (rows.length === 0) {
      const certain = await release(cluster, lock, { node, held });
      // One in the middle of a reboot was in no list, and comes up again where nothing was taken from it.
      if (!certain) await seenMeanwhile(cluster, [node], [vm]);
      rows = await remaining(node, vm);
      if (rows.length === 0) return;
    }
    if (returns >= maxReturns) {
      throw new CxmError('XEN', `${vm} comes up again and again on ${node.name}`, { changed: 'maybe' });
    }
    cluster.reporter.note('WARN', `${vm} came up again on ${node.name}: it is destroyed`);
    for (const again of rows) await destroyRow(cluster, lock, node, again);
  }
}

async function remaining(node: ClusterNode, vm: string): Promise<readonly DomainRow[]> {
  return rowsOf(await node.toolstack.list(), vm).filter(({ state }) => !state.dying);
}

/**
 * Somebody else has had the lock while the guest was waited for: what is there now, or comes back from a reboot, may be his.
 * @throws CxmError REFUSED
 */
async function requireNotStartedAnew(cluster: Cluster, vm: string, node: ClusterNode): Promise<void> {
  const seen = (await seenMeanwhile(cluster, [node], [vm])).get(vm);
  if (seen === undefined) return;
  throw new CxmError('REFUSED', `somebody else has worked on ${vm} meanwhile: domain ${seen.row.id} is left alone`, {
    hint: `it has been started anew on ${node.name}, or rebooted; \`cxm shutdown ${vm}\` once more ends it`,
  });
}

/** @throws CxmError REFUSED when the VM was moved meanwhile */
async function lookElsewhere(cluster: Cluster, vm: string, node: ClusterNode): Promise<void> {
  const { answers, silent } = await listNodes(cluster);
  const { running, traces } = whereabouts(
    answers.map(({ node: name, value }) => ({ node: name, rows: value })),
    vm,
  );
  const moved = running.find((place) => place.node !== node.name);
  if (moved !== undefined) throw new CxmError('REFUSED', `${vm} was moved to ${moved.node} meanwhile, and runs there`);
  for (const { node: name, row } of traces.filter((place) => place.node !== node.name)) {
    cluster.reporter.note('WARN', `domain ${row.id} of ${vm} on ${name} is ${wordsOf(row)}: it is left alone`);
  }
  for (const { node: name, error } of silent) {
    cluster.reporter.note('WARN', `${name} can't be asked whether it has anything of ${vm}: ${error.message}`);
  }
}

/**
 * Its volumes, wherever they are active; what it only reads others may be reading, too. A volume that is open on another
 * node is somebody else's. Without a configuration only what the domain had is known.
 * @returns whether its guest can't come up again on the node without them
 */
async function release(cluster: Cluster, lock: VmLock, { node, held }: Pick<End, 'node' | 'held'>): Promise<boolean> {
  try {
    const config = await node.files.readConfig(checkedName(lock.vm));
    const configured: Disks = config === undefined ? noDisks : definitionOf(config);
    const own = await node.inventory();
    const { answers } = await askNodes(cluster.nodes, (other) => other.inventory());
    const elsewhere = answers
      .filter(({ node: name }) => name !== node.name)
      .flatMap(({ node: name, value: sight }) =>
        configured.volumes
          .filter((volume) => volumeIdentity(sight, volume) === volumeIdentity(own, volume))
          .filter((volume) => volumeIn(sight, volume)?.open === false)
          .flatMap((volume) => deactivations(name, sight, volume)),
      );
    const deactivateHere = (volume: VolumeName): PlainStep[] => deactivations(node.name, own, volume);
    const written = distinct([...configured.volumes, ...held.volumes]);
    const readOnly = distinct([...configured.readOnlyVolumes, ...held.readOnlyVolumes]);
    const read = readOnly.flatMap(deactivateHere).map(unlessRead);
    await tidyUp(cluster, [...written.flatMap(deactivateHere), ...elsewhere, ...read], lock);
    return written.length > 0;
  } catch (error) {
    cluster.reporter.note('WARN', `the volumes of ${lock.vm} stay active: ${asCxmError(error).message}`);
    return false;
  }
}

/** The configuration and the domain name mostly the same ones. */
function distinct(volumes: readonly VolumeName[]): readonly VolumeName[] {
  return [...new Map(volumes.map((volume) => [formatVolumeName(volume), volume])).values()];
}

function unlessRead(step: PlainStep): PlainStep {
  return step.kind === 'deactivate' ? { ...step, unlessRead: true } : step;
}

function deactivations(node: string, sight: VolumesOfNode, volume: VolumeName): PlainStep[] {
  if (volumeIn(sight, volume)?.active !== true) return [];
  return [{ kind: 'deactivate', node, volume, wasActive: true }];
}

/** Destroys a domain and waits until it has left the list. @throws ToolstackError, CxmError TIMEOUT */
async function destroyRow({ clock }: Cluster, { vm }: VmLock, node: ClusterNode, row: DomainRow): Promise<void> {
  await node
    .under(vm)
    .toolstack.destroy(row.id)
    .catch((error: unknown) => {
      if (!isToolstackError(error, 'unknownDomain')) throw error;
    });
  const giveUp = clock.now() + removalMs;
  while ((await node.toolstack.find(row.id)) !== undefined) {
    if (clock.now() >= giveUp) {
      throw new CxmError('TIMEOUT', `domain ${row.id} on ${node.name} is destroyed but still listed`, {
        changed: 'maybe',
      });
    }
    await clock.sleep(200);
  }
}

export type RebootResult = 'rebooted' | 'restarted';

/**
 * Asks the guest to reboot and waits until it has. A guest that lost its monitor never comes up again by itself: its domain
 * is removed and started anew by `startAgain`.
 * @throws CxmError NOT_FOUND, REFUSED, XEN, TIMEOUT when it does not react
 */
export async function rebootVm(
  cluster: Cluster,
  vm: string,
  startAgain: (node: string) => Promise<unknown>,
): Promise<RebootResult> {
  const { node, row } = await requireRunning(cluster, vm);
  cluster.reporter.step(`${node.name}: reboot ${vm}`);
  await node.toolstack.reboot(row.id).catch((error: unknown) => {
    if (!isToolstackError(error, 'unresponsiveGuest')) throw error;
    throw new CxmError('TIMEOUT', `${vm} on ${node.name} does not react to being asked to reboot`, {
      hint: `look at its console; \`cxm destroy ${vm}\` and \`cxm create ${vm}\` restart it by force`,
      cause: error,
      changed: 'maybe',
    });
  });
  const left = await waitForReboot(cluster, { vm, node, row }).catch(tellChange);
  if (left === undefined) return 'rebooted';
  cluster.reporter.note('WARN', `nobody restarts ${vm} on ${node.name}, whose monitor was lost: it is started anew`);
  await withVmLock(cluster, vm, (lock) => destroyRow(cluster, lock, node, left)).catch(tellChange);
  await startAgain(node.name).catch(tellChange);
  return 'restarted';
}

/** @returns the domain that nobody restarts; undefined once the VM runs as another one */
async function waitForReboot(
  { clock, settings }: Cluster,
  { vm, node, row }: RunningVm & { readonly vm: string },
): Promise<DomainRow | undefined> {
  const giveUp = clock.now() + settings.shutdownTimeoutMs;
  let unattendedSince: number | undefined;
  for (;;) {
    const rows = rowsOf(await node.toolstack.list(), vm);
    if (rows.some((other) => other.id !== row.id && runsHere(other))) return undefined;
    const left = rows.find(needsMonitor);
    unattendedSince = left === undefined ? undefined : (unattendedSince ?? clock.now());
    if (left !== undefined && unattendedSince !== undefined && clock.now() - unattendedSince >= monitorGraceMs) {
      return left;
    }
    if (clock.now() >= giveUp) {
      throw new CxmError('TIMEOUT', `${vm} was asked to reboot and has not done so`, {
        hint: `it may still do so; \`cxm destroy ${vm}\` and \`cxm create ${vm}\` restart it by force`,
      });
    }
    await clock.sleep(500);
  }
}

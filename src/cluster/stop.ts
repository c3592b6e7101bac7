/**
 * Ending a VM: asked to shut down and, after SHUTDOWN_TIMEOUT, destroyed; or destroyed at once. Success is only said of a
 * VM that is on no node any more, and its volumes are inactive then. A VM that was moved meanwhile is left alone.
 */
import { asCxmError, CxmError } from '../errors.ts';
import { monitorGraceMs, needsMonitor, rowsOf, runsHere, type DomainRow } from '../xen/domain-list.ts';
import { isToolstackError } from '../xen/toolstack-error.ts';
import type { ShutdownOutcome } from '../xen/toolstack.ts';
import { tidyUp, type PlainStep } from './carry-out.ts';
import { nodeNamed, type Cluster } from './cluster.ts';
import { definitionOf } from './definition.ts';
import { findVm, requireRunning, wordsOf } from './locate.ts';
import type { ClusterNode } from './node.ts';
import { checkedName } from './node-files.ts';
import { lookAt, volumeIn } from './survey.ts';
import { withVmLock } from './vm-lock.ts';

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
  cluster.reporter.step(`${node.name}: shut ${vm} down`);
  // No lock while waiting: who wants to destroy it in the meantime must not wait, too.
  const outcome = await askUntilDeadline(cluster, node, row);
  const byForce = outcome !== 'gone' && outcome !== 'leftBehind';
  if (byForce) {
    const seconds = Math.round(cluster.settings.shutdownTimeoutMs / 1000);
    cluster.reporter.note('WARN', `${vm} did not shut down within ${seconds} s and is destroyed`);
  }
  await finish(cluster, vm, node, outcome === 'gone' ? undefined : row);
  return { node: node.name, ended: byForce ? 'destroyed' : 'shutdown' };
}

/**
 * Also removes what a migration or a lost monitor has left of a VM that runs nowhere.
 * @throws CxmError NOT_FOUND, REFUSED, XEN
 */
export async function destroyVm(cluster: Cluster, vm: string): Promise<StopResult> {
  const { node, row } = await requireAnything(cluster, vm);
  cluster.reporter.step(`${node.name}: destroy ${vm}`);
  await finish(cluster, vm, node, row);
  return { node: node.name, ended: 'destroyed' };
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

/** Removes the domain if it is still there, ends what comes up again, and deactivates the volumes everywhere. */
function finish(cluster: Cluster, vm: string, node: ClusterNode, row: DomainRow | undefined): Promise<void> {
  return withVmLock(cluster, vm, async () => {
    if (row !== undefined) await destroyRow(cluster, node, row);
    const { running } = await findVm(cluster, vm);
    const moved = running.find((place) => place.node !== node.name);
    if (moved !== undefined)
      throw new CxmError('REFUSED', `${vm} was moved to ${moved.node} meanwhile, and runs there`);
    for (let returns = 0; ; returns += 1) {
      await release(cluster, vm);
      const rows = rowsOf(await node.toolstack.list(), vm).filter(({ state }) => !state.dying);
      if (rows.length === 0) return;
      if (returns >= maxReturns)
        throw new CxmError('XEN', `${vm} comes up again and again on ${node.name}`, { changed: 'maybe' });
      cluster.reporter.note('WARN', `${vm} came up again on ${node.name}: it is destroyed`);
      for (const again of rows) await destroyRow(cluster, node, again);
    }
  });
}

/** Its volumes, wherever they are active. Without a configuration nothing is known of them. */
async function release(cluster: Cluster, vm: string): Promise<void> {
  const steps = await Promise.all(
    cluster.nodes.map(async (node): Promise<PlainStep[]> => {
      const config = await node.files.readConfig(checkedName(vm));
      if (config === undefined) return [];
      const [sight, { volumes }] = [await lookAt(node), definitionOf(config)];
      const active = volumes.filter((volume) => volumeIn(sight, volume)?.active === true);
      return active.map((volume) => ({ kind: 'deactivate', node: node.name, volume, wasActive: true }));
    }),
  ).catch((error: unknown) => {
    cluster.reporter.note('WARN', `the volumes of ${vm} stay active: ${asCxmError(error).message}`);
    return [];
  });
  await tidyUp(cluster, steps.flat());
}

/** Destroys a domain and waits until it has left the list. @throws ToolstackError, CxmError TIMEOUT */
async function destroyRow({ clock }: Cluster, node: ClusterNode, row: DomainRow): Promise<void> {
  await node.toolstack.destroy(row.id).catch((error: unknown) => {
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
  await node.toolstack.reboot(row.id);
  const { clock, settings } = cluster;
  const giveUp = clock.now() + settings.shutdownTimeoutMs;
  let unattendedSince: number | undefined;
  for (;;) {
    const rows = rowsOf(await node.toolstack.list(), vm);
    if (rows.some((other) => other.id !== row.id && runsHere(other))) return 'rebooted';
    const left = rows.find(needsMonitor);
    unattendedSince = left === undefined ? undefined : (unattendedSince ?? clock.now());
    if (left !== undefined && unattendedSince !== undefined && clock.now() - unattendedSince >= monitorGraceMs) {
      cluster.reporter.note(
        'WARN',
        `nobody restarts ${vm} on ${node.name}, whose monitor was lost: it is started anew`,
      );
      await withVmLock(cluster, vm, () => destroyRow(cluster, node, left));
      await startAgain(node.name);
      return 'restarted';
    }
    if (clock.now() >= giveUp) {
      throw new CxmError('TIMEOUT', `${vm} was asked to reboot and has not done so`, {
        hint: `it may still do so; \`cxm destroy ${vm}\` and \`cxm create ${vm}\` restart it by force`,
        changed: 'maybe',
      });
    }
    await clock.sleep(500);
  }
}

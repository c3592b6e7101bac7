/**
 * reboot (asked) and reset (forced). A guest whose monitor process has ended, as after a failed save, would stay down
 * after its reboot for ever; such a one is started again from its configuration here. Whatever starts is held in the cluster,
 * which may have moved the VM since it was seen here.
 */
import { CxmError } from '../../errors.ts';
import { meaningOf, monitorGraceMs, needsMonitor, rowsOf, type DomainRow } from '../../xen/domain-list.ts';
import { requireBootFilesIn } from './domain-boot-files.ts';
import { destroyRow } from './domain-end.ts';
import type { DomainHost } from './domain-host.ts';
import { withDomainLock } from './domain-lock.ts';
import { findDomainOrNamed, requireRunning, volumeNames } from './domain-lookup.ts';
import type { DomainParameters } from './domain-parameters.ts';
import { forgetRestart, isRestartCutOff, noteRestart } from './domain-restarting.ts';
import { diskIdsIn } from './domain-save.ts';
import { namesInGroup } from './domain-volumes.ts';

/** How long the reboot of a guest is watched for one that needs our help. */
const watchMs = 60_000;
const pollMs = 1000;

export function reboot(host: DomainHost, { vmId, deployId }: DomainParameters): Promise<object> {
  return withDomainLock(host, vmId, async () => {
    const { name, row } = await requireRunning(host, vmId, deployId, findDomainOrNamed);
    await host.toolstack.reboot(row.id);
    const abandoned = await endsWithoutMonitor(host, name, row.id);
    if (abandoned) await startAgain(host, vmId, name);
    return {};
  });
}

/**
 * A VM that is not here is left alone: it may run elsewhere, and starting it twice would ruin its disks. Only one that a
 * restart has ended here, and failed to start, is started.
 */
export function reset(host: DomainHost, { vmId, deployId }: DomainParameters): Promise<object> {
  return withDomainLock(host, vmId, async () => {
    const { name, rows } = await findDomainOrNamed(host, vmId, deployId);
    const isHere = rows.some((row) => ['running', 'paused', 'shutDown'].includes(meaningOf(row)));
    if (name === undefined || !(isHere || (rows.every(isDying) && isRestartCutOff(host, vmId, name)))) {
      host.log('INFO', `VM ${vmId} is not on this host: nothing to reset`);
      return {};
    }
    await startAgain(host, vmId, name);
    return {};
  });
}

function isDying(row: DomainRow): boolean {
  return meaningOf(row) === 'dying';
}

/** True when the guest has ended and nobody restarts it. */
async function endsWithoutMonitor(host: DomainHost, name: string, id: number): Promise<boolean> {
  const giveUp = host.clock.now() + watchMs;
  let since: number | undefined;
  while (host.clock.now() < giveUp && !host.signal.aborted) {
    const row = await host.toolstack.find(id);
    if (row === undefined) return false;
    since = needsMonitor(row) ? (since ?? host.clock.now()) : undefined;
    if (since !== undefined && host.clock.now() - since >= monitorGraceMs) return true;
    await host.clock.sleep(pollMs);
  }
  host.log('INFO', `${name} was asked to reboot and has not done so within ${watchMs / 1000} s`);
  return false;
}

/**
 * Ends what is here of the domain and starts it from its configuration.
 * @throws CxmError NOT_FOUND without a configuration, INVALID_INPUT for a kernel that may not be, REFUSED when another node has the VM; then it runs on
 */
async function startAgain(host: DomainHost, vmId: number, name: string): Promise<void> {
  const path = host.files.path(name);
  const text = host.files.vmIdOf(name) === vmId ? host.files.read(name) : undefined;
  if (text === undefined) {
    throw new CxmError('NOT_FOUND', `${path} is not there or not cxm's, so ${name} could not be started again`, {
      hint: 'power the VM off and on in OpenNebula, which writes it anew',
    });
  }
  const diskIds = diskIdsIn(vmId, text, volumeNames(host));
  await host.guard.starting({ name, volumes: namesInGroup(host, vmId, diskIds) }, async (requireHeld) => {
    requireBootFilesIn(host, vmId, text);
    noteRestart(host, vmId);
    for (const row of rowsOf(await host.toolstack.list(), name)) await destroyRow(host, row);
    requireHeld();
    await host.toolstack.create(path);
    forgetRestart(host, vmId);
  });
}

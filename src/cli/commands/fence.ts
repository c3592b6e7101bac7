/** `cxm fence NODE`: shows what runs there, asks, and powers the node off. */
import { nodeNamed } from '../../cluster/cluster.ts';
import { fenceNode } from '../../cluster/fence.ts';
import { asCxmError, CxmError } from '../../errors.ts';
import { runsHere } from '../../xen/domain-list.ts';
import type { CommandBody, CommandContext } from '../context.ts';
import type { DaemonLink } from '../daemon.ts';
import { exitCodes } from '../exit-codes.ts';

export const fence: CommandBody = async (context) => {
  const name = context.operand(0);
  const { localName, commands } = context.environment;
  if (name === localName) {
    throw new CxmError('REFUSED', `${name} is this node, and nobody would hear whether it is off`, {
      hint: `call \`cxm fence ${name}\` on another node`,
    });
  }
  const cluster = await context.open();
  const asking = nodeNamed(cluster, name).toolstack.list();
  const seen = await context.progress
    .during(() => `asking ${name} what runs there`, asking)
    .then((rows) => ({ vms: rows.filter(runsHere).map((row) => row.name ?? ''), why: undefined }))
    .catch((error: unknown) => ({ vms: undefined, why: asCxmError(error).message }));
  await context.confirm(`${sentenceOf(name, seen)} Power ${name} off?`);
  const { FENCE_CMD, FENCE_STATUS_CMD, FENCE_TIMEOUT, DISABLE_FENCING } =
    context.environment.configuration().configuration;
  const daemon = await context.environment.daemon();
  await takeOut(context, daemon, name, false);
  context.progress.step(`${FENCE_CMD} ${name}`);
  const timeoutMs = FENCE_TIMEOUT * 1000;
  const settings = { command: FENCE_CMD, status: FENCE_STATUS_CMD, disabled: DISABLE_FENCING, timeoutMs };
  await fenceNode(commands, settings, name);
  await takeOut(context, daemon, name, true);
  context.answer(`${name} is off.`, { node: name, vms: seen.vms ?? null });
  const others = cluster.nodes.map((node) => node.name).filter((node) => node !== name);
  if ((seen.vms?.length ?? 0) > 0 && others.length > 0) {
    const line = `cxm start ${seen.vms?.join(' ') ?? ''} --nodes ${others.join(',')}`;
    context.progress.note('INFO', `its VMs are started elsewhere by \`${line}\``);
  }
  return exitCodes.done;
};

/**
 * Before a member of cxmd's cluster is fenced it is taken out, so that no failover starts; when it is off, everybody is told.
 * @throws CxmError REFUSED where cxmd can't, as on a node that isn't master
 */
async function takeOut(
  context: CommandContext,
  daemon: DaemonLink | undefined,
  name: string,
  confirmedOff: boolean,
): Promise<void> {
  const node = daemon?.nodes.find((one) => one.name === name);
  if (daemon === undefined || node === undefined) return;
  // Who never joined, or is out already, can't be taken out.
  if (!confirmedOff && ['unknown', 'alone', 'off', 'taken out'].includes(node.role)) return;
  const { ok, text } = await daemon.call({ kind: 'kill', node: node.index, confirmedOff });
  if (ok) return;
  if (confirmedOff) {
    context.progress.note('WARN', `${name} is off, but cxmd does not take it: ${text}`);
    return;
  }
  const hint = 'call it on the master: `cxmd_ctl --status` says who that is';
  throw new CxmError('REFUSED', `cxmd does not take ${name} out of the cluster: ${text}`, { hint });
}

function sentenceOf(
  node: string,
  { vms, why }: { vms: readonly string[] | undefined; why: string | undefined },
): string {
  if (vms === undefined)
    return `It is not known which VMs run on ${node} (${why ?? ''}); those end as by a power failure.`;
  if (vms.length === 0) return `No VM runs on ${node}.`;
  return `On ${node} run ${vms.join(', ')}; they end as by a power failure.`;
}

/** `cxm fence NODE`: shows what runs there, asks, and powers the node off. */
import { nodeNamed } from '../../cluster/cluster.ts';
import { fenceNode } from '../../cluster/fence.ts';
import { asCxmError, CxmError } from '../../errors.ts';
import { runsHere } from '../../xen/domain-list.ts';
import type { CommandBody } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';

/** A power switch answers within this time, or something is wrong with it. */
const fenceTimeoutMs = 120_000;

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
  const { FENCE_CMD: command, DISABLE_FENCING: disabled } = context.environment.configuration().configuration;
  context.progress.step(`${command} ${name}`);
  await fenceNode(commands, { command, disabled, timeoutMs: fenceTimeoutMs }, name);
  context.answer(`${name} is off.`, { node: name, vms: seen.vms ?? null });
  const others = cluster.nodes.map((node) => node.name).filter((node) => node !== name);
  if ((seen.vms?.length ?? 0) > 0 && others.length > 0) {
    const line = `cxm start ${seen.vms?.join(' ') ?? ''} --nodes ${others.join(',')}`;
    context.progress.note('INFO', `its VMs are started elsewhere by \`${line}\``);
  }
  return exitCodes.done;
};

function sentenceOf(
  node: string,
  { vms, why }: { vms: readonly string[] | undefined; why: string | undefined },
): string {
  if (vms === undefined)
    return `It is not known which VMs run on ${node} (${why ?? ''}); those end as by a power failure.`;
  if (vms.length === 0) return `No VM runs on ${node}.`;
  return `On ${node} run ${vms.join(', ')}; they end as by a power failure.`;
}

/** `cxm shutdown-all`: every VM of the cluster, or of one node; failures are collected and told at the end. */
import { nodeNamed, requireAll } from '../../cluster/cluster.ts';
import { listNodes } from '../../cluster/locate.ts';
import { shutdownAll as shutDownAll } from '../../cluster/many.ts';
import { runsHere } from '../../xen/domain-list.ts';
import type { CommandBody } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { count, partOf } from '../words.ts';
import { concludeMany, failuresJson } from '../many-output.ts';

export const shutdownAll: CommandBody = async (context) => {
  const cluster = await context.open();
  const { forceNode } = context.options;
  if (forceNode !== undefined) nodeNamed(cluster, forceNode);
  const places = requireAll(await listNodes(cluster))
    .filter(({ node }) => forceNode === undefined || node === forceNode)
    .map(({ node, value }) => ({ node, vms: value.filter(runsHere).map(({ name }) => name ?? '') }))
    .filter(({ vms }) => vms.length > 0);
  const total = places.reduce((sum, { vms }) => sum + vms.length, 0);
  if (total === 0) {
    context.answer(forceNode === undefined ? 'No VM runs.' : `No VM runs on ${forceNode}.`, { done: [], failures: [] });
    return exitCodes.done;
  }
  const lines = places.map(({ node, vms }) => `${node}: ${vms.join(', ')}`);
  await context.confirm(`Shut down ${count(total, 'VM')} (${lines.join('; ')})?`);
  context.progress.parallel = true;
  const { done, failures } = await shutDownAll(cluster, forceNode);
  const sentence = `${partOf(done.length, done.length + failures.length, 'VM', 'has')} ended.`;
  context.answer(sentence, { done, failures: failuresJson(failures) });
  return concludeMany(context, failures);
};

/** `cxm shutdown-all`: every VM of the cluster, or of one node; failures are collected and told at the end. */
import { nodeNamed, requireAll } from '../../cluster/cluster.ts';
import { listNodes } from '../../cluster/locate.ts';
import { shutdownVm, type StopResult } from '../../cluster/stop.ts';
import { plainError } from '../../cluster/survey.ts';
import { asCxmError, type CxmError } from '../../errors.ts';
import { runsHere } from '../../xen/domain-list.ts';
import type { CommandBody } from '../context.ts';
import { exitCodeOf, exitCodes } from '../exit-codes.ts';

/** Guests write a lot when they end, and the SAN is one. */
const atOnce = 8;

type Outcome = { readonly vm: string } & (
  | { readonly result: StopResult; readonly error?: undefined }
  | { readonly result?: undefined; readonly error: CxmError }
);

export const shutdownAll: CommandBody = async (context) => {
  const cluster = await context.open();
  const { forceNode } = context.options;
  if (forceNode !== undefined) nodeNamed(cluster, forceNode);
  const places = requireAll(await listNodes(cluster))
    .filter(({ node }) => forceNode === undefined || node === forceNode)
    .map(({ node, value }) => ({ node, vms: value.filter(runsHere).map(({ name }) => name ?? '') }));
  const vms = [...new Set(places.flatMap((place) => place.vms))];
  if (vms.length === 0) {
    context.answer('No VM runs.', { vms: [] });
    return exitCodes.done;
  }
  const lines = places.filter((place) => place.vms.length > 0).map((place) => `${place.node}: ${place.vms.join(', ')}`);
  await context.confirm(`Shut down ${vms.length} VMs (${lines.join('; ')})?`);
  context.progress.parallel = true;
  const outcomes = await inTurns(vms, async (vm): Promise<Outcome> => {
    try {
      return { vm, result: await shutdownVm(cluster, vm) };
    } catch (error) {
      return { vm, error: asCxmError(error) };
    }
  });
  const failed = outcomes.flatMap(({ vm, error }) => (error === undefined ? [] : [{ vm, error }]));
  for (const { vm, error } of failed) context.progress.note('WARN', `${vm}: ${error.message}`);
  context.answer(`${vms.length - failed.length} of ${vms.length} VMs have ended.`, { vms: outcomes.map(plain) });
  return failed.reduce<0 | 1 | 2 | 3>((_, { error }) => exitCodeOf(error.code), exitCodes.done);
};

function plain({ vm, result, error }: Outcome): object {
  return result === undefined ? { vm, error: plainError(error) } : { vm, ...result };
}

async function inTurns<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) results[index] = await work(items[index] as T);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  return results;
}

/** `cxm create FQDN`: starts a VM, unless its name answers a ping: then it may run where no node of the cluster sees it. */
import { rulesOf } from '../../cluster/balance-rules.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import { planStart, startVm, type StartOptions, type StartPlan } from '../../cluster/start.ts';
import type { Step } from '../../cluster/steps.ts';
import { removeStrayLinks } from '../../cluster/stray-links.ts';
import { CxmError } from '../../errors.ts';
import type { CommandBody, CommandContext } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { printPlan, stepsJson } from '../plan-output.ts';

export const create: CommandBody = async (context) => {
  const vm = context.operand(0);
  const { forceNode, dryRun, json } = context.options;
  const { localName } = context.environment;
  const cluster = await context.open();
  const options: StartOptions = {
    localNode: localName,
    rules: rulesOf(context.environment.configuration().configuration),
    ...(forceNode === undefined ? {} : { node: forceNode }),
  };
  const looking = Promise.all([planStart(cluster, vm, options), answersPing(cluster, localName, vm)]);
  const [plan, answers] = await context.progress
    .during(() => `looking for ${vm} on all nodes`, looking)
    .catch(async (error: unknown) => {
      // It may run already since a cxm that was killed before it had moved the autostart link.
      if (!dryRun) await removeStrayLinks(cluster, vm).catch(() => undefined);
      throw error;
    });
  if (answers) {
    throw new CxmError('REFUSED', `${vm} answers a ping, but runs on no node of the cluster`, {
      hint: 'find out which machine has its address before it is started a second time',
    });
  }
  const steps: Step[] = [...plan.before, plan.create, ...plan.after];
  if (dryRun) {
    if (json) context.json({ plan: { vm, node: plan.node, remarks: plan.remarks, steps: stepsJson(steps) } });
    else showPlan(context, plan, steps);
    return exitCodes.done;
  }
  const node = await startVm(cluster, vm, options);
  context.answer(`${vm} runs on ${node}.`, { vm, node });
  return context.options.console ? attach(context, cluster, vm, node) : exitCodes.done;
};

function showPlan(context: CommandContext, { vm, node, remarks }: StartPlan, steps: readonly Step[]): void {
  for (const remark of remarks) context.progress.note('WARN', remark);
  printPlan(context, `${vm} would be started on ${node}:`, steps);
}

/** As seen from this node, or from the first one when this is none. */
async function answersPing(cluster: Cluster, localName: string, vm: string): Promise<boolean> {
  const node = cluster.nodes.find(({ name }) => name === localName) ?? cluster.nodes[0];
  return (await node?.system.ping(vm)) === 'answer';
}

async function attach(context: CommandContext, cluster: Cluster, vm: string, node: string): Promise<0 | 1> {
  if (node !== context.environment.localName) {
    context.progress.note('WARN', `its console is on ${node}: \`cxm console ${vm}\` there`);
    return exitCodes.done;
  }
  const row = await cluster.nodes.find(({ name }) => name === node)?.toolstack.find(vm);
  if (row === undefined) throw new CxmError('NOT_FOUND', `${vm} has ended already`);
  context.progress.finish('done');
  return (await context.environment.attachConsole(row.id)) === 0 ? exitCodes.done : exitCodes.error;
}

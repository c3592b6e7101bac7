/** `cxm start FQDN...`: many VMs, each where it fits best. */
import { rulesOf } from '../../cluster/balance-rules.ts';
import { leftBehind, planStartMany, startMany, type StartManyPlan } from '../../cluster/many.ts';
import type { CommandBody, CommandContext } from '../context.ts';
import { exitCodes, type ExitCode } from '../exit-codes.ts';
import { partOf } from '../words.ts';
import { concludeMany, failuresJson } from '../many-output.ts';

export const start: CommandBody = async (context) => {
  const cluster = await context.open();
  const planning = planStartMany(cluster, context.operands, rulesOf(context.environment.configuration().configuration));
  const plan = await context.progress.during(() => 'looking for room on all nodes', planning);
  for (const { vm, node } of plan.running) context.progress.note('INFO', `${vm} runs on ${node} already`);
  if (context.options.dryRun) return show(context, plan);
  const { done, failures } = await startMany(cluster, plan);
  const all = done.length + failures.length;
  const sentence =
    all === 0 ? 'Nothing to do: all of them run already.' : `${partOf(done.length, all, 'VM', 'was')} started.`;
  context.answer(sentence, { running: plan.running, done, failures: failuresJson(failures) });
  return concludeMany(context, failures);
};

function show(context: CommandContext, { placement, running, failures }: StartManyPlan): ExitCode {
  const { starts, left } = placement;
  const all = [...failures, ...left.map(leftBehind)];
  if (context.options.json) {
    const steps = starts.map(({ vm, destination, memoryMib }) => ({ vm, node: destination, memoryMib }));
    context.json({ plan: { running, starts: steps, failures: failuresJson(all) } });
  } else {
    const columns = [{ title: 'VM' }, { title: 'MEMORY MIB', align: 'right' as const }, { title: 'NODE' }];
    if (starts.length > 0) {
      context.table(
        columns,
        starts.map(({ vm, destination, memoryMib }) => [vm, memoryMib, destination]),
      );
    }
    context.print('Nothing was done (--dry-run).');
  }
  concludeMany(context, all);
  return all.length > 0 ? exitCodes.refused : exitCodes.done;
}

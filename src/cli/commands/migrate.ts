/** `cxm migrate FQDN DEST`. */
import { migrateVm, planMigration } from '../../cluster/migrate.ts';
import type { Step } from '../../cluster/steps.ts';
import type { CommandBody, CommandContext } from '../context.ts';
import { exitCodes, type ExitCode } from '../exit-codes.ts';
import { printPlan, stepsJson } from '../plan-output.ts';

export const migrate: CommandBody = async (context) => {
  const [vm, destination] = [context.operand(0), context.operand(1)];
  if (context.options.dryRun) return show(context, vm, destination);
  const cluster = await context.open();
  const { source, alreadyThere } = await migrateVm(cluster, { vm, destination });
  const sentence = alreadyThere ? nothingToDo(vm, destination) : `${vm} was migrated from ${source} to ${destination}.`;
  context.answer(sentence, { vm, source, destination, alreadyThere });
  return exitCodes.done;
};

async function show(context: CommandContext, vm: string, destination: string): Promise<ExitCode> {
  const planning = planMigration(await context.open(), { vm, destination });
  const plan = await context.progress.during(() => `looking whether ${vm} can go to ${destination}`, planning);
  if (plan === 'there') {
    context.answer(nothingToDo(vm, destination), {
      plan: { vm, source: destination, destination, remarks: [], steps: [] },
    });
    return exitCodes.done;
  }
  const remarks = plan.obstacles.map(({ text }) => text);
  const steps: Step[] = [...plan.before, plan.migrate, ...plan.after];
  if (context.options.json) {
    context.json({ plan: { vm, source: plan.source, destination, remarks, steps: stepsJson(steps) } });
    return exitCodes.done;
  }
  for (const remark of remarks) context.progress.note('WARN', remark);
  printPlan(context, `${vm} would be migrated from ${plan.source} to ${destination}:`, steps);
  return exitCodes.done;
}

function nothingToDo(vm: string, destination: string): string {
  return `Nothing to do: ${vm} runs on ${destination} already.`;
}

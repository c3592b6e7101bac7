/** `cxm migrate FQDN DEST`. */
import { migrateVm, planMigration, type MigratePlan } from '../../cluster/migrate.ts';
import { isWell, type MendPlan } from '../../cluster/migrate-mend.ts';
import type { Step } from '../../cluster/steps.ts';
import type { CommandBody, CommandContext } from '../context.ts';
import { exitCodes, type ExitCode } from '../exit-codes.ts';
import { printPlan, stepsJson } from '../plan-output.ts';

export const migrate: CommandBody = async (context) => {
  const [vm, destination] = [context.operand(0), context.operand(1)];
  if (context.options.dryRun) return show(context, vm, destination);
  const cluster = await context.open();
  const { source, alreadyThere, mended } = await migrateVm(cluster, { vm, destination });
  const sentence = mended
    ? `${vm} runs on ${destination} already; what a migration had left undone was done.`
    : alreadyThere
      ? nothingToDo(vm, destination)
      : `${vm} was migrated from ${source} to ${destination}.`;
  context.answer(sentence, { vm, source, destination, alreadyThere });
  return exitCodes.done;
};

async function show(context: CommandContext, vm: string, destination: string): Promise<ExitCode> {
  const planning = planMigration(await context.open(), { vm, destination });
  const plan = await context.progress.during(() => `looking whether ${vm} can go to ${destination}`, planning);
  const { source, remarks, steps } = plan.kind === 'there' ? mending(plan) : moving(plan);
  const json = { plan: { vm, source, destination, remarks, steps: stepsJson(steps) } };
  if (!context.options.json) for (const remark of remarks) context.progress.note('WARN', remark);
  if (plan.kind === 'there' && isWell(plan)) context.answer(nothingToDo(vm, destination), json);
  else if (context.options.json) context.json(json);
  else if (plan.kind === 'move') printPlan(context, `${vm} would be migrated from ${source} to ${destination}:`, steps);
  else
    printPlan(context, `${vm} runs on ${destination} already; what a migration has left undone would be done:`, steps);
  return exitCodes.done;
}

interface Shown {
  readonly source: string;
  readonly remarks: readonly string[];
  readonly steps: readonly Step[];
}

function moving({ source, obstacles, before, migrate: step, after }: MigratePlan): Shown {
  return { source, remarks: obstacles.map(({ text }) => text), steps: [...before, step, ...after] };
}

function mending({ vm, node, shells, remarks, steps }: MendPlan): Shown {
  const left = shells.map((name) => `a suspended domain of ${vm} was left on ${name}, and would be destroyed`);
  return { source: node, remarks: [...left, ...remarks], steps };
}

function nothingToDo(vm: string, destination: string): string {
  return `Nothing to do: ${vm} runs on ${destination} already.`;
}

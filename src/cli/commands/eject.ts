/** `cxm eject`: empties this node, or the forced one. */
import { rulesOf } from '../../cluster/balance-rules.ts';
import { carryOutMoves, leftBehind, planEvacuation, type EvacuationPlan, type Failure } from '../../cluster/many.ts';
import type { Step } from '../../cluster/steps.ts';
import type { CommandBody, CommandContext } from '../context.ts';
import { exitCodes, type ExitCode } from '../exit-codes.ts';
import { concludeMany, failuresJson } from '../many-output.ts';
import { printPlan, stepsJson } from '../plan-output.ts';
import { count, partOf } from '../words.ts';

export const eject: CommandBody = async (context) => {
  const node = context.ownNode;
  const cluster = await context.open();
  const planning = planEvacuation(cluster, node, rulesOf(context.environment.configuration().configuration));
  const plan = await context.progress.during(() => `looking for room for the VMs of ${node}`, planning);
  const left = failuresOf(plan);
  if (context.options.dryRun) return show(context, node, plan);
  const { done, failures } = await carryOutMoves(cluster, plan.plan);
  const all = [...left, ...failures];
  const sentence =
    plan.plan.length + left.length === 0
      ? nothingOn(node)
      : `${partOf(done.length, plan.plan.length + left.length, 'VM', 'has')} left ${node}.`;
  const moves = done.map(({ vm, source, destination }) => ({ vm, source, destination }));
  context.answer(sentence, { node, done: moves, failures: failuresJson(all) });
  return concludeMany(context, all);
};

/** Of the plan itself. */
function failuresOf({ failures, left }: EvacuationPlan): readonly Failure[] {
  return [...failures, ...left.map(leftBehind)];
}

function show(context: CommandContext, node: string, plan: EvacuationPlan): ExitCode {
  const steps = plan.plan.map(({ vm, source, destination }): Step => ({ kind: 'migrate', vm, source, destination }));
  const failures = failuresOf(plan);
  if (context.options.json) context.json({ plan: { node, steps: stepsJson(steps), failures: failuresJson(failures) } });
  else if (steps.length + failures.length === 0) context.print(nothingOn(node));
  else printPlan(context, `${count(steps.length, 'VM')} would leave ${node}:`, steps);
  concludeMany(context, failures);
  return failures.length > 0 ? exitCodes.refused : exitCodes.done;
}

function nothingOn(node: string): string {
  return `Nothing to do: no VM runs on ${node}.`;
}

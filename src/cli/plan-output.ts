/** A plan as a dry run shows it: its steps in order, in the words of the progress that the real run prints. */
import { describeStep, type Step } from '../cluster/steps.ts';
import type { CommandContext } from './context.ts';

export function printPlan(context: CommandContext, title: string, steps: readonly Step[]): void {
  context.print(title);
  const width = String(steps.length).length;
  steps.forEach((step, index) => context.print(`  ${String(index + 1).padStart(width)}. ${describeStep(step)}`));
  context.print('Nothing was done (--dry-run).');
}

/** Each step's own fields, and `text`, the line of the plan. */
export function stepsJson(steps: readonly Step[]): readonly object[] {
  return steps.map((step) => ({ ...step, text: describeStep(step) }));
}

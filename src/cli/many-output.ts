/** The end of an operation on many VMs: what failed, once more and together, and the exit code. */
import type { Failure } from '../cluster/many.ts';
import { plainError } from '../cluster/survey.ts';
import type { CommandContext } from './context.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { count } from './words.ts';

export function concludeMany({ progress }: CommandContext, failures: readonly Failure[]): ExitCode {
  if (failures.length === 0) return exitCodes.done;
  progress.note('WARN', `${count(failures.length, 'VM')} failed:`);
  for (const { vm, error } of failures) progress.note('INFO', `  ${vm}: ${error.message}`);
  return exitCodes.error;
}

export function failuresJson(failures: readonly Failure[]): readonly object[] {
  return failures.map(({ vm, error }) => ({ vm, error: plainError(error) }));
}

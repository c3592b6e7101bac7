/**
 * What a failure says about the program behind it. One that has ended can be judged by what it left; one whose connection
 * broke, or whose deadline passed, may go on, and what a look shows is not the end of it then.
 */
import { asCxmError, type Changed } from '../errors.ts';
import { ToolstackError } from '../xen/toolstack-error.ts';

/** Codes of failures that may have cut off the answer instead of the program. */
const cutOff = new Set(['HOST_UNREACHABLE', 'COMMAND', 'INTERRUPTED', 'PROTOCOL', 'INTERNAL']);

/** Whether the program has ended, or was never begun. @param error undefined for success */
export function hasEnded(error: unknown): boolean {
  if (error === undefined) return true;
  // What xl said was read to its end; only a deadline of ours has a cause.
  if (error instanceof ToolstackError) return error.cause === undefined;
  const { code, changed } = asCxmError(error);
  if (code === 'TIMEOUT') return false;
  return !cutOff.has(code) || changed === 'nothing';
}

/** What to say of an operation that failed and was taken back. */
export function changedAfter(error: unknown, clean: boolean): Changed {
  return clean && hasEnded(error) ? 'rolled-back' : 'maybe';
}

/**
 * How a run of cxm ends, for scripts. Every error code of the project has its place in one table, so that none can be
 * forgotten: what was refused before anything was touched is told from what went wrong.
 */
import type { ErrorCode } from '../errors.ts';

export const exitCodes = { done: 0, error: 1, refused: 2, usage: 3 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** As help, manual and docs have it. */
export const exitMeanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  done: 'done',
  error:
    'an error; it says what became of the VM. Also when a node did not answer, and the answer is that of the others',
  refused:
    'refused: not found, found several times, running already, in use, not possible, answered with no; or `check`, `check-cpu` or `doctor` has found something',
  usage: 'wrong usage',
};

const table: Readonly<Record<ErrorCode, keyof typeof exitCodes>> = {
  USAGE: 'usage',
  CONFIG: 'error',
  INVALID_INPUT: 'error',
  UNSUPPORTED: 'refused',
  HOST_UNREACHABLE: 'error',
  HOST_KEY: 'error',
  ACCESS_DENIED: 'error',
  HELPER_MISSING: 'error',
  PROTOCOL: 'error',
  LVM: 'error',
  NO_SPACE: 'refused',
  TOO_SMALL: 'refused',
  IN_USE: 'refused',
  NOT_FOUND: 'refused',
  NAME_TAKEN: 'refused',
  FOREIGN: 'refused',
  REFUSED: 'refused',
  XEN: 'error',
  TIMEOUT: 'error',
  IO: 'error',
  INTERRUPTED: 'error',
  COMMAND: 'error',
  INTERNAL: 'error',
};

export function exitCodeOf(code: ErrorCode): ExitCode {
  return exitCodes[table[code]];
}

/**
 * The one error type of the project and the table of its codes. An error says what is wrong, what to do next and
 * what became of the system: a driver prints it in the form oned logs, a command line in the form a person reads.
 */

/** What an operation that failed has left behind. */
export type Changed = 'nothing' | 'rolled-back' | 'maybe';

/** Error codes, each with the hint that is shown when the place that raised it knows no better one. */
export const errorCodes = {
  USAGE: 'see docs/drivers.md for the arguments of this action',
  CONFIG: 'mend the named line and try again',
  INVALID_INPUT: 'mend the named value and try again',
  UNSUPPORTED: 'see docs/drivers.md for what logical volumes can serve',
  HOST_UNREACHABLE: 'check that the host is up and that `ssh HOST true` works for this user without a password',
  HOST_KEY: 'find out whose key it is before you touch known_hosts: somebody may stand between',
  ACCESS_DENIED: 'check that `ssh HOST true` works for this user without a password',
  HELPER_MISSING: 'install /usr/local/sbin/cxm-host and the sudoers file on that host',
  PROTOCOL: 'install the same version of cxm on the frontend and on the host',
  LVM: 'see the message of LVM above',
  NO_SPACE: 'free space in the volume group or choose another host',
  TOO_SMALL: 'give the image a larger SIZE',
  IN_USE: 'wait until the device is free, or find who holds it with `lvs -o+lv_device_open` and `dmsetup info`',
  NOT_FOUND: 'check the name',
  NAME_TAKEN: 'rename the VM or change VM_FQDN_TEMPLATE',
  FOREIGN: 'nothing was touched, because it does not belong to this VM',
  REFUSED: 'nothing was changed',
  XEN: 'see the message of the toolstack above',
  TIMEOUT: 'try again; if it lasts, look at the load of the host',
  IO: 'check the medium and the permissions',
  INTERRUPTED: 'run the action again',
  COMMAND: 'see the message of the command above',
  INTERNAL: 'this is a bug of cxm; please report it with the log',
} as const;

export type ErrorCode = keyof typeof errorCodes;

export interface CxmErrorOptions {
  /** What the reader should do next; the code's own hint when left out. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** What is left behind; 'nothing' when left out. */
  readonly changed?: Changed;
}

/** An error with a code, a sentence, a hint, its cause and whether anything was changed. */
export class CxmError extends Error {
  override readonly name = 'CxmError';
  readonly code: ErrorCode;
  readonly hint: string;
  readonly changed: Changed;

  constructor(code: ErrorCode, message: string, options: CxmErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint ?? errorCodes[code];
    this.changed = options.changed ?? 'nothing';
  }
}

/** The error itself if it is ours, what an AbortSignal was given as its reason, else an INTERNAL one around it. */
export function asCxmError(error: unknown): CxmError {
  if (error instanceof CxmError) return error;
  if (error instanceof Error && error.name === 'AbortError' && error.cause instanceof CxmError) return error.cause;
  const message = error instanceof Error ? error.message : String(error);
  return new CxmError('INTERNAL', message, { cause: error, changed: 'maybe' });
}

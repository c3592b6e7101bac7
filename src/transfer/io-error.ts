/**
 * Errors of the file system of this machine, as ours.
 */
import { CxmError } from '../errors.ts';

/** NOT_FOUND, NO_SPACE or IO, with the sentence and what the kernel said. */
export function ioError(error: unknown, sentence: string): CxmError {
  if (error instanceof CxmError) return error;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const said = error instanceof Error ? error.message : String(error);
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new CxmError('NOT_FOUND', `${sentence}: it does not exist`, { cause: error });
    case 'ENOSPC':
      return new CxmError('TOO_SMALL', `${sentence}: no space left`, { cause: error, changed: 'maybe' });
    default:
      return new CxmError('IO', `${sentence}: ${said}`, { cause: error, changed: 'maybe' });
  }
}

import { asCxmError, type CxmError } from '../../src/errors.ts';

/** The error that a promise must end with. */
export async function failure(promise: Promise<unknown>): Promise<CxmError> {
  try {
    await promise;
  } catch (error) {
    return asCxmError(error);
  }
  throw new Error('it did not fail');
}

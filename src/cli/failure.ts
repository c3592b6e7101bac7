/** An error as a person reads it: what is wrong, what to do next, and what became of the system. Or as JSON. */
import type { CxmError } from '../errors.ts';
import { printable } from './printable.ts';
import type { Style } from './style.ts';

const fates: Readonly<Record<CxmError['changed'], string>> = {
  nothing: 'nothing was changed',
  'rolled-back': 'what was done before has been taken back',
  maybe: 'something may have changed: look at the nodes named above, and with `cxm check`',
};

export function renderFailure(error: CxmError, style: Style, debug: boolean, program = 'cxm'): string {
  const { headline, reasons } = reasonsOf(error);
  const lines = [
    `${style.paint('red', `${program}:`)} ${printable(headline)}`,
    ...reasons.map((one) => `  - ${printable(one)}`),
  ];
  const fate = fates[error.changed];
  if (error.hint !== '' && error.hint !== fate) lines.push(`  hint: ${printable(error.hint)}`);
  if (error.code !== 'USAGE') lines.push(`  state: ${fate} (${error.code})`);
  if (debug) lines.push(...causesOf(error).map((line) => `  ${printable(line)}`));
  return lines.map((line) => `${line}\n`).join('');
}

/** A sentence that ends in several reasons, as that of a refused migration, with each on a line of its own. */
function reasonsOf({ code, message }: CxmError): { readonly headline: string; readonly reasons: readonly string[] } {
  const at = message.indexOf(': ');
  const reasons = message.slice(at + 2).split('; ');
  if (code !== 'REFUSED' || at < 0 || reasons.length < 2) return { headline: message, reasons: [] };
  return { headline: message.slice(0, at + 1), reasons };
}

export function failureJson({ code, message, hint, changed }: CxmError): object {
  return { error: { code, message, hint, changed } };
}

/** What lies behind, innermost last, each with its place in the program. */
function causesOf(error: CxmError): readonly string[] {
  const lines: string[] = [];
  for (let cause: unknown = error; cause instanceof Error && lines.length < 100; cause = cause.cause) {
    lines.push(...(cause.stack ?? cause.message).split('\n'));
  }
  return lines;
}

/** What the doctor says, as a person reads it: a line a check, and below each that is not well how to mend it. Pure. */
import { worstOf } from '../cluster/doctor.ts';
import type { CheckResult, Verdict } from '../cluster/doctor-verdicts.ts';
import { printable } from './printable.ts';
import type { Colour, Style } from './style.ts';

const colours: Readonly<Record<Verdict, Colour>> = { ok: 'green', warn: 'yellow', fail: 'red' };

/** @param all false: only what is not well */
export function doctorText(results: readonly CheckResult[], all: boolean, style: Style): string {
  const shown = results.filter(({ verdict }) => all || verdict !== 'ok');
  const checkWidth = Math.max(0, ...shown.map(({ check }) => check.length));
  const lines = shown.flatMap(({ check, where, verdict, found, mend }) => {
    const place = where === '' ? '' : `${where}: `;
    const first = `${style.paint(colours[verdict], verdict.padEnd(4))}  ${check.padEnd(checkWidth)}  ${printable(place + found)}`;
    const indent = ' '.repeat(6 + checkWidth + 2);
    return mend === '' ? [first] : [first, `${indent}${style.paint('bold', 'mend:')} ${printable(mend)}`];
  });
  return [...lines, ...(all || shown.length > 0 ? [summary(results)] : [])].map((line) => `${line}\n`).join('');
}

function summary(results: readonly CheckResult[]): string {
  const count = (verdict: Verdict): number => results.filter((result) => result.verdict === verdict).length;
  const [failed, warned] = [count('fail'), count('warn')];
  const numbers = `${count('ok')} ok, ${warned} warning${warned === 1 ? '' : 's'}, ${failed} failed`;
  switch (worstOf(results)) {
    case 'ok':
      return `All is well: ${numbers}.`;
    case 'warn':
      return `Fit to work: ${numbers}.`;
    case 'fail':
      return `Not fit to work: ${numbers}.`;
  }
}

export function doctorJson(results: readonly CheckResult[]): object {
  return { verdict: worstOf(results), checks: results };
}

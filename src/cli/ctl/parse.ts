/** The words of a call of cxmd_ctl. Guarantees: exactly one action, its value there if it wants one, nothing unknown. Pure. */
import { parseArgs } from 'node:util';
import { CxmError } from '../../errors.ts';
import {
  actionOf,
  ctlActionNames,
  ctlModifiers,
  usageOfAction,
  type CtlActionName,
  type CtlModifier,
} from './table.ts';

export interface CtlCall {
  readonly action: CtlActionName | 'help' | 'version';
  /** Of actions that take one; empty if an optional one was left out. */
  readonly value: string;
  readonly modifiers: ReadonlySet<CtlModifier>;
}

/** @throws CxmError USAGE */
export function parseCtlCall(words: readonly string[]): CtlCall {
  const given = parsed(words);
  const modifiers = new Set((Object.keys(ctlModifiers) as CtlModifier[]).filter((name) => given.options.has(name)));
  for (const action of ['help', 'version'] as const) {
    if (modifiers.has(action)) return { action, value: '', modifiers };
  }
  const actions = ctlActionNames.filter((name) => given.options.has(name));
  const [action, another] = actions;
  if (action === undefined || another !== undefined) {
    const found = actions.length === 0 ? 'none' : actions.map((name) => `--${name}`).join(' and ');
    throw new CxmError('USAGE', `exactly one action is needed, found ${found}`, { hint: 'see cxmd_ctl --help' });
  }
  const { value } = actionOf(action);
  const [word = '', ...more] = given.operands;
  const isMissing = value !== undefined && value.optional !== true && word === '';
  if (isMissing || more.length > 0 || (value === undefined && word !== '')) {
    throw new CxmError('USAGE', `wrong arguments: ${usageOfAction(action)}`, { hint: 'see cxmd_ctl --help' });
  }
  return { action, value: word, modifiers };
}

function parsed(words: readonly string[]): { options: ReadonlySet<string>; operands: readonly string[] } {
  const flag = (short?: string): { type: 'boolean'; short?: string } =>
    short === undefined ? { type: 'boolean' } : { type: 'boolean', short };
  const options = Object.fromEntries([
    ...ctlActionNames.map((name) => [name, flag()] as const),
    ...Object.entries(ctlModifiers).map(([name, { short }]) => [name, flag(short)] as const),
  ]);
  try {
    // `--kill=HOST` is as good as `--kill HOST`.
    const split = words.flatMap((word) => /^(--[a-z-]+)=(.*)$/.exec(word)?.slice(1) ?? [word]);
    const { values, positionals } = parseArgs({ args: split, options, allowPositionals: true });
    return { options: new Set(Object.keys(values)), operands: positionals };
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.split('. ')[0] ?? '') : String(cause);
    throw new CxmError('USAGE', why, { hint: 'see cxmd_ctl --help', cause });
  }
}

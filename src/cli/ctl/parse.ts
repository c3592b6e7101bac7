/** The words of a call of cxmd_ctl. Guarantees: exactly one action, its value there if it wants one, nothing unknown. Pure. */
import { parseArgs } from 'node:util';
import { CxmError } from '../../errors.ts';
import { nearWord } from '../../near-word.ts';
import { printable } from '../printable.ts';
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
    const [first = ''] = given.operands;
    const meant = ctlActionNames.find((name) => actions.length === 0 && name === first);
    throw usage(`exactly one action is needed, found ${found}`, meant);
  }
  const stray = [...modifiers].find((name) => ![undefined, action].includes(ctlModifiers[name].of));
  if (stray !== undefined) throw usage(`--${action} takes no --${stray}`);
  const { value } = actionOf(action);
  const [word = '', ...more] = given.operands;
  const isMissing = value !== undefined && value.optional !== true && word === '';
  const [odd] = value === undefined ? given.operands : more;
  const hint = `usage: cxmd_ctl ${usageOfAction(action)}`;
  if (isMissing) throw new CxmError('USAGE', `--${action} needs ${value.name}`, { hint });
  if (odd !== undefined) {
    throw new CxmError('USAGE', `--${action} does not know what to do with '${printable(odd, 60)}'`, { hint });
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
    const [, word] = /^Unknown option '--(.*)'$/s.exec(why) ?? [];
    const near = word === undefined ? undefined : nearAction(word, Object.keys(options));
    throw usage(printable(why.replace(/^Unknown/, 'unknown'), 200), near);
  }
}

/** As it begins, or as it is mistyped. */
function nearAction(word: string, known: readonly string[]): string | undefined {
  const [only, another] = known.filter((name) => name.startsWith(word));
  return another === undefined && only !== undefined ? only : nearWord(word, known);
}

function usage(sentence: string, meant?: string): CxmError {
  const help = 'see `cxmd_ctl --help`';
  return new CxmError('USAGE', sentence, {
    hint: meant === undefined ? help : `did you mean --${meant}? ${help} for all`,
  });
}
